"""What a developer is shown of an error, as data: the traceback, the onion, the request, with secrets hidden."""

from __future__ import annotations

__all__ = ["DebugView", "OnionLayer", "read_view"]

import os
import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from wsgikit.error_pages.frames import Problem, read_problems
from wsgikit.error_pages.render import ErrorPage
from wsgikit.error_pages.report import ErrorReport, layer_name
from wsgikit.error_pages.safe_repr import safe_repr
from wsgikit.http.redact import HIDDEN, Redactor, is_secret_name, known_secrets
from wsgikit.onion.exchange import Exchange
from wsgikit.wsgi import ROUTING, ROUTING_ARGS, STACK, Environ

Pairs = tuple[tuple[str, str], ...]

_MOST_STATEMENTS = 50
_LONGEST_STATEMENT = 2000
# Headers that tell what a client is and wants. Of any other only the length is shown: a secret may have any name.
_HARMLESS_HEADERS = {
    *("accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "connection"),
    *("content-encoding", "content-length", "content-type", "date", "dnt", "expect", "host", "if-match"),
    *("if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "keep-alive", "origin", "pragma"),
    *("priority", "range", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform", "sec-fetch-dest"),
    *("sec-fetch-mode", "sec-fetch-site", "sec-fetch-user", "te", "transfer-encoding", "upgrade"),
    *("upgrade-insecure-requests", "user-agent", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port"),
    *("x-forwarded-prefix", "x-forwarded-proto", "x-request-id", "x-requested-with", "traceparent"),
}


@dataclass(frozen=True, slots=True)
class OnionLayer:
    """A layer as it is drawn: its name, its options with secrets masked, the hook that raised, if one of it did."""

    name: str
    options: str
    hook: str | None


@dataclass(frozen=True, slots=True)
class DebugView:
    """All that the traceback page shows, as text that is safe to be shown.

    Attributes:
        page: what a visitor would have been told.
        where: the layer and hook that raised it, or ``the application``.
        fingerprint: the same for the same error.
        problems: the error first, then what it came from.
        onion: the layers, outermost first, and the application last.
        request: method, URL, peer, …
        headers: of the request.
        route: the matched route and its arguments.
        session_keys: of a session that was loaded already, or None.
        statements: SQL of this request with its milliseconds.
        versions: of Python and wsgikit.
    """

    page: ErrorPage
    where: str
    fingerprint: str
    problems: tuple[Problem, ...]
    onion: tuple[OnionLayer, ...]
    request: Pairs
    headers: Pairs
    route: Pairs
    session_keys: tuple[str, ...] | None
    statements: tuple[tuple[str, float], ...]
    versions: str


def read_view(exchange: Exchange, report: ErrorReport, page: ErrorPage, show_locals: bool) -> DebugView:
    """Gather it. Neither the session nor the database is touched: what isn't loaded is not shown."""
    environ = exchange.environ
    layers = _layers(exchange)
    redactor = Redactor()
    for secret in known_secrets(environ, os.environ, layers):
        redactor.learn(secret)
    problems = read_problems(report.error, redactor, show_locals)  # first: it learns secrets from locals
    return DebugView(
        page=page,
        where=report.where,
        fingerprint=report.fingerprint,
        problems=problems,
        onion=tuple(_onion(layers, environ, report, redactor)),
        request=tuple(_request(environ, report, redactor)),
        headers=tuple(_headers(environ, redactor)),
        route=tuple(_route(environ, report, redactor)),
        session_keys=_session_keys(environ),
        statements=tuple(_statements(exchange, redactor)),
        versions=f"Python {platform.python_version()}, wsgikit {_version()}",
    )


def _layers(exchange: Exchange) -> tuple[Any, ...]:
    stack = exchange.environ.get(STACK)
    layers = getattr(stack, "layers", None)
    return layers if isinstance(layers, tuple) else exchange.layers


def _onion(layers: Iterable[Any], environ: Environ, report: ErrorReport, redactor: Redactor) -> Iterator[OnionLayer]:
    from wsgikit.options import mask

    for layer in layers:
        name = layer_name(layer, environ)
        options = getattr(layer, "_options", {})
        text = ", ".join(f"{key}={mask(key, value)}" for key, value in options.items())
        yield OnionLayer(name, redactor.text(text), report.hook if name == report.layer else None)
    app = getattr(layers[-1] if isinstance(layers, tuple) and layers else None, "app", None)
    name = getattr(app, "__qualname__", None) or type(app).__qualname__
    yield OnionLayer(f"{getattr(app, '__module__', '?')}.{name}", "", None if report.layer else "raised here")


def _request(environ: Environ, report: ErrorReport, redactor: Redactor) -> Iterator[tuple[str, str]]:
    yield "Method", report.method
    yield "Path", redactor.text(report.path)
    host = environ.get("HTTP_HOST") or f"{environ.get('SERVER_NAME', '')}:{environ.get('SERVER_PORT', '')}"
    query = "&".join(_query(environ.get("QUERY_STRING", "")))
    url = f"{environ.get('wsgi.url_scheme', 'http')}://{host}{report.path}"
    yield "URL", redactor.text(f"{url}?{query}" if query else url)
    yield "Peer", str(environ.get("REMOTE_ADDR", "not known"))
    yield "Protocol", str(environ.get("SERVER_PROTOCOL", "not known"))
    if report.request_id:
        yield "Request id", report.request_id
    if environ.get("REMOTE_USER"):
        yield "Remote user", redactor.text(str(environ["REMOTE_USER"]))
    kinds = [word for word in ("multithread", "multiprocess") if environ.get(f"wsgi.{word}")]
    yield "Server", f"{environ.get('SERVER_SOFTWARE', 'not known')}{' · ' if kinds else ''}{', '.join(kinds)}"


def _query(query: str) -> Iterator[str]:
    for pair in query.split("&") if query else ():
        name, sign, value = pair.partition("=")
        yield f"{name}{sign}{HIDDEN}" if value and is_secret_name(unquote_plus(name)) else pair


def _headers(environ: Environ, redactor: Redactor) -> Iterator[tuple[str, str]]:
    for key in sorted(environ):
        if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            name = key.replace("_", "-").title()
        elif key.startswith("HTTP_"):
            name = key[5:].replace("_", "-").title()
        else:
            continue
        value = str(environ[key])
        if not value:
            continue
        if name.lower() in _HARMLESS_HEADERS:
            yield name, redactor.message(value)
        elif name == "Cookie":
            yield (
                name,
                "; ".join(f"{pair.partition('=')[0].strip()}={HIDDEN}" for pair in value.split(";") if pair.strip()),
            )
        else:
            yield name, f"{HIDDEN} ({len(value)} characters)"


def _route(environ: Environ, report: ErrorReport, redactor: Redactor) -> Iterator[tuple[str, str]]:
    if report.route:
        yield "Route", redactor.text(report.route)
    endpoint = getattr(environ.get(ROUTING), "endpoint", None)
    if isinstance(endpoint, str) and endpoint:
        yield "Endpoint", redactor.text(endpoint)
    arguments = environ.get(ROUTING_ARGS)
    if isinstance(arguments, tuple) and len(arguments) == 2:
        positional, named = arguments
        for index, value in enumerate(positional if isinstance(positional, (list, tuple)) else ()):
            yield str(index), safe_repr(value, redactor.message)
        for name, value in named.items() if isinstance(named, dict) else ():
            if value == report.route:
                continue
            yield str(name), redactor.named(str(name), safe_repr(value, redactor.message))


def _session_keys(environ: Environ) -> tuple[str, ...] | None:
    # The environ key can be renamed. To ask the session itself would load it, and add `Vary: Cookie`: a session that
    # was looked at decides the response.
    for value in list(environ.values()):
        peek = getattr(type(value), "__wsgikit_peek__", None)
        if peek is not None:
            try:
                keys = peek(value)
            except Exception:  # noqa: BLE001 - the page must come, with or without the keys
                continue
            if keys is not None:
                return tuple(sorted(map(str, keys)))
    return None


def _statements(exchange: Exchange, redactor: Redactor) -> Iterator[tuple[str, float]]:
    recorded = [entry for each in _with_nested(exchange) for entry in each.state.get("wsgikit.sql") or ()]
    for entry in recorded[-_MOST_STATEMENTS:]:
        try:
            statement, seconds = entry[0], float(entry[1])
        except (TypeError, ValueError, IndexError):
            continue
        yield redactor.message(" ".join(str(statement).split()))[:_LONGEST_STATEMENT], seconds * 1000


def _with_nested(exchange: Exchange) -> Iterator[Exchange]:
    """Yield the exchanges of this request: a layer of others between ours makes a second one."""
    for nested in exchange.nested:
        yield from _with_nested(nested)
    yield exchange


def _version() -> str:
    from wsgikit import __version__

    return __version__
