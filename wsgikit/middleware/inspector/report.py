"""Recordings as JSON objects, with secrets masked by the rules of the error pages."""

from __future__ import annotations

__all__ = ["Reporter", "curl_of", "masked_session"]

import datetime
import linecache
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Any

from wsgikit.http.masked_query import mask_query
from wsgikit.http.redact import HIDDEN, Redactor, is_secret_name, known_secrets
from wsgikit.middleware.inspector.recording import Recording, Span, now
from wsgikit.wsgi import ROUTING, ROUTING_ARGS

_IN = ("before_request", "before_view")
_OUT = ("after_request", "handle_exception", "teardown_request")


class Reporter:
    """Describes recordings. It knows the secrets of the process and of the layers, and those of each request.

    Args:
        layers: whose options may hold secrets.
    """

    def __init__(self, layers: Callable[[], Iterable[object]]) -> None:
        self._layers = layers
        self._known: tuple[object, ...] | None = None

    def redactor_of(self, recording: Recording) -> Redactor:
        """Return what masks the texts of a recording."""
        redactor = recording.redactor
        if redactor is None:
            if self._known is None:
                self._known = tuple(known_secrets({}, os.environ, self._layers()))
            environ: dict[str, Any] = {
                **dict(recording.headers),
                "QUERY_STRING": recording.query,
                "PATH_INFO": recording.path,
                ROUTING_ARGS: recording.routing_args,
                ROUTING: recording.route,
            }
            redactor = recording.redactor = Redactor()
            for secret in (*self._known, *known_secrets(environ, {}, ())):
                redactor.learn(secret)
        return redactor

    def summarize(self, recording: Recording) -> dict[str, Any]:
        """Return one line of the list of requests."""
        statements = [statement for statement in recording.statements if statement.kind == "database"]
        return {
            "id": recording.id,
            "time": datetime.datetime.fromtimestamp(recording.time, datetime.UTC).isoformat(timespec="milliseconds"),
            "method": recording.method,
            "path": _path_of(recording, self.redactor_of(recording)),
            "query": mask_query(recording.query),
            "status": recording.status,
            "outcome": recording.outcome,
            "duration_ms": _ms(recording.duration),
            "bytes": recording.bytes,
            "route": recording.route,
            "answered_by": recording.answered_by,
            "db_ms": _ms(sum(statement.seconds for statement in statements)),
            "db_statements": len(statements),
            "session": recording.session_use,
            "error": None if recording.error is None else self.redactor_of(recording).message(recording.error),
            "request_id": recording.request_id,
        }

    def describe(self, recording: Recording) -> dict[str, Any]:
        """Return all that is known of one request."""
        redactor = self.redactor_of(recording)
        counts = Counter(statement.text for statement in recording.statements)
        return {
            **self.summarize(recording),
            "layers": _layers_of(recording),
            "left_out": list(recording.left_out),
            "application_ms": _ms(_application_seconds(recording)),
            "spans": [_describe_span(span, recording) for span in recording.hooks],
            "statements": [
                {
                    "kind": s.kind,
                    "name": s.name,
                    "text": redactor.message(s.text),
                    "start_ms": _ms(s.start),
                    "ms": _ms(s.seconds),
                    "line": s.line,
                    "repeated": counts[s.text],
                    "error": None if s.error is None else redactor.message(s.error),
                }
                for s in recording.statements
            ],
            "is_committed": recording.is_committed,
            "session": {"use": recording.session_use, "keys": recording.session},
            "decisions": _decisions_of(recording),
            "policy": {
                name: redactor.named(name, repr(value)[:200]) for name, value in (recording.policy or {}).items()
            },
            "request": {"headers": [*_request_headers(recording, redactor)], "curl": curl_of(recording, redactor)},
            "response": {
                "headers": [[name, _response_value(name, value, redactor)] for name, value in recording.response]
            },
            "logs": [
                {
                    "start_ms": _ms(line.start),
                    "level": line.level,
                    "logger": line.logger,
                    "text": redactor.message(line.text),
                }
                for line in recording.logs
            ],
            "error": _describe_error(recording, redactor),
        }

    def describe_running(self, recordings: Iterable[Recording]) -> dict[str, Any]:
        """Return the requests that are running, each with its Python stack, and the threads of the process."""
        frames = sys._current_frames()
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        return {
            "requests": [
                {
                    "id": recording.id,
                    "method": recording.method,
                    "path": _path_of(recording, self.redactor_of(recording)),
                    "age_ms": _ms(now() - recording.began),
                    "thread": names.get(recording.thread, str(recording.thread)),
                    "statements": len(recording.statements),
                    "stack": _stack_of(frames.get(recording.thread)),
                }
                for recording in sorted(recordings, key=lambda each: each.began)
            ],
            "threads": sorted(names.values()),
        }


