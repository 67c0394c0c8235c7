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
        now = time.monotonic()
        return sorted(((work.request, now - work.since) for work in list(self._works)), key=lambda one: -one[1])

    def exhausted(self, request: str, reason: str) -> PoolExhaustedError:
        """Make the error for a request that waited in vain."""
        holders = self.listed()
        shown = (
            "; ".join(f"{holder} for {age:.1f} s" for holder, age in holders[:_LISTED]) or "no request of this layer"
        )
        more = f"; and {len(holders) - _LISTED} more" if len(holders) > _LISTED else ""
        return PoolExhaustedError(
            f"DatabaseMiddleware {self._name!r}: {request}: connection: expected one to become free, got none in time. "
            f"Held by: {shown}{more}. Find what keeps them, or raise pool_size. ({reason})",
            holders,
        )
