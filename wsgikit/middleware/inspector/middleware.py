"""`InspectorMiddleware`: a page that shows what the last requests did, layer by layer."""

from __future__ import annotations

__all__ = ["InspectorMiddleware"]

import hashlib
import hmac
import traceback
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.addresses import parse_allow
from wsgikit.http.redact import HIDDEN
from wsgikit.middleware.inspector.capture import LOGS
from wsgikit.middleware.inspector.history import History
from wsgikit.middleware.inspector.pages import Pages
from wsgikit.middleware.inspector.recording import Recording, make_watched, now
from wsgikit.middleware.inspector.report import Reporter, masked_session
from wsgikit.onion.log import exc_info_of
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.refusal import Refusal
from wsgikit.onion.stack import layers_of
from wsgikit.onion.usage import measure_usage, session_use
from wsgikit.options.amounts import check_amount
from wsgikit.options.flags import check_flags
from wsgikit.options.secrets import check_secrets
from wsgikit.wsgi import CSRF, REQUEST_ID, ROUTING_ARGS, SESSION, Environ, WSGIApplication

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange


class InspectorMiddleware(Middleware):
    """Show the last requests on a page: each layer's time and changes, statements, session, logs and errors.

    Use it while developing, around any framework: open ``/__onion__``. On a staging site, give `allow` the addresses
    of the developers, and a `token`. Don't use it on a public site: who may open it sees paths, headers and
    statements of all visitors, with secrets masked.

    Place: outside of whatever it shows, inside `ProxyHeadersMiddleware`. Layers of other packages, and what is inside
    them, count as the application. Environ: sets ``wsgikit.usage``, so that databases and session stores measure what
    they do.

    Args:
        app: the WSGI application to wrap.
        path: the address of the page. What is below it belongs to the inspector.
        allow: who may open it: ``"local"`` for requests from this machine, addresses and networks. Others get a 404.
        token: a secret of at least 16 characters that is asked for as well: open ``/__onion__?token=…`` once.
        keep: how many requests are kept, in this process.
        max_bytes: how much memory they may take, about.
        show_session: whether values of sessions are shown, except those whose name is that of a secret.

    Raises:
        ConfigurationError: an option that can't work.

    Each process keeps its own requests: run one process to see all. ``/__onion__/requests.json`` and
    ``/__onion__/requests/<id>.json`` have the same as JSON, ``/__onion__/in-flight.json`` the running requests.

    Example::

        stack = build_stack(app, use(InspectorMiddleware, keep=200))
    """

    inside_of = ("ProxyHeadersMiddleware",)
    counts_bytes = True

    def __init__(
        self,
        app: WSGIApplication,
        *,
        path: str = "/__onion__",
        allow: str | Iterable[str] = "local",
        token: str | None = None,
        keep: int = 100,
        max_bytes: int = 16 * 1024 * 1024,
        show_session: bool = False,
    ) -> None:
        super().__init__(app)
        where = "InspectorMiddleware"
        check_flags(where, show_session=show_session)
        if not isinstance(path, str) or not path.startswith("/") or path.endswith("/"):
            remedy = "Write '/__onion__'"
            raise ConfigurationError(complaint(where, "path", "a path that begins with a slash", path, remedy))
        if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
            raise ConfigurationError(complaint(where, "keep", "a whole number of at least 1", keep))
        if token is not None and not isinstance(token, str):
            raise ConfigurationError(f"{where}: token: expected a text, got a {type(token).__name__}.")
        self.path = path
        self.allow = parse_allow(where, "allow", allow)
        self.keep = keep
        self.show_session = show_session
        self._token = None if token is None else check_secrets(where, token, "token")[0]
        self._history = History(keep, check_amount(where, "max_bytes", max_bytes, minimum=1))
        self._running: dict[Exchange, Recording] = {}
        LOGS.install(self)
        reporter = Reporter(lambda: layers_of(self))
        cookie = None if self._token is None else hmac.digest(self._token, b"wsgikit.inspector", hashlib.sha256).hex()
        self._pages = Pages(path, self._history, self._running, reporter, self._token, cookie)
        self._below = path + "/"
        self._hidden = Refusal(404, "There is nothing here.")

    # ------------------------------------------------------------------ the hooks

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Answer for the page, or begin to record."""
        environ = exchange.environ
        path = environ.get("PATH_INFO", "")
        if path == self.path or path.startswith(self._below):
            return self._pages.answer(exchange, path) if self.allow.permits(environ) else self._hidden
        recording = self._running[exchange] = Recording(environ)
        LOGS.begin(recording)
        measure_usage(environ).observers.append(recording.note_call)
        return None

    def watch_hook(self, layer: Middleware, name: str, hook: Callable[..., Any]) -> Callable[..., Any]:
        """Have each hook of the layers inside measured."""
        return make_watched(self._running.get, layer, name, hook)

    def teardown_request(self, exchange: Exchange) -> None:
        """Keep the recording."""
        recording = self._running.pop(exchange, None)
        if recording is None:
            return
        LOGS.end(recording)
        recording.duration = now() - recording.began
        recording.is_over = True
        self._complete(recording, exchange)
        self._history.add(recording)

    def close(self) -> None:
        """Stop to see records of `logging`."""
        LOGS.remove(self)

    def _complete(self, recording: Recording, exchange: Exchange) -> None:
        """Add what is known at the end of a request."""
        environ = exchange.environ
        recording.status = exchange.status_code or 500  # without a response the server answers
        recording.response = tuple(exchange.header_list)
        recording.outcome = exchange.outcome
        recording.bytes = exchange.bytes_sent
        recording.answered_by = exchange.answered_by
        recording.request_id = environ.get(REQUEST_ID)
        recording.is_committed = exchange.commit_begun_at is not None
        recording.routing_args = environ.get(ROUTING_ARGS)
        route = exchange.route
        if route is not None:
            recording.route = route.rule
            recording.policy = exchange.policy
        recording.layers, recording.left_out = self._layers_inside(exchange)
        verdict = environ.get(CSRF)
        if verdict is not None:  # the object itself leads to environ
            recording.verdict = (getattr(verdict, "allowed", False), getattr(verdict, "reason", "?"))
        recording.session_use = session_use(environ)
        if recording.session_use in ("read", "changed"):
            recording.session = _session_of(environ, self.show_session)
        error = exchange.error
        if error is not None:
            recording.error = f"{type(error).__name__}: {error}"[:500]
            shown = exc_info_of(error) or (type(error), error, error.__traceback__)
            recording.traceback = "".join(traceback.format_exception(*shown))[-20_000:]

    def _layers_inside(self, exchange: Exchange) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the layers that the request was in, outermost first, and those whose scope it is outside of."""
        layers = self._onion.layers
        scoped = [layer for layer in layers if layer.__wsgikit_scope__ is not None]
        if not scoped:
            return self._names, ()
        inside = exchange.layers
        left_out = [layer for layer in scoped if layer not in inside]
        names = [type(layer).__name__ for layer in layers[1:] if layer not in left_out]
        return tuple(names), tuple(type(layer).__name__ for layer in left_out)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(type(layer).__name__ for layer in self._onion.layers[1:])


def _session_of(environ: Environ, show_values: bool) -> dict[str, str]:
    try:
        return masked_session(environ[SESSION], show_values)
    except Exception as error:  # noqa: BLE001  # a store that is down, a session of another library
        return {HIDDEN: f"can't be read: {type(error).__name__}"}
