"""What a request asks of the cache (RFC 9111 §5.2.1), and the conditions that validate a stored response."""

from __future__ import annotations

__all__ = ["CONDITIONS", "ask_to_validate", "has_body", "is_special", "is_wanted", "read_wishes", "restore_conditions"]

from collections.abc import Mapping

from wsgikit.http.cache_control import count_seconds, parse_directives
from wsgikit.middleware.cache.entry import Entry
from wsgikit.wsgi import Environ

CONDITIONS = (
    *("HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_MATCH", "HTTP_IF_UNMODIFIED_SINCE"),
    *("HTTP_RANGE", "HTTP_IF_RANGE"),
)


def is_special(environ: Environ) -> bool:
    """Return whether a request asks for more than the page. ``If-None-Match`` is looked at by the caller."""
    return (
        "HTTP_CACHE_CONTROL" in environ
        or "HTTP_PRAGMA" in environ
        or "HTTP_IF_MODIFIED_SINCE" in environ
        or "HTTP_RANGE" in environ
        or "HTTP_AUTHORIZATION" in environ
        or "HTTP_IF_MATCH" in environ
        or "HTTP_IF_UNMODIFIED_SINCE" in environ
        or bool(environ.get("REMOTE_USER"))
        or environ.get("CONTENT_LENGTH", "") not in ("", "0")
        or "HTTP_TRANSFER_ENCODING" in environ
    )


def has_body(environ: Environ) -> bool:
    """Return whether a request has a body, which is no part of the key."""
    return environ.get("CONTENT_LENGTH", "") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ


def read_wishes(environ: Environ) -> Mapping[str, str | None]:
    """Return the directives of a request that matter here (RFC 9111 §5.2.1 and §5.4)."""
    given = environ.get("HTTP_CACHE_CONTROL")
    if given is None:
        return {"no-cache": None} if "no-cache" in environ.get("HTTP_PRAGMA", "").lower() else {}
    known = ("no-cache", "max-age", "min-fresh", "only-if-cached", "no-store")
    return {name: value for name, value in parse_directives((given,)).items() if name in known}


def is_wanted(entry: Entry, wishes: Mapping[str, str | None], now: float) -> bool:
    """Return whether a client takes an entry as it is."""
    if "no-cache" in wishes:
        return False
    most = count_seconds(wishes.get("max-age"))
    if most is not None and now - entry.born > most:
        return False
    if most == 0:
        return False
    least = count_seconds(wishes.get("min-fresh"))
    return least is None or entry.fresh_until - now >= least


def ask_to_validate(environ: Environ, entry: Entry) -> None:
    """Replace the conditions of the client by those that validate an entry (RFC 9111 §4.3.1)."""
    for name in CONDITIONS:
        environ.pop(name, None)
    for name, key in (("etag", "HTTP_IF_NONE_MATCH"), ("last-modified", "HTTP_IF_MODIFIED_SINCE")):
        value = entry.header(name)
        if value is not None:
            environ[key] = value


def restore_conditions(environ: Environ, request: Environ) -> None:
    """Put the conditions of the client back, as they are in `request`."""
    for name in CONDITIONS:
        environ.pop(name, None)
        if name in request:
            environ[name] = request[name]
