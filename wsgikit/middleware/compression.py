"""Compresses responses, and decodes compressed requests."""

from __future__ import annotations

__all__ = ["COMPRESSIBLE", "CompressionMiddleware", "is_compressible", "may_be_encoded"]

from collections.abc import Iterable, Iterator, Mapping, Sequence
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from wsgikit.exceptions import ConfigurationError, complaint, did_you_mean
from wsgikit.http.accept import choose_encoding
from wsgikit.http.codings import (
    CODINGS,
    LEVEL_RANGES,
    LEVELS,
    CodingError,
    Encoder,
    TooLongError,
    compress,
    decode,
    load_coding,
    make_encoder,
)
from wsgikit.http.etags import has_tag, weaken
from wsgikit.http.headers import Headers
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.refusal import Refusal
from wsgikit.onion.whole import take_whole
from wsgikit.options.amounts import check_amount
from wsgikit.options.flags import check_flags
from wsgikit.wsgi import Environ, WSGIApplication

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange

Coding = Literal["zstd", "br", "gzip"]

COMPRESSIBLE = (
    "text/*",
    "application/javascript",
    "application/json",
    "application/manifest+json",
    "application/rtf",
    "application/wasm",
    "application/x-ndjson",
    "application/x-www-form-urlencoded",
    "application/xml",
    "*+json",
    "*+xml",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/svg+xml",
    "image/x-icon",
)
"""The media types that compress well. Those that are compressed already, such as images and video, don't."""

# These describe the bytes before they were encoded.
_OF_BYTES = {"content-length", "accept-ranges", "content-md5", "digest", "content-digest", "repr-digest"}
_READ_BYTES = 65_536
_MAX_PULLED_BYTES = 1_048_576  # what an application yields in one chunk is in memory anyway
_SPOOLED_BYTES = 524_288  # a larger body waits on disk


def is_compressible(content_type: str | None, types: Sequence[str]) -> bool:
    """Return whether a media type is among `types`, whose members may be ``text/*`` or ``*+json``."""
    if not content_type:
        return False
    kind = content_type.partition(";")[0].strip().lower()
    return any(
        kind == one or (one[-1] == "*" and kind.startswith(one[:-1])) or (one[0] == "*" and kind.endswith(one[1:]))
        for one in types
    )


def may_be_encoded(status: int, head: Mapping[str, str]) -> bool:
    """Return whether a response may be given a content coding: it is whole, has none, and no one forbids it.

    Args:
        status: the code.
        head: the headers, their names in lower case.
    """
    if status < 200 or status in (204, 205, 206, 304):
        return False
    if "content-encoding" in head or "content-range" in head:
        return False
    return "no-transform" not in head.get("cache-control", "").lower()


def encoded_head(pairs: Iterable[tuple[str, str]], coding: str) -> list[tuple[str, str]]:
    """Return the headers of the encoded form of a response, without its length."""
    made = []
    for pair in pairs:
        name = pair[0].lower()
        if name == "etag":
            # RFC 9110 §8.8.3.3: two forms of one resource never share a strong tag.
            made.append((pair[0], weaken(pair[1])))
        elif name not in _OF_BYTES:
            made.append(pair)
    made.append(("Content-Encoding", coding))
    return made


class _EncodedStream:
    """A lazy body, encoded chunk for chunk."""

    __slots__ = ("_body", "_encoder")

    def __init__(self, body: Iterable[bytes], encoder: Encoder) -> None:
        self._body = iter(body)
        self._encoder: Encoder | None = encoder

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        encoder = self._encoder
        if encoder is None:
            raise StopIteration
        for chunk in self._body:
            return encoder.feed(chunk) if chunk else chunk
        self._encoder = None
        return encoder.finish()


