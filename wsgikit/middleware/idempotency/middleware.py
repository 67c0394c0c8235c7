"""A request that is repeated has its effect once."""

from __future__ import annotations

__all__ = ["IdempotencyMiddleware"]

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.middleware.idempotency.identity import client_of, fingerprint_body, read_key, record_id
from wsgikit.middleware.idempotency.table import Kept, KeptResponses, Reservation
from wsgikit.onion.log import log_error
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.refusal import Refusal
from wsgikit.onion.scope import Scope
from wsgikit.onion.whole import take_whole
from wsgikit.options.amounts import check_amount
from wsgikit.options.flags import check_flags
from wsgikit.wsgi import DB, DEADLINE, EXCHANGE, Environ, WSGIApplication

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from wsgikit.onion.exchange import Exchange

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "QUERY", "TRACE"})
_LEASE_SECONDS = 60.0
_MOST_BYTES = 1_048_576  # of a body that is kept
_NOT_KEPT = frozenset({"set-cookie", "set-cookie2", "date", "connection", "transfer-encoding"})
_REPLAYED = ("Idempotent-Replayed", "true")
_RUNNING = Refusal(409, "A request with this idempotency key is running. Wait for its response, or repeat it later.")
_OTHER = Refusal(422, "This idempotency key was used for a request with other content. Use a new key.")
_NO_CLIENT = Refusal(400, "An idempotency key needs a user or a session. Log in first.")


class _Attempt:
    """A request with a key.

    Attributes:
        key: of its header.
        fingerprint: of what it asks for.
        engine: of its database, when the key is reserved.
        reservation: the key, when it is reserved.
        is_kept: whether its response is part of the transaction, which may still fail.
    """

    __slots__ = ("engine", "fingerprint", "is_kept", "key", "reservation")

    def __init__(self, key: str, fingerprint: str) -> None:
        self.key = key
        self.fingerprint = fingerprint
        self.engine: Engine | None = None
        self.reservation: Reservation | None = None
        self.is_kept = False


