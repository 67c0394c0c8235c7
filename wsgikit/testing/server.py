"""A WSGI server in the process, that serves one request step by step and remembers what it saw.

It is as strict as PEP 3333 lets a server be where real servers are strict, and only takes a note where they differ.
"""

from __future__ import annotations

__all__ = ["Call", "ServerError"]

from typing import Any

from wsgikit.wsgi import Environ, ExcInfo, HeaderList, WSGIApplication

# A body of the suite has a few chunks; one that goes on this long never ends.
_MANY_STEPS = 300


class ServerError(Exception):
    """What a server says to an application that breaks PEP 3333."""


class Call:
    """One request to `app`. Nothing runs by itself: `start`, then `step` or `finish`, then `close`.

    Attributes:
        heads: each ``(status, headers)`` that reached the server, the one that counts last.
        received: what went out to the client, in order, without empty chunks; what was given to ``write()`` too.
        steps: how many chunks the body gave, empty ones too.
        body: the iterable that the application returned.
        error: what came out of the call or out of a step.
        close_error: what came out of the body's ``close()``.
        is_head_sent: whether the client has the head.
        is_exhausted: whether the body came to its end.
        notes: what is against PEP 3333 though servers let it pass.
    """

    def __init__(self, app: WSGIApplication, environ: Environ) -> None:
        self.app = app
        self.environ = environ
        self.heads: list[tuple[Any, HeaderList]] = []
        self.received: list[bytes] = []
        self.steps = 0
        self.body: Any = None
        self.error: BaseException | None = None
        self.close_error: BaseException | None = None
        self.is_head_sent = False
        self.is_exhausted = False
        self.is_closed = False
        self.notes: list[str] = []
        self._iterator: Any = None

    @property
    def has_head(self) -> bool:
        """Whether `start_response` was called."""
        return bool(self.heads)

    @property
    def status(self) -> str:
        """The status line, or an empty str if there is no head."""
        return self.heads[-1][0] if self.heads else ""

    @property
    def code(self) -> int:
        """The status as a number, or 0 if there is no head."""
        digits = self.status[:3]
        return int(digits) if digits.isdigit() else 0

    @property
    def headers(self) -> HeaderList:
        """The headers of the head that counts."""
        return self.heads[-1][1] if self.heads else []

    def get_all(self, name: str) -> list[str]:
        """Return the values of the headers of this name."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def content(self) -> bytes:
        """All that the client got."""
        return b"".join(self.received)

    @property
    def has_failed(self) -> bool:
        """Whether an error came out to the server."""
        return self.error is not None

    def describe(self) -> str:
        """Say what became of the request."""
        if self.error is not None:
            return f"{describe_error(self.error)} raised to the server"
        if not self.heads:
            return "no head"
        return f"{self.status!r} with {self.content[:80]!r}"

    def start(self) -> Call:
        """Call the application."""
        try:
            self.body = self.app(self.environ, self._start_response)
        except BaseException as error:  # noqa: BLE001  # a server's last resort: any error is what this is here to see
            self.error = error
        else:
            if isinstance(self.body, (str, bytes)):
                self.notes.append(f"the body is a {type(self.body).__name__}: each character would be a chunk")
        return self

    def step(self) -> bool:
        """Take the next chunk; return whether there was one."""
        if self.error is not None or self.is_exhausted or self.is_closed:
            return False
        try:
            if self._iterator is None:
                self._iterator = iter(self.body)
            chunk = next(self._iterator)
            self.steps += 1
            self._send(chunk)
        except StopIteration:
            self.is_exhausted = True
            if not self.heads:
                self.error = ServerError("the body ended, and start_response was never called")
            return False
        except BaseException as error:  # noqa: BLE001  # as in `start`
            self.error = error
            return False
        return True

    def take(self, count: int) -> Call:
        """Take `count` chunks, if there are that many."""
        for _ in range(count):
            if not self.step():
                break
        return self

    def drain(self) -> Call:
        """Take the rest of the body."""
        self.take(_MANY_STEPS)
        if not self.is_exhausted and self.error is None and not self.is_closed:
            self.error = ServerError(f"the body had no end after {_MANY_STEPS} chunks")
        return self

    def close(self) -> Call:
        """Close the body, as a server does at the end of each request, whatever happened."""
        if self.is_closed:
            return self
        self.is_closed = True
        close = getattr(self.body, "close", None)
        if close is not None:
            try:
                close()
            except BaseException as error:  # noqa: BLE001  # as in `start`
                self.close_error = error
        return self

    def finish(self) -> Call:
        """Take the rest of the body and close it."""
        return self.drain().close()

    def _start_response(self, status: str, headers: HeaderList, exc_info: ExcInfo | None = None, /) -> Any:
        if exc_info:
            if self.is_head_sent:
                # PEP 3333 "The start_response() Callable": the head has left, so the error goes on upwards.
                raise exc_info[1].with_traceback(exc_info[2])
        elif self.heads:
            raise ServerError("start_response was called a second time without exc_info")
        self._note_head(status, headers)
        pairs: Any = headers.items() if isinstance(headers, dict) else headers
        self.heads.append((status, list(pairs)))
        return self._write

    def _write(self, data: bytes, /) -> None:
        # PEP 3333 "The start_response() Callable": the head leaves with the first call of write(), or the first chunk
        # that is not empty.
        self.is_head_sent = True
        self._send(data)

    def _send(self, data: bytes) -> None:
        if type(data) is not bytes:
            self.notes.append(f"a chunk is a {type(data).__name__}, not bytes")
            if not isinstance(data, bytes):
                raise ServerError(f"a chunk is a {type(data).__name__}, not bytes")
        if not data:
            return
        if not self.heads:
            raise ServerError("a chunk came before start_response was called")
        self.is_head_sent = True
        self.received.append(data)

    def _note_head(self, status: Any, headers: Any) -> None:
        if type(status) is not str:
            self.notes.append(f"the status is a {type(status).__name__}, not a str")
        if type(headers) is not list:
            self.notes.append(f"the headers are a {type(headers).__name__}, not a list")
        elif any(type(pair) is not tuple or len(pair) != 2 for pair in headers):
            self.notes.append("a header is not a tuple of two")
        elif any(type(part) is not str for pair in headers for part in pair):
            self.notes.append("the name or value of a header is not a plain str")


def describe_error(error: BaseException) -> str:
    """Name an error and the place it came from."""
    place = ""
    traceback = error.__traceback__
    if traceback is not None:
        while traceback.tb_next is not None:
            traceback = traceback.tb_next
        code = traceback.tb_frame.f_code
        place = f" (from {code.co_qualname}, {code.co_filename.rpartition('/')[2]}:{traceback.tb_lineno})"
    return f"{type(error).__name__}: {error}{place}"
