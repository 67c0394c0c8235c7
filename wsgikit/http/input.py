"""The body of a request as environ has it: its length, and a limit that holds for whoever reads it."""

from __future__ import annotations

__all__ = ["LimitedInput", "RefusedInput", "SpoolReader", "declared_length", "input_of", "limit_input"]

from collections.abc import Iterator
from io import BytesIO, RawIOBase
from typing import IO, Any, NoReturn

from wsgikit.wsgi import Environ


class LimitedInput:
    """A ``wsgi.input`` whose length isn't known, such as a chunked one, up to a number of bytes.

    Args:
        source: the input, which ends by itself (``wsgi.input_terminated``).
        max_bytes: the most bytes that are read of it.

    Raises:
        RequestEntityTooLarge: it has more (413), while it is read.
    """

    def __init__(self, source: IO[bytes], max_bytes: int) -> None:
        self.source = source
        self._left = max_bytes

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes, or all."""
        if size is not None and size >= 0:
            return self._count(self.source.read(min(size, self._left + 1)))
        parts = []
        while part := self.read(65536):
            parts.append(part)
        return b"".join(parts)

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read up to the end of a line."""
        most = self._left + 1
        return self._count(self.source.readline(most if size is None or size < 0 else min(size, most)))

    def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Read all lines."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _count(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise _too_large()
        return data


class RefusedInput:
    """A ``wsgi.input`` that is known to be too large: each reading of it is a 413, before a byte is read.

    Attributes:
        source: the input itself.
    """

    def __init__(self, source: IO[bytes]) -> None:
        self.source = source

    def _refuse(self, *_: object) -> NoReturn:
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
    return int(text) if str(text).isascii() and str(text).isdigit() else 0


def _too_large() -> Exception:
    from werkzeug.exceptions import RequestEntityTooLarge  # only a refused body needs it

    return RequestEntityTooLarge()
