"""Where responses are stored: in the memory of the process, or in Redis."""

from __future__ import annotations

__all__ = ["CacheStore", "MemoryCache", "open_cache"]

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from wsgikit.exceptions import ConfigurationError, complaint, did_you_mean
from wsgikit.middleware.cache.entry import Entry, PageKey, Variant, variant_of
from wsgikit.wsgi import Environ

# Variants of one page, such as one per language. A page that depends on cookies has one per visitor.
MOST_VARIANTS = 64


class CacheStore(Protocol):
    """A store of responses. A page has one entry, or several variants that depend on headers of the request."""

    is_shared: bool
    """Whether other processes see what this one stores."""

    def load(self, key: PageKey, environ: Environ) -> Entry | None:
        """Return the entry of a page that a request selects."""
        ...

    def mark(self, key: PageKey) -> Any:
        """Return what `save` is given later, so that it stores nothing if another process purged the page meanwhile."""
        ...

    def save(self, key: PageKey, request: Environ, entry: Entry, mark: Any = None) -> None:
        """Store an entry for requests that are like `request` in the headers that it depends on."""
        ...

    def remove(self, key: PageKey) -> None:
        """Remove a page with all its variants."""
        ...

    def purge(self, tag: str) -> int:
        """Remove the pages that an entry with a tag belongs to; return how many they were."""
        ...

    def purge_prefix(self, prefix: str) -> int:
        """Remove the pages whose path begins with a text; return how many they were."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


class _Page:
    __slots__ = ("is_used", "names", "size", "tags", "variants")

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.variants: dict[Variant, Entry] = {}
        self.tags: set[str] = set()
        self.size = 0
        self.is_used = False


class MemoryCache:
    """Responses in the memory of this process.

    Beyond `max_bytes` the pages that were stored first and not used since are removed.

    Args:
        max_bytes: how much is stored.
    """

    is_shared = False

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pages: dict[PageKey, _Page] = {}
        self._by_tag: dict[str, set[PageKey]] = {}
        self._lock = threading.Lock()
        self.bytes_stored = 0

    def __len__(self) -> int:
        return len(self._pages)

    def load(self, key: PageKey, environ: Environ) -> Entry | None:
        page = self._pages.get(key)
        if page is None:
            return None
        page.is_used = True
        return page.variants.get(variant_of(page.names, environ) if page.names else ())

    def mark(self, key: PageKey) -> None:
        """Return None: there is no other process."""

    def save(self, key: PageKey, request: Environ, entry: Entry, mark: Any = None) -> None:
        size = entry.size
        if size > self._max_bytes:
            return
        with self._lock:
            old = self._pages.get(key)
            page = _Page()
            page.names = entry.names
            if old is not None:
                page.names = tuple(sorted({*old.names, *entry.names}))
                if page.names == old.names:
                    page.variants.update(old.variants)
            variant = variant_of(page.names, request)
            page.variants.pop(variant, None)
            page.variants[variant] = entry
            self._trim(page)
            self._remove(key)
            self._add(key, page)
            self._make_room()

    def remove(self, key: PageKey) -> None:
        with self._lock:
            self._remove(key)

    def purge(self, tag: str) -> int:
        with self._lock:
            return self._remove_all(list(self._by_tag.get(tag, ())))

    def purge_prefix(self, prefix: str) -> int:
        with self._lock:
            return self._remove_all([key for key in self._pages if (key[2] + key[3]).startswith(prefix)])

    def close(self) -> None:
        with self._lock:
            self._remove_all(list(self._pages))

    def _trim(self, page: _Page) -> None:
        now = time.time()
        for variant in [variant for variant, entry in page.variants.items() if entry.kept_until <= now]:
            del page.variants[variant]
        while len(page.variants) > MOST_VARIANTS or sum(e.size for e in page.variants.values()) > self._max_bytes:
            del page.variants[next(iter(page.variants))]

    def _add(self, key: PageKey, page: _Page) -> None:
        page.size = sum(entry.size for entry in page.variants.values())
        page.tags = {tag for entry in page.variants.values() for tag in entry.tags}
        self._pages[key] = page
        self.bytes_stored += page.size
        for tag in page.tags:
            self._by_tag.setdefault(tag, set()).add(key)

    def _remove(self, key: PageKey) -> bool:
        page = self._pages.pop(key, None)
        if page is None:
            return False
        self.bytes_stored -= page.size
        for tag in page.tags:
            keys = self._by_tag[tag]
            keys.discard(key)
            if not keys:
                del self._by_tag[tag]
        return True

    def _remove_all(self, keys: Iterable[PageKey]) -> int:
        return sum(self._remove(key) for key in keys)

    def _make_room(self) -> None:
        """Remove pages, the oldest first. One that was used since gets a second chance, at the end."""
        chances = len(self._pages)
        while self.bytes_stored > self._max_bytes:
            key, page = next(iter(self._pages.items()))
            if page.is_used and chances > 0:
                chances -= 1
                page.is_used = False
                self._pages[key] = self._pages.pop(key)
            else:
                self._remove(key)


def open_cache(where: str, store: str | CacheStore, max_bytes: int) -> CacheStore:
    """Return the store of a URL, or the one that was given. Nothing is connected yet.

    Raises:
        ConfigurationError: it is neither, or its package isn't installed.
    """
    if not isinstance(store, str):
        if all(callable(getattr(store, name, None)) for name in ("load", "save", "remove", "purge", "purge_prefix")):
            return store
        expected = "a URL such as 'redis://127.0.0.1:6379/0', or a store"
        raise ConfigurationError(complaint(where, "store", expected, type(store).__name__))
    scheme, mark, _ = store.partition("://")
    openers: dict[str, Callable[[], CacheStore]] = {"memory": lambda: MemoryCache(max_bytes)}
    for name in ("redis", "rediss", "unix"):
        openers[name] = lambda: _open_redis(where, store)
    if not mark or scheme not in openers:
        shown = f"{scheme}://" if mark else "a text without '://'"  # it may hold a password
        remedy = did_you_mean(scheme, openers)
        raise ConfigurationError(complaint(where, "store", "memory:// or redis://", shown, remedy))
    return openers[scheme]()


def _open_redis(where: str, url: str) -> CacheStore:
    from wsgikit.middleware.cache.redis_store import RedisCache  # its package is optional

    return RedisCache(url, where)