class CompressionMiddleware(Middleware):
    """Compresses responses with zstd, Brotli or gzip, as the client prefers; decodes compressed requests if told.

    Bodies at rest are compressed whole, streams chunk for chunk: what the application yields leaves at once, event
    streams included. Equal bodies become equal bytes. Responses that are partial, encoded already, of types that
    don't compress, marked ``no-transform``, or sent by the server's file wrapper stay as they are.

    Use it if nothing in front compresses. Leave it out behind a proxy that does. A page that shows a secret, such as
    a token, beside text that a visitor chose can be read by its length (BREACH): csrf tokens of this package are
    masked, and `breach_padding` hides the length of others somewhat.

    It belongs outside the conditional layer, so that entity tags and ranges are those of the original bytes, and
    inside static files and the cache. Needs no environ key, provides none.

    A view is left alone with ``@policy(compress=False)``; ``compress=True`` compresses files too.

    Args:
        encodings: the content codings, the best first; it decides between those that the client likes equally. Without
            it: those of zstd, Brotli (``br``) and gzip that are installed.
        min_bytes: the size from which a body is compressed.
        types: the media types that are compressed, ``text/*`` and ``*+json`` among them. It replaces the default list.
        levels: the level of each coding: gzip 0 to 9 (default 6), br 0 to 11 (default 4), zstd -7 to 22 (default 3).
        decode_requests: decode request bodies that have a ``Content-Encoding``.
        max_request_bytes: how large a request body may be before and after it was decoded.
        breach_padding: put a random number of bytes, at most 100, into each response. Only gzip can carry them, so it
            is the only coding then.

    Raises:
        ConfigurationError: a coding or level that is unknown, or one whose library isn't installed.

    A request whose ``Accept-Encoding`` refuses the plain form and all others gets a 406 if it is safe. With
    `decode_requests` an unknown coding is a 415, broken data a 400, more than `max_request_bytes` a 413.

    Example::

        from wsgikit import CompressionMiddleware, build_stack, use

        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"Hello, world. " * 100]

        stack = build_stack(app, use(CompressionMiddleware, levels={"gzip": 5}))
    """

    response_policy: ClassVar[tuple[str, ...]] = ("compress",)

    def __init__(
        self,
        app: WSGIApplication,
        *,
        encodings: Sequence[Coding] | None = None,
        min_bytes: int = 500,
        types: Sequence[str] = COMPRESSIBLE,
        levels: Mapping[str, int] | None = None,
        decode_requests: bool = False,
        max_request_bytes: int = 10_485_760,
        breach_padding: bool = False,
    ) -> None:
        super().__init__(app)
        where = type(self).__name__
        check_flags(where, decode_requests=decode_requests, breach_padding=breach_padding)
        offered = _check_encodings(where, encodings)
        if breach_padding and "gzip" not in offered:
            expected = "off, or gzip among the encodings"
            raise ConfigurationError(complaint(where, "breach_padding", expected, breach_padding))
        self._offered = ("gzip",) if breach_padding else offered
        self._levels = LEVELS | _check_levels(where, levels)
        self._min_bytes = check_amount(where, "min_bytes", min_bytes)
        self._types = _check_types(where, types)
        self._known: dict[str | None, bool] = {}
        self._is_padded = breach_padding
        self._decodes = decode_requests
        self._max_request_bytes = check_amount(where, "max_request_bytes", max_request_bytes, minimum=1)

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Decode the body of the request, if that is asked for."""
        if not self._decodes or "HTTP_CONTENT_ENCODING" not in exchange.environ:
            return None
        return self._decode_request(exchange)

    def after_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Compress the response, if it is worth it and the client accepts it."""
        kind = None
        for name, value in exchange.header_list:
            if name.lower() == "content-type":
                kind = value
                break
        if not self._is_known_type(kind):
            if kind is None and exchange.status_code == 304:
                describe_unmodified(exchange.headers, exchange.environ)
            return None
        head = {name.lower(): value for name, value in exchange.header_list}
        if not may_be_encoded(exchange.status_code, head):
            return None
        wanted = exchange.policy.get("compress")
        body = exchange.body
        is_whole = type(body) is list or type(body) is tuple
        if wanted is False or body is None or (not is_whole and not exchange.is_streaming and not wanted):
            return None
        if "vary" in head:
            exchange.headers.vary("Accept-Encoding")
        else:
            exchange.headers.add("Vary", "Accept-Encoding")
        method = exchange.environ["REQUEST_METHOD"]
        size = _size_of(body, head.get("content-length"), is_whole)
        if size is not None and size < self._min_bytes and not (method == "HEAD" and size == 0):
            return None
        coding = choose_encoding(exchange.environ.get("HTTP_ACCEPT_ENCODING"), self._offered)
        if coding is None and method in ("GET", "HEAD"):
            return _NOT_ACCEPTABLE
        if coding is not None and coding != "identity":
            if method != "HEAD":
                self._encode(exchange, coding)
            made = encoded_head(exchange.header_list, coding)
            packed = exchange.body
            if packed is not body and type(packed) is list:
                made.append(("Content-Length", str(len(packed[0]))))
            exchange.headers = Headers(made)
        return None

    def _encode(self, exchange: Exchange, coding: str) -> None:
        level = self._levels[coding]
        whole = take_whole(exchange, _MAX_PULLED_BYTES)
        if whole is not None:
            exchange.body = [compress(b"".join(whole), coding, level, is_padded=self._is_padded)]
        else:
            body: Iterable[bytes] = exchange.body or ()
            exchange.body = _EncodedStream(body, make_encoder(coding, level, is_padded=self._is_padded))

    def _is_known_type(self, content_type: str | None) -> bool:
        known = self._known.get(content_type)
        if known is None:
            known = is_compressible(content_type, self._types)
            if len(self._known) < 256:  # an application has few; a visitor may choose some
                self._known[content_type] = known
        return known

    def _decode_request(self, exchange: Exchange) -> WSGIApplication | None:
        environ = exchange.environ
        coding = environ["HTTP_CONTENT_ENCODING"].strip().lower().removeprefix("x-")
        if coding in ("", "identity"):
            return None
        readable = [*self._offered, "gzip", "deflate"]
        if coding not in readable:
            accepted = ", ".join(dict.fromkeys(readable))
            return Refusal(415, "The content coding of the request is not supported.", [("Accept-Encoding", accepted)])
        target: Any = SpooledTemporaryFile(_SPOOLED_BYTES)  # noqa: SIM115  # closed with the request
        exchange.on_teardown(target.close)
        try:
            for piece in decode(_read_body(environ), coding, self._max_request_bytes):
                target.write(piece)
        except TooLongError:
            return Refusal(413, "The body of the request is too large.")
        except CodingError:
            return Refusal(400, "The body of the request is not in its content coding.")
        length = target.tell()
        target.seek(0)
        del environ["HTTP_CONTENT_ENCODING"]
        environ["wsgi.input"] = target
        environ["CONTENT_LENGTH"] = str(length)
        return None


