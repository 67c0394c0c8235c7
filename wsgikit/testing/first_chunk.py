"""The head of a response as a client of a server sees it: as it is when the first bytes are there."""

from __future__ import annotations

__all__ = ["with_final_head"]

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from wsgikit.wsgi import Environ, ExcInfo, HeaderList, StartResponse, WSGIApplication


def with_final_head(app: WSGIApplication) -> WSGIApplication:
    """Wrap an application so that its head is passed on with the first bytes of its body, as servers do (PEP 3333).

    Until then a second `start_response` with `exc_info` replaces the head. WebTest passes the first one on at once: a
    stream that fails before its first chunk would look like a success.
    """

    def call(environ: Environ, start_response: StartResponse, /) -> Iterable[bytes]:
        response = _Response(start_response)
        body = app(environ, response.start)
        try:
            return response.until_first_bytes(body)
        except BaseException:
            _close(body)
            raise

    return call


class _Response:
    """One response whose head is held back."""

    def __init__(self, start_response: StartResponse) -> None:
        self._start_response = start_response
        self._head: tuple[str, HeaderList, ExcInfo | None] | None = None
        self._is_sent = False
        self._chunks: list[bytes] = []

    def start(self, status: str, headers: HeaderList, exc_info: Any = None, /) -> Callable[[bytes], object]:
        if self._is_sent and exc_info is not None:
            raise exc_info[1].with_traceback(exc_info[2])
        self._head = (status, headers, exc_info)
        return self._write

    def _write(self, data: bytes) -> None:
        self._chunks.append(data)
        self._is_sent = self._is_sent or bool(data)

    def until_first_bytes(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Take chunks until one holds something, pass the head on, and return the whole body."""
        iterator = iter(body)
        while not self._is_sent:
            chunk = next(iterator, None)
            if chunk is None:
                break
            self._write(chunk)
        self._is_sent = True
        if self._head is not None:
            status, headers, exc_info = self._head
            if exc_info is None:
                self._start_response(status, headers)
            else:
                self._start_response(status, headers, exc_info)
        return _Body(self._chunks, iterator, body)


class _Body:
    """The chunks that were taken already, then the others; closed with the application's body."""

    def __init__(self, chunks: list[bytes], iterator: Iterator[bytes], body: Iterable[bytes]) -> None:
        self._chunks = chunks
        self._iterator = iterator
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks
        yield from self._iterator

    def close(self) -> None:
        _close(self._body)


def _close(body: Iterable[bytes]) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()
