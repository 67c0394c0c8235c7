"""Has the server in front send files: nginx' X-Accel-Redirect, Apache's and lighttpd's X-Sendfile."""

from __future__ import annotations

__all__ = ["SendfileMiddleware", "find_target"]

import os
from collections.abc import Mapping, Sequence
from io import BufferedRandom, BufferedReader, FileIO
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.ranges import SpanReader
from wsgikit.http.representation import FileReader
from wsgikit.onion.middleware import Middleware
from wsgikit.wsgi import WSGIApplication

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange

_HEADERS = {"x-accel-redirect": "X-Accel-Redirect", "x-sendfile": "X-Sendfile"}
# The server in front makes these for the bytes that it sends.
_OF_SERVER = ("Content-Length", "Content-Range", "Accept-Ranges", "ETag", "Last-Modified")


def find_target(path: str, mappings: Sequence[tuple[str, str]]) -> str | None:
    """Return what the header has for a file: its folder replaced by the prefix, percent-encoded.

    Args:
        path: of the file.
        mappings: real paths of folders that end with a separator, and what stands for each.
    """
    real = os.path.realpath(path)
    for folder, prefix in mappings:
        if real.startswith(folder):
            return quote(prefix + real[len(folder) :].replace(os.sep, "/"))
    return None


class SendfileMiddleware(Middleware):
    """Replaces the body of a response that is a file by a header: the server in front sends the file.

    The worker is free at once, and the server in front answers ranges and conditional requests by itself. A body is
    replaced if it was made by ``wsgi.file_wrapper``, `send_file` or the static layer, and its file lies in a mapped
    folder. All others, and those of responses other than 200 and 206, pass.

    Use it behind nginx, Apache with mod_xsendfile or lighttpd. Leave it out if clients reach the application directly:
    they would see the header, and no file. It obeys no header of the request (CVE-2025-61780).

    It belongs outside static files and of whatever changes bodies. Needs no environ key, provides none.

    Args:
        kind: ``x-accel-redirect`` for nginx, ``x-sendfile`` for Apache and lighttpd.
        mappings: folders, and what stands for each in the header. For nginx the prefix of an ``internal`` location:
            ``{"/srv/files": "/protected/"}``. For the others the folder as the server sees it.

    Raises:
        ConfigurationError: no mapping, a folder that isn't absolute, or a prefix that doesn't begin with a slash.

    Example::

        from wsgikit import SendfileMiddleware, build_stack, use

        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"Hello"]

        files = {"/srv/files": "/protected/"}
        stack = build_stack(app, use(SendfileMiddleware, kind="x-accel-redirect", mappings=files))
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        kind: Literal["x-accel-redirect", "x-sendfile"],
        mappings: Mapping[str, str],
    ) -> None:
        super().__init__(app)
        where = type(self).__name__
        if kind not in _HEADERS:
            raise ConfigurationError(complaint(where, "kind", " or ".join(_HEADERS), kind))
        self._header = _HEADERS[kind]
        self._mappings = _check_mappings(where, mappings)

    def before_request(self, exchange: Exchange) -> None:
        """Offer a file wrapper if the server has none, so that bodies of files can be recognised."""
        exchange.environ.setdefault("wsgi.file_wrapper", FileReader)

    def after_request(self, exchange: Exchange) -> None:
        """Put a header in the place of a file."""
        body = exchange.body
        kind = type(body)
        if kind is list or kind is tuple or exchange.status_code not in (200, 206):
            return
        if exchange.is_streaming:
            return
        file: Any = getattr(body, "filelike", None) or getattr(body, "file", None)
        part = file if type(file) is SpanReader else None
        file = file if part is None else part.file
        name = getattr(file, "name", None)
        if not isinstance(name, str) or not _has_bytes_of(file, name):
            return
        target = find_target(name, self._mappings)
        if target is None or (part is None and not _is_at_start(file)):
            return
        headers = exchange.headers
        if part is not None:
            # The server in front sees the ranges of the request itself.
            exchange.status_code = 200
            if part.content_type is not None:
                headers.set("Content-Type", part.content_type)
        for header in _OF_SERVER:
            headers.discard(header)
        headers.set(self._header, target)
        headers.set("Content-Length", "0")
        exchange.body = []


def _has_bytes_of(file: Any, name: str) -> bool:
    """Return whether what is read from `file` is what the file of that name holds: gzip.open() has a name as well."""
    if type(file) not in (BufferedReader, BufferedRandom, FileIO) or type(getattr(file, "raw", file)) is not FileIO:
        return False
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(name))
    except (OSError, ValueError):
        return False


def _is_at_start(file: Any) -> bool:
    try:
        return bool(file.tell() == 0)
    except (OSError, ValueError):
        return False


def _check_mappings(where: str, mappings: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    if not isinstance(mappings, Mapping) or not mappings:
        expected = "a mapping from folders to prefixes"
        raise ConfigurationError(complaint(where, "mappings", expected, mappings, "{'/srv/files': '/protected/'}"))
    found = []
    for folder, prefix in mappings.items():
        if not isinstance(folder, (str, os.PathLike)) or not os.path.isabs(folder):
            raise ConfigurationError(complaint(where, "mappings", "absolute folders", folder))
        if not isinstance(prefix, str) or not prefix.startswith("/"):
            raise ConfigurationError(complaint(where, "mappings", "prefixes that begin with a slash", prefix))
        found.append((os.path.join(os.path.realpath(folder), ""), prefix if prefix.endswith("/") else f"{prefix}/"))
    # The innermost folder decides.
    return tuple(sorted(found, key=lambda pair: -len(pair[0])))
