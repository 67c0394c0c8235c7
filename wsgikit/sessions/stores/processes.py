"""One connection pool per process, made when it is first used there."""

from __future__ import annotations

__all__ = ["PerProcess"]

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Gives each process its own object: sockets that two processes share carry each other's answers.

    Args:
        make: makes the object, in the process that will use it.
        close: gives it back.
    """

    def __init__(self, make: Callable[[], T], close: Callable[[T], object]) -> None:
        self._make = make
        self._close = close
        self._pid: int | None = None
        self._object: T | None = None
        self._lock = threading.Lock()

    def get(self) -> T:
        """Return this process's object."""
        if self._pid == os.getpid():
            return self._object  # type: ignore[return-value]  # set together with the pid
        with self._lock:
            pid = os.getpid()
            if self._pid != pid:
                # What was inherited from the parent is left alone: it is the parent's to close.
                self._object = self._make()
                self._pid = pid
            return self._object  # type: ignore[return-value]  # as above

    def close(self) -> None:
        """Give back this process's object; the next `get` makes another."""
        with self._lock:
            if self._pid == os.getpid() and self._object is not None:
                self._close(self._object)
            self._pid = self._object = None
