"""The route that a request took."""

from __future__ import annotations

__all__ = ["NO_POLICY", "PROTECTED", "TakenRoute", "find_route", "merge_policies", "printable", "runs_before_view"]

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from wsgikit.wsgi import ROUTING, ROUTING_ARGS

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange

NO_POLICY: Mapping[str, Any] = MappingProxyType({})
# An inclusion that asks for these protects its views: a view may ask for more, but not for less.
PROTECTED = frozenset(("csrf", "login"))


class TakenRoute:
    """The route of a request that a `Router` serves.

    Attributes:
        rule: the rule, such as ``"/users/<int:id>"``, with the prefix of the mounts that it is in.
        endpoint: its name, for `url_for`.
        values: what the path binds.
        policy: the merged policy of the view and of the routers that it is included in.
        router: the router.
    """

    __slots__ = ("endpoint", "policy", "router", "rule", "values")

    def __init__(
        self, rule: str, endpoint: str, values: Mapping[str, Any], policy: Mapping[str, Any], router: Any
    ) -> None:
        self.rule = rule
        self.endpoint = endpoint
        self.values = values
        self.policy = policy
        self.router = router

    def __repr__(self) -> str:
        return f"<TakenRoute {self.rule!r} -> {self.endpoint}>"


def runs_before_view(app: object) -> bool:
    """Return whether an application runs the `before_view` hooks itself, for each of its views, as a router does."""
    return getattr(type(app), "__wsgikit_runs_before_view__", False) is True


def merge_policies(
    inclusions: Iterable[tuple[Mapping[str, Any], frozenset[str]]], views: Iterable[Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Merge policies: the nearest wins, but nothing loosens the `csrf` and `login` of an inclusion.

    Args:
        inclusions: outermost first: the policy of each, and which of the two keys its views may loosen.
        views: the policies of the view: of base classes, of its class, of the function. The last is the nearest.
    """
    merged: dict[str, Any] = {}
    fixed: set[str] = set()
    for policy, allowed in inclusions:
        fixed -= allowed
        _lay_over(merged, policy, fixed)
        fixed.update(key for key in PROTECTED if merged.get(key) and key not in allowed)
    for policy in views:
        _lay_over(merged, policy, fixed)
    return MappingProxyType(merged) if merged else NO_POLICY


def _lay_over(merged: dict[str, Any], policy: Mapping[str, Any], fixed: set[str]) -> None:
    for key, value in policy.items():
        # Of two truths, a function of the user asks for more than True.
        if key not in fixed or (value and merged[key] is True):
            merged[key] = value


def find_route(exchange: Exchange) -> str | None:
    """Return the rule or endpoint of the matched route, where a router left word of it."""
    state = exchange.state.get("wsgikit.route")
    if state is not None:
        try:
            return printable(str(state))
        except Exception:  # noqa: BLE001 - whatever a router put there, whoever asks has something else to say
            return None
    # Our Router's and Werkzeug's rules both have their text in `rule`.
    rule = getattr(getattr(exchange.environ.get(ROUTING), "rule", None), "rule", None)
    if isinstance(rule, str):
        return printable(rule)
    arguments = exchange.environ.get(ROUTING_ARGS)
    if isinstance(arguments, tuple) and len(arguments) == 2 and isinstance(arguments[1], dict):
        for key in ("route", "endpoint", "controller"):
            if isinstance(name := arguments[1].get(key), str):
                return printable(name)
    return None


def printable(text: str) -> str:
    """Return `text` with what isn't printable escaped: a line break would forge a line of the log."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
