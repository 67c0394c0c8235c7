"""Bodies of responses on their way out: captured, and closed once."""

from __future__ import annotations

__all__ = ["ClosedOnce", "Parts", "capture", "without_body"]

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from wsgikit.exceptions import ApplicationError, complaint
from wsgikit.wsgi import Environ, HeaderList, WSGIApplication

# Status, headers, body: what a response is before anybody is told.
Parts = tuple[str, HeaderList, Iterable[bytes]]


class ClosedOnce:
    """A body while hooks have it: they may read it, wrap it or put another one in its place."""

    __slots__ = ("_close", "body")

    def __init__(self, body: Iterable[bytes], close: Callable[[], object]) -> None:
        self.body = body
        self._close: Callable[[], object] | None = close

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.body)

    def close(self) -> None:
        """Close the body, if nobody has."""
        close, self._close = self._close, None
        if close is not None:
            close()


def without_body(body: Iterable[bytes]) -> Iterable[bytes]:
    """Return no body, and close the one there was."""
    close = getattr(body, "close", None)
    if close is not None:
        close()
    return []


def capture(app: WSGIApplication, environ: Environ) -> Parts:
    """Call an application and return its response before anybody is told.

    The body is read no further than to where the application names its head; what it says through ``write()`` comes
    first.
    """
    head: list[Any] = []
    written: list[bytes] = []

    def start_response(status: str, headers: HeaderList, exc_info: Any = None, /) -> Callable[[bytes], object]:
        if exc_info is None and head:
            raise ApplicationError(complaint("start_response", "second call", "exc_info", None))
        head[:] = [status, list(headers)]
        return written.append

    body = app(environ, start_response)
    if not head or written:
        try:
            iterator = iter(body)
            if not head:
                for chunk in iterator:
                    written.append(chunk)
                    break
            if not head:
                raise ApplicationError(complaint("application", "response", "a call of start_response", None))
        except BaseException:
            without_body(body)
            raise
        body = _Prefixed(written, iterator, getattr(body, "close", None))
    return head[0], head[1], body


class _Prefixed:
    """A body that begins with what was written or pulled already."""

    __slots__ = ("_close", "_iterator", "_written")

    def __init__(self, written: list[bytes], iterator: Iterator[bytes], close: Callable[[], object] | None) -> None:
        self._written = list(written)
        self._iterator = iterator
        self._close = close

    def __iter__(self) -> Iterator[bytes]:
        yield from self._written
        yield from self._iterator

    def close(self) -> None:
        if self._close is not None:
            self._close()
