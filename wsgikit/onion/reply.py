"""An answer made by a layer."""

from __future__ import annotations

__all__ = ["Reply"]

from collections.abc import Iterable

from wsgikit.headers import Headers
from wsgikit.wsgi import Environ, StartResponse


class Reply:
    """An answer made by a layer: a WSGI application of fixed status, headers and body."""

    __slots__ = ("_body", "_headers", "_is_bodiless", "_status")

    def __init__(
        self,
        status: int | str,
        body: str | bytes | Iterable[bytes],
        content_type: str | None,
        headers: Iterable[tuple[str, str]],
    ) -> None:
        self._status = status if isinstance(status, str) else _status_line(status)
        head = Headers(headers)
        if isinstance(body, str):
            body = body.encode()
        self._is_bodiless = self._status[:3] in ("204", "304") or self._status[0] == "1"
        if not self._is_bodiless:
            if content_type is not None and not head.has("Content-Type"):
                head.add("Content-Type", content_type)
            if isinstance(body, bytes) and not head.has("Content-Length"):
                head.add("Content-Length", str(len(body)))
        self._headers = head
        self._body: Iterable[bytes] = [body] if isinstance(body, bytes) else body

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(self._status, list(self._headers))
        if self._is_bodiless or environ["REQUEST_METHOD"] == "HEAD":
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
            return []
        return self._body


def _status_line(code: int) -> str:
    from http import HTTPStatus  # only where a layer answers itself

    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return f"{code} Unknown"
