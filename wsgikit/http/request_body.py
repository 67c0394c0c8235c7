"""The body of a request: read within its limits, parsed once, and left so that it can be read again.

webob's names and Flask's read it by one way, so each has the limits, and an application behind finds the whole body.
"""

from __future__ import annotations

__all__ = ["BodyRequest", "UploadedFile"]

import wsgikit.http.quiet_cgi  # isort: skip  # noqa: F401  # before webob

from io import BufferedReader, BytesIO
from typing import IO, Any, Self

from webob.multidict import MultiDict, NoVars
from werkzeug.datastructures import FileStorage, ImmutableMultiDict
from werkzeug.exceptions import BadRequest, ClientDisconnected, RequestEntityTooLarge
from werkzeug.http import parse_options_header

from wsgikit.http.fields import Fields
from wsgikit.http.input import SpoolReader, declared_length, input_of, limit_input
from wsgikit.http.lenient_request import LenientRequest
from wsgikit.http.media_types import is_form, media_type_of
from wsgikit.wsgi import EXCHANGE, REQUEST_LIMITS

_MULTIPART = "multipart/form-data"
_FORM = "wsgikit.form"
_POST = "wsgikit.post"
_READER = "wsgikit.body_file"


class UploadedFile(FileStorage):
    """A file of a form: Werkzeug's, and the names that webob's `POST` has for it."""

    @property
    def file(self) -> IO[bytes]:
        """The content as a file."""
        return self.stream

    @property
    def type(self) -> str:
        """The media type that the client gave."""
        return self.mimetype

    @property
    def value(self) -> bytes:
        """The content as bytes."""
        self.stream.seek(0)
        data = self.stream.read()
        self.stream.seek(0)
        return data


