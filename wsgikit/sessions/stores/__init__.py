"""Where sessions are kept: one file a store, one contract for all."""

from __future__ import annotations

__all__ = ["UNREADABLE", "Record", "SessionStore", "open_store", "store_key"]

from wsgikit.exceptions import ConfigurationError, complaint, did_you_mean
from wsgikit.sessions.stores.base import UNREADABLE, Record, SessionStore, store_key

_SCHEMES = ("memory", "sqlite", "postgresql", "mysql", "mariadb", "redis", "rediss", "memcached")


def open_store(where: str, store: object, option: str = "store") -> SessionStore:
    """Return the store of a URL, or the store that was given. Nothing is connected yet.

    Each store's module is imported only where it is asked for: they need packages that are optional.

    Args:
        where: the class that is being built, for the errors.
        store: a URL such as ``redis://127.0.0.1:6379/0``, or a `SessionStore`.
        option: the name of the option, for the errors.

    Raises:
        ConfigurationError: it isn't one, or its package isn't installed.
    """
    if isinstance(store, SessionStore):
        return store
    if not isinstance(store, str) or "://" not in store:
        raise ConfigurationError(
            complaint(where, option, "a URL such as 'redis://127.0.0.1:6379/0', or a SessionStore", _shown(store))
        )
    scheme = store.partition("://")[0]
    kind = scheme.partition("+")[0]
    if kind == "memory":
        from wsgikit.sessions.stores.memory import MemoryStore

        return MemoryStore()
    if kind in ("redis", "rediss", "unix"):
        from wsgikit.sessions.stores.redis import RedisStore

        return RedisStore(store)
    if kind == "memcached":
        from wsgikit.sessions.stores.memcached import MemcachedStore

        return MemcachedStore(store)
    if kind in ("sqlite", "postgresql", "mysql", "mariadb", "oracle", "mssql"):
        from wsgikit.sessions.stores.sql import SqlStore

        return SqlStore(store)
    expected = ", ".join(f"{name}://" for name in _SCHEMES)
    raise ConfigurationError(complaint(where, option, expected, f"{scheme}://", did_you_mean(kind, _SCHEMES)))


def _shown(store: object) -> object:
    # A URL without its "://" may still hold a password.
    return store if isinstance(store, str) and "@" not in store else type(store).__name__
