"""Lets a form send PUT, PATCH or DELETE."""

from __future__ import annotations

__all__ = ["MethodOverrideMiddleware", "find_method"]

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.onion.middleware import Middleware
from wsgikit.wsgi import Environ, WSGIApplication

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange

_MAX_FORM_BYTES = 65_536
_FORM = "application/x-www-form-urlencoded"
# A request that is answered as a safe one must have come as a safe one, and POST needs no layer.
_REFUSED = ("GET", "HEAD", "OPTIONS", "TRACE", "CONNECT", "QUERY", "POST")


def find_method(form: bytes, field: str) -> str | None:
    """Return the first value of a field in an urlencoded form; None if it has none."""
    name = field.encode()
    if name not in form:  # most forms; a name that is percent-encoded isn't one that we wrote
        return None
    try:
        pairs = parse_qsl(form.decode("latin-1"), keep_blank_values=True, encoding="latin-1", max_num_fields=1000)
    except ValueError:
        return None
    return next((value for key, value in pairs if key == field), None)


class MethodOverrideMiddleware(Middleware):
    """Changes the method of a POST to the one that a header or a form field names.

    HTML forms know GET and POST only. A field ``_method`` of ``DELETE`` makes the application see a DELETE. A value
    that isn't among `methods` changes nothing.

    Use it for applications with HTML forms and routes by method. Leave it out if only scripts send such requests: they
    can name the method itself.

    It belongs outside the routes and csrf, and inside the layers that log or limit by the method that came. Needs
    no environ key, provides none; it changes ``REQUEST_METHOD``. The body can be read again by the application.

    Args:
        methods: the methods that may be asked for. Safe ones are refused.
        field: the form's field. Only urlencoded forms of at most 64 KiB are read. An empty name reads none.
        header: the header, which goes first. An empty name reads none.

    Raises:
        ConfigurationError: a method that is safe or no method.

    Example::

        from wsgikit import MethodOverrideMiddleware, build_stack, use

        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [environ["REQUEST_METHOD"].encode()]

        stack = build_stack(app, use(MethodOverrideMiddleware, methods=("DELETE",)))
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        methods: Sequence[str] = ("PUT", "PATCH", "DELETE"),
        field: str = "_method",
        header: str = "X-HTTP-Method-Override",
    ) -> None:
        super().__init__(app)
        where = type(self).__name__
        if isinstance(methods, str) or not methods:
            raise ConfigurationError(complaint(where, "methods", "a list of methods", methods, "('DELETE',)"))
        for method in methods:
            if not isinstance(method, str) or not method.isascii() or not method.isalpha() or not method.isupper():
                raise ConfigurationError(complaint(where, "methods", "methods such as DELETE", method))
            if method in _REFUSED:
                remedy = "A link or form can send it without this layer"
                raise ConfigurationError(complaint(where, "methods", "methods that are not safe", method, remedy))
        for option, name in (("field", field), ("header", header)):
            if not isinstance(name, str) or not name.isascii():
                raise ConfigurationError(complaint(where, option, "a name in ASCII", name))
        self._methods = frozenset(methods)
        self._field = field
        self._key = f"HTTP_{header.upper().replace('-', '_')}" if header else ""

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Change the method of a POST."""
        environ = exchange.environ
        if environ["REQUEST_METHOD"] != "POST":
            return None
        wanted = environ.get(self._key)
        if wanted is None and self._field:
            wanted = find_method(read_form(environ), self._field)
        if wanted is not None and (method := wanted.strip().upper()) in self._methods:
            environ["REQUEST_METHOD"] = method
        return None


def read_form(environ: Environ) -> bytes:
    """Read an urlencoded form, and let the application read it again. Return nothing for any other body."""
    if environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() != _FORM:
        return b""
    length = environ.get("CONTENT_LENGTH") or ""
    if not (length.isascii() and length.isdigit()) or len(length) > 9 or not 0 < int(length) <= _MAX_FORM_BYTES:
        return b""
    size = int(length)
    stream = environ["wsgi.input"]
    pieces = []
    while size and (piece := stream.read(size)):
        pieces.append(piece)
        size -= len(piece)
    form = b"".join(pieces)
    environ["wsgi.input"] = BytesIO(form)
    return form
