"""`BodyLimitMiddleware`: refuse bodies that are too large or come too slowly."""

from __future__ import annotations

__all__ = ["BodyLimitMiddleware"]

from functools import lru_cache
from typing import Any

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.input import LimitedInput, RefusedInput, declared_length, lower_limits
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.refusal import Refusal
from wsgikit.options.amounts import check_amount, check_duration
from wsgikit.wsgi import REQUEST_LIMITS, Environ, WSGIApplication

_LIMIT = "max_content_length"
_NEAREST = "wsgikit.body_limit"  # the guard of the innermost layer: a policy replaces its limit
_MALFORMED = Refusal(400, "The Content-Length of the request is no number.")
_TOO_LARGE = Refusal(413, "The body of the request is too large.")
_TOO_SLOW = Refusal(408, "The body of the request came too slowly.")
# A request without a length and without a transfer coding has no body (RFC 9112 §6.3). HTTP/2 has other rules.
_BODILESS = frozenset(("HTTP/1.1", "HTTP/1.0"))


class _Guard:
    """What one layer has put around the body of one request.

    Attributes:
        max_bytes: the limit of this layer and those further out.
        outer_bytes: the limit of the layers further out; None if there is none.
        limited: the input that counts or refuses, or None.
        paced: the input that measures the time, or None.
    """

    __slots__ = ("limited", "max_bytes", "outer_bytes", "paced")

    def __init__(self, max_bytes: int, outer_bytes: int | None) -> None:
        self.max_bytes = max_bytes
        self.outer_bytes = outer_bytes
        self.limited: LimitedInput | RefusedInput | None = None
        self.paced: Any = None

    def set_limit(self, environ: Environ, max_bytes: int) -> None:
        """Have readers of the body get an error beyond a number of bytes."""
        limited = self.limited
        if isinstance(limited, LimitedInput):
            limited.max_bytes = max_bytes
            return
        if limited is not None and environ["wsgi.input"] is limited:
            environ["wsgi.input"] = limited.source
        self.limited = None
        length = declared_length(environ)
        if length is None:
            self.limited = LimitedInput(environ["wsgi.input"], max_bytes)
        elif length > max_bytes:
            self.limited = RefusedInput(environ["wsgi.input"])
        if self.limited is not None:
            environ["wsgi.input"] = self.limited

    def refusal(self) -> Refusal | None:
        """Return the answer if a reader of the body got an error of ours."""
        if self.paced is not None and self.paced.is_late:
            return _TOO_SLOW
        return _TOO_LARGE if self.limited is not None and self.limited.is_exceeded else None


