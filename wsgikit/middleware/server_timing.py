"""`ServerTimingMiddleware`: show in the browser's tools where the time of a response went."""

from __future__ import annotations

__all__ = ["ServerTimingMiddleware", "server_timing_value"]

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.addresses import parse_allow
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.usage import measure_usage
from wsgikit.options.flags import check_flags
from wsgikit.wsgi import USAGE, WSGIApplication

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange

_now = time.perf_counter
_TIMED = ("before_request", "before_view", "after_request")
_APPLICATION = "app"


def server_timing_value(entries: Iterable[tuple[str, float, str]]) -> str:
    """Return a ``Server-Timing`` value (https://www.w3.org/TR/server-timing/).

    Args:
        entries: the name of each, which has to be a token, its seconds, and a description in ASCII or nothing.
    """
    parts = []
    for name, seconds, description in entries:
        shown = f';desc="{description}"' if description else ""
        parts.append(f"{name};dur={seconds * 1000:.2f}{shown}")
    return ", ".join(parts)


class ServerTimingMiddleware(Middleware):
    """Send a ``Server-Timing`` header: the time until the head was ready, and that of the database.

    Browsers show it beside each request in their developer tools.

    Use it in development and on staging. Only those in `allow` get the header: durations tell visitors which users
    exist and how large tables are.

    Place: outside of the layers to be measured. Environ: provides nothing.

    Args:
        app: the WSGI application to wrap.
        total: whether the header has ``total``: until the head was ready to leave.
        layers: whether it has an entry for each layer inside that is fused with this one, and ``app`` for the rest.
        database: whether it has ``db``: time and number of statements, if there were any.
        allow: who gets the header: ``"local"``, addresses and networks.

    Raises:
        ConfigurationError: an option that can't work; all three are off.

    A header that the application set itself is kept beside it.

    Example::

        stack = build_stack(app, use(ServerTimingMiddleware, layers=True))
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        total: bool = True,
        layers: bool = False,
        database: bool = True,
        allow: str | Sequence[str] = "local",
    ) -> None:
        super().__init__(app)
        where = "ServerTimingMiddleware"
        check_flags(where, total=total, layers=layers, database=database)
        if not (total or layers or database):
            remedy = "Leave the layer out if nothing is to be shown"
            raise ConfigurationError(complaint(where, "total", "True for total, layers or database", False, remedy))
        self.total = total
        self.layers = layers
        self.database = database
        self.allow = parse_allow(where, "allow", allow)

    def before_request(self, exchange: Exchange) -> None:
        """Begin to measure."""
        times: dict[str, float] | None = {} if self.layers else None
        exchange.state[self] = (_now(), times)
        if self.database:
            measure_usage(exchange.environ)

    def after_request(self, exchange: Exchange) -> None:
        """Add the header."""
        began, times = exchange.state[self]
        seconds = _now() - began
        if not self.allow.permits(exchange.environ):
            return
        value = server_timing_value(self._entries(seconds, times, exchange.environ))
        if value:
            exchange.headers.add("Server-Timing", value)

    def _entries(
        self, seconds: float, times: Mapping[str, float] | None, environ: Mapping[str, Any]
    ) -> Iterable[tuple[str, float, str]]:
        if self.total:
            yield "total", seconds, ""
        usage = environ.get(USAGE) if self.database else None
        if usage is not None and usage.statements:
            yield "db", usage.database_seconds, f"{usage.statements} statement{'s' if usage.statements > 1 else ''}"
        if times is not None:
            for name, of_layer in times.items():
                yield name, of_layer, ""
            yield _APPLICATION, max(0.0, seconds - sum(times.values())), ""

    def watch_hook(self, layer: Middleware, name: str, hook: Callable[..., Any]) -> Callable[..., Any]:
        """Measure the hooks of a layer on the way in and out."""
        if not self.layers or name not in _TIMED:
            return hook
        entry = type(layer).__name__

        def timed(exchange: Exchange) -> Any:
            began = _now()
            try:
                return hook(exchange)
            finally:
                known = exchange.known_state
                noted = None if known is None else known.get(self)
                if noted is not None:  # the layer has a scope, and this request isn't in it
                    times = noted[1]
                    times[entry] = times.get(entry, 0.0) + _now() - began

        timed.__self__ = layer  # type: ignore[attr-defined]  # error texts name a hook with its layer
        timed.__name__ = name
        return timed
