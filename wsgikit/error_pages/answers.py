"""Find out what an exception asks for: a status and its own headers, or a whole response, or nothing (a 500)."""

from __future__ import annotations

__all__ = ["Answer", "find_answer", "is_client_disconnect", "status_line"]

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any

from wsgikit.exceptions import BadRequest, WsgikitError
from wsgikit.wsgi import Environ, HeaderList, WSGIApplication


@dataclass(frozen=True, slots=True)
class Answer:
    """What is to be answered for an exception."""

    status: str
    """The status line, such as ``"404 Not Found"``."""
    headers: HeaderList
    """Headers of the exception's own, without those that describe a body."""
    detail: str | None = None
    """What the exception says to the visitor; only what was written for visitors."""
    response: WSGIApplication | None = None
    """A whole response that the exception carries; it is sent as it is."""
    is_expected: bool = False
    """The exception was raised as an answer: it is no error, unless its status says so."""

    @property
    def status_code(self) -> int:
        """The status as a number."""
        return int(self.status[:3])


# The page brings its own; what described the exception's body must not describe ours.
_OF_THE_BODY = {"content-type", "content-length", "content-encoding", "content-language", "etag", "last-modified"}


def status_line(code: int) -> str:
    """Return ``"404 Not Found"`` for 404."""
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return f"{code} {'Client' if code < 500 else 'Server'} Error"


def find_answer(error: Exception, environ: Environ, statuses: Mapping[type[BaseException], int]) -> Answer:
    """Return what `error` asks for; a 500 if it asks for nothing.

    `statuses` comes first, by the nearest class of the error. Then werkzeug's, webob's and Pyramid's HTTP
    exceptions, and those of wsgikit's own that have a status: `BadRequest`, `StoreUnavailable`.
    """
    for kind in type(error).__mro__ if statuses else ():
        if kind in statuses:
            return Answer(status_line(statuses[kind]), [])
    # Each library is asked only where it is loaded: an error can't be of a class that isn't there.
    if (module := sys.modules.get("werkzeug.exceptions")) and isinstance(error, module.HTTPException):
        return _from_werkzeug(error, environ)
    if (module := sys.modules.get("webob.response")) and isinstance(error, module.Response):
        return _from_webob(error)
    if (module := sys.modules.get("webob.exc")) and isinstance(error, module.HTTPException):
        wrapped: Any = error
        inner = wrapped.wsgi_response
        return Answer(str(getattr(inner, "status", "500 Internal Server Error")), [], response=inner, is_expected=True)
    status = getattr(error, "status", None) if isinstance(error, WsgikitError) else None
    return Answer(status or "500 Internal Server Error", [], is_expected=isinstance(error, BadRequest))


def _from_werkzeug(error: Any, environ: Environ) -> Answer:
    code = error.code if isinstance(error.code, int) else 500
    if error.response is not None:
        carried = error.response
        status = getattr(carried, "status", None)
        return Answer(status if isinstance(status, str) else status_line(code), [], response=carried, is_expected=True)
    status = f"{code} {error.name}" if code in _KNOWN or code < 400 else status_line(code)
    # A subclass that writes its own body (an API's JSON, say) is its own response.
    writes_its_body = any(
        not getattr(type(error), name).__module__.startswith("werkzeug.") for name in ("get_response", "get_body")
    )
    if code < 400 or writes_its_body:
        return Answer(status, [], response=error, is_expected=True)
    headers = _without_body_headers(error.get_headers(environ))
    # The class's own sentence is in English and about HTTP: ours are better for visitors, in their language.
    detail = error.description if error.description != type(error).description else None
    # Frameworks wrap what they caught in a 500: that is no answer, it is the error.
    return Answer(status, headers, detail, is_expected=getattr(error, "original_exception", None) is None)


def _from_webob(error: Any) -> Answer:
    # webob's and Pyramid's exceptions are responses. One whose body was set is complete.
    code = int(error.status_int)
    has_own_template = getattr(error, "body_template", None) is not None and "body_template" in vars(error)
    if code < 400 or error.has_body or has_own_template:
        return Answer(str(error.status), [], response=error, is_expected=True)
    return Answer(
        str(error.status), _without_body_headers(error.headerlist), getattr(error, "detail", None), is_expected=True
    )


def _without_body_headers(headers: HeaderList) -> HeaderList:
    return [(str(name), str(value)) for name, value in headers if name.lower() not in _OF_THE_BODY]


_KNOWN = frozenset(int(status) for status in HTTPStatus)

# Raised by servers and request objects when the client left while its body was read or an answer written.
_DISCONNECTS = frozenset(
    {
        ("werkzeug.exceptions", "ClientDisconnected"),
        ("webob.request", "DisconnectionError"),
        ("gunicorn.http.errors", "NoMoreData"),
        ("waitress.channel", "ClientDisconnected"),
    }
)


# Servers whose wsgi.input is written in C leave no frame of it: mod_wsgi, uWSGI.
_WORDS = (
    "Apache/mod_wsgi request data read error",
    "request data read error",
    "error during read(",
    "timeout during read(",
)


def is_client_disconnect(error: BaseException, environ: Environ) -> bool:
    """Return whether an exception only says that the client left.

    That is so for the exceptions made for it, and for an `OSError` that came out of ``wsgi.input``. The same
    `OSError` out of a database's socket is an error.
    """
    if any((kind.__module__, kind.__name__) in _DISCONNECTS for kind in type(error).__mro__):
        return True
    if not isinstance(error, OSError):
        return False
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - a __str__ that exits must not end the server's worker
        text = ""
    return text.startswith(_WORDS) or _came_from_input(error.__traceback__, environ.get("wsgi.input"))


def _came_from_input(traceback: TracebackType | None, stream: object) -> bool:
    streams: list[object] = []
    # What wraps the socket goes by these names in werkzeug, gunicorn, cheroot and the standard library's io.
    while stream is not None and len(streams) < 6:
        streams.append(stream)
        stream = next(
            (found for name in ("raw", "_stream", "input", "rfile") if (found := getattr(stream, name, None))), None
        )
    while traceback is not None:
        frame = traceback.tb_frame
        if "self" in frame.f_code.co_varnames[:1]:
            owner = frame.f_locals.get("self")
            if any(owner is stream for stream in streams):
                return True
        traceback = traceback.tb_next
    return False
