"""Which pages a successful unsafe request has changed (RFC 9111 §4.4)."""

from __future__ import annotations

__all__ = ["changed_pages"]

from collections.abc import Iterator, Sequence
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit

from wsgikit.middleware.cache.entry import PageKey


def changed_pages(key: PageKey, pairs: Sequence[tuple[str, str]]) -> Iterator[PageKey]:
    """Yield the page of the request, and those of the same origin that its response names.

    Args:
        key: of the request.
        pairs: the headers of the response.
    """
    yield key
    for name, value in pairs:
        if name.lower() in ("location", "content-location"):
            other = _resolve(key, value)
            if other is not None:
                yield other


def _resolve(key: PageKey, target: str) -> PageKey | None:
    """Return the key of a URI that a response names, if it has the same origin (RFC 9111 §4.4)."""
    base = f"{key[0]}://{key[1]}{quote(key[2] + key[3], encoding='latin-1')}"
    try:
        parts = urlsplit(urljoin(base, target))
    except ValueError:
        return None
    if (parts.scheme, parts.netloc.lower()) != key[:2]:
        return None
    path = unquote_to_bytes(parts.path).decode("latin-1")
    if key[2] and not path.startswith(key[2]):
        return None
    return key[0], key[1], key[2], path[len(key[2]) :], parts.query
