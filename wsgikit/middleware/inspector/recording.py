"""What the inspector keeps of one request, while it runs and afterwards."""

from __future__ import annotations

__all__ = ["Recording", "Span", "changes_between", "make_watched"]

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from wsgikit.http.redact import Redactor
    from wsgikit.onion.exchange import Exchange
    from wsgikit.onion.middleware import Middleware
    from wsgikit.onion.usage import Call

Pairs: TypeAlias = Sequence[tuple[str, str]]

now = time.perf_counter
# More of each in one request is noise, and would let one request fill the memory of all.
MOST_SPANS = 500
MOST_STATEMENTS = 200
MOST_LOGS = 100
LONGEST = 2000  # characters of a statement or a line of a log
# Frames of these packages lead from the application's line to the statement.
_MACHINERY = ("wsgikit", "sqlalchemy", "logging", "psycopg", "pymysql", "sqlite3", "threading", "contextlib")


Snapshot: TypeAlias = tuple[str | None, Pairs]
"""Status and headers of a response at one moment. A body isn't kept: it may be large."""
_CONTENT = ("CONTENT_TYPE", "CONTENT_LENGTH")


class Span(NamedTuple):
    """One hook of a layer.

    Attributes:
        layer: the class name of the layer.
        hook: the name of the hook.
        start: when it began, on the clock of the recording.
        end: when it ended.
        is_answer: whether it returned a response.
        is_body_replaced: whether an ``after_request`` hook put another body in place.
        before: the response before an ``after_request`` hook; None for other hooks.
        after: the response after it.
    """

    layer: str
    hook: str
    start: float
    end: float
    is_answer: bool = False
    is_body_replaced: bool = False
    before: Snapshot | None = None
    after: Snapshot | None = None

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.start

    @property
    def changes(self) -> list[str]:
        """What it did to the response, in words."""
        changes = [] if self.before is None or self.after is None else changes_between(self.before, self.after)
        if self.is_body_replaced:
            changes.append("replaced the body")
        if self.is_answer:
            changes.append("answered" if self.before is None else "replaced the response")
        return changes


class Statement(NamedTuple):
    """One call to a database or a session store, and the line of the application that caused it."""

    kind: str
    name: str
    text: str
    start: float
    seconds: float
    line: str
    error: str | None


class LogLine(NamedTuple):
    """One record of `logging` from the request."""

    start: float
    level: str
    logger: str
    text: str


class Recording:
    """One request. It holds no reference to the exchange or to environ, which would keep them in memory.

    Attributes:
        id: random, so that an address of one request can't be guessed.
        thread: the identifier of the thread that the request came on.
        is_over: whether the request has ended.
    """

    is_over = False
    layers: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    status = 0
    outcome = ""
    bytes = 0
    duration = 0.0
    route: str | None = None
    answered_by = ""
    request_id: str | None = None
    response: Pairs = ()
    session_use: str | None = None
    session: dict[str, str] | None = None
    verdict: tuple[bool, str] | None = None  # of CsrfMiddleware: whether it allowed the request, and why
    policy: Mapping[str, Any] | None = None
    is_committed = False
    error: str | None = None
    traceback: str | None = None
    routing_args: object = None
    redactor: Redactor | None = None  # made when somebody looks

    def __init__(self, environ: Mapping[str, Any]) -> None:
        get = environ.get
        self.id = os.urandom(6).hex()
        self.thread = get_ident()
        self.time = time.time()
        self.method: str = get("REQUEST_METHOD", "?")
        self.path: str = get("SCRIPT_NAME", "") + get("PATH_INFO", "")
        self.query: str = get("QUERY_STRING", "")
        self.scheme: str = get("wsgi.url_scheme", "http")
        self.host: str = get("HTTP_HOST") or get("SERVER_NAME", "localhost")
        # As they came: they are masked when somebody looks.
        self.headers = [pair for pair in environ.items() if pair[0][:5] == "HTTP_" or pair[0] in _CONTENT]
        self.spans: list[tuple[Any, ...]] = []  # the fields of each `Span`
        self.statements: list[Statement] = []
        self.logs: list[LogLine] = []
        self.began = now()

    @property
    def hooks(self) -> list[Span]:
        """The spans, in the order in which the hooks ended."""
        return [Span(*fields) for fields in self.spans]

    def note_call(self, call: Call) -> None:
        """Keep a statement, or a call of a session store: an observer of `Usage`."""
        if len(self.statements) < MOST_STATEMENTS:
            error = None if call.error is None else f"{type(call.error).__name__}: {call.error}"[:LONGEST]
            start = now() - self.began - call.seconds
            line = _calling_line()
            self.statements.append(
                Statement(call.kind, call.name, call.text[:LONGEST], start, call.seconds, line, error)
            )

    def note_log(self, level: str, logger: str, text: str) -> None:
        """Keep a record of a log."""
        if len(self.logs) < MOST_LOGS:
            self.logs.append(LogLine(now() - self.began, level, logger, text[:LONGEST]))

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        size = 2000 + len(self.path) + len(self.query) + 300 * len(self.spans) + 100 * len(self.headers)
        for _, value in self.headers:
            size += len(value)
        for _, value in self.response:
            size += 100 + len(value)
        if self.statements or self.logs or self.traceback:
            size += len(self.traceback or "") + 500 * (len(self.statements) + len(self.logs))
            size += sum(len(statement.text) for statement in self.statements) + sum(
                len(line.text) for line in self.logs
            )
        return size


