"""Requests that are on their way to the application, so that one fetches a page and the others wait for it."""

from __future__ import annotations

__all__ = ["Flight", "Flights"]

import threading
import time
from collections.abc import Callable
from typing import Literal

from wsgikit.middleware.cache.entry import PageKey

Outcome = Literal["stored", "unstorable", "failed"]

# A page that can't be stored is fetched by each request at once, without waiting, for so long.
_REMEMBERED_SECONDS = 10.0
_MOST_REMEMBERED = 10_000


class Flight:
    """A request that fetches a page.

    Attributes:
        key: of the page.
        is_leader: whether others wait for it.
        waiting: how many began to wait for it.
        is_outdated: whether the page was purged meanwhile, so that the response must not be stored.
    """

    __slots__ = ("event", "is_leader", "is_outdated", "key", "outcome", "thread", "waiting")

    def __init__(self, key: PageKey, *, is_leader: bool) -> None:
        self.key = key
        self.is_leader = is_leader
        self.is_outdated = False
        self.waiting = 0
        self.thread = threading.get_ident()
        self.event: threading.Event | None = None
        self.outcome: Outcome | None = None


class Flights:
    """All flights of one layer.

    A thread that leads a flight never waits for another one: so a request that a view makes to its own stack, and two
    whose views ask for each other's page, go on. What can't be seen, such as a view that asks over the network, ends
    with `wait_seconds`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leaders: dict[PageKey, Flight] = {}
        self._flights: set[Flight] = set()
        self._unstorable: dict[PageKey, float] = {}

    def begin(self, key: PageKey, *, may_lead: bool = True) -> Flight:
        """Begin a flight; it leads if no other one to the page does, and if it may."""
        with self._lock:
            is_leader = may_lead and key not in self._leaders
            flight = Flight(key, is_leader=is_leader)
            if is_leader:
                self._leaders[key] = flight
            self._flights.add(flight)
        return flight

    def count_waiting(self, key: PageKey) -> int:
        """Return how many requests have begun to wait for the one that leads."""
        leader = self._leaders.get(key)
        return 0 if leader is None else leader.waiting

    def begin_or_wait(self, key: PageKey, wait_seconds: float) -> Flight | None:
        """Begin a flight, or wait for the one that leads; None if that one ended with a stored response."""
        end = 0.0
        while True:
            with self._lock:
                leader = self._leaders.get(key)
                if leader is None or not self._may_wait(key, leader):
                    flight = Flight(key, is_leader=leader is None)
                    if leader is None:
                        self._leaders[key] = flight
                    self._flights.add(flight)
                    return flight
                if leader.event is None:
                    leader.event = threading.Event()
                event = leader.event
                leader.waiting += 1
            now = time.monotonic()
            end = end or now + wait_seconds
            if not event.wait(max(0.0, end - now)):
                return self.begin(key, may_lead=False)
            if leader.outcome == "stored":
                return None
            if leader.outcome == "unstorable":
                return self.begin(key)

    def _may_wait(self, key: PageKey, leader: Flight) -> bool:
        if self._unstorable.get(key, 0.0) > time.monotonic():
            return False
        own = threading.get_ident()
        return all(flight.thread != own for flight in self._flights if flight.is_leader)

    def end(self, flight: Flight, outcome: Outcome) -> None:
        """End a flight, once; those that wait for it go on."""
        with self._lock:
            if flight not in self._flights:
                return
            self._flights.discard(flight)
            flight.outcome = outcome
            self._let_go(flight)
            if outcome == "unstorable":
                if len(self._unstorable) >= _MOST_REMEMBERED:
                    self._unstorable.clear()
                self._unstorable[flight.key] = time.monotonic() + _REMEMBERED_SECONDS
            elif outcome == "stored":
                self._unstorable.pop(flight.key, None)

    def release(self, flight: Flight) -> None:
        """Let those go on that wait for a flight, which itself goes on."""
        with self._lock:
            flight.outcome = flight.outcome or "failed"
            self._let_go(flight)

    def _let_go(self, flight: Flight) -> None:
        if flight.is_leader:
            flight.is_leader = False
            del self._leaders[flight.key]
        if flight.event is not None:
            flight.event.set()

    def outdate(self, is_purged: Callable[[PageKey], bool]) -> None:
        """Keep the responses that are on their way from being stored, if their pages were purged."""
        with self._lock:
            for flight in self._flights:
                if is_purged(flight.key):
                    flight.is_outdated = True
