"""`ProfilerMiddleware`: where the time of one request goes, by pyinstrument."""

from __future__ import annotations

__all__ = ["ProfilerMiddleware", "take_parameter"]

import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.addresses import parse_allow
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.refusal import Refusal
from wsgikit.onion.reply import Reply
from wsgikit.wsgi import WSGIApplication

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange

_PARAMETER = "__profile__"
_HEADER = "HTTP_X_PROFILE"
_INTERVAL_SECONDS = 0.001  # pyinstrument's own
_STREAMED_SECONDS = 30.0  # how long a stream is profiled: an event stream has no end
# The page has its scripts and styles in it; a policy of a layer further out would block them.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:"


def take_parameter(query: str) -> tuple[str | None, str]:
    """Return the value of ``__profile__`` in a query string, or None if it isn't there, and the query without it."""
    value = None
    kept = []
    for pair in query.split("&"):
        name, _, text = pair.partition("=")
        if name == _PARAMETER:
            value = text
        else:
            kept.append(pair)
    return value, "&".join(kept)


class ProfilerMiddleware(Middleware):
    """Answer a request with a profile of itself instead of its response.

    ``?__profile__`` shows a page with the calls that took the time, ``?__profile__=text`` the same as text, and
    ``?__profile__=file`` sends a file for https://www.speedscope.app. The request runs as any other: what it changes
    stays changed. The application doesn't see the parameter.

    Use it in development, and on staging behind `allow`. Leave it out of production: a profile shows code, and a
    request that is profiled takes longer.

    Place: outside of the layers to be profiled, inside `ProxyHeadersMiddleware`. Environ: nothing.

    Args:
        app: the WSGI application to wrap.
        allow: who may profile: ``"local"``, addresses and networks. Others get a 404.
        trigger: ``"query"`` for the parameter, ``"header"`` for a header ``X-Profile`` with the same values.

    Raises:
        ConfigurationError: an option that can't work, or pyinstrument isn't installed
            (``pip install 'wsgikit[profiler]'``).

    A stream is profiled to its end, for thirty seconds at most.

    Example::

        stack = build_stack(app, use(ProfilerMiddleware))
    """

    teardown_needs_state: ClassVar[bool] = True

    def __init__(
        self,
        app: WSGIApplication,
        *,
        allow: str | Sequence[str] = "local",
        trigger: Literal["query", "header"] = "query",
    ) -> None:
        super().__init__(app)
        where = "ProfilerMiddleware"
        try:
            import pyinstrument
        except ImportError as error:
            remedy = "Run: pip install 'wsgikit[profiler]'"
            raise ConfigurationError(complaint(where, "pyinstrument", "it to be installed", None, remedy)) from error
        if trigger not in ("query", "header"):
            raise ConfigurationError(complaint(where, "trigger", "'query' or 'header'", trigger))
        self._pyinstrument = pyinstrument
        self.allow = parse_allow(where, "allow", allow)
        self.trigger = trigger
        self._is_query = trigger == "query"
        self._refusal = Refusal(404, "There is nothing here.")

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Begin a profile if the request asks for one."""
        environ = exchange.environ
        if self._is_query:
            query = environ.get("QUERY_STRING")
            if not query or _PARAMETER not in query:
                return None
            kind, rest = take_parameter(query)
        else:
            kind, rest = environ.get(_HEADER), environ.get("QUERY_STRING", "")
        if kind is None:
            return None
        if not self.allow.permits(environ):
            return self._refusal
        if kind not in ("", "html", "text", "file"):
            return Refusal(400, "A profile is html, text or file.")
        environ["QUERY_STRING"] = rest
        # "disabled": the context of the request is another than that of the thread, and the profile is of both.
        profiler = self._pyinstrument.Profiler(interval=_INTERVAL_SECONDS, async_mode="disabled")
        exchange.state[self] = (profiler, kind)
        # The frame that calls the hooks: what is above it belongs to the server.
        profiler.start(sys._getframe(1), "a request")
        return None

    def after_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Answer with the profile."""
        known = exchange.known_state
        if known is None or self not in known:
            return None
        profiler, kind = known[self]
        if not profiler.is_running:
            return None
        body = exchange.body
        if exchange.is_streaming and body is not None:
            _read(body)
        profiler.stop()
        return _answer(profiler, kind)

    def teardown_request(self, exchange: Exchange) -> None:
        """Stop a profile that an error has ended."""
        known = exchange.known_state
        if known is not None and self in known and known[self][0].is_running:
            known[self][0].stop()


def _read(body: Iterable[bytes]) -> None:
    until = time.monotonic() + _STREAMED_SECONDS
    for _ in body:
        if time.monotonic() > until:
            break


def _answer(profiler: Any, kind: str) -> Reply:
    headers = [("Cache-Control", "no-store"), ("X-Robots-Tag", "noindex")]
    if kind == "text":
        text = profiler.output_text(unicode=True, color=False)
        return Reply(200, text, "text/plain; charset=utf-8", headers)
    if kind == "file":
        from pyinstrument.renderers import SpeedscopeRenderer

        headers.append(("Content-Disposition", 'attachment; filename="profile.speedscope.json"'))
        return Reply(200, profiler.output(SpeedscopeRenderer()), "application/json", headers)
    headers.append(("Content-Security-Policy", _POLICY))
    return Reply(200, profiler.output_html(), "text/html; charset=utf-8", headers)
