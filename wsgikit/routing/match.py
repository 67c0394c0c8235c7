"""What a map answers: a rule and its values, or why there is none."""

from __future__ import annotations

__all__ = ["BAD_REQUEST", "NOT_FOUND", "Kind", "Match", "Miss", "matched"]

from typing import Any, Literal, TypeAlias

from werkzeug.exceptions import BadRequest, HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import RequestRedirect

from wsgikit.routing.rules import Rule

Kind: TypeAlias = Literal["not_found", "method_not_allowed", "redirect", "bad_request"]


class Match:
    """A rule that answers, and what the path bound. It is true, where a `Miss` is false.

    Attributes:
        rule: the rule.
        values: its arguments, converted; a dict of this match's own.
    """

    # It has no __init__: the map makes one for each request, and two stores cost half of what that call does.
    __slots__ = ("rule", "values")

    rule: Rule
    values: dict[str, Any]

    @property
    def endpoint(self) -> str:
        """The name of the rule that answers."""
        return self.rule.endpoint

    def __repr__(self) -> str:
        return f"<Match {self.rule.rule!r} -> {self.endpoint} {self.values!r}>"


class Miss:
    """No rule answers, and `kind` says why. It is false, where a `Match` is true, and its `rule` is None.

    Attributes:
        kind: "not_found", "method_not_allowed", "redirect" or "bad_request".
        methods: the methods that the path has, where the kind is "method_not_allowed".
        location: where to go, where the kind is "redirect".
    """

    __slots__ = ("kind", "location", "methods")

    rule = None

    def __init__(self, kind: Kind, methods: frozenset[str] = frozenset(), location: str = "") -> None:
        self.kind = kind
        self.methods = methods
        self.location = location

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return f"<Miss {self.kind}{' ' + self.location if self.location else ''}>"

    def to_exception(self) -> HTTPException:
        """Return the exception of Werkzeug that says the same."""
        if self.kind == "redirect":
            return RequestRedirect(self.location)
        if self.kind == "method_not_allowed":
            return MethodNotAllowed(valid_methods=sorted(self.methods))
        return BadRequest("The path is no UTF-8.") if self.kind == "bad_request" else NotFound()


NOT_FOUND = Miss("not_found")
BAD_REQUEST = Miss("bad_request")


def matched(rule: Rule, values: dict[str, Any]) -> Match:
    """Return the match of a rule."""
    match = Match()
    match.rule = rule
    match.values = values
    return match