class BodyRequest(LenientRequest):
    """A request whose body can be read by any name, again and again, within its limits.

    Attributes:
        max_content_length: the most bytes of a body that are read; None sets no limit.
        max_form_memory_size: the most bytes of a form's text that are kept in memory; None sets no limit.
        max_form_parts: the most parts of a multipart form; None sets no limit.

    Each limit may be set on one request, before its body is read; past it `RequestEntityTooLarge` (413) is raised. It
    then holds for every reader of the body: copies of the request, ``wsgi.input``, an application behind. A
    `Router` sets them for the requests it matches (`max_content_length=…`).
    """

    # A body above this is kept in a file. webob's 10 KiB would write a file for every larger form.
    request_body_tempfile_limit = 500_000

    def _limit(self, name: str, default: int | None) -> int | None:
        limits = self.environ.get(REQUEST_LIMITS)
        return limits.get(name, default) if limits else default

    def _set_limit(self, name: str, value: int | None) -> None:
        # In environ, so that it also holds for copies of the request and for other requests made from this environ.
        self.environ[REQUEST_LIMITS] = {**(self.environ.get(REQUEST_LIMITS) or {}), name: value}

    @property
    def max_content_length(self) -> int | None:
        """The most bytes of a body that are read; None sets no limit."""
        return self._limit("max_content_length", None)

    @max_content_length.setter
    def max_content_length(self, value: int | None) -> None:
        self._set_limit("max_content_length", value)
        if value is not None and not self.environ.get("webob.is_body_seekable"):
            limit_input(self.environ, value)

    @property
    def max_form_memory_size(self) -> int | None:
        """The most bytes of a multipart field that isn't a file, and of a whole urlencoded form (default: 500,000)."""
        return self._limit("max_form_memory_size", 500_000)

    @max_form_memory_size.setter
    def max_form_memory_size(self, value: int | None) -> None:
        self._set_limit("max_form_memory_size", value)

    @property
    def max_form_parts(self) -> int | None:
        """The most parts of a multipart form (Werkzeug's default: 1,000)."""
        return self._limit("max_form_parts", 1000)

    @max_form_parts.setter
    def max_form_parts(self, value: int | None) -> None:
        self._set_limit("max_form_parts", value)

    # ------------------------------------------------------------------ the body by webob's names

    def make_body_seekable(self) -> None:
        """Read the body within its limit; it is kept in environ, at its start."""
        self._rewindable_body()
        self.environ.pop(_READER, None)

    @property
    def body(self) -> bytes:
        """The body as bytes."""
        return self.get_data()  # type: ignore[no-any-return]  # bytes without as_text

    @body.setter
    def body(self, value: bytes | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # stubs
        LenientRequest.body.fset(self, value)  # type: ignore[attr-defined]  # webob's property

    @body.deleter
    def body(self) -> None:
        self.body = b""

    def copy_body(self) -> None:
        """Give this request a copy of the body, for an environ that was copied."""
        spool = self._rewindable_body()
        copy = self._spooled(spool)[0]
        spool.seek(0)
        self.environ["wsgi.input"] = copy

    @property
    def body_file(self) -> Any:
        """The body as a file, within the limit; it is read into memory or a file first. `stream` doesn't do that.

        The same file each time: one reading goes on where the last one ended. Applications behind have a separate
        position.
        """
        if not self.is_body_readable:
            return BytesIO()
        cached = self.environ.get(_READER)
        if cached is None or cached[0] is not self.environ["wsgi.input"]:
            spool = self._rewindable_body()
            cached = self.environ[_READER] = (spool, BufferedReader(SpoolReader(spool)))
        return cached[1]

    @body_file.setter
    def body_file(self, value: Any) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # stubs
        LenientRequest.body_file.fset(self, value)  # type: ignore[attr-defined]  # webob's property

    @body_file.deleter
    def body_file(self) -> None:
        self.body = b""

    @property
    def body_file_seekable(self) -> Any:
        """The same as `body_file`."""
        return self.body_file

    @property
    def text(self) -> str:
        """The body as text.

        Raises:
            BadRequest: it isn't in the charset of the request (400).
        """
        try:
            return self.body.decode(self.charset or "utf-8")
        except (UnicodeDecodeError, LookupError):
            raise BadRequest("The request body is not in the charset that it declares.") from None

    @text.setter
    def text(self, value: str) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # stubs
        self.body = value.encode(self.charset or "utf-8")

    def decode(self, charset: str | None = None, errors: str = "strict") -> Self:
        """Return a request whose query and form are in UTF-8, from another charset, as webob's `decode`.

        Raises:
            BadRequest: they aren't in that charset (400).
        """
        try:
            return super().decode(charset, errors)
        except UnicodeError:
            raise BadRequest("The form in the request body is not in the charset that was expected.") from None
        finally:
            if self.is_body_seekable:
                self._rewindable_body()

    @property
    def POST(self) -> Any:
        """The form in the body, files included, as a `MultiDict` of webob; a `NoVars` if the body is no form.

        Fields come first, then files. A file has the names `filename`, `file`, `value` and `type`, as webob's have.

        Raises:
            BadRequest: it is malformed (400).
        """
        environ = self.environ
        cached = environ.get(_POST)
        if cached is not None and cached[0] is environ["wsgi.input"]:
            return cached[1]
        if not is_form(media_type_of(environ.get("CONTENT_TYPE"))):
            return NoVars("The request body is no form")
        form, files = self._parsed_form()
        fields: Any = MultiDict([*form.items(multi=True), *files.items(multi=True)])
        environ[_POST] = (environ["wsgi.input"], fields)
        return fields

    # ------------------------------------------------------------------ the body by Flask's names

    def get_data(self, cache: bool = True, as_text: bool = False, parse_form_data: bool = False) -> Any:
        """Return the body as bytes, or as text.

        Args:
            cache: has no effect: the body can always be read again.
            as_text: decode it; what is no UTF-8 becomes U+FFFD.
            parse_form_data: if the body is a form, parse it and return no bytes, as Flask does.
        """
        data = b""
        if not (parse_form_data and is_form(media_type_of(self.environ.get("CONTENT_TYPE")))):
            spool = self._rewindable_body()
            data = spool.read()
            spool.seek(0)
        else:
            self._parsed_form()
        return data.decode("utf-8", "replace") if as_text else data

    @property
    def data(self) -> bytes:
        """The body as bytes, within the limit of `max_content_length`."""
        return self.get_data()  # type: ignore[no-any-return]  # bytes without as_text

    @property
    def stream(self) -> IO[bytes]:
        """The body as a file, within the limit, as it arrives: what a view reads of it is gone for later readers."""
        if self.environ.get("webob.is_body_seekable"):
            return BufferedReader(SpoolReader(self._rewindable_body()))
        return input_of(self.environ, self.max_content_length)  # type: ignore[no-any-return]  # a file

    @property
    def form(self) -> ImmutableMultiDict[str, str]:
        """The fields of a form in the body, without files; empty if the body is no form."""
        return self._parsed_form()[0]

    @property
    def files(self) -> ImmutableMultiDict[str, UploadedFile]:
        """The uploaded files: each has `filename`, `stream`, `save(destination)`."""
        return self._parsed_form()[1]

    def _parsed_form(self) -> tuple[ImmutableMultiDict[str, str], ImmutableMultiDict[str, UploadedFile]]:
        environ = self.environ
        cached = environ.get(_FORM)
        if cached is not None and cached[0] is environ["wsgi.input"]:
            return cached[1], cached[2]
        mimetype, options = parse_options_header(environ.get("CONTENT_TYPE"))
        mimetype = mimetype.lower()  # Werkzeug compares with regard to case
        if not is_form(mimetype):
            return Fields(), Fields()
        from werkzeug.formparser import FormDataParser  # only forms need it

        stream = self._rewindable_body()
        limit = self.max_form_memory_size
        if limit is not None and mimetype != _MULTIPART and (self.content_length or 0) > limit:
            raise RequestEntityTooLarge  # Werkzeug reads such a form whole, whatever its limit
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
        uploads = Fields([(name, _uploaded(file)) for name, file in files.items(multi=True)]) if files else files
        for _, file in uploads.items(multi=True):
            self._close_at_end(file)
        environ[_FORM] = (environ["wsgi.input"], form, uploads)
        return form, uploads  # type: ignore[return-value]  # `cls` above makes it immutable

    def _rewindable_body(self) -> IO[bytes]:
        """Read the body within its limit, and leave it in environ so that it can be read again."""
        environ = self.environ
        limit = self.max_content_length
        if environ.get("webob.is_body_seekable"):
            stream: IO[bytes] = environ["wsgi.input"]
            if limit is not None and (self.content_length or 0) > limit:
                raise RequestEntityTooLarge
            stream.seek(0)
            return stream
        declared = declared_length(environ)
        spool, size = self._spooled(input_of(environ, limit))
        if declared is not None and size < declared:
            # Some servers take the client's leaving for the end of the body.
            raise ClientDisconnected
        environ["wsgi.input"] = spool
        environ["webob.is_body_seekable"] = True
        environ["CONTENT_LENGTH"] = str(size)
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        return spool

    def _spooled(self, source: IO[bytes]) -> tuple[IO[bytes], int]:
        from tempfile import TemporaryFile  # only large bodies need it

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
        spool.seek(0)
        return spool, size

    def _close_at_end(self, file: Any) -> None:
        exchange = self.environ.get(EXCHANGE)
        if exchange is not None:
            exchange.on_teardown(file.close)


def _uploaded(file: FileStorage) -> UploadedFile:
    return UploadedFile(file.stream, file.filename, file.name, headers=file.headers)
