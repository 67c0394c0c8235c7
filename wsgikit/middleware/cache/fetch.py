"""A request that the application is asked for."""

from __future__ import annotations

__all__ = ["Fetch", "with_policy"]

from collections.abc import Sequence
from typing import Any

from wsgikit.middleware.cache.entry import Entry, PageKey
from wsgikit.middleware.cache.flights import Flight
from wsgikit.options.amounts import check_amount
from wsgikit.wsgi import Environ


class Fetch:
    """A request that the application is asked for.

    Attributes:
        key: of the page.
        request: environ as the request came in.
        flight: its place among the others.
        mark: of the store, to notice purges.
        reason: why it is forwarded, in the words of RFC 9211.
        stale: the entry that is validated, or sent if the application fails.
        is_stripped: whether the conditions of the client were taken out, to be evaluated here.
        has_user: whether the session was read or a user was found: known when the response is there.
        has_secret: whether the page has a nonce or the token of a form, likewise.
    """

    __slots__ = ("flight", "has_secret", "has_user", "is_stripped", "key", "mark", "reason", "request", "stale")

    def __init__(
        self, key: PageKey, request: Environ, flight: Flight, mark: Any, reason: str, stale: Entry | None
    ) -> None:
        self.key = key
        self.request = request
        self.flight = flight
        self.mark = mark
        self.reason = reason
        self.stale = stale
        self.is_stripped = False
        self.has_user = False
        self.has_secret = False


def with_policy(pairs: Sequence[tuple[str, str]], wanted: Any, has_user: bool) -> Sequence[tuple[str, str]]:
    """Return the headers with the time that the policy of the view asks for, if the response doesn't say one."""
    if wanted is None or wanted is False or any(name.lower() == "cache-control" for name, _ in pairs):
        return pairs
    seconds = check_amount("policy", "cache_seconds", wanted)
    return [*pairs, ("Cache-Control", f"{'private, ' if has_user else ''}max-age={seconds}")]
