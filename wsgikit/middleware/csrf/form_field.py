"""Find one field of a form without reading more of the body than that, and leave the body readable."""

from __future__ import annotations

__all__ = ["MOST_BYTES", "find_field"]

import io
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_plus

from wsgikit.http.input import input_of
from wsgikit.wsgi import Environ

MOST_BYTES = 1024 * 1024
"""How far into the body the field is looked for: a form has it before its files."""

_CHUNK_BYTES = 8192


def find_field(environ: Environ, name: str) -> str | None:
    """Return the value of a field of the form in the body, or None if there is none.

    Forms are ``application/x-www-form-urlencoded`` and ``multipart/form-data``. The body is read up to the field, at
    most `MOST_BYTES`, and ``wsgi.input`` gives what was read again. What can't be read has no field.
    """
    from werkzeug.http import parse_options_header

    media_type, options = parse_options_header(environ.get("CONTENT_TYPE"))
    media_type = media_type.lower()
    if media_type == "application/x-www-form-urlencoded":
        return _with_body(environ, lambda chunks: _in_urlencoded(chunks, name))
    if media_type == "multipart/form-data" and options.get("boundary"):
        boundary = options["boundary"].encode("latin-1", "replace")
        return _with_body(environ, lambda chunks: _in_multipart(chunks, boundary, name))
    return None


def _with_body(environ: Environ, find: Any) -> str | None:
    """Let a function read chunks of the body, then put them back."""
    from werkzeug.exceptions import ClientDisconnected

    source = environ["wsgi.input"]
    is_seekable = bool(environ.get("webob.is_body_seekable"))  # somebody read it whole, and put it back
    stream = source if is_seekable else input_of(environ, None)
    read: list[bytes] = []
    position = source.tell() if is_seekable else 0
    if is_seekable:
        source.seek(0)

    def chunks() -> Iterator[bytes]:
        left = MOST_BYTES
        while left > 0 and (chunk := stream.read(min(_CHUNK_BYTES, left))):
            read.append(chunk)
            left -= len(chunk)
            yield chunk

    try:
        return find(chunks())  # type: ignore[no-any-return]  # by both callers
    except (OSError, ClientDisconnected):  # the client left; whoever reads on finds out
        return None
    finally:
        if is_seekable:
            source.seek(position)
        elif read:
            environ["wsgi.input"] = io.BufferedReader(_Rejoined(b"".join(read), stream))


def _in_urlencoded(chunks: Iterator[bytes], name: str) -> str | None:
    body = b"".join(chunks)
    pairs = body.split(b"&")
    if len(body) >= MOST_BYTES:
        pairs.pop()  # it may go on
    for pair in pairs:
        key, _, value = pair.partition(b"=")
        if unquote_plus(key.decode("latin-1")) == name:
            return unquote_plus(value.decode("latin-1"))
    return None


def _in_multipart(chunks: Iterator[bytes], boundary: bytes, name: str) -> str | None:
    from werkzeug.exceptions import RequestEntityTooLarge
    from werkzeug.sansio.multipart import Data, Epilogue, Field, MultipartDecoder, NeedData

    decoder = MultipartDecoder(boundary, max_form_memory_size=MOST_BYTES)
    value: list[bytes] | None = None
    for chunk in chunks:
        try:
            decoder.receive_data(chunk)
            while not isinstance(event := decoder.next_event(), (NeedData, Epilogue)):
                if isinstance(event, Field) and event.name == name:
                    value = []
                elif isinstance(event, Data) and value is not None:
                    value.append(event.data)
                    if not event.more_data:
                        return b"".join(value).decode("utf-8", "replace")
        except (ValueError, RequestEntityTooLarge):
            return None  # a malformed form is the application's to judge
    return None


class _Rejoined(io.RawIOBase):
    """What was read of a stream, then the rest of it."""

    def __init__(self, head: bytes, stream: Any) -> None:
        self._head = memoryview(head)
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if self._head:
            data: Any = self._head[: len(buffer)]
            self._head = self._head[len(data) :]
        else:
            data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
