"""Who holds a connection at this moment, so that an exhausted pool can say it."""

from __future__ import annotations

__all__ = ["Holders"]

import time
from typing import TYPE_CHECKING

from wsgikit.database.exceptions import PoolExhaustedError

if TYPE_CHECKING:
    from wsgikit.database.work import Work

_LISTED = 20  # holders in the text of an error; a pool is rarely larger


class Holders:
    """The requests that hold a connection of one pool. Adding and removing are single steps of a set: no lock."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._works: set[Work] = set()

    def add(self, work: Work) -> None:
        """Note that a request has taken a connection, and when."""
        work.since = time.monotonic()
        self._works.add(work)

    def remove(self, work: Work) -> None:
        """Note that it has given it back."""
        self._works.discard(work)

    def forget(self) -> None:
        """Forget all: they are those of the process that this one was forked from."""
        self._works.clear()

    def listed(self) -> list[tuple[str, float]]:
        """Return ``(request, age in seconds)`` of each holder, the oldest first."""
        return _by_age(list(self._works))

    def explain_lock(self) -> str:
        """Return who may keep others from writing to a SQLite file."""
        writing = _by_age([work for work in list(self._works) if work.has_written])
        return (
            "SQLite has one writer at a time. Requests of this process that have written and not committed: "
            f"{_shown(writing) or 'none'}. If none of them is it, another process or connection is."
        )

    def exhausted(self, request: str, reason: str) -> PoolExhaustedError:
        """Make the error for a request that waited in vain."""
        holders = self.listed()
        shown = _shown(holders) or "no request of this layer"
        return PoolExhaustedError(
            f"DatabaseMiddleware {self._name!r}: {request}: connection: expected one to become free, got none in time. "
            f"Held by: {shown}. Find what keeps them, or raise pool_size. ({reason})",
            holders,
        )


def _by_age(works: list[Work]) -> list[tuple[str, float]]:
    now = time.monotonic()
    return sorted(((work.request, now - work.since) for work in works), key=lambda one: -one[1])


def _shown(holders: list[tuple[str, float]]) -> str:
    more = f"; and {len(holders) - _LISTED} more" if len(holders) > _LISTED else ""
    return "; ".join(f"{holder} for {age:.1f} s" for holder, age in holders[:_LISTED]) + more
