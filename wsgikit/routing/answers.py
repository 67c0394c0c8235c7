"""From what a view returns to a response: the rules of Flask, and a few more kinds.

A `str`, `bytes`, `dict`, `list`, model, generator, path, open file, tuple of one of these with status and headers, a
response object of webob or Werkzeug, or any WSGI application. `None` and all else is an error that names the view.
"""

from __future__ import annotations

__all__ = [
    "http_answer",
    "http_code",
    "make_parts",
    "send",
    "split",
    "status_line",
    "with_head",
    "with_own_length",
]

from collections.abc import Iterable
from http import HTTPStatus
from os import PathLike
from typing import Any

from wsgikit.exceptions import ApplicationError, BadRequest, complaint
from wsgikit.http.encoded import EncodedStream
from wsgikit.http.files import FileAnswer
from wsgikit.http.headers import Headers, is_latin
from wsgikit.http.json_provider import JsonProvider, is_model
from wsgikit.onion.reply import status_line as line_of
from wsgikit.routing.bodies import Parts, capture, without_body
from wsgikit.routing.pages import Page
from wsgikit.wsgi import Environ, HeaderList, StartResponse, WSGIApplication

HTML = "text/html; charset=utf-8"
OK = "200 OK"
STATUS_LINES = {int(status): f"{int(status)} {status.phrase}" for status in HTTPStatus}
KINDS = (
    "a str, bytes, dict, list, tuple with status or headers, generator, path, open file, dataclass, pydantic model,"
    " Page, response or WSGI application"
)


def status_line(status: Any, where: str = "status") -> str:
    """Return the status line for a code, a line, or a number in text.

    Raises:
        ApplicationError: it is none of these.
    """
    if type(status) is int:
        line = STATUS_LINES.get(status)
        if line is not None:
            return line
    given = status
    if isinstance(status, (bytes, bytearray)):
        status = status.decode("latin-1")
    if isinstance(status, str):
        status = status.strip()
    try:
        line = line_of(status) or (line_of(int(status)) if str(status).isascii() else None)
    except (TypeError, ValueError):
        line = None
    if line is None:
        raise ApplicationError(complaint(where, "status", "a code such as 404, or '404 Not Found'", given))
    return line


def make_parts(result: Any, where: str, json: JsonProvider) -> Parts | WSGIApplication:
    """Return what a view's result is: the parts of a response, or the application that will answer.

    Args:
        result: what the view returned, without status and headers.
        where: the view, for the text of an error.
        json: writes dicts, lists and models.

    Raises:
        ApplicationError: the result is of no kind that can be sent.
    """
    kind = type(result)
    if kind is str:
        return _html_parts(result.encode())
    if kind is dict or kind is list:
        return _json_parts(json.body(result), json)
    if isinstance(result, str):  # Markup, say
        return _html_parts(str(result).encode())
    if isinstance(result, (bytes, bytearray, memoryview)):
        return _html_parts(bytes(result))
    if isinstance(result, (dict, list)):
        return _json_parts(json.body(result), json)
    if isinstance(result, type):
        raise ApplicationError(complaint(where, "result", KINDS, result, "Return an instance, not the class"))
    if callable(result):
        return result  # type: ignore[no-any-return]  # a WSGI application, as far as can be told
    if isinstance(result, Page):
        return _json_parts(json.body(result.as_dict()), json)
    if is_model(result):
        dump = getattr(result, "model_dump_json", None)
        # pydantic writes itself, many times as fast as a dict of it is written.
        return _json_parts(json.body(result) if dump is None else dump().encode() + b"\n", json)
    if isinstance(result, PathLike) or hasattr(result, "read"):
        return FileAnswer(result)
    if hasattr(result, "__next__"):
        return OK, [("Content-Type", HTML)], EncodedStream(result)
    remedy = "Return a response" + (", for it ended without one" if result is None else "")
    if hasattr(result, "__aiter__"):
        remedy = "Return a plain generator: WSGI has no asynchronous stream"
    raise ApplicationError(complaint(where, "result", KINDS, _short(result), remedy))


def send(
    result: Any, where: str, json: JsonProvider, environ: Environ, start_response: StartResponse
) -> Iterable[bytes]:
    """Answer with a view's result."""
    status: str | None = None
    headers: Any = None
    if isinstance(result, tuple):
        result, status, headers = split(result, where)
    made = make_parts(result, where, json)
    if not isinstance(made, tuple) and status is not None and _has_no_body(status):
        made = capture(made, environ)
    if not isinstance(made, tuple):
        if status is not None or headers:
            return made(environ, _replacing_head(start_response, status, headers, where))
        return made(environ, start_response)
    line, head, body = made
    line, head, body = with_head(line, head, body, status, headers, where)
    return send_parts(line, head, body, environ, start_response)


def send_parts(
    status: str, headers: HeaderList, body: Iterable[bytes], environ: Environ, start_response: StartResponse
) -> Iterable[bytes]:
    """Answer with the parts of a response."""
    start_response(status, headers)
    return without_body(body) if environ["REQUEST_METHOD"] == "HEAD" else body


