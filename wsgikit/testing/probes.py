"""Applications and bodies that notice what is done to them."""

from __future__ import annotations

__all__ = ["TEXT", "Body", "Endless", "GaveUp", "Marker", "SeparateBody", "answering"]

from collections.abc import Iterable, Iterator
from typing import Any

from wsgikit.wsgi import Environ, HeaderList, WSGIApplication

TEXT: HeaderList = [("Content-Type", "text/plain; charset=utf-8")]

# More than any scenario takes, and little enough to be made at once by a middleware that joins the body.
_ENDLESS_CHUNKS = 100


class Marker(Exception):
    """The error that an application of the suite raises, told from all others by its class."""


class GaveUp(Exception):
    """The error of an endless body that was never left alone."""


class Body:
    """A body that is its own iterator, made of chunks; an exception among them is raised in its turn.

    Attributes:
        made: how many chunks it gave.
        closes: how often it was closed.
    """

    def __init__(self, *chunks: bytes | BaseException, close_error: BaseException | None = None) -> None:
        self._chunks = iter(chunks)
        self._close_error = close_error
        self.made = 0
        self.closes = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        if isinstance(chunk, BaseException):
            raise chunk
        self.made += 1
        return chunk

    def close(self) -> None:
        """Count, and fail if it is configured to."""
        self.closes += 1
        if self._close_error is not None:
            raise self._close_error


class Endless(Body):
    """A body without end, that gives up with an error if somebody tries to take it whole."""

    def __next__(self) -> bytes:
        if self.made >= _ENDLESS_CHUNKS:
            raise GaveUp(f"{self.made} chunks of an endless body were taken")
        self.made += 1
        return b"tick\n"


class SeparateBody:
    """A body whose iterator is another object, as that of a list is; each has its own `close`."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks
        self.iterations = 0
        self.closes = 0

    def __iter__(self) -> Iterator[bytes]:
        self.iterations += 1
        return Body(*self._chunks)

    def close(self) -> None:
        """Count."""
        self.closes += 1


def answering(
    body: Iterable[bytes], status: str = "200 OK", headers: Iterable[tuple[str, str]] = TEXT
) -> WSGIApplication:
    """Make an application that answers with this head and this very body."""

    def app(environ: Environ, start_response: Any, /) -> Iterable[bytes]:
        start_response(status, list(headers))
        return body

    return app