class IdempotencyMiddleware(Middleware):
    """Lets a client repeat a POST that it has no answer to: the effect happens once, and the first answer comes again.

    The client sends a new ``Idempotency-Key`` with each request that it may repeat. The response is kept in the
    request's own transaction, so that both are committed or neither is, even if the process is killed in between. A
    repetition gets the kept response with ``Idempotent-Replayed: true``; while the first request runs, a 409; with
    other content, a 422. Only committed responses are kept: after an error the request runs again.

    Use it for payments, orders and the like. It protects what is in the request's own database; a mail or a call of
    another service isn't part of the transaction. Requests without the header, and GET, HEAD, OPTIONS and QUERY, pass.

    It belongs inside sessions, authentication and csrf, whose refusals go before a repetition, and outside
    `DatabaseMiddleware`, whose SQLAlchemy session or connection it uses: ``environ["wsgikit.db"]``. It reads
    ``environ["wsgikit.user"]``, ``REMOTE_USER``, ``environ["wsgikit.session"]`` and ``environ["wsgikit.deadline"]``,
    and provides none. The table ``wsgikit_idempotency`` is made if it is missing.

    The key is bound to the user, without one to the session, and to method and path. A body that is streamed or larger
    than 1 MiB isn't kept: its repetition is a 409 that says so. ``Set-Cookie`` is never kept.

    Args:
        app: the WSGI application to wrap.
        ttl_seconds: for how long a response is kept.
        required: requests that must have a key, else they are a 400: path patterns such as ``"POST /payments/*"``,
            methods, or callables of environ, as in ``use(…, only=…)``.
        header: the name of the header.
        anonymous: whether keys are taken from clients without a user or session. A client that knows such a key gets
            its response.

    Raises:
        ConfigurationError: an option that can't work, or SQLAlchemy isn't installed.
        ApplicationError: in a request with a key, there is no database, or it isn't SQLAlchemy's.

    Example::

        from wsgikit import DatabaseMiddleware, IdempotencyMiddleware, build_stack, use

        stack = build_stack(
            app,
            use(IdempotencyMiddleware, required="POST /payments/*", anonymous=True),
            use(DatabaseMiddleware, url="sqlite:///shop.db"),
        )
    """

    inside_of: ClassVar[tuple[str | type, ...]] = ("SessionMiddleware", "AuthenticationMiddleware", "CsrfMiddleware")
    outside_of: ClassVar[tuple[str | type, ...]] = ("DatabaseMiddleware",)
    teardown_needs_state: ClassVar[bool] = True

    def __init__(
        self,
        app: WSGIApplication,
        *,
        ttl_seconds: int = 86_400,
        required: str | Callable[[Environ], bool] | Iterable[str | Callable[[Environ], bool]] = (),
        header: str = "Idempotency-Key",
        anonymous: bool = False,
    ) -> None:
        super().__init__(app)
        where = type(self).__name__
        check_flags(where, anonymous=anonymous)
        ttl_seconds = check_amount(where, "ttl_seconds", ttl_seconds, minimum=1)
        if not isinstance(header, str) or not header.isascii() or not header.replace("-", "").isalnum():
            raise ConfigurationError(complaint(where, "header", "the name of a header", header))
        patterns: Any = (required,) if isinstance(required, str) or callable(required) else tuple(required)
        self._needs_key = Scope(where, patterns, None, only_name="required").matches if patterns else None
        self._header_key = f"HTTP_{header.upper().replace('-', '_')}"
        self._anonymous = anonymous
        self._responses = KeptResponses(where, ttl_seconds)
        self._bad_key = Refusal(400, f"The header {header} needs 1 to 255 visible characters.")
        self._no_key = Refusal(400, f"This request needs the header {header}, with a new value for each request.")

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Read the key and the body."""
        environ = exchange.environ
        if self._header_key not in environ:
            is_needed = self._needs_key is not None and self._needs_key(environ)
            return self._no_key if is_needed and environ["REQUEST_METHOD"] not in _SAFE else None
        if environ["REQUEST_METHOD"] in _SAFE:
            return None
        key = read_key(environ[self._header_key])
        if key is None:
            return self._bad_key
        fingerprint, spool = fingerprint_body(environ)
        exchange.on_teardown(spool.close)
        attempt = exchange.state[self] = _Attempt(key, fingerprint)
        # Now, not in before_view: a database layer that repeats the request keeps what was registered before.
        exchange.before_commit(lambda of: self._keep(of, attempt))
        return None

    def before_view(self, exchange: Exchange) -> WSGIApplication | None:
        """Reserve the key, or answer for the request that had it first."""
        known = exchange.known_state
        attempt: _Attempt | None = None if known is None else known.get(self)
        if attempt is None or attempt.reservation is not None:
            return None
        environ = exchange.environ
        client = client_of(environ)
        if client is None and not self._anonymous:
            return _NO_CLIENT
        engine = self._responses.engine_of(environ.get(DB))
        deadline: float | None = environ.get(DEADLINE)
        lease = _LEASE_SECONDS if deadline is None else max(1.0, deadline - time.monotonic())
        record = record_id(client, environ, attempt.key)
        found = self._responses.reserve(engine, record, attempt.fingerprint, lease)
        if isinstance(found, Reservation):
            attempt.engine, attempt.reservation = engine, found
            return None
        if isinstance(found, Kept):
            return _replay(exchange, found)
        return _RUNNING if found == "running" else _OTHER

    def teardown_request(self, exchange: Exchange) -> None:
        """Give the key back if nothing was committed."""
        attempt: _Attempt | None = exchange.state.get(self)
        if attempt is None or attempt.reservation is None or attempt.is_kept or attempt.engine is None:
            return
        try:
            self._responses.give_back(attempt.engine, attempt.reservation)
        except Exception as error:  # noqa: BLE001  # its lease ends anyway
            log_error(exchange.environ, error, "while giving an idempotency key back")

    def _keep(self, exchange: Exchange, attempt: _Attempt) -> Callable[[], object] | None:
        """Keep the response as part of the transaction that is about to be committed."""
        if attempt.reservation is None:
            return None
        status, headers, body = _read_response(exchange)
        self._responses.complete(exchange.environ[DB], attempt.reservation, status, headers, body)
        attempt.is_kept = True

        def undo() -> None:
            attempt.is_kept = False

        return undo


def _read_response(exchange: Exchange) -> tuple[str, list[tuple[str, str]], bytes | None]:
    """Return status, headers and body of the response that is about to be committed; no body if it isn't at rest."""
    of = exchange
    if of.status is None:  # an attempt of the database layer, or an onion inside of another middleware, commits
        of = exchange.environ.get(EXCHANGE, exchange)
    headers = [pair for pair in of.header_list if pair[0].lower() not in _NOT_KEPT]
    whole: Any = None
    if of.status is not None and not of.is_streaming:
        whole = of.body
    elif of.status is not None and not of.is_head_sent:
        whole = take_whole(of, _MOST_BYTES)
    is_whole = isinstance(whole, (list, tuple)) and sum(map(len, whole)) <= _MOST_BYTES
    return of.status or "200 OK", headers, b"".join(whole) if is_whole else None


def _replay(exchange: Exchange, kept: Kept) -> WSGIApplication:
    """Return a kept response as the answer; a 409 if its body isn't kept."""
    if kept.body is None:
        places = [pair for pair in kept.headers if pair[0].lower() in ("location", "content-location", "etag")]
        detail = f"The request was carried out ({kept.status}), and its response can't be sent again."
        return Refusal(409, detail, [_REPLAYED, *places])
    return exchange.reply(kept.status, kept.body, None, [*kept.headers, _REPLAYED])
