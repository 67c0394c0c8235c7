"""How many bytes a response has: by its head, or by its body at rest."""

from __future__ import annotations

__all__ = ["UNKNOWN", "declared_length", "is_bodiless", "length_at_rest"]

from collections.abc import Iterable
from typing import Any

from wsgikit.wsgi import Environ, FileWrapper

UNKNOWN = 1 << 59  # bytes; more than any response has, so that counting down never reaches 0


def declared_length(environ: Environ, status: str, headers: Iterable[tuple[str, str]]) -> int:
    """Return the Content-Length, or `UNKNOWN` if no such number of bytes follows the head (RFC 9110 §6.4.1, §8.6)."""
    found = None
    for name, value in headers:
        if len(name) == 14 and name.lower() == "content-length":
            if found is not None:
                return UNKNOWN
            found = value
    # 18 digits: what is longer isn't a length, and int() of a very long text is slow.
    if found is None or len(found) > 18 or not (found.isascii() and found.isdigit()):
        return UNKNOWN
    if environ.get("REQUEST_METHOD") == "HEAD" or (status[:3] != "200" and is_bodiless(status)):
        return UNKNOWN
    return int(found)


def length_at_rest(body: Any, environ: Environ, status: str, headers: Iterable[tuple[str, str]]) -> int:
    """Return how many bytes of a list, a tuple or a file a server sends."""
    if environ.get("REQUEST_METHOD") == "HEAD" or is_bodiless(status):
        return 0
    declared = declared_length(environ, status, headers)
    if declared != UNKNOWN:
        return declared
    if isinstance(body, (list, tuple)):
        return sum(map(len, body))
    wrapper = environ.get("wsgi.file_wrapper")
    return _rest_of_file(wrapper.file if isinstance(wrapper, FileWrapper) else getattr(body, "filelike", None))


def is_bodiless(status: str) -> bool:
    """Return whether a response of that status has no body (RFC 9110 §6.4.1)."""
    return status[:3] in ("204", "304") or status[:1] == "1"


def _rest_of_file(file: Any) -> int:
    try:
        position = file.tell()
        end = file.seek(0, 2)
        file.seek(position)
    except (AttributeError, OSError, ValueError, TypeError):  # no file, one that can't seek, a closed one
        return 0
    return int(end - position)
