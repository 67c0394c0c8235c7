"""Conditional requests and ranges for the responses of any application."""

from __future__ import annotations

__all__ = ["ConditionalMiddleware", "may_be_tagged"]

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wsgikit.http.etags import evaluate_preconditions, make_etag, parse_last_modified, unmodified_head
from wsgikit.http.headers import Headers
from wsgikit.http.ranges import SpanReader, frame_spans, is_range_current, parse_ranges
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.refusal import Refusal
from wsgikit.onion.whole import take_whole
from wsgikit.options.amounts import check_amount
from wsgikit.options.flags import check_flags
from wsgikit.wsgi import Environ, WSGIApplication

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange

_READING = ("GET", "HEAD")


def may_be_tagged(head: Mapping[str, str]) -> bool:
    """Return whether a response gets an entity tag: it has no validator of its own, and may be stored.

    Args:
        head: the headers, their names in lower case.
    """
    if "etag" in head or "last-modified" in head:
        return False
    return "no-store" not in head.get("cache-control", "").lower()


def length_of(headers: Headers) -> int | None:
    """Return the Content-Length; None if it is missing or no number."""
    given = headers.get("Content-Length")
    return int(given[:18]) if given is not None and given.isascii() and given.isdigit() else None


def _is_conditional(environ: Environ) -> bool:
    return (
        "HTTP_IF_NONE_MATCH" in environ
        or "HTTP_IF_MODIFIED_SINCE" in environ
        or "HTTP_RANGE" in environ
        or "HTTP_IF_MATCH" in environ
        or "HTTP_IF_UNMODIFIED_SINCE" in environ
    )


class ConditionalMiddleware(Middleware):
    """Answers conditional requests and ranges: 304, 412, 206 and 416.

    Preconditions are evaluated in the order of RFC 9110 §13.2.2, for GET and HEAD whose response is a 200. A body
    that is at rest, or whose first chunk is as long as its Content-Length, gets a strong entity tag if the application
    sent neither ``ETag`` nor ``Last-Modified``. Streams stay untouched.

    Use it around any application that makes its pages for each request: the page is still made, and not sent. Leave it
    out if a cache further in does the same. Requests with unsafe methods pass: the application has run when its
    response is there. A view calls `wsgikit.check_preconditions` to refuse before it changes anything.

    It belongs inside compression, so that tags and ranges are those of the original bytes, and outside whatever makes
    the response. Needs no environ key, provides none.

    Args:
        etag: whether responses without a validator get an entity tag.
        ranges: whether ranges of bodies at rest and of files are sent.
        max_etag_bytes: larger bodies get no tag.

    Raises:
        ConfigurationError: an option of the wrong type.

    Example::

        from wsgikit import ConditionalMiddleware, build_stack, use

        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"Hello"]

        stack = build_stack(app, use(ConditionalMiddleware))
    """

    def __init__(
        self, app: WSGIApplication, *, etag: bool = True, ranges: bool = True, max_etag_bytes: int = 1_048_576
    ) -> None:
        super().__init__(app)
        where = type(self).__name__
        check_flags(where, etag=etag, ranges=ranges)
        self._etag = etag
        self._ranges = ranges
        self._max_etag_bytes = check_amount(where, "max_etag_bytes", max_etag_bytes)

    def after_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Tag the response, and evaluate what the request asks for."""
        environ = exchange.environ
        if environ["REQUEST_METHOD"] not in _READING or exchange.status_code != 200:
            return None
        head = {name.lower(): value for name, value in exchange.header_list}
        etag = self._tag(exchange) if self._etag and may_be_tagged(head) else head.get("etag")
        if not _is_conditional(environ):
            return None
        modified = parse_last_modified(head.get("last-modified"))
        verdict = evaluate_preconditions(environ, etag, modified)
        if verdict == 304:
            exchange.status = "304 Not Modified"
            exchange.headers = Headers(unmodified_head(exchange.header_list))
            exchange.body = []
        elif verdict == 412:
            return _FAILED
        elif self._ranges and "HTTP_RANGE" in environ and "content-encoding" not in head:
            return self._send_part(exchange, exchange.headers, etag, modified)
        return None

    def _tag(self, exchange: Exchange) -> str | None:
        body = take_whole(exchange, self._max_etag_bytes)
        size = 0 if body is None else sum(map(len, body))
        # An empty body may be that of a HEAD request, whose GET has another.
        if body is None or not 0 < size <= self._max_etag_bytes:
            return None
        etag = make_etag(b"".join(body))
        exchange.headers.as_list().append(("ETag", etag))  # a digest needs no check
        return etag

    def _send_part(
        self, exchange: Exchange, headers: Headers, etag: str | None, modified: int | None
    ) -> WSGIApplication | None:
        environ = exchange.environ
        if environ["REQUEST_METHOD"] != "GET":  # RFC 9110 §14.2: ranges are defined for GET only
            return None
        content = _content_of(exchange.body, exchange.is_streaming, headers)
        if content is None or not is_range_current(environ.get("HTTP_IF_RANGE"), etag, modified):
            return None
        data, file, offset, size = content
        spans = parse_ranges(environ["HTTP_RANGE"], size)
        if spans is None:
            return None
        if not spans:
            return Refusal(416, "The range is not part of the document.", [("Content-Range", f"bytes */{size}")])
        content_type = headers.get("Content-Type")
        parts, described = frame_spans(spans, size, content_type)
        exchange.status_code = 206
        for name, value in described:
            headers.set(name, value)
        if file is None:
            exchange.body = [part if isinstance(part, bytes) else data[part.start : part.stop] for part in parts]
        else:
            exchange.body = SpanReader(file, parts, offset, close=lambda: None, content_type=content_type)
        return None


_FAILED = Refusal(412, "The document is not in the state that the request expects.")


def _content_of(body: Any, is_streaming: bool, headers: Headers) -> tuple[bytes, Any, int, int] | None:
    """Return the bytes of a body at rest, or its file, where that begins, and the size; None for a stream."""
    if type(body) is list or type(body) is tuple:
        data = b"".join(body)
        return data, None, 0, len(data)
    if is_streaming:
        return None
    # The names that wsgiref's and gunicorn's, and waitress' and Werkzeug's wrappers have for it.
    file = getattr(body, "filelike", None) or getattr(body, "file", None)
    if file is None or not hasattr(file, "seek"):
        return None
    try:
        offset = file.tell()
        size = os.fstat(file.fileno()).st_size - offset
    except (OSError, ValueError, AttributeError):
        return None
    length = length_of(headers)
    return (b"", file, offset, size) if length is None or length == size else None