def split(result: tuple[Any, ...], where: str) -> tuple[Any, str | None, Any]:
    """Take apart ``(body, status, headers)``, ``(body, status)`` or ``(body, headers)``."""
    if len(result) == 3:
        body, status, headers = result
    elif len(result) == 2:
        body, second = result
        is_head = isinstance(second, (dict, list, tuple)) or hasattr(second, "items")
        status, headers = (None, second) if is_head else (second, None)
    else:
        raise ApplicationError(
            complaint(where, "result", "(body, status, headers), (body, status) or (body, headers)", _short(result))
        )
    return body, None if status is None else status_line(status, where), headers


def header_pairs(headers: Any, where: str) -> HeaderList:
    """Return the pairs of a mapping (a list as value repeats the header), of pairs, or of a header object."""
    if hasattr(headers, "items"):
        try:
            items: Iterable[Any] = headers.items(multi=True)  # Werkzeug's Headers and MultiDict
        except TypeError:
            items = headers.items()
    else:
        items = headers
    pairs: HeaderList = []
    for item in items:
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise ApplicationError(complaint(where, "headers", "a dict or pairs of name and value", item))
        name, value = item
        for one in value if isinstance(value, (list, tuple, set, frozenset)) else (value,):
            text = one if isinstance(one, str) else str(one)
            if not is_latin(text):
                remedy = "Percent-encode it; a file name as filename*=UTF-8''…"
                what = "latin-1 text (PEP 3333)"
                raise ApplicationError(complaint(where, f"header {name}", what, "other letters", remedy))
            pairs.append((str(name), text))
    return pairs


def merged(head: HeaderList, headers: Any, where: str) -> HeaderList:
    """Return `head` with `headers` in the place of those of the same names; what is repeated in `headers` is kept."""
    pairs = header_pairs(headers, where)
    names = {name.lower() for name, _ in pairs}
    result = Headers(pair for pair in head if pair[0].lower() not in names)
    for name, value in pairs:
        result.add(name, value)
    return result.as_list()


def with_head(
    line: str, head: HeaderList, body: Iterable[bytes], status: str | None, headers: Any, where: str = "view"
) -> Parts:
    """Return the parts with another status and further headers, if there are any."""
    if headers:
        head = merged(head, headers, where)
        if type(body) is list:
            head = with_length(head, sum(map(len, body)))
    if status is not None:
        line = status
        if _has_no_body(line):
            head = [pair for pair in head if pair[0].lower() not in ("content-length", "content-type")]
            body = without_body(body)
    return line, head, body


def with_length(head: HeaderList, length: int) -> HeaderList:
    """Return `head` with the right Content-Length, if it has any."""
    return [(name, str(length) if name.lower() == "content-length" else value) for name, value in head]


def with_own_length(own: HeaderList, head: HeaderList) -> HeaderList:
    """Return `head` with the Content-Length of `own`, the head of an application, which knows what it sends."""
    lengths = [pair for pair in own if pair[0].lower() == "content-length"]
    return [pair for pair in head if pair[0].lower() != "content-length"] + lengths if lengths else head


def _has_no_body(line: str) -> bool:
    return line[0] == "1" or line[:3] in ("204", "304")  # RFC 9110 §6.4.1


def _replacing_head(start_response: StartResponse, status: str | None, headers: Any, where: str) -> StartResponse:
    def start(line: str, head: HeaderList, exc_info: Any = None, /) -> Any:
        if exc_info is not None:  # another response has come in the place of the one that was meant
            return start_response(line, head, exc_info)
        return start_response(status or line, with_own_length(head, merged(head, headers, where)) if headers else head)

    return start


def _html_parts(body: bytes) -> Parts:
    return OK, [("Content-Type", HTML), ("Content-Length", str(len(body)))], [body]


def _json_parts(body: bytes, json: JsonProvider) -> Parts:
    return OK, [("Content-Type", json.mimetype), ("Content-Length", str(len(body)))], [body]


def _short(result: object) -> object:
    return result if len(repr(result)) <= 80 else type(result)


def http_answer(error: Exception) -> WSGIApplication | None:
    """Return the response that an exception is (Werkzeug's and webob's HTTP exceptions, a `BadRequest`), or None."""
    if callable(error):
        return error
    if isinstance(error, BadRequest):
        body = f"{error.status}\n".encode()
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        status = error.status

        def answer(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            return send_parts(status, list(headers), [body], environ, start_response)

        return answer
    return None


def http_code(error: BaseException) -> int | None:
    """Return the status code that an exception stands for, or None if it stands for none."""
    code = getattr(error, "code", None)
    if callable(error) and isinstance(code, int):  # Werkzeug's and webob's HTTP exceptions
        return code
    if isinstance(error, BadRequest):
        return int(error.status[:3])
    return None
