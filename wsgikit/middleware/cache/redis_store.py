"""Responses in Redis: shared by all processes and machines."""

from __future__ import annotations

__all__ = ["RedisCache"]

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.middleware.cache.entry import Entry, PageKey, variant_of
from wsgikit.wsgi import Environ

T = TypeVar("T")

_TIMEOUT_SECONDS = 2.0  # after this the application is asked
_MARK_SECONDS = 600  # for how long a removal is remembered: no application needs so long to make a page
_BATCH = 500

# Save in one step, unless something was purged since the application was asked: KEYS page, epoch, removals of the page;
# ARGV the two as they were then, the names, the field, the entry, its seconds, the keys of its tags.
_SAVE = """
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] or (redis.call('GET', KEYS[3]) or '') ~= ARGV[2] then return 0 end
local names = redis.call('HGET', KEYS[1], 'names')
if names and names ~= ARGV[3] then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], 'names', ARGV[3], ARGV[4], ARGV[5])
local ttl = math.max(tonumber(ARGV[6]), redis.call('TTL', KEYS[1]))
redis.call('EXPIRE', KEYS[1], ttl)
for i = 4, #KEYS do
  redis.call('SADD', KEYS[i], KEYS[1])
  redis.call('EXPIRE', KEYS[i], math.max(ttl, redis.call('TTL', KEYS[i])))
end
return 1
"""


class RedisCache:
    """Responses in Redis. If it can't be reached, pages come from the application; one warning says so.

    A page is a hash: ``names``, the request headers that it depends on, and a field for each variant. How much is kept
    is for ``maxmemory`` of the server.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        where: the class that is built, for errors.
        prefix: what the keys begin with.

    Raises:
        ConfigurationError: redis-py isn't installed, or the URL can't be read.
    """

    is_shared = True

    def __init__(self, url: str, where: str = "RedisCache", *, prefix: str = "wsgikit:cache:") -> None:
        try:
            import redis  # optional
        except ImportError as error:
            remedy = "Install it with: pip install 'wsgikit[redis]'"
            raise ConfigurationError(
                complaint(where, "store", "the package redis, which redis:// needs", None, remedy)
            ) from error
        try:
            self._client: Any = redis.Redis.from_url(
                url, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS
            )
        except ValueError as error:
            expected = "a URL such as 'redis://127.0.0.1:6379/0'"
            raise ConfigurationError(complaint(where, "store", expected, "one it can't read")) from error
        self._errors = (redis.RedisError, OSError)
        self._prefix = prefix
        self._save_script = self._client.register_script(_SAVE)
        self._is_down = False

    def load(self, key: PageKey, environ: Environ) -> Entry | None:
        name = self._page(key)
        found = self._attempt(lambda: self._client.hmget(name, "names", _field(())))
        names, plain = found or (None, None)
        if names is None:
            return None
        known = json.loads(names)
        if known:
            field = _field(variant_of(known, environ))
            plain = self._attempt(lambda: self._client.hget(name, field))
        entry = None if plain is None else Entry.from_bytes(plain)
        return entry if entry is not None and entry.kept_until > time.time() else None

    def mark(self, key: PageKey) -> tuple[str, str]:
        """Return what `save` needs to notice a purge, by any process, while the application makes the page."""
        found = self._attempt(lambda: self._client.mget(self._epoch, self._removals(key)))
        epoch, removals = found or (None, None)
        return (epoch or b"").decode(), (removals or b"").decode()

    def save(self, key: PageKey, request: Environ, entry: Entry, mark: Any = None) -> None:
        name = self._page(key)
        before = self._attempt(lambda: self._client.hget(name, "names"))
        names = sorted({*json.loads(before or "[]"), *entry.names})
        keys = [name, self._epoch, self._removals(key), *(self._tag(tag) for tag in entry.tags)]
        seconds = max(1, math.ceil(entry.kept_until - time.time()))
        field = _field(variant_of(names, request))
        arguments = [*(mark or ("", "")), json.dumps(names), field, entry.to_bytes(), seconds]
        self._attempt(lambda: self._save_script(keys=keys, args=arguments))

    def remove(self, key: PageKey) -> None:
        removals = self._removals(key)

        def remove() -> None:
            with self._client.pipeline() as pipe:
                pipe.delete(self._page(key)).incr(removals).expire(removals, _MARK_SECONDS).execute()

        self._attempt(remove)

    def purge(self, tag: str) -> int:
        self._client.incr(self._epoch)
        name = self._tag(tag)
        pages = list(self._client.smembers(name))
        return self._delete(pages, name)

    def purge_prefix(self, prefix: str) -> int:
        self._client.incr(self._epoch)
        return self._delete([name for name, key in self._keys() if (key[2] + key[3]).startswith(prefix)])

    def close(self) -> None:
        self._client.close()

    def _delete(self, pages: list[bytes], *others: str) -> int:
        removed = 0
        for start in range(0, len(pages), _BATCH):
            removed += self._client.delete(*pages[start : start + _BATCH])
        if others:
            self._client.delete(*others)
        return removed

    def _keys(self) -> Iterator[tuple[bytes, list[str]]]:
        begin = self._page_prefix.encode()
        pattern = "".join(f"\\{letter}" if letter in r"\*?[]^-" else letter for letter in self._page_prefix) + "*"
        for name in self._client.scan_iter(match=pattern, count=1000):
            yield name, json.loads(name[len(begin) :])

    @property
    def _page_prefix(self) -> str:
        return f"{self._prefix}page:"

    @property
    def _epoch(self) -> str:
        return f"{self._prefix}epoch"

    def _page(self, key: PageKey) -> str:
        return self._page_prefix + json.dumps(key)

    def _removals(self, key: PageKey) -> str:
        return f"{self._prefix}removals:{json.dumps(key)}"

    def _tag(self, tag: str) -> str:
        return f"{self._prefix}tag:{tag}"

    def _attempt(self, step: Callable[[], T]) -> T | None:
        """Run a step; return None if Redis can't be reached, and warn of each outage once."""
        try:
            result = step()
        except self._errors as error:
            if not self._is_down:
                self._is_down = True
                logging.getLogger("wsgikit").warning(
                    "CacheMiddleware: store: Redis failed, so pages come from the application: %s: %s",
                    type(error).__name__,
                    error,
                )
            return None
        self._is_down = False
        return result


def _field(variant: tuple[str | None, ...]) -> str:
    return "variant:" + json.dumps(variant)
