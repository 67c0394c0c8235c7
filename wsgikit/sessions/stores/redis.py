"""Sessions in Redis, which expires them by itself. Also Valkey, KeyDB, Sentinel and Cluster, by passing a client.

A record is one string: 32 characters of version, 16 digits of expiry in milliseconds, 16 of last access, then the data.
Loading is one GET, saving one script: one round trip each.
"""

from __future__ import annotations

__all__ = ["RedisStore"]

import math
import os
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.sessions.stores.base import UNREADABLE, Record, SessionStore
from wsgikit.sessions.stores.outage import place_of, unavailable
from wsgikit.sessions.stores.processes import PerProcess

T = TypeVar("T")

_KEY = re.compile(r"[0-9a-f]{64}")  # see `store_key`
_VERSION_BYTES = 32
_HEAD_BYTES = _VERSION_BYTES + 16 + 16

# Swap: write if the version is still the one that was loaded. Redis runs a script in one step.
_SWAP = """
if redis.call('GETRANGE', KEYS[1], 0, 31) ~= ARGV[1] then return 0 end
if tonumber(redis.call('GETRANGE', KEYS[1], 32, 47)) <= tonumber(ARGV[4]) then return 0 end
if tonumber(ARGV[3]) <= 0 then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
"""
# Add: take the place of a record that has expired by our clock, though not yet by Redis's, or of what is none of ours.
_ADD = """
local expires = tonumber(redis.call('GETRANGE', KEYS[1], 32, 47))
if expires and expires > tonumber(ARGV[3]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
# Touch: replace the times and leave the rest, so that a save that is under way isn't disturbed.
_TOUCH = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('SETRANGE', KEYS[1], 32, ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""


class RedisStore(SessionStore):
    """Sessions in Redis.

    Args:
        where: a URL (``redis://``, ``rediss://``, ``unix://``), for which each process makes a pool when it first needs
            one, or a client of redis-py's: `Redis`, one of `Sentinel.master_for`, or `RedisCluster`.
        prefix: what the keys begin with.
        timeout_seconds: how long to wait for an answer, where the URL doesn't say it.

    Raises:
        ConfigurationError: redis-py isn't installed, or the URL can't be read.
    """

    def __init__(self, where: Any, *, prefix: str = "wsgikit:session:", timeout_seconds: float = 2.0) -> None:
        try:
            import redis  # optional
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError as error:
            raise ConfigurationError(
                "RedisStore: store: expected the package redis, which isn't installed. "
                "Install it with: pip install 'wsgikit[redis]'."
            ) from error
        if not isinstance(prefix, str):
            raise ConfigurationError(complaint("RedisStore", "prefix", "a str", prefix))
        self._redis = redis
        self._prefix = prefix
        if isinstance(where, str):
            # One retry, for the connection that the server closed while it lay in the pool; after a timeout, another
            # would wait as long. Waiting is for visitors no remedy.
            options = {
                "socket_timeout": timeout_seconds,
                "socket_connect_timeout": timeout_seconds,
                "retry": Retry(NoBackoff(), 1, (redis.ConnectionError,)),
            }
            try:
                redis.ConnectionPool.from_url(where)
            except ValueError as error:
                raise ConfigurationError(
                    complaint("RedisStore", "store", "a URL such as 'redis://127.0.0.1:6379/0'", "one it can't read")
                ) from error
            self._place = place_of(where)
            self._clients: PerProcess[Any] = PerProcess(
                lambda: redis.Redis.from_url(where, **options), lambda client: client.close()
            )
        else:
            self._place = _place_of_client(where)
            # redis-py's own pools notice a fork by themselves.
            self._clients = PerProcess(lambda: where, lambda client: None)

    def load(self, key: str) -> Record | None:
        value = self._run(lambda client: client.get(self._prefix + key))
        return None if value is None else _read(value)

    def save(self, key: str, record: Record, expected: Any = None) -> Any:
        version = os.urandom(_VERSION_BYTES // 2).hex()
        value = version.encode("ascii") + _times(record.expires, record.accessed) + record.data
        name = self._prefix + key
        ttl = _ttl(record.expires)
        now = int(time.time() * 1000)
        if expected is not None:
            written = self._run(lambda client: client.eval(_SWAP, 1, name, expected, value, ttl, now))
        else:
            ttl = max(1, ttl)
            written = self._run(lambda client: client.set(name, value, px=ttl, nx=True))
            if not written:  # in one step, or two that lock would take the record from one another
                written = self._run(lambda client: client.eval(_ADD, 1, name, value, ttl, now))
        return version if written else None

    def delete(self, key: str) -> bool:
        return bool(self._run(lambda client: client.delete(self._prefix + key)))

    def touch(self, key: str, accessed: float, expires: float) -> bool:
        name = self._prefix + key
        times = _times(expires, accessed)
        return bool(self._run(lambda client: client.eval(_TOUCH, 1, name, times, max(1, _ttl(expires)))))

    def count(self) -> int:
        return sum(1 for _ in self.keys())

    def keys(self) -> Iterator[str]:
        def scan(client: Any) -> list[str]:
            found = client.scan_iter(match=_literal(self._prefix) + "*", count=1000)
            names = (name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in found)
            return [name[len(self._prefix) :] for name in names]

        # With a short prefix, or none, there may be keys of other programs.
        return (key for key in self._run(scan) if _KEY.fullmatch(key))

    def close(self) -> None:
        self._clients.close()

    def _run(self, step: Callable[[Any], T]) -> T:
        try:
            return step(self._clients.get())
        except (self._redis.RedisError, OSError) as error:
            raise unavailable(self._place, "Redis", error) from error


def _literal(prefix: str) -> str:
    """Return the prefix as a pattern of Redis that matches only itself."""
    return re.sub(r"([\\*?\[\]^-])", r"\\\1", prefix)


def _place_of_client(client: Any) -> str:
    """Return where a client of somebody's connects to, as far as it says so."""
    options = getattr(getattr(client, "connection_pool", None), "connection_kwargs", {})
    if "path" in options:
        return f"unix://{options['path']}"
    if "host" in options:
        return f"redis://{options['host']}:{options.get('port', 6379)}/{options.get('db', 0)}"
    return f"of {type(client).__name__}"


def _times(expires: float, accessed: float) -> bytes:
    return b"%016d%016d" % (int(expires * 1000), int(accessed * 1000))


def _ttl(expires: float) -> int:
    return math.ceil((expires - time.time()) * 1000)


def _read(value: Any) -> Record | None:
    if isinstance(value, str):  # a client made with decode_responses
        value = value.encode()
    try:
        expires, accessed = int(value[32:48]) / 1000, int(value[48:64]) / 1000
        version = value[:_VERSION_BYTES].decode("ascii")
    except ValueError:
        return UNREADABLE
    if expires <= time.time():
        return None
    return Record(value[_HEAD_BYTES:], accessed, expires, version)
