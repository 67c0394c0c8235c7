"""The body of a request as environ has it: its length, and a limit that holds for whoever reads it."""

from __future__ import annotations

__all__ = ["LimitedInput", "RefusedInput", "SpoolReader", "declared_length", "input_of", "limit_input", "lower_limits"]

from collections.abc import Iterator, Mapping
from io import BytesIO, RawIOBase
from typing import IO, Any, NoReturn

from wsgikit.wsgi import Environ

_LONGEST_LENGTH = 30  # digits of a Content-Length; Python makes no number of more than 4,300


class LimitedInput:
    """A ``wsgi.input`` whose length isn't known, such as a chunked one, up to a number of bytes.

    Args:
        source: the input, which ends by itself (``wsgi.input_terminated``).
        max_bytes: the most bytes that are read of it.

    Attributes:
        source: the input itself.
        max_bytes: the limit. It may be changed while the body is read.
        is_exceeded: whether a reader has got more, and so an exception.

    Raises:
        RequestEntityTooLarge: it has more (413), while it is read.
    """

    def __init__(self, source: IO[bytes], max_bytes: int) -> None:
        self.source = source
        self.max_bytes = max_bytes
        self.is_exceeded = False
        self._count_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes, or all."""
        if size is not None and size >= 0:
            return self._count(self.source.read(min(size, self._most())))
        parts = []
        while part := self.read(65536):
            parts.append(part)
        return b"".join(parts)

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read up to the end of a line."""
        most = self._most()
        return self._count(self.source.readline(most if size is None or size < 0 else min(size, most)))

    def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Read all lines."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _most(self) -> int:
        """Return how many bytes one reading may ask for: one more than are left, to notice that there are more."""
        return max(self.max_bytes - self._count_read, 0) + 1

    def _count(self, data: bytes) -> bytes:
        self._count_read += len(data)
        if self._count_read > self.max_bytes:
            self.is_exceeded = True
            raise _too_large()
        return data


class RefusedInput:
    """A ``wsgi.input`` that is known to be too large: each reading of it is a 413, before a byte is read.

    Attributes:
        source: the input itself.
        is_exceeded: whether a reader has asked for it, and so got an exception.
    """

    def __init__(self, source: IO[bytes]) -> None:
        self.source = source
        self.is_exceeded = False

    def _refuse(self, *_: object) -> NoReturn:
        self.is_exceeded = True
        raise _too_large()

    read = readline = readlines = seek = __iter__ = _refuse


class SpoolReader(RawIOBase):
    """A second reader of a body that was read into a spool: the position of ``wsgi.input`` stays where it is.

    Args:
        spool: a file that can be read and positioned.
    """

    def __init__(self, spool: IO[bytes]) -> None:
        self._spool = spool
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Set the position of this reader."""
        spool = self._spool
        before = spool.tell()
        if whence == 1:
            offset, whence = self._position + offset, 0
        self._position = spool.seek(offset, whence)
        spool.seek(before)
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer; return the number of bytes."""
        spool = self._spool
        before = spool.tell()
        spool.seek(self._position)
        data = spool.read(len(buffer))
        spool.seek(before)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def limit_input(environ: Environ, max_bytes: int) -> None:
    """Put a limit on ``environ["wsgi.input"]``, for every reader: layers, views, and applications behind.

    An input of a declared length that is within the limit is left as it is: servers end it there.
    """
    length = declared_length(environ)
    source = environ["wsgi.input"]
    if length is not None:
        if length > max_bytes:
            environ["wsgi.input"] = RefusedInput(source)
    elif environ.get("wsgi.input_terminated"):
        environ["wsgi.input"] = LimitedInput(source, max_bytes)


def lower_limits(known: Mapping[str, Any] | None, own: dict[str, Any]) -> dict[str, Any]:
    """Return the limits of a request (``wsgikit.request_limits``) with those of a layer or router further in.

    The length of the body may only be lowered; of the other limits those further in count.

    Args:
        known: the limits so far, or None.
        own: `max_content_length` and others.
    """
    if not known:
        return own
    lengths = [m for limits in (known, own) if (m := limits.get("max_content_length")) is not None]
    merged = {**known, **own}
    return {**merged, "max_content_length": min(lengths)} if lengths else merged


def input_of(environ: Environ, max_bytes: int | None) -> Any:
    """Return the body as a file that ends where the body does.

    Args:
        environ: the request's.
        max_bytes: the most bytes that may be read; None sets no limit.

    Raises:
        RequestEntityTooLarge: it has more (413): at once if the length is declared, else while it is read.
    """
    source = environ["wsgi.input"]
    length = declared_length(environ)
    if length is None:
        # PEP 3333 gives an input without a length no end, unless the server says that it has one.
        if not environ.get("wsgi.input_terminated"):
            return BytesIO()
        return source if max_bytes is None else LimitedInput(source, max_bytes)
    if max_bytes is not None and length > max_bytes:
        raise _too_large()
    if environ.get("wsgi.input_terminated"):
        return source
    from werkzeug.wsgi import LimitedStream  # only bodies need it

    return LimitedStream(source, length)


def declared_length(environ: Environ) -> int | None:
    """Return the length that the request declares; None if it is chunked or has none, 0 if it can't be read."""
    if "chunked" in str(environ.get("HTTP_TRANSFER_ENCODING", "")).lower():
        return None
    text = environ.get("CONTENT_LENGTH")
    if not text:
        return None
    text = str(text)
    if not (text.isascii() and text.isdigit()):
        return 0
    return int(text[:_LONGEST_LENGTH]) if len(text) > _LONGEST_LENGTH else int(text)


def _too_large() -> Exception:
    from werkzeug.exceptions import RequestEntityTooLarge  # only a refused body needs it

    return RequestEntityTooLarge()
