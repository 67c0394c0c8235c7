"""The contract between sessions and the places that keep them.

A store keeps records under keys. It knows nothing of sessions: what a record holds is bytes to it, its key is a hash of
an id that it never sees. Times are seconds since 1970 by `time.time`.
"""

from __future__ import annotations

__all__ = ["UNREADABLE", "Record", "SessionStore", "store_key"]

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

from wsgikit.sessions.errors import UnsupportedByStore


class Record(NamedTuple):
    """What a store keeps under a key.

    Attributes:
        data: the bytes to be kept.
        accessed: when the session was last saved or touched.
        expires: when the record ends: from then on the store behaves as if it weren't there.
        version: changes with each save; whatever the store likes. Only the store looks into it.
    """

    data: bytes
    accessed: float
    expires: float
    version: Any = None


UNREADABLE = Record(b"\xff", 0.0, math.inf)
"""What a store may return for what isn't a record: the session counts as expired, and the log says so."""


class SessionStore(ABC):
    """Where sessions are kept. Your own store subclasses this; `wsgikit.testing.assert_store_conforms` tries it.

    All methods may be called from many threads at once and after a fork. What can't be reached raises
    `StoreUnavailable`. Nothing connects before the first call.
    """

    is_shared = True
    """Whether several processes see the same records. False makes the layer warn if there are several."""

    waits_for_commit = False
    """Whether it can be written only when the transaction of the request is over, as an SQLite file that both use."""

    @abstractmethod
    def load(self, key: str) -> Record | None:
        """Return the record, with its version, or None if there is none or it has expired."""

    @abstractmethod
    def save(self, key: str, record: Record, expected: Any = None) -> Any:
        """Write the record if nobody else has meanwhile: compare and swap, in one step.

        Args:
            key: where to.
            record: what; its `version` is not looked at.
            expected: the version that was loaded; None if there must be no record yet.

        Returns:
            The new version; or None if the record there has another version, is gone, or is there against
            expectation. Then nothing was written.
        """

    @abstractmethod
    def delete(self, key: str) -> bool:
        """Remove the record; return whether there was one."""

    @abstractmethod
    def touch(self, key: str, accessed: float, expires: float) -> bool:
        """Set the times of a record and nothing else; return whether there was one. Its version may stay."""

    def sweep(self, limit: int = 1000) -> int:
        """Remove at most `limit` expired records; return how many. Stores that expire by themselves return 0."""
        return 0

    def count(self) -> int:
        """Return how many records there are that haven't expired.

        Raises:
            UnsupportedByStore: it can't tell.
        """
        raise UnsupportedByStore(f"{type(self).__name__}: count: this store can't count its sessions.")

    def keys(self) -> Iterator[str]:
        """Go through the keys of the records that haven't expired; for inspection, it may be slow.

        Raises:
            UnsupportedByStore: it can't tell.
        """
        raise UnsupportedByStore(f"{type(self).__name__}: keys: this store can't list its sessions.")

    def create(self) -> None:  # noqa: B027  # most need nothing
        """Make what the store needs to exist, such as a table; does nothing if it is there or none is needed."""

    def close(self) -> None:  # noqa: B027  # as above
        """Give back connections. The store may be used again."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def store_key(session_id: str) -> str:
    """Return the key of an id at rest: its SHA-256. Who reads the store can't make a cookie of it."""
    return hashlib.sha256(session_id.encode("utf-8", "replace")).hexdigest()
