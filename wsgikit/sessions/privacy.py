"""A response that sets a session's cookie isn't kept by shared caches."""

from __future__ import annotations

__all__ = ["make_private"]

from wsgikit.http.cache_control import parse_directives
from wsgikit.wsgi import HeaderList

_NAME = "cache-control"
_OF_SHARED_CACHES = ("public", "private", "s-maxage", "proxy-revalidate")


def make_private(headers: HeaderList) -> None:
    """Change the ``Cache-Control`` of a response with a visitor's cookie to ``private``, if it lets caches keep it.

    RFC 9111 §7.3: ``Set-Cookie`` by itself doesn't keep a shared cache from storing a response, and the next visitor
    would get this one's session. A response without ``Cache-Control`` and ``Expires`` is left alone.
    """
    names = [name.lower() for name, _ in headers]
    if "cache-control" not in names and "expires" not in names:
        return
    directives = parse_directives([value for (_, value), name in zip(headers, names, strict=True) if name == _NAME])
    if "no-store" in directives or directives.get("private", "") is None:
        return
    kept = [_written(name, value) for name, value in directives.items() if name not in _OF_SHARED_CACHES]
    headers[:] = [pair for pair, name in zip(headers, names, strict=True) if name != _NAME]
    headers.append(("Cache-Control", ", ".join(["private", *kept])))


def _written(name: str, value: str | None) -> str:
    if value is None:
        return name
    return f"{name}={value}" if value.isalnum() else f'{name}="{value}"'
