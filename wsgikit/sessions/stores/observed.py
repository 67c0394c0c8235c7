"""A store whose calls are measured, in a request of which a layer outside wants to know them."""

from __future__ import annotations

__all__ = ["ObservedStore"]

from typing import Any

from wsgikit.onion.usage import CURRENT_USAGE
from wsgikit.sessions.stores.base import Record, SessionStore


class ObservedStore(SessionStore):
    """Another store, whose calls are added to the `Usage` of the running request, if there is one.

    Args:
        store: the other store.
    """

    def __init__(self, store: SessionStore) -> None:
        self.store = store
        self.is_shared = store.is_shared
        self.waits_for_commit = store.waits_for_commit
        self._name = type(store).__name__

    def load(self, key: str) -> Record | None:
        """Load a record."""
        usage = CURRENT_USAGE.get()
        if usage is None:
            return self.store.load(key)
        with usage.store_call(self._name, "load"):
            return self.store.load(key)

    def save(self, key: str, record: Record, expected: Any = None) -> Any:
        """Save a record."""
        usage = CURRENT_USAGE.get()
        if usage is None:
            return self.store.save(key, record, expected)
        with usage.store_call(self._name, "save"):
            return self.store.save(key, record, expected)

    def delete(self, key: str) -> bool:
        """Delete a record."""
        usage = CURRENT_USAGE.get()
        if usage is None:
            return self.store.delete(key)
        with usage.store_call(self._name, "delete"):
            return self.store.delete(key)

    def touch(self, key: str, accessed: float, expires: float) -> bool:
        """Set the times of a record."""
        usage = CURRENT_USAGE.get()
        if usage is None:
            return self.store.touch(key, accessed, expires)
        with usage.store_call(self._name, "touch"):
            return self.store.touch(key, accessed, expires)

    def close(self) -> None:
        """Close the other store."""
        self.store.close()

    def __repr__(self) -> str:
        return repr(self.store)
