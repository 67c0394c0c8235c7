"""The body of a request as a client sends it, which is ended if the client is too slow."""

from __future__ import annotations

__all__ = ["GRACE_SECONDS", "PacedInput", "allowed_seconds", "socket_of", "stop_receiving"]

import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO, Any

from wsgikit.wsgi import Environ

GRACE_SECONDS = 3.0
"""What a client may lose at the most: one packet that is sent three times costs that (RFC 6298 §5.5)."""

_SMALLEST_STEP = 1024  # gunicorn reads that much from its socket even if asked for less
_LARGEST_STEP = 65536
_SOCKET_KEYS = ("gunicorn.socket", "werkzeug.socket")


def socket_of(environ: Environ) -> Any:
    """Return the socket that the body comes from; None if the server doesn't show it or it serves several requests."""
    if not environ.get("SERVER_PROTOCOL", "").startswith("HTTP/1"):
        return None
    return next((environ[key] for key in _SOCKET_KEYS if environ.get(key) is not None), None)


def allowed_seconds(received: int, step: int, max_seconds: float | None, min_rate: int | None) -> float:
    """Return how long a client may have been waited for until its next bytes are there.

    Args:
        received: the bytes that have come.
        step: the bytes that are being waited for.
        max_seconds: the most for the whole body, or None.
        min_rate: the fewest bytes per second, or None.
    """
    by_rate = math.inf if min_rate is None else GRACE_SECONDS + (received + step) / min_rate
    return by_rate if max_seconds is None else min(max_seconds, by_rate)


class PacedInput:
    """A ``wsgi.input`` whose client may not be waited for too long.

    Only the time inside of readings counts, so that a view may take its time. A reading that blocks can't be
    interrupted, so it is made in steps; if the socket is known, its receiving side is shut down when the time is up,
    which ends the reading.

    Args:
        source: the input.
        socket: what the body comes from, or None.
        max_seconds: the most for the whole body, or None.
        min_rate: the fewest bytes per second, or None.

    Attributes:
        is_late: whether the client was too slow.

    Raises:
        RequestTimeout: on reading, the client was too slow (408).
    """

    def __init__(self, source: IO[bytes], socket: Any, max_seconds: float | None, min_rate: int | None) -> None:
        self.source = source
        self.is_late = False
        self._socket = socket
        self._limits = max_seconds, min_rate
        self._step = min(max(min_rate or _LARGEST_STEP, _SMALLEST_STEP), _LARGEST_STEP)
        self._received = 0
        self._waited = 0.0
        self._began: float | None = None  # when the reading that goes on began
        self._timer: threading.Timer | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes, or all."""
        left = math.inf if size is None or size < 0 else size
        parts = []
        while left > 0 and (part := self._read_step(self.source.read, int(min(left, self._step)))):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read up to the end of a line."""
        left = math.inf if size is None or size < 0 else size
        parts = []
        while left > 0 and (part := self._read_step(self.source.readline, int(min(left, self._step)))):
            parts.append(part)
            left -= len(part)
            if part.endswith(b"\n"):
                break
        return b"".join(parts)

    def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Read all lines."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def stop(self) -> None:
        """Stop watching: the request has ended."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _read_step(self, read: Callable[[int], bytes], size: int) -> bytes:
        if self._left() <= 0:
            self._refuse(None)
        began = self._began = time.monotonic()
        self._watch()
        try:
            data = read(size)
        except Exception as error:
            if self.is_late:
                self._refuse(error)
            raise
        finally:
            self._began = None
            self._waited += time.monotonic() - began
        self._received += len(data)
        if self._left() <= 0:
            self._refuse(None)
        if not data:
            self.stop()
        return data

    def _left(self) -> float:
        """Return for how many seconds the client may still be waited for."""
        if self.is_late:
            return 0.0
        waited = self._waited
        if self._began is not None:
            waited += time.monotonic() - self._began
        return allowed_seconds(self._received, self._step, *self._limits) - waited

    def _refuse(self, error: Exception | None) -> None:
        from werkzeug.exceptions import RequestTimeout  # only slow clients need it

        self.is_late = True
        self.stop()
        raise RequestTimeout from error

    def _watch(self) -> None:
        """Have a timer end the reading that is about to begin, unless one runs already."""
        if self._socket is not None and self._timer is None:
            timer = self._timer = threading.Timer(max(self._left(), 0.001), self._check)
            timer.daemon = True
            timer.start()

    def _check(self) -> None:
        """Run in the timer's thread: end the reading if the time is up, else look again later."""
        if self._timer is None:
            return
        self._timer = None
        if self._began is None:
            return  # nothing is being read; the next reading starts another timer
        if self._left() > 0:
            self._watch()
            return
        self.is_late = True
        stop_receiving(self._socket)


def stop_receiving(sock: Any) -> None:
    """Shut down the receiving side of a server's socket: a reading that blocks ends, and the answer can still be sent.

    The server can't use the connection for another request then, so it doesn't read the rest of the body either.
    """
    import socket  # the server has loaded it

    # SSLSocket.shutdown would drop the encryption, and the answer would go out in clear text.
    shutdown = socket.socket.shutdown if isinstance(sock, socket.socket) else type(sock).shutdown
    try:
        shutdown(sock, socket.SHUT_RD)
    except OSError:
        pass  # the client has left
