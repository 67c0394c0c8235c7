"""A response taken chunk by chunk, by a client that may leave at any moment."""

from __future__ import annotations

__all__ = ["StreamedResponse"]

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from wsgikit.exceptions import ProtocolError, complaint
from wsgikit.http.headers import Headers
from wsgikit.wsgi import Environ, ExcInfo, HeaderList, WSGIApplication


class StreamedResponse(Iterator[bytes]):
    """The head of a response, and its chunks as the application makes them. `TestClient.stream` returns one.

    Nothing runs by itself: each chunk is made when it is asked for. `close` without taking them all is what a server
    does when its client has left. Used as a context manager it is closed at the end.

    Args:
        app: the application to call.
        environ: the environ of the request.
        guard: entered around each step of the application.

    Attributes:
        status: the status line.
        headers: the headers of the response.
        is_complete: whether the last chunk was taken.
        is_closed: whether `close` was called.
    """

    def __init__(
        self,
        app: WSGIApplication,
        environ: Environ,
        guard: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.status = ""
        self.headers = Headers()
        self.is_complete = False
        self.is_closed = False
        self._guard = guard
        self._is_head_sent = False
        # What was made already: written, or pulled since a lazy application gives its head with its first chunk.
        self._waiting: deque[bytes] = deque()
        with guard():
            self._body = app(environ, self._start_response)
        try:
            with guard():
                self._chunks = iter(self._body)
                if not self.status:
                    self._pull()
            if not self.status:
                raise ProtocolError(complaint("application", "response", "a call of start_response", None))
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<StreamedResponse {self.status!r} {'closed' if self.is_closed else 'open'}>"

    @property
    def status_code(self) -> int:
        """The status as a number, such as 200."""
        return int(self.status[:3])

    def __next__(self) -> bytes:
        """Have the next chunk made; empty ones come too."""
        if self.is_closed:
            raise ValueError("StreamedResponse: it is closed, no chunk can be taken. Take them before close().")
        if not self._waiting:
            with self._guard():
                self._pull()
        if not self._waiting:
            raise StopIteration
        chunk = self._waiting.popleft()
        self._is_head_sent = self._is_head_sent or bool(chunk)
        return chunk

    def close(self) -> None:
        """Leave: close the application's body. It may be called more than once."""
        if self.is_closed:
            return
        self.is_closed = True
        close = getattr(self._body, "close", None)
        if close is not None:
            with self._guard():
                close()

    def __enter__(self) -> StreamedResponse:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _pull(self) -> None:
        try:
            self._waiting.append(next(self._chunks))
        except StopIteration:
            self.is_complete = True

    def _start_response(self, status: str, headers: HeaderList, exc_info: ExcInfo | None = None, /) -> Any:
        if exc_info is not None and self._is_head_sent:
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and self.status:
            raise ProtocolError(complaint("start_response", "second call", "exc_info", None))
        self.status = status
        self.headers = Headers(headers)
        return self._waiting.append
