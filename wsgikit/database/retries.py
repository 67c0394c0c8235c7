"""Repeating a request whose transaction lost against another.

The layer answers such a request itself: its answer is an application that calls what is inside the layer as often as is
needed, each time as its own onion that is torn down before the next begins.
"""

from __future__ import annotations

__all__ = ["ATTEMPT", "ATTEMPTS", "OUTSIDE", "Attempts", "is_last_attempt"]

import io
import random
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from wsgikit.database.conflicts import is_conflict
from wsgikit.database.work import logger
from wsgikit.onion.exchange import Exchange
from wsgikit.wsgi import (
    EXCHANGE,
    USAGE,
    Environ,
    HeaderList,
    StartResponse,
    Write,
    WSGIApplication,
    name_request,
)

ATTEMPT = "wsgikit.db.attempt"
"""Which attempt this is, from 1 on. Only where the request may be repeated."""
ATTEMPTS = "wsgikit.db.attempts"
"""How many attempts there may be."""
OUTSIDE = "wsgikit.db.outside"
"""While it is repeated, the state that layers outside know of the request; each attempt has its own state."""

_KEYS = (ATTEMPT, ATTEMPTS, OUTSIDE)
_IN_MEMORY = 512 * 1024  # bytes of a request body; a larger one waits in a file, as with most servers
_CHUNK = 64 * 1024


def is_last_attempt(environ: Environ) -> bool:
    """Return whether the request won't be repeated, whatever happens."""
    return bool(environ.get(ATTEMPT, 1) >= environ.get(ATTEMPTS, 1))


class Attempts:
    """An application that calls another until its transaction goes through.

    Args:
        once: does it once: a layer with a transaction, and all inside it.
        retries: how often it is repeated at the most.
        backoff_seconds: to wait before the first repetition; doubled for each further one, shortened by up to a half
            at random, so that two that were in each other's way don't meet again.
    """

    def __init__(self, once: WSGIApplication, retries: int, backoff_seconds: float) -> None:
        self._once = once
        self._total = retries + 1
        self._backoff_seconds = backoff_seconds

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        exchange: Exchange = environ[EXCHANGE]
        begin = exchange.begin_attempts()
        spool = _spool(environ)
        if spool.file is not None:
            exchange.on_teardown(spool.file.let_go)
        environ.pop("wsgi.input", None)
        snapshot = dict(environ)
        put_back = _checkpoint(environ)
        for attempt in range(1, self._total + 1):
            # The same dict, so that whoever is outside (the `request` local) sees what this attempt does; with the
            # content of a fresh copy, for applications write into it and move PATH_INFO about.
            environ.clear()
            environ.update(snapshot)
            for function in put_back:
                function()
            environ["wsgi.input"] = spool.rewound()
            environ[ATTEMPT], environ[ATTEMPTS], environ[OUTSIDE] = attempt, self._total, exchange.state
            begin()
            head = _Head(start_response)
            is_streaming = False
            try:
                body = self._once(environ, head)
                is_streaming = type(body) is not list and type(body) is not tuple
                return body
            except Exception as error:
                if attempt == self._total or head.is_sent or not is_conflict(error):
                    raise
                self._wait(environ, attempt, error)
            finally:
                if ATTEMPT in snapshot:  # a layer around this one repeats too
                    environ.update({key: snapshot[key] for key in _KEYS})
                elif is_streaming:
                    exchange.on_teardown(partial(_forget_attempt, environ))
                else:
                    _forget_attempt(environ)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _wait(self, environ: Environ, attempt: int, error: Exception) -> None:
        usage = environ.get(USAGE)
        if usage is not None:
            usage.attempts += 1
        logger.info("%s: attempt %d of %d: %r", name_request(environ), attempt, self._total, error)
        time.sleep(self._backoff_seconds * 2 ** (attempt - 1) * random.uniform(0.5, 1.0))


def _checkpoint(environ: Environ) -> list[Callable[[], None]]:
    """Return functions that put objects of the request, such as its session, back to what they are now."""
    values = [value for value in environ.values() if hasattr(type(value), "__wsgikit_checkpoint__")]
    return [value.__wsgikit_checkpoint__() for value in values]


def _forget_attempt(environ: Environ) -> None:
    for key in _KEYS:
        environ.pop(key, None)


class _Head:
    """The server's `start_response`, which remembers that it was called: from then on nothing is repeated."""

    def __init__(self, start_response: StartResponse) -> None:
        self._start_response = start_response
        self.is_sent = False

    def __call__(self, status: str, headers: HeaderList, exc_info: Any = None, /) -> Write:
        self.is_sent = True
        if exc_info is None:
            return self._start_response(status, headers)
        return self._start_response(status, headers, exc_info)


class _File(SpooledTemporaryFile[bytes]):
    """A file that stays open for the next attempt where an application closes its input."""

    def close(self) -> None:
        """Do nothing yet."""

    def __exit__(self, *_: object) -> None:
        """Do nothing yet."""

    def let_go(self) -> None:
        """Close it: the request has ended."""
        super().close()


class _Spool:
    """A request body that can be read again."""

    def __init__(self, data: bytes, file: _File | None) -> None:
        self._data = data
        self.file = file

    def rewound(self) -> IO[bytes]:
        """Return the body, to be read from its beginning."""
        if self.file is None:
            return io.BytesIO(self._data)
        self.file.seek(0)
        return self.file


def _spool(environ: Environ) -> _Spool:
    """Read the request body, so much as the server says there is (PEP 3333 "Input and Error Streams")."""
    stream = environ.get("wsgi.input")
    declared = environ.get("CONTENT_LENGTH") or "0"
    length = int(declared) if declared.isascii() and declared.isdigit() else 0
    if environ.get("wsgi.input_terminated"):
        length = -1
    if stream is None or length == 0:
        return _Spool(b"", None)
    if 0 < length <= _IN_MEMORY:
        return _Spool(b"".join(_read(stream, length)), None)
    file = _File(_IN_MEMORY)
    for data in _read(stream, length):
        file.write(data)
    return _Spool(b"", file)


def _read(stream: Any, length: int) -> Iterator[bytes]:
    """Yield so many bytes, or all up to the end where `length` is negative; fewer where the client left."""
    while length:
        data = stream.read(_CHUNK if length < 0 else min(_CHUNK, length))
        if not data:
            return
        if length > 0:
            length -= len(data)
        yield data