def make_watched(
    recording_of: Callable[[Exchange], Recording | None], layer: Middleware, name: str, hook: Callable[..., Any]
) -> Callable[..., Any]:
    """Return a hook that does what another does, and adds a span to the recording of the request.

    Args:
        recording_of: returns the recording of an exchange, or None if it isn't recorded.
        layer: the layer that the hook is of.
        name: the name of the hook.
        hook: the hook.
    """
    label = type(layer).__name__
    if name == "after_request":
        watched = _watched_after(recording_of, label, hook)
    else:
        watched = _watched(recording_of, label, name, hook)
    watched.__self__ = getattr(hook, "__self__", layer)  # type: ignore[attr-defined]  # the log names a hook with it
    watched.__name__ = getattr(hook, "__name__", name)
    return watched


def _watched(
    recording_of: Callable[[Exchange], Recording | None], label: str, name: str, hook: Callable[..., Any]
) -> Callable[..., Any]:
    may_answer = name != "teardown_request"

    def watched(exchange: Exchange, *args: Any) -> Any:
        recording = recording_of(exchange)
        if recording is None:
            return hook(exchange, *args)
        result = None
        start = now()
        try:
            result = hook(exchange, *args)
            return result
        finally:
            spans = recording.spans
            if len(spans) < MOST_SPANS:
                spans.append((label, name, start, now(), may_answer and result is not None))

    return watched


def _watched_after(
    recording_of: Callable[[Exchange], Recording | None], label: str, hook: Callable[..., Any]
) -> Callable[..., Any]:
    def watched(exchange: Exchange) -> Any:
        recording = recording_of(exchange)
        if recording is None:
            return hook(exchange)
        before, body = (exchange.status, (*exchange.header_list,)), exchange.known_body
        result = None
        start = now()
        try:
            result = hook(exchange)
            return result
        finally:
            end = now()
            spans = recording.spans
            if len(spans) < MOST_SPANS:
                after = (exchange.status, (*exchange.header_list,))
                is_replaced = exchange.known_body is not body
                spans.append((label, "after_request", start, end, result is not None, is_replaced, before, after))

    return watched


def changes_between(before: Snapshot, after: Snapshot) -> list[str]:
    """Return what is different in a response, in words.

    Args:
        before: status and headers before a hook.
        after: the same after it.
    """
    (old_status, old_headers), (status, headers) = before, after
    changes = []
    if old_status != status:
        changes.append(f"status {old_status} → {status}")
    if old_headers != headers:
        old, new = _by_name(old_headers), _by_name(headers)
        changes += [f"added {name}" for name in new if name not in old]
        changes += [f"removed {name}" for name in old if name not in new]
        changes += [f"changed {name}" for name in new if name in old and new[name] != old[name]]
    return changes


def _by_name(headers: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    named: dict[str, list[str]] = {}
    for name, value in headers:
        named.setdefault(name.title(), []).append(value)
    return named


def _calling_line() -> str:
    """Return file, line and function of the application's frame that led here."""
    frame = sys._getframe(2)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not module.startswith(_MACHINERY):
            return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
    return ""
