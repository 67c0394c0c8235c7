"""A refusal: the answer of a layer that does not let a request pass, in the form that the client accepts."""

from __future__ import annotations

__all__ = ["Refusal"]

from collections.abc import Iterable

from wsgikit.exceptions import ApplicationError, complaint
from wsgikit.http.headers import Headers
from wsgikit.onion.reply import status_line
from wsgikit.wsgi import REFUSAL, Environ, StartResponse

_MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "json": "application/problem+json",
    "text": "text/plain; charset=utf-8",
}


class Refusal:
    """A WSGI application that refuses a request: a status and one sentence that says why.

    The body is HTML, ``application/problem+json`` (RFC 9457) or text, as the ``Accept`` header asks. An
    `ErrorPagesMiddleware` further out replaces the body with its own page: it finds the refusal under
    ``wsgikit.refusal`` and checks that the body is still the refusal's.

    An instance can be made once and used by many requests.

    Args:
        status: a code such as 403, or a status line.
        detail: what the visitor reads. It must not hold a secret.
        headers: further headers. ``Vary`` is completed by ``Accept``.

    Attributes:
        detail: the sentence.

    Raises:
        ApplicationError: the status is no status of an error.

    Example::

        def before_request(self, exchange):
            if not is_allowed(exchange.environ):
                return Refusal(403, "Your address may not use this site.")
    """

    __slots__ = ("_headers", "_status", "detail")

    def __init__(self, status: int | str, detail: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        line = status_line(status)
        if line is None or line < "4":
            raise ApplicationError(complaint("Refusal", "status", "a status from 400 to 999", status))
        self._status = line
        self.detail = detail
        head = Headers.of(headers)
        head.vary("Accept")
        self._headers = tuple(head)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer the request (PEP 3333)."""
        from wsgikit.http.accept import choose_form  # only a refused request needs it

        form = choose_form(environ.get("HTTP_ACCEPT"))
        content = _WRITERS[form](self._status, self.detail).encode("utf-8", "backslashreplace")
        headers = [
            ("Content-Type", _MEDIA_TYPES[form]),
            ("Content-Length", str(len(content))),
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", "no-store"),
        ]
        start_response(self._status, [*headers, *self._headers])
        body = [] if environ["REQUEST_METHOD"] == "HEAD" else [content]
        environ[REFUSAL] = (self, body)
        return body


def _html(status: str, detail: str) -> str:
    from html import escape

    title = escape(status)
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title></head>\n'
        f"<body><h1>{title}</h1><p>{escape(detail)}</p></body>\n</html>\n"
    )


def _problem(status: str, detail: str) -> str:
    import json

    # RFC 9457 §4.2.1: with "about:blank" the title is the phrase of the status.
    return json.dumps({"type": "about:blank", "title": status[4:], "status": int(status[:3]), "detail": detail})


def _text(status: str, detail: str) -> str:
    return f"{status}\n\n{detail}\n"


_WRITERS = {"html": _html, "json": _problem, "text": _text}
