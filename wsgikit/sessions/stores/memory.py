"""Sessions in the memory of this process: for tests, and for one process that may forget."""

from __future__ import annotations

__all__ = ["MemoryStore"]

import threading
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from wsgikit.sessions.stores.base import Record, SessionStore


class MemoryStore(SessionStore):
    """A dict with a lock. Other processes don't see it, and it is gone when this one ends.

    Args:
        sweep_every: after how many new sessions the expired ones are removed, so that it doesn't grow for ever.
    """

    is_shared = False

    def __init__(self, *, sweep_every: int = 1000) -> None:
        self._records: dict[str, Record] = {}
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
            self._version += 1
            self._records[key] = record._replace(version=self._version)
            version = self._version
            if expected is None:
                self._until_sweep -= 1
        if self._until_sweep <= 0:
            self._until_sweep = self._sweep_every
            self.sweep()
        return version

    def delete(self, key: str) -> bool:
        with self._lock:
            present = self._alive(key)
            self._records.pop(key, None)
        return present is not None

    def touch(self, key: str, accessed: float, expires: float) -> bool:
        with self._lock:
            present = self._alive(key)
            if present is None:
                return False
            self._records[key] = present._replace(accessed=accessed, expires=expires)
        return True

    def sweep(self, limit: int = 1000) -> int:
        now = time.time()
        with self._lock:
            dead = list(islice((key for key, record in self._records.items() if record.expires <= now), limit))
            for key in dead:
                del self._records[key]
        return len(dead)

    def count(self) -> int:
        return sum(1 for _ in self.keys())

    def keys(self) -> Iterator[str]:
        now = time.time()
        with self._lock:
            alive = [key for key, record in self._records.items() if record.expires > now]
        return iter(alive)
