"""A stored response as the answer to a request, and a response that is copied while it is sent."""

from __future__ import annotations

__all__ = ["Answer", "Copied", "age_of", "answer_with"]

import time
from collections.abc import Callable, Iterable, Iterator

from wsgikit.http.etags import evaluate_preconditions, parse_last_modified, unmodified_head
from wsgikit.http.ranges import Span, frame_spans, is_range_current, parse_ranges
from wsgikit.middleware.cache.entry import Entry
from wsgikit.middleware.cache.request import CONDITIONS
from wsgikit.onion.refusal import Refusal
from wsgikit.wsgi import Environ, HeaderList, StartResponse, WSGIApplication


class Answer:
    """A stored response as a WSGI application."""

    __slots__ = ("_body", "_headers", "_status")

    def __init__(self, status: str, headers: HeaderList, body: Iterable[bytes]) -> None:
        self._status = status
        self._headers = headers
        self._body = body

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(self._status, self._headers)
        return self._body


class _BodyWithEnd:
    """A body whose `close`, which the server calls when the client has it, does something more."""

    __slots__ = ("_body", "close")

    def __init__(self, body: Iterable[bytes], close: Callable[[], object]) -> None:
        self._body = body
        self.close = close

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)


class Copied:
    """A lazy body that is kept while it is sent, up to a limit, and stored if it came to its end."""

    __slots__ = ("_body", "_chunks", "_left", "_room", "_store")

    def __init__(self, body: Iterable[bytes], room: int, length: int | None, store: Callable[[bytes], object]) -> None:
        self._body = iter(body)
        self._chunks: list[bytes] | None = []
        self._room = room
        self._left = length
        self._store = store

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = next(self._body)
        except StopIteration:
            if not self._left:  # None: no length was announced
                self._finish()
            raise
        except BaseException:
            self._chunks = None
            raise
        if self._chunks is not None and chunk:
            self._chunks.append(chunk)
            self._room -= len(chunk)
            if self._left is not None:
                self._left -= len(chunk)
            if self._room < 0 or (self._left is not None and self._left < 0):
                self._chunks = None
            elif self._left == 0:  # a server may stop here
                self._finish()
        return chunk

    def _finish(self) -> None:
        chunks, self._chunks = self._chunks, None
        if chunks is not None:
            self._store(b"".join(chunks))


def answer_with(
    entry: Entry, environ: Environ, cache_status: str, close: Callable[[], object] | None = None
) -> WSGIApplication:
    """Return the answer for an entry: 200, 304, 206 or 416, as the request asks.

    Args:
        entry: what is sent.
        environ: the request.
        cache_status: the value of the ``Cache-Status`` header (RFC 9211).
        close: what to call when the client has the body.
    """
    headers: HeaderList = [*entry.headers, age_of(entry, time.time()), ("Cache-Status", cache_status)]
    status, headers, data = _fit(entry, headers, environ)
    if status[:3] == "416":
        return Refusal(416, "The range is not part of the document.", headers)
    body: Iterable[bytes] = [] if environ["REQUEST_METHOD"] == "HEAD" else data
    return Answer(status, headers, body if close is None else _BodyWithEnd(body, close))


def _fit(entry: Entry, headers: HeaderList, environ: Environ) -> tuple[str, HeaderList, list[bytes]]:
    """Return status, headers and body for an entry, by the conditions and ranges of a request."""
    whole = (entry.status, headers, [entry.body])
    if entry.status[:3] != "200" or not any(name in environ for name in CONDITIONS):
        return whole
    etag, modified = entry.header("etag"), parse_last_modified(entry.header("last-modified"))
    if evaluate_preconditions(environ, etag, modified) == 304:
        return "304 Not Modified", unmodified_head(headers), []
    given = environ.get("HTTP_RANGE")
    if given is None or environ["REQUEST_METHOD"] != "GET" or entry.header("content-encoding") is not None:
        return whole
    if not is_range_current(environ.get("HTTP_IF_RANGE"), etag, modified):
        return whole
    size = len(entry.body)
    spans = parse_ranges(given, size)
    if spans is None:
        return whole
    if not spans:
        return "416 Range Not Satisfiable", [("Content-Range", f"bytes */{size}"), headers[-1]], []
    parts, described = frame_spans(spans, size, entry.header("content-type"))
    names = {name.lower() for name, _ in described} | {"content-length"}
    kept = [pair for pair in headers if pair[0].lower() not in names]
    data = [entry.body[part.start : part.stop] if isinstance(part, Span) else part for part in parts]
    return "206 Partial Content", [*kept, *described], data


def age_of(entry: Entry, now: float) -> tuple[str, str]:
    """Return the ``Age`` header of an entry that is sent now."""
    return "Age", str(max(0, int(now - entry.born)))
