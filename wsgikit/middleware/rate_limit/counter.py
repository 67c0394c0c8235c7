"""Counting in a store that processes share, by the library ``limits``; and what happens if the store is down."""

from __future__ import annotations

__all__ = ["Ban", "Counter", "Usage", "parse_ban", "parse_limits"]

import logging
import math
import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from importlib import import_module
from typing import Any, Literal, NamedTuple, TypeVar

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.options.amounts import check_duration
from wsgikit.options.masking import hide_credentials

Strategy = Literal["fixed-window", "moving-window", "sliding-window"]
T = TypeVar("T")

_RETRY_SECONDS = 1.0
"""How long a store that doesn't answer is left alone, so that not each request waits for it."""
_SOCKET_SECONDS = 1.0
"""How long Redis may take, unless the URL says otherwise: counting must not hold a request for long."""
_STRATEGIES = {
    "fixed-window": "fixed-window",
    "moving-window": "moving-window",
    "sliding-window": "sliding-window-counter",
}
_BAN = re.compile(r"(.+?)\s+for\s+(\S.*)")


class Usage(NamedTuple):
    """What a client has left of one limit.

    Attributes:
        text: the limit as a name: ``"100-per-1-minute"``.
        amount: how many requests it allows.
        window_seconds: in how many seconds.
        remaining: how many are left.
        reset_seconds: when there are more, rounded up.
    """

    text: str
    amount: int
    window_seconds: int
    remaining: int
    reset_seconds: int


class Ban(NamedTuple):
    """How many bad responses lead to a ban, and for how long.

    Attributes:
        item: the limit of bad responses.
        seconds: how long the client is refused.
    """

    item: Any
    seconds: int


def _library(part: str, where: str) -> Any:
    try:
        return import_module(part)
    except ImportError:
        remedy = "Install it with: pip install 'wsgikit[limits]'"
        raise ConfigurationError(f"{where}: expected the library limits, which is missing. {remedy}.") from None


def parse_limits(where: str, option: str, text: object) -> tuple[Any, ...]:
    """Return the limits that a text names: ``"100/minute; 2000/day"``, ``"5 per 10 seconds"``.

    Raises:
        ConfigurationError: it names none, or one that can't be read.
    """
    expected = "limits such as '100/minute; 2000/day'"
    if isinstance(text, str) and text.strip():
        try:
            items = _library("limits", where).parse_many(text)
        except ValueError:
            items = []
        if items and all(item.amount > 0 and item.multiples > 0 for item in items):
            return tuple(items)
    raise ConfigurationError(complaint(where, option, expected, text))


def parse_ban(where: str, text: str) -> Ban:
    """Return the ban that a text names: ``"10/minute for 1h"``.

    Raises:
        ConfigurationError: it can't be read.
    """
    match = _BAN.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ConfigurationError(complaint(where, "ban", "a ban such as '10/minute for 1h'", text))
    items: Any = parse_limits(where, "ban", match[1])
    seconds = check_duration(where, "ban_seconds", match[2])
    if len(items) > 1:
        raise ConfigurationError(complaint(where, "ban", "one limit", text))
    return Ban(items[0], math.ceil(seconds))


