"""When a transaction is committed: by the response, by what the application says, or not at all."""

from __future__ import annotations

__all__ = ["Rule", "commit_unless_vetoed", "rule_of"]

import inspect
from collections.abc import Callable
from typing import TypeAlias

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.onion.exchange import Exchange

Rule: TypeAlias = Callable[[Exchange], bool]


def commit_on_success(exchange: Exchange) -> bool:
    """Commit where the status is below 400: frameworks turn exceptions into error pages, and those roll back too."""
    status = exchange.status
    return status is not None and status[:1] in ("1", "2", "3")


def commit_without_exception(exchange: Exchange) -> bool:
    """Commit whatever the status is. What an escaped exception left behind never gets here."""
    return exchange.status is not None


def commit_by_hand(exchange: Exchange) -> bool:
    """Commit nothing: the application calls ``db.commit()``."""
    return False


def commit_unless_vetoed(exchange: Exchange) -> bool:
    """Decide as repoze.tm2's and pyramid_tm's ``default_commit_veto`` does, and take the header off the response.

    ``X-Tm: commit`` commits whatever the status is, any other ``X-Tm`` and ``X-Tm-Abort`` roll back; without them, a
    status of 400 and above does. Use it as ``commit="wsgikit.database.rules:commit_unless_vetoed"`` in an ini file.
    """
    headers = exchange.headers
    asked = headers.get("X-Tm")
    has_aborted = headers.has("X-Tm-Abort")
    if asked is not None or has_aborted:
        headers.discard("X-Tm")
        headers.discard("X-Tm-Abort")
        # The rule is asked again at the end of a stream, when the header is gone.
        exchange.state[commit_unless_vetoed] = asked.lower() == "commit" if asked is not None else False
    decided = exchange.state.get(commit_unless_vetoed)
    return commit_on_success(exchange) if decided is None else bool(decided)


_RULES: dict[str, Rule] = {
    "success": commit_on_success,
    "no-exception": commit_without_exception,
    "manual": commit_by_hand,
}


def rule_of(where: str, commit: str | Rule) -> Rule:
    """Return the rule that an option names.

    Raises:
        ConfigurationError: it names none.
    """
    rule = commit if callable(commit) else _RULES.get(commit)
    if rule is None:
        raise ConfigurationError(
            complaint(where, "commit", "'success', 'no-exception', 'manual' or a function of the exchange", commit)
        )
    try:
        inspect.signature(rule).bind(None)
    except TypeError as error:
        raise ConfigurationError(
            complaint(where, "commit", "a function of the exchange", rule, "Give it one parameter")
        ) from error
    except ValueError:
        pass  # written in C, and silent about what it takes
    return rule
