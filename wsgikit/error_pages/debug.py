"""What a developer is shown of an error, as data: the traceback, the onion, the request, with secrets hidden."""

from __future__ import annotations

__all__ = ["DebugView", "OnionLayer", "as_dict", "as_markdown", "as_text", "read_view"]

import os
import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from wsgikit.error_pages.frames import Problem, read_problems, safe_repr
from wsgikit.error_pages.redact import HIDDEN, Redactor, is_secret_name, known_secrets
from wsgikit.error_pages.render import ErrorPage
from wsgikit.error_pages.report import ErrorReport
from wsgikit.onion.exchange import Exchange
from wsgikit.wsgi import ROUTING_ARGS, STACK, Environ

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
        onion=tuple(_onion(layers, report, redactor)),
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
    return layers if isinstance(layers, tuple) else exchange._onion.layers


def _onion(layers: Iterable[Any], report: ErrorReport, redactor: Redactor) -> Iterator[OnionLayer]:
    from wsgikit.options import mask

    for layer in layers:
        name = type(layer).__name__
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
    arguments = environ.get(ROUTING_ARGS)
    if isinstance(arguments, tuple) and len(arguments) == 2:
        positional, named = arguments
        for index, value in enumerate(positional if isinstance(positional, (list, tuple)) else ()):
            yield str(index), redactor.message(safe_repr(value))
        for name, value in named.items() if isinstance(named, dict) else ():
            yield str(name), redactor.named(str(name), safe_repr(value))


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
    recorded = exchange.state.get("wsgikit.sql")
    if not isinstance(recorded, list):
        return
    for entry in recorded[-_MOST_STATEMENTS:]:
        try:
            statement, seconds = entry[0], float(entry[1])
        except (TypeError, ValueError, IndexError):
            continue
        yield redactor.message(" ".join(str(statement).split())[:_LONGEST_STATEMENT]), seconds * 1000


def _version() -> str:
    from wsgikit import __version__

    return __version__


# ---------------------------------------------------------------------- the same as data and as text


def as_dict(view: DebugView) -> dict[str, Any]:
    """Return the view as plain data, for clients that want JSON."""
    found: dict[str, Any] = {
        "where": view.where,
        "fingerprint": view.fingerprint,
        "exceptions": [_problem_dict(problem) for problem in view.problems],
        "onion": [{"layer": layer.name, "options": layer.options, "raised_in": layer.hook} for layer in view.onion],
        "request": dict(view.request),
        "headers": dict(view.headers),
        "route": dict(view.route),
        "session_keys": view.session_keys,
        "sql": [{"statement": statement, "milliseconds": round(ms, 3)} for statement, ms in view.statements],
        "versions": view.versions,
    }
    return found


def _problem_dict(problem: Problem) -> dict[str, Any]:
    return {
        "type": problem.kind,
        "message": problem.message,
        "notes": list(problem.notes),
        "relation": problem.relation or None,
        "frames": [
            {
                "file": frame.path,
                "line": frame.line,
                "function": frame.function,
                "own": frame.is_own,
                "source": next((text.strip() for number, text in frame.lines if number == frame.line), None),
                **({"hook": frame.hook} if frame.hook else {}),
                **({"locals": dict(frame.variables)} if frame.variables is not None else {}),
            }
            for frame in problem.frames
        ],
        **({"group": [[_problem_dict(part) for part in chain] for chain in problem.parts]} if problem.parts else {}),
    }


def as_text(view: DebugView) -> str:
    """Return the view as text, the traceback in the order that Python prints it."""
    lines = [view.page.status, "", *_traceback_lines(view.problems), ""]
    lines += [f"Raised in: {view.where}", f"Error id: {view.page.error_id}", f"Fingerprint: {view.fingerprint}"]
    for title, pairs in (("Request", view.request), ("Headers", view.headers), ("Route", view.route)):
        if pairs:
            lines += ["", f"{title}:", *(f"  {name}: {value}" for name, value in pairs)]
    lines += ["", "Onion:", *_onion_lines(view)]
    if view.session_keys is not None:
        lines += ["", f"Session keys: {', '.join(view.session_keys) or 'none'}"]
    if view.statements:
        lines += ["", "SQL:", *(f"  {ms:8.2f} ms  {statement}" for statement, ms in view.statements)]
    return "\n".join([*lines, "", view.versions, ""])


def as_markdown(view: DebugView) -> str:
    """Return the view as Markdown, to be pasted into an issue."""
    first = view.problems[0]
    facts = dict(view.request)
    heading = f"{first.kind}: {first.message}".splitlines()[0]
    lines = [
        f"## {heading}",
        "",
        f"`{facts.get('Method', '')} {facts.get('URL', '')}` → {view.page.status}; raised in {view.where}",
        "",
        *_fenced("\n".join(_traceback_lines(view.problems)), "pytb"),
        "",
        *_fenced("\n".join(_onion_lines(view)), ""),
    ]
    if view.statements:
        lines += ["", *_fenced("\n".join(statement for statement, _ in view.statements), "sql")]
    return "\n".join(
        [*lines, "", f"Error id {view.page.error_id}, fingerprint {view.fingerprint}; {view.versions}", ""]
    )


def _fenced(text: str, language: str) -> list[str]:
    fence = "```"
    while fence in text:
        fence += "`"
    return [fence + language, text, fence]


def _onion_lines(view: DebugView) -> Iterator[str]:
    for depth, layer in enumerate(view.onion):
        mark = f"   ← {layer.hook}" if layer.hook else ""
        options = f"({layer.options})" if layer.options else ""
        yield f"{'  ' * (depth + 1)}{layer.name}{options}{mark}"


_CAUSE = "The above exception was the direct cause of the following exception:"
_CONTEXT = "During handling of the above exception, another exception occurred:"


def _traceback_lines(problems: tuple[Problem, ...], indent: str = "") -> Iterator[str]:
    # Python prints the first cause first; the relation stands on the problem that the next one came of.
    for index in range(len(problems) - 1, -1, -1):
        problem = problems[index]
        if problem.frames:
            yield f"{indent}Traceback (most recent call last):"
        for number, frame in enumerate(problem.frames):
            if problem.left_out and number == 15:
                yield f"{indent}  … {problem.left_out} frames left out …"
            yield f'{indent}  File "{frame.path}", line {frame.line}, in {frame.function}'
            source = next((text for at, text in frame.lines if at == frame.line), "")
            if source.strip():
                yield f"{indent}    {source.strip()}"
                if frame.marker:
                    margin = len(source) - len(source.lstrip())
                    yield f"{indent}    {frame.marker[margin:]}"
            for name, value in frame.variables or ():
                yield f"{indent}      {name} = {value}"
        message = f": {problem.message}" if problem.message else ""
        yield from (f"{indent}{line}" for line in f"{problem.kind}{message}".splitlines())
        yield from (f"{indent}{line}" for note in problem.notes for line in note.splitlines())
        for number, chain in enumerate(problem.parts, 1):
            yield f"{indent}  +---------------- {number} ----------------"
            yield from _traceback_lines(chain, f"{indent}  | ")
        if index:
            yield ""
            yield f"{indent}{_CAUSE if problem.relation == 'cause' else _CONTEXT}"
            yield ""
