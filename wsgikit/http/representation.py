"""A file as a response: 200, 206, 304, 412 or 416, as the request's headers ask (RFC 9110 §13 and §14)."""

from __future__ import annotations

__all__ = [
    "EMPTY",
    "UNKNOWN_TYPE",
    "FileReader",
    "Representation",
    "content_type_of",
    "printable_time",
    "represent",
    "send",
]

import mimetypes
import os
from collections.abc import Callable, Iterable, Iterator
from email.utils import formatdate
from typing import Any

from wsgikit.http.etags import evaluate_preconditions
from wsgikit.http.ranges import CHUNK_BYTES, SpanReader, frame_spans, is_range_current, parse_ranges
from wsgikit.wsgi import Environ, HeaderList, StartResponse

EMPTY = (("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "0"))
"""The headers of an error without a body: a layer for error pages may put its page there."""

UNKNOWN_TYPE = "application/octet-stream"

# What the tables of systems lack or disagree about.
_TYPES = {
    ".avif": "image/avif",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
# A file that is compressed as such keeps its compression: it is no content coding.
_PACKED_TYPES = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "compress": "application/x-compress",
}
# RFC 9110 §15.4.5: a 304 has the headers that a cache updates, and none that describe the content.
_OF_CONTENT = {"content-type", "content-length", "content-encoding", "content-disposition", "accept-ranges"}


def content_type_of(name: str) -> str:
    """Return the media type for the name of a file, with the charset UTF-8 if it is text."""
    kind = _TYPES.get(os.path.splitext(name)[1].lower())
    if kind is None:
        kind, packing = mimetypes.guess_type(name)
        if packing is not None:
            kind = _PACKED_TYPES.get(packing, UNKNOWN_TYPE)
    kind = kind or UNKNOWN_TYPE
    return f"{kind}; charset=utf-8" if kind.startswith("text/") or kind.endswith(("/xml", "+xml")) else kind


class Representation:
    """One form of a file: its head, and what its preconditions are evaluated with.

    Args:
        headers: those of a 200.
        size: in bytes, if it is known. Without it there are no ranges.
        etag: the entity tag, if it has one.
        modified: seconds since 1970, if it is known.
        is_conditional: whether preconditions and ranges of the request are obeyed.
    """

    __slots__ = ("etag", "headers", "headers_unmodified", "is_conditional", "modified", "size")

    def __init__(
        self,
        headers: HeaderList,
        size: int | None,
        etag: str | None = None,
        modified: int | None = None,
        *,
        is_conditional: bool = True,
    ) -> None:
        self.size = size
        self.etag = etag
        self.modified = modified
        self.is_conditional = is_conditional
        if etag is not None:
            headers = [*headers, ("ETag", etag)]
        if modified is not None:
            headers = [*headers, ("Last-Modified", formatdate(modified, usegmt=True))]
        self.headers_unmodified = [pair for pair in headers if pair[0].lower() not in _OF_CONTENT]
        if size is not None:
            headers = [*headers, ("Content-Length", str(size))]
            if is_conditional:
                headers.append(("Accept-Ranges", "bytes"))
        self.headers = headers


def represent(status: os.stat_result, headers: HeaderList, suffix: str = "") -> Representation:
    """Return the representation of a file on disk.

    Args:
        status: of the file.
        headers: those that come besides length, entity tag and time.
        suffix: tells the entity tags of several forms of one file apart.
    """
    etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}{suffix}"'
    return Representation(headers, status.st_size, etag, printable_time(status.st_mtime))


def printable_time(seconds: float) -> int | None:
    """Return a time that a header can hold."""
    return int(seconds) if 0 <= seconds < 253_402_300_800 else None  # until the year 9999


def send(
    environ: Environ,
    start_response: StartResponse,
    form: Representation,
    open_file: Callable[[], Any],
    offset: int = 0,
) -> Iterable[bytes]:
    """Answer a request with a file: 200, 206, 304, 412 or 416.

    Args:
        environ: the request.
        start_response: as PEP 3333 has it.
        form: what is sent.
        open_file: returns the file, from whose position on it is sent. It is called for a 200 or 206 to GET only.
        offset: where in the file the representation begins, for ranges.
    """
    method = environ["REQUEST_METHOD"]
    if form.is_conditional:
        verdict = evaluate_preconditions(environ, form.etag, form.modified)
        if verdict == 304:
            start_response("304 Not Modified", list(form.headers_unmodified))
            return []
        if verdict == 412:
            start_response("412 Precondition Failed", list(EMPTY))
            return []
        wanted = environ.get("HTTP_RANGE")
        # RFC 9110 §14.2: ranges are defined for GET only.
        if wanted is not None and method == "GET" and form.size is not None:
            part = _send_part(environ, start_response, form, open_file, offset, wanted)
            if part is not None:
                return part
    if method == "HEAD":
        start_response("200 OK", list(form.headers))
        return []
    file = open_file()
    start_response("200 OK", list(form.headers))
    wrapper = environ.get("wsgi.file_wrapper", FileReader)
    body: Iterable[bytes] = wrapper(file, CHUNK_BYTES)
    return body


def _send_part(
    environ: Environ,
    start_response: StartResponse,
    form: Representation,
    open_file: Callable[[], Any],
    offset: int,
    wanted: str,
) -> Iterable[bytes] | None:
    """Answer with ranges; None if the whole has to be sent."""
    size: int = form.size  # type: ignore[assignment]  # the caller knows it
    spans = parse_ranges(wanted, size)
    if spans is None or not is_range_current(environ.get("HTTP_IF_RANGE"), form.etag, form.modified):
        return None
    if not spans:
        start_response("416 Range Not Satisfiable", [("Content-Range", f"bytes */{size}"), *EMPTY])
        return []
    kept = [pair for pair in form.headers if pair[0] not in ("Content-Type", "Content-Length")]
    content_type = next((value for name, value in form.headers if name == "Content-Type"), None)
    parts, described = frame_spans(spans, size, content_type)
    file = open_file()
    start_response("206 Partial Content", [*kept, *described])
    reader = SpanReader(file, parts, offset, content_type=content_type)
    wrapper = environ.get("wsgi.file_wrapper")
    # uWSGI's is a function, and sends the file that a descriptor leads to.
    body: Iterable[bytes] = wrapper(reader, CHUNK_BYTES) if isinstance(wrapper, type) else reader
    return body


class FileReader:
    """The body of a 200 from a file, if the server has no ``wsgi.file_wrapper``."""

    __slots__ = ("_chunk_bytes", "close", "file")

    def __init__(self, file: Any, chunk_bytes: int = CHUNK_BYTES) -> None:
        self.file = file
        self._chunk_bytes = chunk_bytes
        self.close: Callable[[], object] = getattr(file, "close", lambda: None)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk: bytes = self.file.read(self._chunk_bytes)
        if not chunk:
            raise StopIteration
        return chunk
