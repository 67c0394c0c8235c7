"""Sessions in the memory of this process: for tests, and for one process that may forget."""

from __future__ import annotations

__all__ = ["MemoryStore"]

import threading
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.sessions.errors import SessionTooLarge
from wsgikit.sessions.journal import journal
from wsgikit.sessions.stores.base import Record, SessionStore

_FULL = (
    "MemoryStore: expected at most %d records and %d bytes, got more: the sessions that were written least recently "
    "are removed. Raise max_records or max_bytes, or use store='redis://…' or a database."
)


class MemoryStore(SessionStore):
    """A dict with a lock. Other processes don't see it, and it is gone when this one ends.

    It has a limit, so that visitors without a cookie can't fill the memory: beyond it, expired records are removed,
    then those that were written or touched least recently. A warning says so, once.

    Args:
        sweep_every: after how many new sessions the expired ones are removed.
        max_records: how many records are kept.
        max_bytes: how many bytes of data are kept, besides some 500 bytes of Python's for each record.

    Raises:
        ConfigurationError: an option isn't a whole number above 0.
    """

    is_shared = False

    def __init__(
        self, *, sweep_every: int = 1000, max_records: int = 100_000, max_bytes: int = 256 * 1024 * 1024
    ) -> None:
        for name, value in (("sweep_every", sweep_every), ("max_records", max_records), ("max_bytes", max_bytes)):
            if type(value) is not int or value < 1:
                raise ConfigurationError(complaint("MemoryStore", name, "a whole number above 0", value))
        self._records: dict[str, Record] = {}  # the least recently written first
        self._bytes = 0
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._has_warned = False
        self._lock = threading.Lock()
        self._version = 0
        self._sweep_every = sweep_every
        self._until_sweep = sweep_every

    def load(self, key: str) -> Record | None:
        return self._alive(key)

    def _alive(self, key: str) -> Record | None:
        record = self._records.get(key)
        return record if record is not None and record.expires > time.time() else None

    def save(self, key: str, record: Record, expected: Any = None) -> Any:
        with self._lock:
            present = self._alive(key)
            if (None if present is None else present.version) != expected:
                return None
            if len(record.data) > self._max_bytes:
                raise SessionTooLarge(
                    f"MemoryStore: record: expected at most {self._max_bytes} bytes, got {len(record.data)}. "
                    "Keep less in the session, or raise max_bytes.",
                    [],
                    len(record.data),
                )
            self._version += 1
            version = self._version
            self._remove(key)
            self._records[key] = record._replace(version=version)
            self._bytes += len(record.data)
            if expected is None:
                self._until_sweep -= 1
            is_full = len(self._records) > self._max_records or self._bytes > self._max_bytes
            if is_full:
                self._make_room()
        if is_full and not self._has_warned:
            self._has_warned = True
            journal().warning(_FULL, self._max_records, self._max_bytes)
        if self._until_sweep <= 0:
            self._until_sweep = self._sweep_every
            self.sweep()
        return version

    def delete(self, key: str) -> bool:
        with self._lock:
            present = self._alive(key)
            self._remove(key)
        return present is not None

    def touch(self, key: str, accessed: float, expires: float) -> bool:
        with self._lock:
            present = self._alive(key)
            if present is None:
                return False
            del self._records[key]  # it goes to the end: it is the one that was used last
            self._records[key] = present._replace(accessed=accessed, expires=expires)
        return True

    def sweep(self, limit: int = 1000) -> int:
        now = time.time()
        with self._lock:
            dead = list(islice((key for key, record in self._records.items() if record.expires <= now), limit))
            for key in dead:
                self._remove(key)
        return len(dead)

    def _remove(self, key: str) -> None:
        record = self._records.pop(key, None)
        if record is not None:
            self._bytes -= len(record.data)

    def _make_room(self) -> None:
        """Remove the expired records, then the least recently written, until a hundredth is free."""
        now = time.time()
        for key in [key for key, record in self._records.items() if record.expires <= now]:
            self._remove(key)
        # Some at once, or each save would go through all.
        records, size = self._max_records * 99 // 100, self._max_bytes * 99 // 100
        while len(self._records) > max(1, records) or (self._bytes > size and len(self._records) > 1):
            self._remove(next(iter(self._records)))

    def count(self) -> int:
        return sum(1 for _ in self.keys())

    def keys(self) -> Iterator[str]:
        now = time.time()
        with self._lock:
            alive = [key for key, record in self._records.items() if record.expires > now]
        return iter(alive)
