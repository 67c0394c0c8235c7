"""How a call is read: JSON, or a form with files."""

from __future__ import annotations

__all__ = ["Unreadable", "name_in_query", "parse_json", "read_form", "read_json"]

import json
from io import BytesIO
from typing import Any

from wsgikit.exceptions import BadRequest
from wsgikit.http import json_text
from wsgikit.http.input import input_of, limit_input
from wsgikit.http.media_types import is_json, media_type_of
from wsgikit.onion.exchange import Exchange
from wsgikit.wsgi import Environ


class Unreadable(Exception):
    """A call that can't be read."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description

    def get_headers(self) -> list[tuple[str, str]]:
        return []


def read_json(environ: Environ, max_bytes: int) -> tuple[str, Any]:
    """Return the name and the arguments of a call, and leave the body readable.

    Raises:
        Unreadable: it doesn't say that it is JSON (415).
        BadRequest: it is no call.
        RequestEntityTooLarge: it has more than `max_bytes` (413).
    """
    if not is_json(media_type_of(environ.get("CONTENT_TYPE"))):
        raise Unreadable(415, "A call is sent as application/json.")
    body = input_of(environ, max_bytes).read()
    environ["wsgi.input"] = BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    message = parse_json(body)
    if not isinstance(message, dict) or not isinstance(message.get("call"), str):
        raise BadRequest('A call is {"call": name, "args": {…}}.')
    return message["call"], checked_args(message.get("args", {}))


def read_form(exchange: Exchange, max_bytes: int) -> tuple[Any, dict[str, list[Any]]]:
    """Return the arguments and the files of a call that is a form.

    Raises:
        BadRequest: the form or its part ``args`` can't be read.
        RequestEntityTooLarge: it has more than `max_bytes` (413).
    """
    environ = exchange.environ
    limit_input(environ, max_bytes)
    request = exchange.request
    args = checked_args(parse_json(request.form.get("args", "{}").encode("utf-8", "surrogatepass")))
    files: dict[str, list[Any]] = {}
    for name, file in request.files.items(multi=True):
        if file.filename:  # a field in which no file was chosen has none
            files.setdefault(name, []).append(file)
    if files and isinstance(args, list):
        raise BadRequest("A call with files has its arguments in an object.")
    return args, files


def parse_json(body: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        BadRequest: it is no JSON, too deep, or has a text that is no Unicode.
    """
    try:
        value = json_text.loads(body)
        if b"\\" in body or not body.isascii():
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair can't be stored or sent
    except (ValueError, RecursionError) as error:
        raise BadRequest("The call can't be read as JSON.") from error
    return value


def checked_args(args: Any) -> Any:
    """Return the arguments of a call.

    Raises:
        BadRequest: they are neither an object nor a list.
    """
    if isinstance(args, (dict, list)):
        return args
    raise BadRequest('The "args" of a call are an object, or a list.')


def name_in_query(environ: Environ) -> str:
    """Return the name of the function for a call with files, so that it is known before they are read.

    Raises:
        BadRequest: there is none, or there are several.
    """
    from urllib.parse import parse_qsl  # only uploads need it

    try:
        pairs = parse_qsl(environ.get("QUERY_STRING", ""), max_num_fields=100)
    except ValueError as error:
        raise BadRequest("The query can't be read.") from error
    names: list[str] = [value for name, value in pairs if name == "call"]
    if len(names) != 1:
        raise BadRequest("A call with files has its name in the query: ?call=name.")
    return names[0]
