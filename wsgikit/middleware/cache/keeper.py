"""Stores responses, and ends the flights that fetched them."""

from __future__ import annotations

__all__ = ["Keeper"]

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from wsgikit.middleware.cache.entry import Entry, Limits, refreshed, says_nothing, to_entry, with_body
from wsgikit.middleware.cache.fetch import Fetch, with_policy
from wsgikit.middleware.cache.flights import Flights
from wsgikit.middleware.cache.stores import CacheStore


class Keeper:
    """The part of the layer that stores.

    Args:
        store: where responses go.
        flights: those of the layer.
        limits: its options.
        key_headers: request headers that every response depends on, in lower case.
        max_entry_bytes: the size of the largest body that is stored.
    """

    def __init__(
        self, store: CacheStore, flights: Flights, limits: Limits, key_headers: Sequence[str], max_entry_bytes: int
    ) -> None:
        self.store = store
        self.flights = flights
        self.max_entry_bytes = max_entry_bytes
        self._limits = limits
        self._key_headers = key_headers

    def judge(self, fetch: Fetch, status: str, pairs: Sequence[tuple[str, str]], wanted: Any) -> Entry | None:
        """Return a response as an entry without its body; None if it may not be stored.

        Args:
            fetch: the request.
            status: the status line.
            pairs: the headers.
            wanted: what the policy of the view says of the cache, or None.
        """
        if self._limits.default_seconds is None and says_nothing(pairs):
            return None
        if wanted is False or fetch.has_secret or (wanted and fetch.has_user):
            return None
        return to_entry(
            fetch.request, status, pairs, time.time(), self._limits, self._key_headers, has_user=fetch.has_user
        )

    def save(self, fetch: Fetch, entry: Entry, body: bytes) -> None:
        """Store an entry, unless the page was purged since the application was asked."""
        if not fetch.flight.is_outdated:
            self.store.save(fetch.key, fetch.request, with_body(entry, body), fetch.mark)
        self.flights.end(fetch.flight, "stored")

    def reject(self, fetch: Fetch, code: int) -> None:
        """Note that a response can't be stored. An older one that it takes the place of is removed."""
        if code == 304 or code >= 500:  # it says nothing of the page
            self.flights.end(fetch.flight, "failed")
            return
        if fetch.stale is not None:
            self.store.remove(fetch.key)
        self.flights.end(fetch.flight, "unstorable")

    def freshen(self, fetch: Fetch, stale: Entry, pairs: Sequence[tuple[str, str]], wanted: Any) -> Entry:
        """Return a stale entry with the headers of the 304 that validated it, and store it so if it may be."""
        pairs = refreshed(stale, with_policy(pairs, wanted, fetch.has_user) if wanted else pairs)
        entry = self.judge(fetch, stale.status, pairs, wanted)
        if entry is None:
            self.flights.end(fetch.flight, "failed")
            return replace(stale, headers=tuple(pairs))
        self.save(fetch, entry, stale.body)
        return with_body(entry, stale.body)
