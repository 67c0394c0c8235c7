"""The request and response objects that hooks and views work with: webob's, and Flask's names beside them.

Where webob and Flask give one name two meanings, webob's stands: `path` begins with the prefix that the application is
mounted under, `user_agent` and `query_string` are text. docs/reference/flask-names.md lists them all.
"""

from __future__ import annotations

__all__ = ["Request", "Response"]

import json as json_module
from typing import IO, Any
from urllib.parse import parse_qsl

import werkzeug.urls  # noqa: F401  # it registers the error handler that `args` names
from werkzeug.datastructures import FileStorage, ImmutableMultiDict, MIMEAccept
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.http import parse_accept_header, parse_options_header

from wsgikit.http.fields import Fields
from wsgikit.http.lenient_request import LenientRequest
from wsgikit.http.response import Response
from wsgikit.wsgi import EXCHANGE, REQUEST_LIMITS, ROUTING

FORM_TYPES = frozenset({"multipart/form-data", "application/x-www-form-urlencoded", "application/x-url-encoded"})
_FORM = "wsgikit.form"


class Request(LenientRequest):
    """A request: webob's, made from environ on first use, with Flask's names for query, form, files and JSON.

    What a form parser reads of the body is kept, so that an application or a layer that comes later can read it again.

    Attributes:
        max_content_length: the most bytes of a body that are read; None sets no limit.
        max_form_memory_size: the most bytes of a multipart field that isn't a file; None sets no limit.
        max_form_parts: the most parts of a multipart form; None sets no limit.

    Each limit may be set on one request, before its body is read; past it `RequestEntityTooLarge` (413) is raised. A
    `Router` sets them for the requests it matches (`max_content_length=…`).
    """

    # A body above this is kept in a file. webob's 10 KiB would write a file for every larger form.
    request_body_tempfile_limit = 500_000

    def _limit(self, name: str, default: int | None) -> int | None:
        own = self.__dict__.get(name, self)
        if own is not self:
            return own  # type: ignore[no-any-return]  # only the setters below put it there
        limits = self.environ.get(REQUEST_LIMITS)
        return limits.get(name, default) if limits else default

    @property
    def max_content_length(self) -> int | None:
        """The most bytes of a body that are read; None sets no limit."""
        return self._limit("max_content_length", None)

    @max_content_length.setter
    def max_content_length(self, value: int | None) -> None:
        self.__dict__["max_content_length"] = value

    @property
    def max_form_memory_size(self) -> int | None:
        """The most bytes of a multipart field that isn't a file (Werkzeug's default: 500,000)."""
        return self._limit("max_form_memory_size", 500_000)

    @max_form_memory_size.setter
    def max_form_memory_size(self, value: int | None) -> None:
        self.__dict__["max_form_memory_size"] = value

    @property
    def max_form_parts(self) -> int | None:
        """The most parts of a multipart form (Werkzeug's default: 1,000)."""
        return self._limit("max_form_parts", 1000)

    @max_form_parts.setter
    def max_form_parts(self, value: int | None) -> None:
        self.__dict__["max_form_parts"] = value

    # ------------------------------------------------------------------ query and form

    @property
    def args(self) -> ImmutableMultiDict[str, str]:
        """The query string, parsed: `args["q"]`, `args.get("page", 1, type=int)`, `args.getlist("tag")`."""
        text = self.environ.get("QUERY_STRING", "")
        cached = self.environ.get("wsgikit.args")
        if cached is not None and cached[0] == text:
            return cached[1]  # type: ignore[no-any-return]  # put there below
        # environ holds bytes as latin-1 (PEP 3333); what isn't percent-encoded in them is UTF-8.
        query = text.encode("latin-1").decode("utf-8", "replace")
        parsed = Fields(parse_qsl(query, keep_blank_values=True, errors="werkzeug.url_quote"))
        self.environ["wsgikit.args"] = (text, parsed)
        return parsed

    @property
    def form(self) -> ImmutableMultiDict[str, str]:
        """The fields of a form in the body, without files; empty where the body is no form."""
        return self._parsed_form()[0]

    @property
    def files(self) -> ImmutableMultiDict[str, FileStorage]:
        """The uploaded files: each has `filename`, `stream`, `save(destination)`."""
        return self._parsed_form()[1]

    @property
    def values(self) -> ImmutableMultiDict[str, str]:
        """The fields of the query, then those of the form."""
        return Fields([*self.args.items(multi=True), *self.form.items(multi=True)])

    def _parsed_form(self) -> tuple[ImmutableMultiDict[str, str], ImmutableMultiDict[str, FileStorage]]:
        environ = self.environ
        cached = environ.get(_FORM)
        if cached is not None and cached[0] is environ["wsgi.input"]:
            return cached[1], cached[2]
        mimetype, options = parse_options_header(environ.get("CONTENT_TYPE"))
        if mimetype not in FORM_TYPES:
            return Fields(), Fields()
        from werkzeug.formparser import FormDataParser  # only forms need it

        stream = self._rewindable_body()
        parser = FormDataParser(
            max_form_memory_size=self.max_form_memory_size,
            max_form_parts=self.max_form_parts,
            cls=Fields,
            silent=False,
        )
        try:
            _, form, files = parser.parse(stream, mimetype, self.content_length, options)
        except ValueError as error:
            raise BadRequest("The form in the request body is malformed.") from error
        finally:
            stream.seek(0)
        for file in files.values():
            self._close_at_end(file)
        environ[_FORM] = (environ["wsgi.input"], form, files)
        return form, files  # type: ignore[return-value]  # `cls` above makes them immutable

    def _rewindable_body(self) -> IO[bytes]:
        """Read the body within its limit, and leave it in environ so that it can be read again."""
        environ = self.environ
        if environ.get("webob.is_body_seekable"):
            stream: IO[bytes] = environ["wsgi.input"]
            limit = self.max_content_length
            if limit is not None and (self.content_length or 0) > limit:
                raise RequestEntityTooLarge()
            stream.seek(0)
            return stream
        from io import BytesIO
        from tempfile import TemporaryFile

        from werkzeug.wsgi import get_input_stream

        source = get_input_stream(environ, max_content_length=self.max_content_length)
        spool: IO[bytes] = BytesIO()
        size = 0
        while chunk := source.read(65536):
            if size <= self.request_body_tempfile_limit < size + len(chunk):
                file = TemporaryFile()  # noqa: SIM115  # it is closed with the request
                self._close_at_end(file)
                spool.seek(0)
                file.write(spool.read())
                spool = file
            size += len(chunk)
            spool.write(chunk)
        if "HTTP_TRANSFER_ENCODING" not in environ and size < (self.content_length or 0):
            # Werkzeug leaves the end to servers that know it, and some of those take the client's leaving for the end.
            from werkzeug.exceptions import ClientDisconnected

            raise ClientDisconnected
        spool.seek(0)
        environ["wsgi.input"] = spool
        environ["webob.is_body_seekable"] = True
        environ["CONTENT_LENGTH"] = str(size)
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        return spool

    def _close_at_end(self, file: Any) -> None:
        exchange = self.environ.get(EXCHANGE)
        if exchange is not None:
            exchange.on_teardown(file.close)

    # ------------------------------------------------------------------ the body, JSON

    def get_data(self, cache: bool = True, as_text: bool = False, parse_form_data: bool = False) -> Any:
        """Return the body as bytes, or as text; it can be read again."""
        data = self._rewindable_body().read()
        self.environ["wsgi.input"].seek(0)
        return data.decode("utf-8", "replace") if as_text else data

    @property
    def data(self) -> bytes:
        """The body as bytes, within the limit of `max_content_length`."""
        return self.get_data()  # type: ignore[no-any-return]  # bytes without as_text

    @property
    def stream(self) -> IO[bytes]:
        """The body as a file, within the limit of `max_content_length`."""
        from werkzeug.wsgi import get_input_stream

        if self.environ.get("webob.is_body_seekable"):
            return self._rewindable_body()
        return get_input_stream(self.environ, max_content_length=self.max_content_length)

    @property
    def mimetype(self) -> str:
        """The media type of the body, in lower case and without parameters."""
        return parse_options_header(self.environ.get("CONTENT_TYPE"))[0].lower()

    @property
    def mimetype_params(self) -> dict[str, str]:
        """The parameters of the body's media type."""
        return parse_options_header(self.environ.get("CONTENT_TYPE"))[1]

    @property
    def is_json(self) -> bool:
        """Whether the body says that it is JSON: ``application/json`` or ``application/*+json``."""
        mimetype = self.mimetype
        return mimetype == "application/json" or (mimetype.startswith("application/") and mimetype.endswith("+json"))

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """Return the body parsed as JSON.

        Args:
            force: parse it whatever its media type says.
            silent: return None where it can't be parsed.
            cache: keep what was parsed for the next call.

        Raises:
            UnsupportedMediaType: the body doesn't say that it is JSON (415).
            BadRequest: it isn't JSON (400).
        """
        if not (force or self.is_json):
            if silent:
                return None
            raise UnsupportedMediaType(
                "The request body has to be JSON: send it with 'Content-Type: application/json'."
            )
        cached = self.environ.get("wsgikit.json")
        if cache and cached is not None and cached[0] is self.environ["wsgi.input"]:
            return cached[1]
        record = self.environ.get(ROUTING)  # a router has its own way to read JSON
        loads = json_module.loads if record is None else record.router.json.loads
        try:
            value = loads(self.get_data())
        except (ValueError, RecursionError) as error:  # json's and Unicode's errors are ValueErrors
            if silent:
                return None
            raise BadRequest("The request body can't be parsed as JSON.") from error
        if cache:
            self.environ["wsgikit.json"] = (self.environ["wsgi.input"], value)
        return value

    def _set_json(self, value: Any) -> None:
        self.body = json_module.dumps(value, separators=(",", ":")).encode()

    json = property(get_json, _set_json, doc="The body parsed as JSON: `get_json()`. Setting it sets the body.")

    # ------------------------------------------------------------------ where it went

    @property
    def endpoint(self) -> str | None:
        """The name of the matched route; None where none matched."""
        match = self.environ.get(ROUTING)
        return match.endpoint if match is not None else None

    @property
    def url_rule(self) -> Any:
        """The matched rule; None where none matched."""
        match = self.environ.get(ROUTING)
        return match.rule if match is not None else None

    @property
    def view_args(self) -> dict[str, Any] | None:
        """The variables of the matched rule."""
        match = self.environ.get(ROUTING)
        return match.values if match is not None else None

    @property
    def blueprint(self) -> str | None:
        """The name of the included router that the matched route is in, such as ``"blog.admin"``."""
        endpoint = self.endpoint
        return endpoint.rpartition(".")[0] or None if endpoint is not None else None

    @property
    def blueprints(self) -> list[str]:
        """The names of the included routers around the matched route, innermost first."""
        name, names = self.blueprint, []
        while name:
            names.append(name)
            name = name.rpartition(".")[0]
        return names

    @property
    def script_root(self) -> str:
        """The prefix that the application is mounted under, as text."""
        return self.script_name

    @property
    def full_path(self) -> str:
        """The path inside the application, with the query string."""
        return f"{self.path_info}?{self.environ.get('QUERY_STRING', '')}"

    @property
    def base_url(self) -> str:
        """The address without the query string."""
        return self.path_url

    @property
    def url_root(self) -> str:
        """The address of the application's root, with a slash at its end."""
        return self.application_url + "/"

    @property
    def is_secure(self) -> bool:
        """Whether the request came over HTTPS."""
        return bool(self.environ["wsgi.url_scheme"] == "https")

    @property
    def accept_mimetypes(self) -> MIMEAccept:
        """The media types that the client accepts: `accept_mimetypes.best_match([…])`."""
        return parse_accept_header(self.environ.get("HTTP_ACCEPT"), MIMEAccept)

    @property
    def access_route(self) -> list[str]:
        """The addresses of ``X-Forwarded-For``, as sent: don't trust them unless a proxy of yours wrote them."""
        forwarded = self.environ.get("HTTP_X_FORWARDED_FOR")
        if forwarded:
            return [part.strip() for part in forwarded.split(",") if part.strip()]
        address = self.environ.get("REMOTE_ADDR")
        return [address] if address else []
