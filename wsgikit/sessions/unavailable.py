"""The answer while the store is down: a 503 that says when to come back."""

from __future__ import annotations

__all__ = ["RETRY_SECONDS", "UNAVAILABLE_TEXT", "answer_unavailable", "reply_unavailable"]

from typing import TYPE_CHECKING

from wsgikit.http.headers import Headers
from wsgikit.wsgi import WSGIApplication

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange
    from wsgikit.onion.middleware import Middleware

RETRY_SECONDS = "5"  # a store that restarts is back by then, or for long not
UNAVAILABLE_TEXT = "The service is unavailable for the moment. Please try again."

_STATUS = "503 Service Unavailable"
_HEADERS = (("Retry-After", RETRY_SECONDS), ("Cache-Control", "no-store"))


def reply_unavailable(layer: Middleware, exchange: Exchange) -> WSGIApplication:
    """Return the answer of a layer whose request failed."""
    return exchange.reply(_STATUS, _body(layer, exchange), headers=_HEADERS)


def answer_unavailable(layer: Middleware, exchange: Exchange) -> None:
    """Put the answer in the place of the response."""
    body = _body(layer, exchange)
    length = ("Content-Length", str(len(body)))
    exchange.status = _STATUS
    exchange.headers = Headers([("Content-Type", "text/plain; charset=utf-8"), length, *_HEADERS])
    exchange.body = [] if not body or exchange.environ.get("REQUEST_METHOD") == "HEAD" else [body]


def _body(layer: Middleware, exchange: Exchange) -> bytes:
    """Return our text, or nothing if a layer outside puts a page into it, as `ErrorPagesMiddleware` does."""
    for outer in exchange.layers:
        if outer is layer:
            break
        if getattr(outer, "replace_empty", False) is True:
            return b""
    return f"{UNAVAILABLE_TEXT}\n".encode()
