"""Rules that hide one another."""

from __future__ import annotations

__all__ = ["RuleConflictError", "refuse_conflict"]

from wsgikit.exceptions import ConfigurationError
from wsgikit.routing.rules import Rule


class RuleConflictError(ConfigurationError):
    """Two rules take the same paths and a method too.

    Attributes:
        first: the rule that was there before.
    """

    def __init__(self, text: str, first: Rule) -> None:
        super().__init__(text)
        self.first = first


def refuse_conflict(first: Rule, second: Rule) -> None:
    """Raise where two rules take the same paths and a method too, so that the first added hides the second.

    HEAD and OPTIONS don't count: they come by themselves. A rule for every method may follow one for some: it answers
    the others. Two rules that do the very same are no conflict either.
    """
    if first.methods is not None and second.methods is None:
        return
    if first.endpoint == second.endpoint and first.defaults == second.defaults and first.alias == second.alias:
        return
    shared: frozenset[str] | None = None
    if first.methods is not None and second.methods is not None:
        shared = first.methods & second.methods
        if not shared - {"OPTIONS"} or (
            shared <= {"HEAD", "OPTIONS"} and ("GET" in first.methods) != ("GET" in second.methods)
        ):
            return
    methods = "every method" if shared is None else " and ".join(sorted(shared))
    raise RuleConflictError(
        f"Rule {second.rule!r} of endpoint {second.endpoint!r}: its path: expected one that no other rule takes, got "
        f"{second.rule!r}, which rule {first.rule!r} of endpoint {first.endpoint!r} takes for {methods}. "
        "Give them different paths or methods, or remove one of them.",
        first,
    )
