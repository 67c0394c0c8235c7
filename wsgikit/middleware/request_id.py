"""`RequestIdMiddleware`: one id for a request, in the log, in the response and in what is sent on."""

from __future__ import annotations

__all__ = ["RequestIdFilter", "RequestIdMiddleware", "outgoing_headers", "parse_traceparent"]

import logging
import os
import re
from collections.abc import Mapping
from contextvars import ContextVar
from random import Random
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from weakref import ref

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.onion.ending import CURRENT
from wsgikit.onion.middleware import Middleware
from wsgikit.wsgi import REQUEST_ID, Environ, WSGIApplication

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange

# As Plug.RequestId has it: shorter ones are no ids, longer ones are somebody's attempt to fill the log.
_SHORTEST, _LONGEST = 20, 200
_SAFE = re.compile(rf"[A-Za-z0-9._~+/=-]{{{_SHORTEST},{_LONGEST}}}")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
# https://www.w3.org/TR/trace-context/#traceparent-header: later versions may append fields.
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

# An id has to be unique, not secret. A generator of our own: an application may seed the shared one.
_random = Random()
os.register_at_fork(after_in_child=_random.seed)

_RUNNING: ContextVar[Any] = ContextVar("wsgikit.request_id", default=None)


class Traceparent(NamedTuple):
    """A ``traceparent`` header: the trace, the span that the request was sent from, and its flags."""

    trace_id: str
    parent_id: str
    flags: str


def parse_traceparent(text: str) -> Traceparent | None:
    """Return what a ``traceparent`` header says (W3C Trace Context), or None if it is invalid."""
    match = _TRACEPARENT.fullmatch(text)
    if match is None:
        return None
    version, trace_id, parent_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest) or trace_id == "0" * 32 or parent_id == "0" * 16:
        return None
    return Traceparent(trace_id, parent_id, flags)


def new_request_id(length: int) -> str:
    """Return a new id of so many hexadecimal digits."""
    return f"{_random.getrandbits(4 * length):0{length}x}"


def outgoing_headers(environ: Mapping[str, Any], header: str = "X-Request-ID") -> dict[str, str]:
    """Return the headers that carry the id of a request on to another service.

    Args:
        environ: of the request.
        header: the name of the header with the id.

    Returns:
        the id, and a ``traceparent`` with the trace of the request and a new parent id if the request came with one.
    """
    headers = {}
    if request_id := environ.get(REQUEST_ID):
        headers[header] = str(request_id)
    if trace := parse_traceparent(environ.get("HTTP_TRACEPARENT") or ""):
        headers["traceparent"] = f"00-{trace.trace_id}-{_random.getrandbits(64) or 1:016x}-{trace.flags}"
    return headers


class RequestIdMiddleware(Middleware):
    """Give each request an id: in environ, in the response, in log records, and in headers for other services.

    The id is that of the request's header, if it has 20 to 200 of ``A-Za-z0-9._~+/=-``; else the trace id of a valid
    ``traceparent`` header, so that logs and traces have the same id; else a new one.

    Use it for every site whose log is read. Leave it out if the server or a proxy writes the id into the log already
    and nothing inside needs it.

    Place: outermost but for `HealthMiddleware`. Environ: provides ``wsgikit.request_id``.

    Args:
        app: the WSGI application to wrap.
        header: the name of the header, in the request and in the response.
        trust: ``"validated"`` takes a valid id from the request; ``"never"`` always makes one, for sites whose visitors
            shouldn't choose it and that have no proxy which does.
        length: how many hexadecimal digits a new id has, from 20 to 200.

    Raises:
        ConfigurationError: an option that can't work.

    A header that the application set itself is kept. `RequestIdFilter` adds the id to log records, and
    `outgoing_headers` returns the headers for requests that the application sends.

    Example::

        stack = build_stack(app, use(RequestIdMiddleware), use(ContextMiddleware))
    """

    provides = (REQUEST_ID,)

    def __init__(
        self,
        app: WSGIApplication,
        *,
        header: str = "X-Request-ID",
        trust: Literal["validated", "never"] = "validated",
        length: int = 32,
    ) -> None:
        super().__init__(app)
        where = "RequestIdMiddleware"
        if not isinstance(header, str) or not _HEADER.fullmatch(header):
            raise ConfigurationError(complaint(where, "header", "a name such as 'X-Request-ID'", header))
        if trust not in ("validated", "never"):
            raise ConfigurationError(complaint(where, "trust", "'validated' or 'never'", trust))
        if type(length) is not int or not _SHORTEST <= length <= _LONGEST:
            raise ConfigurationError(complaint(where, "length", f"a number from {_SHORTEST} to {_LONGEST}", length))
        self.header = header
        self.trust = trust
        self.length = length
        self._is_trusting = trust == "validated"
        self._key = f"HTTP_{header.upper().replace('-', '_')}"

    def before_request(self, exchange: Exchange) -> None:
        """Find the id of the request, or make one."""
        environ = exchange.environ
        request_id = None
        if self._is_trusting and (self._key in environ or "HTTP_TRACEPARENT" in environ):
            request_id = self.received_id(environ)
        environ[REQUEST_ID] = request_id or new_request_id(self.length)
        _RUNNING.set(ref(exchange))

    def after_request(self, exchange: Exchange) -> None:
        """Put the id into the response."""
        headers = exchange.headers
        if headers.get(self.header) is None:
            headers.add(self.header, exchange.environ[REQUEST_ID])

    def received_id(self, environ: Environ) -> str | None:
        """Return the id that the request came with, or None if it has no valid one."""
        received = environ.get(self._key)
        if received is not None and _SAFE.fullmatch(received):
            return str(received)
        traceparent = environ.get("HTTP_TRACEPARENT")
        trace = None if traceparent is None else parse_traceparent(traceparent)
        return None if trace is None else trace.trace_id


class RequestIdFilter(logging.Filter):
    """Add the id of the running request to each log record, as ``record.request_id``.

    Add it to a handler, so that the records of all loggers pass it. With `ContextMiddleware` in the stack the id is
    right in streams, coroutines, and threads made by `copy_current_context`; without it in the code that the server
    calls.

    Args:
        default: the value outside of requests.

    Example::

        handler = logging.StreamHandler()
        handler.addFilter(RequestIdFilter())
        handler.setFormatter(logging.Formatter("%(request_id)s %(levelname)s %(message)s"))
    """

    def __init__(self, default: str = "-") -> None:
        super().__init__()
        self.default = default

    def filter(self, record: logging.LogRecord) -> bool:
        """Set the attribute, unless the record has it; return True."""
        if not hasattr(record, "request_id"):
            record.request_id = _running_id() or self.default
        return True


def _running_id() -> str | None:
    exchange = CURRENT.get(None)
    if exchange is None:
        running = _RUNNING.get()
        exchange = None if running is None else running()
        if exchange is None or exchange.is_finished:
            return None
    request_id = exchange.environ.get(REQUEST_ID)
    return None if request_id is None else str(request_id)
