"""One line for one request: JSON, the combined format of Apache, or a template. Pure functions of the fields."""

from __future__ import annotations

__all__ = ["FIELDS", "Entry", "combined_line", "json_line", "template_writer"]

import re
import string
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring_ascii as quoted
from typing import Any
from urllib.parse import quote

from wsgikit.exceptions import ConfigurationError, complaint, did_you_mean

FIELDS = (
    "time",
    "method",
    "path",
    "query",
    "status",
    "bytes",
    "duration_ms",
    "first_byte_ms",
    "outcome",
    "route",
    "answered_by",
    "request_id",
    "user",
    "remote",
    "user_agent",
    "referer",
    "db_ms",
    "db_statements",
    "session",
)
"""The fields of a line, in the order of the JSON object. Templates use the same names."""

_UNSAFE = re.compile(r"[^ !#-\[\]-~]")  # what isn't printable ASCII, the quotation mark, the backslash
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._~!$&'()*+,;=:@-]*")
_PATH_SAFE = "/!$&'()*+,;=:@~"


class Entry:
    """The facts of one request. Texts are as environ has them: a character for each byte (PEP 3333)."""

    __slots__ = (
        "answered_by",
        "bytes",
        "duration",
        "first_byte",
        "method",
        "outcome",
        "path",
        "protocol",
        "query",
        "referer",
        "remote",
        "request_id",
        "route",
        "seconds",
        "session",
        "statements",
        "status",
        "time",
        "user",
        "user_agent",
    )

    time: float
    """When the request came, in seconds since 1970."""
    method: str
    path: str
    """As it came, with SCRIPT_NAME."""
    query: str
    """With secrets masked."""
    protocol: str
    status: int
    bytes: int
    duration: float
    first_byte: float | None
    """Both in seconds since the request came; None if nothing was sent."""
    outcome: str
    route: str | None
    answered_by: str
    request_id: str | None
    user: str | None
    remote: str | None
    user_agent: str | None
    referer: str | None
    seconds: float
    """Of the statements of its databases."""
    statements: int
    session: str | None


def _as_json(text: str | None) -> str:
    """Return a text of environ in JSON."""
    if text is None:
        return "null"
    if not text.isascii():
        text = text.encode("latin-1", "backslashreplace").decode("utf-8", "backslashreplace")
    line: str = quoted(text)
    return line.replace("\x7f", "\\u007f") if "\x7f" in line else line


def json_line(entry: Entry, when: str) -> str:
    """Return the line in JSON: one object with the keys of `FIELDS`, in ASCII.

    Bytes that are no UTF-8 are written as ``\\xNN``.

    Args:
        entry: the facts.
        when: its time as ISO 8601 in UTC.
    """
    route, request_id, session = entry.route, entry.request_id, entry.session
    first = "null" if entry.first_byte is None else f"{entry.first_byte * 1000:.3f}"
    return (
        f'{{"time": "{when}", "method": {_as_json(entry.method)}, "path": {_as_json(entry.path)}, '
        f'"query": {_as_json(entry.query)}, "status": {entry.status}, "bytes": {entry.bytes}, '
        f'"duration_ms": {entry.duration * 1000:.3f}, "first_byte_ms": {first}, "outcome": "{entry.outcome}", '
        f'"route": {"null" if route is None else quoted(route)}, "answered_by": {quoted(entry.answered_by)}, '
        f'"request_id": {"null" if request_id is None else _as_json(request_id)}, "user": {_as_json(entry.user)}, '
        f'"remote": {_as_json(entry.remote)}, "user_agent": {_as_json(entry.user_agent)}, '
        f'"referer": {_as_json(entry.referer)}, "db_ms": {entry.seconds * 1000:.3f}, '
        f'"db_statements": {entry.statements}, "session": {"null" if session is None else quoted(session)}}}'
    )


def _escaped(text: str | None) -> str:
    """Return a text for a line between quotation marks: ``\\xNN`` for what could forge a line or drive a terminal."""
    if not text:
        return "-"
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character in '"\\':
        return f"\\{character}"
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def _request_line(entry: Entry) -> str:
    path = entry.path
    if not _PLAIN_PATH.fullmatch(path):
        path = quote(path.encode("latin-1", "backslashreplace"), safe=_PATH_SAFE)
    target = f"{path}?{entry.query}" if entry.query else path
    return _escaped(f"{entry.method} {target} {entry.protocol}")


def _word(text: str | None) -> str:
    return _escaped(text).replace(" ", "\\x20")


def combined_line(entry: Entry, when: str) -> str:
    """Return the line in Apache's combined format, in ASCII; the time is UTC.

    Args:
        entry: the facts.
        when: its time as ``30/Nov/2026:17:00:00 +0000``.
    """
    return (
        f'{_word(entry.remote)} - {_word(entry.user)} [{when}] "{_request_line(entry)}" {entry.status} '
        f'{entry.bytes or "-"} "{_escaped(entry.referer)}" "{_escaped(entry.user_agent)}"'
    )


class _Missing(str):
    """The value of a field that a request doesn't have. It takes any format."""

    __slots__ = ()

    def __format__(self, specification: str) -> str:
        return "-"


_MISSING = _Missing("-")
_NUMBERS = frozenset(("status", "bytes", "duration_ms", "first_byte_ms", "db_ms", "db_statements"))


def _values(entry: Entry, when: str) -> Mapping[str, Any]:
    first = entry.first_byte
    texts = {
        "time": when,
        "method": entry.method,
        "path": entry.path,
        "query": entry.query,
        "outcome": entry.outcome,
        "route": entry.route,
        "answered_by": entry.answered_by,
        "request_id": entry.request_id,
        "user": entry.user,
        "remote": entry.remote,
        "user_agent": entry.user_agent,
        "referer": entry.referer,
        "session": entry.session,
    }
    return {
        **{name: _escaped(text) if text else _MISSING for name, text in texts.items()},
        "status": entry.status,
        "bytes": entry.bytes,
        "duration_ms": round(entry.duration * 1000, 3),
        "first_byte_ms": _MISSING if first is None else round(first * 1000, 3),
        "db_ms": round(entry.seconds * 1000, 3),
        "db_statements": entry.statements,
    }


def template_writer(where: str, template: str) -> Callable[[Entry, str], str]:
    """Return a function that writes a line by a template, such as ``"{method} {path} {status} {duration_ms:.0f} ms"``.

    Args:
        where: the layer, for the error text.
        template: a template of `str.format` with names of `FIELDS`.

    Raises:
        ConfigurationError: the template can't be read, has an unknown field, or a format that the field can't have.
    """
    if _CONTROL.search(template):
        raise ConfigurationError(complaint(where, "format", "a template of one line", template))
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise ConfigurationError(complaint(where, "format", f"a template ({error})", template)) from error
    if not names:
        expected = "'combined', 'json', or a template such as '{method} {path} {status}'"
        raise ConfigurationError(
            complaint(where, "format", expected, template, did_you_mean(template, ("json", "combined")))
        )
    for name in names:
        if name not in FIELDS:
            remedy = did_you_mean(name, FIELDS) or f"Known fields: {', '.join(FIELDS)}"
            raise ConfigurationError(complaint(where, "format", "known fields", f"{{{name}}}", remedy))
    samples: dict[str, Any] = {name: 1.5 if name.endswith("_ms") else 1 if name in _NUMBERS else "-" for name in FIELDS}
    try:
        template.format_map(samples)
    except (ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise ConfigurationError(complaint(where, "format", f"formats that fit ({error})", template)) from error

    def write(entry: Entry, when: str) -> str:
        return template.format_map(_values(entry, when))

    return write
