"""Responses made by views: errors, JSON, files, and changes to the response of this request."""

from __future__ import annotations

__all__ = ["abort", "after_this_request", "jsonify", "make_response", "send_file", "send_from_directory"]

from collections.abc import Callable
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import abort as abort_with

from wsgikit.context.locals import current_exchange, has_request_context
from wsgikit.exceptions import ApplicationError, complaint
from wsgikit.http.files import FileAnswer, send_from_folder
from wsgikit.http.json_provider import JsonProvider
from wsgikit.routing.dispatch import Matched
from wsgikit.routing.dispatch import make_response as make_response_of
from wsgikit.wsgi import ROUTING

if TYPE_CHECKING:
    from wsgikit.http.request import Response

F = TypeVar("F", bound=Callable[..., Any])
_json = JsonProvider()


def abort(code: Any, /, *args: Any, **kwargs: Any) -> NoReturn:
    """End the view with an error, as Werkzeug's `abort`: `abort(404)`, `abort(403, "Members only")`, `abort(response)`.

    Raises:
        HTTPException: always; of Werkzeug's class for the code.
        LookupError: no exception is known for the code.
    """
    if callable(code) and not isinstance(code, type):  # a response, or any WSGI application
        raise HTTPException(response=cast(Any, code))
    abort_with(cast(int, code), *args, **kwargs)


def jsonify(*args: Any, **kwargs: Any) -> Response:
    """Return a JSON response: of one value, of several as a list, or of keywords as an object.

    Raises:
        TypeError: both values and keywords were given.
    """
    from wsgikit.http.request import Response  # webob is loaded when a response object is needed

    if args and kwargs:
        raise TypeError("jsonify: arguments: expected either args or kwargs, got both.")
    value = kwargs or (None if not args else args[0] if len(args) == 1 else list(args))
    if not args and not kwargs:
        value = {}
    provider = _provider()
    return Response(provider.body(value), content_type=provider.mimetype)


def _provider() -> JsonProvider:
    if has_request_context():
        record = current_exchange().environ.get(ROUTING)
        if record is not None:
            return record.router.json  # type: ignore[no-any-return]  # environ is untyped
    return _json


def make_response(*args: Any) -> Response:
    """Return a `Response` for anything that a view may return, to set headers or cookies on it.

    `make_response("text", 201)` is the tuple of both; without arguments it is an empty response.
    """
    environ = current_exchange("make_response()").environ
    result = b"" if not args else args[0] if len(args) == 1 else args
    return make_response_of(result, environ, "make_response", _provider())


def after_this_request(function: F) -> F:
    """Call a function with the response of this request, before the router's `after_request`; it returns the response.

    Raises:
        ApplicationError: the request isn't answered by a router.
    """
    matched = current_exchange("after_this_request()").environ.get(ROUTING)
    if not isinstance(matched, Matched) or matched is matched.router.nowhere:
        raise ApplicationError(
            complaint("after_this_request", "request", "one that a Router answers", None, "Use a layer's after_request")
        )
    if matched.after is None:
        matched.after = []
    matched.after.append(function)
    return function


def send_file(
    path_or_file: str | PathLike[str] | IO[bytes],
    mimetype: str | None = None,
    as_attachment: bool = False,
    download_name: str | None = None,
    conditional: bool = True,
    etag: bool | str = True,
    last_modified: datetime | int | float | None = None,
    max_age: int | Callable[[str | None], int | None] | None = None,
) -> Response:
    """Return a response with a file: conditional, in ranges if asked for, by the server's own means if it has some.

    Never pass a path that a visitor has a say in: that is for `send_from_directory`.

    Args:
        path_or_file: a path (a relative one is beside the router's module), or a binary file open for reading.
        mimetype: the media type; guessed from the name if it isn't given.
        as_attachment: ask the browser to save it rather than show it.
        download_name: the name to save it under; the file's own if it isn't given.
        conditional: answer conditional and range requests.
        etag: whether to send one made from time, size and name; or the one to send.
        last_modified: the time to send; the file's own if it isn't given.
        max_age: for how many seconds it may be cached, or a function of the path; None leaves it to revalidation.

    Raises:
        NotFound: there is no such file.
    """
    environ = current_exchange("send_file()").environ
    record = environ.get(ROUTING)
    answer = FileAnswer(
        path_or_file,
        mimetype=mimetype,
        as_attachment=as_attachment,
        download_name=download_name,
        conditional=conditional,
        etag=etag,
        last_modified=last_modified,
        max_age=max_age,
        root=record.router.root_path if record is not None else None,
    )
    return make_response_of(answer, environ, "send_file", _json)


def send_from_directory(directory: str | PathLike[str], path: str | PathLike[str], **options: Any) -> Response:
    """Return a response with the file at `path` inside a folder. A path that leads out of it, also by a link, is a 404.

    Args:
        directory: the folder; a relative one is beside the router's module.
        path: the path inside it, from the visitor.
        options: those of `send_file`.

    Raises:
        NotFound: there is no such file inside the folder.
    """
    environ = current_exchange("send_from_directory()").environ
    record = environ.get(ROUTING)
    root = record.router.root_path if record is not None else None
    folder = (root or Path.cwd()) / Path(directory)
    return make_response_of(send_from_folder(folder, str(path), **options), environ, "send_from_directory", _json)