class Counter:
    """Counts requests of clients in a store.

    Args:
        where: the layer, for errors.
        url: the store's, such as ``memory://`` or ``redis://localhost:6379/0``.
        strategy: how a window is counted.

    Attributes:
        is_memory: whether each process counts by itself.

    Raises:
        ConfigurationError: the library or the driver is missing, or the URL can't be read.
    """

    def __init__(self, where: str, url: str, strategy: Strategy) -> None:
        if not isinstance(url, str) or "://" not in url:
            raise ConfigurationError(f"{where}: store: expected a URL such as 'memory://' or 'redis://localhost:6379'.")
        if strategy not in _STRATEGIES:
            expected = "'fixed-window', 'moving-window' or 'sliding-window'"
            raise ConfigurationError(complaint(where, "strategy", expected, strategy))
        self._place = hide_credentials(url)
        self._storage = self._make_storage(where, url)
        strategies = _library("limits.strategies", where)
        try:
            self._limiter = strategies.STRATEGIES[_STRATEGIES[strategy]](self._storage)
        except NotImplementedError:
            raise ConfigurationError(
                complaint(where, "strategy", f"one that {self._place} can do", strategy, "Take 'fixed-window'")
            ) from None
        self._windows = strategies.FixedWindowRateLimiter(self._storage)  # bans, whatever the strategy
        self._items = _library("limits", where).RateLimitItemPerSecond
        self.is_memory = url.startswith("memory:")
        # The library adds and reads in two steps in memory, so that two threads would both get the sum of both.
        self._turn: Any = threading.Lock() if self.is_memory else nullcontext()
        self._lock = threading.Lock()
        self._down_until = 0.0
        self._is_down = False

    def _make_storage(self, where: str, url: str) -> Any:
        options: dict[str, Any] = {}
        if url.startswith(("redis", "valkey")):
            options = {"socket_timeout": _SOCKET_SECONDS, "socket_connect_timeout": _SOCKET_SECONDS}
        storage = _library("limits.storage", where)
        errors = _library("limits.errors", where)
        try:
            return storage.storage_from_string(url, **options)
        except errors.ConfigurationError as error:
            text = hide_credentials(str(error))
            raise ConfigurationError(f"{where}: store: expected a store that can be used, got {text}.") from None
        except (ValueError, TypeError) as error:
            text = hide_credentials(str(error))
            raise ConfigurationError(f"{where}: store: expected a URL of a store, got {text}.") from None

    def hit(self, items: Sequence[Any], key: tuple[str, ...], cost: int) -> bool | None:
        """Count a request; return whether it is within all limits, or None if the store is down.

        A limit that is exceeded stops the counting: those after it aren't touched.
        """
        return self._ask(lambda: all(self._limiter.hit(item, *key, cost=cost) for item in items))

    def test(self, items: Sequence[Any], key: tuple[str, ...], cost: int) -> bool | None:
        """Return whether another request would be within all limits, without counting; None if the store is down."""
        return self._ask(lambda: all(self._limiter.test(item, *key, cost=cost) for item in items))

    def usages(self, items: Sequence[Any], key: tuple[str, ...]) -> list[Usage] | None:
        """Return what is left of each limit; None if the store is down."""
        return self._ask(lambda: [self._usage(item, key) for item in items])

    def count_bad(self, ban: Ban, key: tuple[str, ...]) -> None:
        """Count a bad response; ban the client if it was one too many."""

        def count() -> None:
            self._windows.hit(ban.item, *key, "bad")
            if not self._windows.test(ban.item, *key, "bad"):
                self._windows.hit(self._items(1, ban.seconds), *key, "banned")
                self._windows.clear(ban.item, *key, "bad")

        self._ask(count)

    def banned_seconds(self, ban: Ban, key: tuple[str, ...]) -> int:
        """Return for how many seconds a client is still banned; 0 if it isn't, or if the store is down."""

        def look() -> int:
            item = self._items(1, ban.seconds)
            if self._windows.test(item, *key, "banned"):
                return 0
            ends: float = self._windows.get_window_stats(item, *key, "banned").reset_time
            return max(1, math.ceil(ends - time.time()))

        return self._ask(look) or 0

    def close(self) -> None:
        """Give back the connections."""
        close: Any = getattr(getattr(self._storage, "storage", None), "close", None)
        if close is not None:
            close()

    def _usage(self, item: Any, key: tuple[str, ...]) -> Usage:
        stats = self._limiter.get_window_stats(item, *key)
        wait = max(0, math.ceil(stats.reset_time - time.time()))
        name = f"{item.amount}-per-{item.multiples}-{item.GRANULARITY.name}"
        return Usage(name, item.amount, item.get_expiry(), max(0, stats.remaining), wait)

    def _ask(self, question: Callable[[], T]) -> T | None:
        """Ask the store; return None if it doesn't answer, or didn't a moment ago."""
        if self._is_down and time.monotonic() < self._down_until:
            return None
        try:
            with self._turn:
                answer = question()
        except (self._storage.base_exceptions, OSError) as error:
            self._note_outage(error)
            return None
        self._is_down = False
        return answer

    def _note_outage(self, error: Exception) -> None:
        with self._lock:
            was_down, self._is_down = self._is_down, True
            self._down_until = time.monotonic() + _RETRY_SECONDS
        if not was_down:
            logging.getLogger("wsgikit.rate_limit").error(
                "The store %s of the rate limit doesn't answer: %s: %s",
                self._place,
                type(error).__name__,
                hide_credentials(str(error))[:300],
            )