class BodyLimitMiddleware(Middleware):
    """Refuse a request whose body is too large (413), or whose client sends it too slowly (408).

    Use it around every application: most frameworks read a body of any size into memory or onto the disk. Servers and
    proxies have a limit, too (nginx' ``client_max_body_size`` is 1 MiB); this one can differ from path to path by
    ``use(…, only=…)``, and from view to view by ``policy(body_limit="20MiB")``. A layer inside of another may only
    lower the limit; the policy of a view replaces that of the nearest layer.

    Place: outside of whatever reads the body. Environ: sets ``wsgikit.request_limits``, whose
    ``max_content_length`` `Request` and `Router` obey as well; replaces ``wsgi.input`` if the length isn't known.

    Args:
        app: the WSGI application to wrap.
        max_body_bytes: the most bytes; a body of exactly as many passes.
        max_seconds: how long the client may be waited for until the whole body is there; None for any time.
        min_bytes_per_second: how much has to come in a second on average, after three seconds; None for any pace.

    Raises:
        ConfigurationError: an option that can't work.

    A ``Content-Length`` that is too large is refused before a byte is read, one that is no number with a 400. Other
    bodies are counted: past the limit ``wsgi.input`` raises Werkzeug's ``RequestEntityTooLarge``. If the application
    makes another error of that, the answer is the 413 all the same; an answer below 400 stays.

    The time that counts is the one that a reader waits. A reading that blocks is ended if the server shows its socket
    in environ, as gunicorn and Werkzeug's server do. waitress, and a proxy such as nginx by default, read the whole
    body before the application is called: their own time limit counts then.

    Example::

        stack = build_stack(app, use(BodyLimitMiddleware, max_body_bytes="1MiB", min_bytes_per_second=500))
    """

    request_policy = ("body_limit",)

    def __init__(
        self,
        app: WSGIApplication,
        *,
        max_body_bytes: int | str = "10MiB",
        max_seconds: float | str | None = None,
        min_bytes_per_second: int | None = None,
    ) -> None:
        super().__init__(app)
        where = "BodyLimitMiddleware"
        self.max_body_bytes = check_amount(where, "max_body_bytes", max_body_bytes)
        self.max_seconds = None if max_seconds is None else check_duration(where, "max_seconds", max_seconds)
        rate = min_bytes_per_second
        if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int) or rate < 1):
            raise ConfigurationError(complaint(where, "min_bytes_per_second", "a whole number of at least 1", rate))
        self.min_bytes_per_second = rate
        self._is_paced = max_seconds is not None or rate is not None

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Put the limits around the body."""
        environ = exchange.environ
        length = environ.get("CONTENT_LENGTH")
        if length:
            if not (length.isascii() and length.isdigit()):
                return _MALFORMED
        elif "HTTP_TRANSFER_ENCODING" not in environ and environ.get("SERVER_PROTOCOL") in _BODILESS:
            return None
        known = environ.get(REQUEST_LIMITS)
        limits = environ[REQUEST_LIMITS] = {**lower_limits(known, {_LIMIT: self.max_body_bytes})}
        guard = environ[_NEAREST] = exchange.state[self] = _Guard(limits[_LIMIT], known.get(_LIMIT) if known else None)
        if self._is_paced:
            self._pace(exchange, guard)
        guard.set_limit(environ, guard.max_bytes)
        return None

    def before_view(self, exchange: Exchange) -> WSGIApplication | None:
        """Refuse a length that is too large for the view."""
        state = exchange.known_state
        guard: _Guard | None = state.get(self) if state is not None else None
        if guard is None:
            return None
        environ = exchange.environ
        limit = guard.max_bytes
        wanted = exchange.policy.get("body_limit")
        if wanted and environ[_NEAREST] is guard:
            limit = _size_of(wanted)
            if guard.outer_bytes is not None:
                limit = min(limit, guard.outer_bytes)
            environ[REQUEST_LIMITS] = {**environ[REQUEST_LIMITS], _LIMIT: limit}
            guard.set_limit(environ, limit)
        length = declared_length(environ)
        return _refuse(environ, _TOO_LARGE) if length is not None and length > limit else None

    def after_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Put the right error in the place of another one that the application made of it."""
        state = exchange.known_state
        if state is None or self not in state or exchange.status_code < 400:
            return None
        refusal: Refusal | None = state[self].refusal()
        if refusal is None:
            return None
        _refuse(exchange.environ, refusal)
        return None if exchange.status_code in (408, 413) else refusal

    def handle_exception(self, exchange: Exchange, error: Exception) -> WSGIApplication | None:
        """Answer if a reader of the body got an error."""
        guard: _Guard | None = (exchange.known_state or {}).get(self)
        if guard is None:
            return None
        from werkzeug.exceptions import RequestEntityTooLarge  # only requests with a body need it

        # `Request` raises it as well, before it reads.
        refusal = guard.refusal() or (_TOO_LARGE if isinstance(error, RequestEntityTooLarge) else None)
        return None if refusal is None else _refuse(exchange.environ, refusal)

    def _pace(self, exchange: Exchange, guard: _Guard) -> None:
        from wsgikit.middleware.body_limit.pace import PacedInput, socket_of  # only if the time counts

        environ = exchange.environ
        paced = PacedInput(environ["wsgi.input"], socket_of(environ), self.max_seconds, self.min_bytes_per_second)
        environ["wsgi.input"] = guard.paced = paced
        exchange.on_teardown(paced.stop)


def _refuse(environ: Environ, refusal: Refusal) -> Refusal:
    """Return the refusal, and have the server not read the rest of the body."""
    from wsgikit.middleware.body_limit.pace import socket_of, stop_receiving  # only a refused body needs it

    sock = socket_of(environ)
    if sock is not None:
        stop_receiving(sock)
    return refusal


@lru_cache(256)
def _size_of(value: int | str) -> int:
    return check_amount("policy: body_limit", "max_body_bytes", value)