def curl_of(recording: Recording, redactor: Redactor) -> str:
    """Return a command that sends the request again, without its secrets and its body."""
    query = mask_query(recording.query)
    url = f"{recording.scheme}://{recording.host}" + _path_of(recording, redactor) + (f"?{query}" if query else "")
    parts = ["curl", "-X", recording.method, _quoted(url)]
    for name, value in _request_headers(recording, redactor):
        if name not in ("Host", "Content-Length", "Connection", "Accept-Encoding"):
            parts += ["-H", _quoted(f"{name}: {value}")]
    return " ".join(parts)


def _stack_of(frame: FrameType | None) -> list[str]:
    """Return a line for each frame, the innermost last, with its source."""
    redactor = Redactor()
    lines: list[str] = []
    while frame is not None and len(lines) < 100:
        code = frame.f_code
        source = linecache.getline(code.co_filename, frame.f_lineno).strip()
        lines.append(f"{code.co_filename}:{frame.f_lineno} in {code.co_name}: {redactor.code(source)}")
        frame = frame.f_back
    return lines[::-1]


def _describe_error(recording: Recording, redactor: Redactor) -> dict[str, str] | None:
    if recording.error is None:
        return None
    traceback = redactor.message(redactor.code(recording.traceback or ""))
    return {"text": redactor.message(recording.error), "traceback": traceback}


def _decisions_of(recording: Recording) -> dict[str, str]:
    """Return what layers decided about the request, with the reason."""
    if recording.verdict is None:
        return {}
    is_allowed, reason = recording.verdict
    return {"csrf": f"{'allowed' if is_allowed else 'refused'}: {reason}"}


def _describe_span(span: Span, recording: Recording) -> dict[str, Any]:
    return {
        "layer": span.layer,
        "hook": span.hook,
        "start_ms": _ms(span.start - recording.began),
        "ms": _ms(span.seconds),
        "changes": span.changes,
    }


def _layers_of(recording: Recording) -> list[dict[str, Any]]:
    """Return each layer, outermost first, with its time on the way in and out and what it changed."""
    layers: dict[str, dict[str, Any]] = {
        name: {"name": name, "in_ms": 0.0, "out_ms": 0.0, "changes": []}
        for name in (*recording.layers, *(span.layer for span in recording.hooks))
    }
    for span in recording.hooks:
        layer = layers[span.layer]
        side = "in_ms" if span.hook in _IN else "out_ms"
        layer[side] = round(layer[side] + span.seconds * 1000, 3)
        layer["changes"] += span.changes
    return [*layers.values()]


def _application_seconds(recording: Recording) -> float:
    """Return the time between the last hook on the way in and the first on the way out."""
    ends = [span.end for span in recording.hooks if span.hook in _IN]
    starts = [span.start for span in recording.hooks if span.hook in _OUT]
    end = recording.began + recording.duration
    return max(0.0, min(starts, default=end) - max(ends, default=recording.began))


def _path_of(recording: Recording, redactor: Redactor) -> str:
    return redactor.message(recording.path.encode("latin-1", "replace").decode("utf-8", "replace"))


def _request_headers(recording: Recording, redactor: Redactor) -> Iterable[tuple[str, str]]:
    for key, value in recording.headers:
        name = key.removeprefix("HTTP_").replace("_", "-").title()
        if name == "Cookie":
            yield name, "; ".join(f"{pair.partition('=')[0].strip()}={HIDDEN}" for pair in str(value).split(";"))
        elif name == "Referer":
            head, mark, query = str(value).partition("?")
            yield name, redactor.message(head) + mark + mask_query(query)
        else:
            yield name, redactor.named(name, str(value))


def _response_value(name: str, value: str, redactor: Redactor) -> str:
    if name.lower() == "set-cookie":
        cookie, semicolon, attributes = value.partition(";")
        return f"{cookie.partition('=')[0]}={HIDDEN}{semicolon}{attributes}"
    return HIDDEN if is_secret_name(name) else redactor.message(value)


def masked_session(data: Mapping[str, Any], show_values: bool) -> dict[str, str]:
    """Return the keys of a session, each with its value, or with the class of the value."""
    shown = {}
    for key, value in list(data.items())[:100]:
        is_shown = show_values and not is_secret_name(str(key))
        shown[str(key)] = Redactor().message(repr(value)[:200]) if is_shown else f"{HIDDEN} ({type(value).__name__})"
    return shown


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
