"""The last requests, bounded by count and by bytes, and a wait for the next one."""

from __future__ import annotations

__all__ = ["History"]

import threading
from collections import deque

from wsgikit.middleware.inspector.recording import Recording


class History:
    """The recordings of the last requests.

    Args:
        keep: how many are kept at most.
        max_bytes: how much memory they take at most, about.
    """

    def __init__(self, keep: int, max_bytes: int) -> None:
        self._keep = keep
        self._max_bytes = max_bytes
        self._kept: deque[tuple[int, Recording, int]] = deque()  # with number and size
        self._bytes = 0
        self._last = 0
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """About how much memory the recordings take."""
        return self._bytes

    def add(self, recording: Recording) -> None:
        """Keep a request that has ended; the oldest make room for it."""
        size = recording.size
        with self._changed:
            self._last += 1
            self._kept.append((self._last, recording, size))
            self._bytes += size
            while len(self._kept) > self._keep or (self._bytes > self._max_bytes and len(self._kept) > 1):
                self._bytes -= self._kept.popleft()[2]
            self._changed.notify_all()

    def newest_first(self) -> list[Recording]:
        """Return the recordings, newest first."""
        with self._changed:
            return [recording for _, recording, _ in reversed(self._kept)]

    def find(self, recording_id: str) -> Recording | None:
        """Return a recording by its id, or None if it isn't kept."""
        return next((recording for recording in self.newest_first() if recording.id == recording_id), None)

    @property
    def last(self) -> int:
        """The number of the newest recording."""
        return self._last

    def after(self, number: int, seconds: float) -> list[tuple[int, Recording]]:
        """Return the recordings after a number, oldest first; wait so many seconds for one if there is none."""
        with self._changed:
            if self._last <= number:
                self._changed.wait(seconds)
            return [(at, recording) for at, recording, _ in self._kept if at > number]
