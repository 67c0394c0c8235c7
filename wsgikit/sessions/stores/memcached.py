"""Sessions in memcached, through pymemcache. It forgets when it is full or restarted: for what can be lost."""

from __future__ import annotations

__all__ = ["MemcachedStore"]

import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.sessions.errors import SessionTooLarge, StoreUnavailable
from wsgikit.sessions.stores.base import UNREADABLE, Record, SessionStore
from wsgikit.sessions.stores.outage import place_of, unavailable
from wsgikit.sessions.stores.processes import PerProcess

T = TypeVar("T")

_HEAD_BYTES = 32  # 16 digits of expiry in milliseconds, 16 of last access
_LONGEST_TTL_SECONDS = 30 * 86_400  # memcached takes more for a time since 1970
_MOST_TRIES = 10
_LONGEST_PREFIX = 250 - 64  # a key of memcached's, less the hash of an id
_PREFIX = re.compile(rf"[!-~]{{0,{_LONGEST_PREFIX}}}")


class MemcachedStore(SessionStore):
    """Sessions in memcached.

    Args:
        where: a URL such as ``memcached://127.0.0.1:11211`` (several servers parted by commas), for which each process
            makes a pool when it first needs one, or a client of pymemcache's that returns bytes.
        prefix: what the keys begin with.
        timeout_seconds: how long to wait for an answer.

    Raises:
        ConfigurationError: pymemcache isn't installed, or the URL can't be read.
    """

    def __init__(self, where: Any, *, prefix: str = "wsgikit:session:", timeout_seconds: float = 2.0) -> None:
        try:
            from pymemcache import HashClient, MemcacheError, MemcacheUnexpectedCloseError, PooledClient  # optional
        except ImportError as error:
            raise ConfigurationError(
                "MemcachedStore: store: expected the package pymemcache, which isn't installed. "
                "Install it with: pip install 'wsgikit[memcached]'."
            ) from error
        self._errors = (MemcacheError, OSError)
        self._hung_up = (MemcacheUnexpectedCloseError, ConnectionError)
        self._prefix = _checked_prefix(prefix)
        if isinstance(where, str):
            servers = _servers(where)
            self._place = place_of(where)
            options: dict[str, Any] = {
                "connect_timeout": timeout_seconds,
                "timeout": timeout_seconds,
                "default_noreply": False,
            }

            def connect() -> Any:
                if len(servers) == 1:
                    return PooledClient(servers[0], **options)
                return HashClient(servers, use_pooling=True, **options)

            self._clients: PerProcess[Any] = PerProcess(connect, lambda client: client.close())
        else:
            self._place = f"of {type(where).__name__}"
            self._clients = PerProcess(lambda: where, lambda client: None)

    def load(self, key: str) -> Record | None:
        value, version = self._run(lambda client: client.gets(self._prefix + key))
        return None if value is None else _read(value, version)

    def save(self, key: str, record: Record, expected: Any = None) -> Any:
        name = self._prefix + key
        value = _times(record.expires, record.accessed) + record.data
        ttl = _ttl(record.expires)
        try:
            written = self._write(name, value, ttl, expected)
        except StoreUnavailable as error:
            if "too large" not in str(error.__cause__):
                raise
            raise SessionTooLarge(
                f"MemcachedStore: record: expected what memcached takes (1 MiB by default), got {len(value)} bytes. "
                "Keep less in the session, or start memcached with a larger -I.",
                [],
                len(value),
            ) from error
        if not written:
            return None
        if record.expires <= time.time():
            self._run(lambda client: client.delete(name, noreply=False))
            return b"0"
        present, version = self._run(lambda client: client.gets(name))
        # Where another was faster even now, its version must not pass for ours.
        return version if present == value else b"0"

    def _write(self, name: str, value: bytes, ttl: int, expected: Any) -> bool:
        if expected is not None:
            return self._run(partial(_swap, name, value, expected, ttl))

        def add(client: Any) -> bool:
            return bool(client.add(name, value, expire=ttl, noreply=False))

        for _ in range(_MOST_TRIES):
            if self._run(add):
                return True
            present, version = self._run(lambda client: client.gets(name))
            if _is_alive(present):
                return False
            if present is not None:
                # One that has expired by our clock, though not yet by memcached's whole seconds, is in the way at most.
                return self._run(partial(_swap, name, value, version, ttl))
        return False

    def delete(self, key: str) -> bool:
        return bool(self._run(lambda client: client.delete(self._prefix + key, noreply=False)))

    def touch(self, key: str, accessed: float, expires: float) -> bool:
        name = self._prefix + key
        for _ in range(_MOST_TRIES):
            value, version = self._run(lambda client: client.gets(name))
            if not _is_alive(value):
                return False
            touched = _times(expires, accessed) + value[_HEAD_BYTES:]
            if self._run(partial(_swap, name, touched, version, _ttl(expires))):
                return True
        return True  # it is being written all the time: then it is in use as well

    def close(self) -> None:
        self._clients.close()

    def _run(self, step: Callable[[Any], T]) -> T:
        try:
            try:
                return step(self._clients.get())
            except self._hung_up:
                # memcached was restarted: the pool has connections to the old one. They are made again after close().
                self._clients.get().close()
                return step(self._clients.get())
        except self._errors as error:
            raise unavailable(self._place, "memcached", error) from error


def _swap(name: str, value: bytes, version: Any, ttl: int, client: Any) -> bool:
    return bool(client.cas(name, value, version, expire=ttl, noreply=False))


def _checked_prefix(prefix: object) -> str:
    """Return the prefix, if memcached takes it in a key: a key is ASCII without blanks, at most 250 bytes."""
    if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
        expected = f"at most {_LONGEST_PREFIX} ASCII characters without blanks"
        raise ConfigurationError(complaint("MemcachedStore", "prefix", expected, prefix))
    return prefix


def _servers(url: str) -> list[tuple[str, int]]:
    if "@" in url:
        # pymemcache speaks the text protocol, which has no log-in: the password would be ignored.
        raise ConfigurationError(
            "MemcachedStore: store: expected a URL without user and password, got one with them. "
            "Let a firewall or a Unix socket guard memcached, or give the store a client that logs in."
        )
    servers = []
    for place in urlsplit(url).netloc.split(","):
        try:
            parts = urlsplit(f"//{place}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host:
            raise ConfigurationError(
                complaint("MemcachedStore", "store", "a URL such as 'memcached://127.0.0.1:11211'", place_of(url))
            )
        servers.append((host, port or 11211))
    return servers


def _times(expires: float, accessed: float) -> bytes:
    return b"%016d%016d" % (int(expires * 1000), int(accessed * 1000))


def _ttl(expires: float) -> int:
    """Return the whole seconds that memcached counts, rounded down: it must not have what by the record has expired."""
    seconds = max(1, int(expires - time.time()))
    return seconds if seconds <= _LONGEST_TTL_SECONDS else int(expires)


def _is_alive(value: bytes | None) -> bool:
    return value is not None and _read(value, None) not in (None, UNREADABLE)


def _read(value: bytes, version: Any) -> Record | None:
    try:
        expires, accessed = int(value[:16]) / 1000, int(value[16:32]) / 1000
    except ValueError:
        return UNREADABLE
    if expires <= time.time():
        return None
    return Record(value[_HEAD_BYTES:], accessed, expires, version)
