"""An answer made by a layer."""

from __future__ import annotations

__all__ = ["Reply", "is_body", "reply", "status_line"]

import re
from collections.abc import Iterable, Sequence
from typing import Any

from wsgikit.exceptions import ApplicationError, complaint
from wsgikit.http.headers import Headers
from wsgikit.wsgi import Environ, StartResponse, WSGIApplication


class Reply:
    """An answer made by a layer: a WSGI application of fixed status, headers and body."""

    __slots__ = ("_body", "_headers", "_is_bodiless", "_status")

    def __init__(
        self,
        status: int | str,
        body: str | bytes | Iterable[bytes],
        content_type: str | None,
        headers: Iterable[tuple[str, str]],
        where: str = "exchange.reply",
    ) -> None:
        line = status_line(status)
        if line is None:
            expected = "a number from 100 to 999 or a line such as '404 Not Found'"
            raise ApplicationError(complaint(where, "status", expected, status))
        if not isinstance(body, (str, bytes)) and not is_body(body):
            expected = "text, bytes or an iterable of bytes"
            raise ApplicationError(complaint(where, "body", expected, type(body).__name__))
        self._status = line
        head = Headers.of(headers)
        if isinstance(body, str):
            body = body.encode()
        self._is_bodiless = self._status[:3] in ("204", "304") or self._status[0] == "1"
        if not self._is_bodiless:
            if content_type is not None and not head.has("Content-Type"):
                head.add("Content-Type", content_type)
            if not head.has("Content-Length"):
                if isinstance(body, bytes):
                    head.add("Content-Length", str(len(body)))
                elif isinstance(body, (list, tuple)):
                    head.add("Content-Length", str(sum(map(len, body))))
        self._headers = head
        self._body: Iterable[bytes] = [body] if isinstance(body, bytes) else body

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(self._status, list(self._headers))
        if self._is_bodiless or environ["REQUEST_METHOD"] == "HEAD":
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
            return []
        body = self._body
        return body.copy() if type(body) is list else body  # the answer may be one for many requests


def reply(
    status: int | str,
    body: str | bytes | Sequence[bytes] = "",
    content_type: str | None = "text/plain; charset=utf-8",
    headers: Iterable[tuple[str, str]] = (),
) -> WSGIApplication:
    """Make an answer once, for a hook to return in any number of requests and threads.

    Args:
        status: a code such as 404, or a line such as ``"404 Not Found"``.
        body: text (sent as UTF-8), bytes, or a list or tuple of bytes. It is left out for HEAD, and if the status
            allows none.
        content_type: the media type; None sends no such header.
        headers: further pairs, in order.

    Raises:
        ApplicationError: a status, a body or a header that can't be sent; a body that can be read only once.
    """
    if not isinstance(body, (str, bytes)):
        if not isinstance(body, (list, tuple)):
            expected = "text, bytes or a list of bytes"
            remedy = "An answer from an iterator is made in the hook: exchange.reply(…)"
            raise ApplicationError(complaint("reply", "body", expected, type(body).__name__, remedy))
        body = tuple(body)  # a list of the caller's, or one that a server changes, may not change the answer
    return Reply(status, body, content_type, headers, "reply")


# RFC 9112 §4: three digits, a space, a phrase that may be empty; PEP 3333: no control characters, latin-1.
_LINE = re.compile(r"[1-9][0-9]{2} [ -~\xa0-\xff]*")


def status_line(status: Any) -> str | None:
    """Return the status line for a number or a line; None if it is neither."""
    if isinstance(status, str):
        return status if _LINE.fullmatch(status) else None
    if isinstance(status, bool) or not isinstance(status, int) or not 100 <= status <= 999:
        return None
    from http import HTTPStatus  # only if a layer answers itself

    try:
        return f"{int(status)} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{int(status)} Unknown"


def is_body(body: object) -> bool:
    """Return whether something may be an iterable of bytes, as far as can be seen without reading it."""
    if isinstance(body, (list, tuple)):
        return all(isinstance(chunk, bytes) for chunk in body)
    return hasattr(body, "__iter__") and not isinstance(body, (str, bytes, dict))