_NOT_ACCEPTABLE = Refusal(406, "The response cannot be sent in an encoding that the client accepts.")


def describe_unmodified(headers: Headers, environ: Environ) -> None:
    """Change the headers of a 304 to those that the encoded 200 has."""
    headers.vary("Accept-Encoding")
    etag = headers.get("ETag")
    if etag is None or etag.startswith("W/"):
        return
    # The client names the weak tag if it has the encoded form.
    given = environ.get("HTTP_IF_NONE_MATCH", "")
    if not has_tag(given, etag, strong=True, exists=False) and has_tag(given, etag, strong=False, exists=False):
        headers.set("ETag", weaken(etag))


def _size_of(body: Iterable[bytes], given: str | None, is_whole: bool) -> int | None:
    """Return the size of a body as far as it is known. A response to HEAD has it in its header."""
    size = sum(map(len, body)) if is_whole else 0
    if size:
        return size
    if given is not None and given.isascii() and given.isdigit():
        return int(given[:18])
    return 0 if is_whole else None


def _read_body(environ: Environ) -> Iterator[bytes]:
    """Read the body of a request as far as it goes; a server may not mark its end itself."""
    stream = environ["wsgi.input"]
    length = environ.get("CONTENT_LENGTH") or ""
    remaining = int(length[:18]) if length.isascii() and length.isdigit() else None
    if remaining is None and not environ.get("wsgi.input_terminated"):
        return
    while remaining is None or remaining > 0:
        chunk = stream.read(_READ_BYTES if remaining is None else min(_READ_BYTES, remaining))
        if not chunk:
            return
        if remaining is not None:
            remaining -= len(chunk)
        yield chunk


# ---------------------------------------------------------------------- the options


def _check_encodings(where: str, encodings: Sequence[str] | None) -> tuple[str, ...]:
    if encodings is None:
        return tuple(coding for coding in CODINGS if load_coding(coding) is not None)
    if isinstance(encodings, str) or not encodings:
        raise ConfigurationError(complaint(where, "encodings", "a list of codings", encodings, "('br', 'gzip')"))
    for coding in encodings:
        if coding not in CODINGS:
            remedy = did_you_mean(str(coding), CODINGS)
            raise ConfigurationError(complaint(where, "encodings", f"some of {', '.join(CODINGS)}", coding, remedy))
        if load_coding(coding) is None:
            remedy = "Install it with: pip install 'wsgikit[compression]'"
            raise ConfigurationError(
                complaint(where, "encodings", "codings whose library is installed", coding, remedy)
            )
    return tuple(encodings)


def _check_levels(where: str, levels: Mapping[str, int] | None) -> dict[str, int]:
    if levels is not None and not isinstance(levels, Mapping):
        raise ConfigurationError(complaint(where, "levels", "a mapping from coding to level", levels))
    for coding, level in (levels or {}).items():
        if coding not in LEVEL_RANGES:
            raise ConfigurationError(complaint(where, "levels", f"keys of {', '.join(CODINGS)}", coding))
        low, high = LEVEL_RANGES[coding]
        if isinstance(level, bool) or not isinstance(level, int) or not low <= level <= high:
            raise ConfigurationError(complaint(where, "levels", f"{coding} from {low} to {high}", level))
    return dict(levels or {})


def _check_types(where: str, types: Sequence[str]) -> tuple[str, ...]:
    if (
        isinstance(types, str)
        or not types
        or not all(isinstance(one, str) and ("/" in one or one.startswith("*+")) for one in types)
    ):
        expected = "a list of media types, such as ('text/*', 'application/json', '*+xml')"
        raise ConfigurationError(complaint(where, "types", expected, types))
    return tuple(one.lower() for one in types)
