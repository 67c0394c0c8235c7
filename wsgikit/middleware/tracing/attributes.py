"""Names and attributes of spans, by OpenTelemetry's semantic conventions (https://opentelemetry.io/docs/specs/semconv/).

Pure functions: nothing here needs opentelemetry.
"""

from __future__ import annotations

__all__ = [
    "checked_headers",
    "header_attributes",
    "request_attributes",
    "response_attributes",
    "span_name",
    "statement_attributes",
    "statement_name",
]

import re
from collections.abc import Iterable, Mapping
from typing import Any

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.hosts import host_of
from wsgikit.http.masked_query import mask_query
from wsgikit.http.targets import target_of
from wsgikit.wsgi import PROXY_ORIGINAL, REQUEST_ID, Environ

Attributes = dict[str, Any]

# The methods of RFC 9110 and RFC 5789: others are "_OTHER", so that a visitor can't make names of spans.
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"))
_SECRET_HEADERS = frozenset(("authorization", "proxy-authorization", "cookie", "set-cookie"))
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_WORD = re.compile(r"[\s(]*([A-Za-z]+)")
# SQLAlchemy's names of databases that are others in the conventions.
_SYSTEMS = {"mssql": "microsoft.sql_server", "oracle": "oracle.db", "": "other_sql"}


def checked_headers(where: str, option: str, names: str | Iterable[str]) -> tuple[str, ...]:
    """Return the names of headers in lower case.

    Raises:
        ConfigurationError: a name can't be one, or the header holds secrets.
    """
    listed = (names,) if isinstance(names, str) else tuple(names)
    for name in listed:
        if not isinstance(name, str) or not _HEADER.fullmatch(name):
            raise ConfigurationError(complaint(where, option, "names of headers", name))
        if name.lower() in _SECRET_HEADERS:
            raise ConfigurationError(complaint(where, option, "headers without secrets", name, "Leave it out"))
    return tuple(name.lower() for name in listed)


def span_name(method: str, route: str | None) -> str:
    """Return the name of a request's span: method and route, never the path."""
    known = method if method in _METHODS else "HTTP"
    return known if route is None else f"{known} {route}"


def request_attributes(environ: Environ) -> Attributes:
    """Return what is known of a request before it is answered. Secrets in the query are masked."""
    method = environ.get("REQUEST_METHOD", "")
    path, _, query = target_of(environ).partition("?")
    attributes: Attributes = {
        "http.request.method": method if method in _METHODS else "_OTHER",
        "url.scheme": environ.get("wsgi.url_scheme", "http"),
        "url.path": path,
    }
    if method not in _METHODS:
        attributes["http.request.method_original"] = method
    if query:
        attributes["url.query"] = mask_query(query)
    host = host_of(environ)
    if host is not None:
        attributes["server.address"] = host.name
        attributes["server.port"] = host.port or (443 if attributes["url.scheme"] == "https" else 80)
    protocol = environ.get("SERVER_PROTOCOL", "")
    if protocol.startswith("HTTP/"):
        attributes["network.protocol.version"] = protocol[5:]
    if agent := environ.get("HTTP_USER_AGENT"):
        attributes["user_agent.original"] = agent
    return attributes


def response_attributes(environ: Environ, status: int, size: int, route: str | None, outcome: str) -> Attributes:
    """Return what is known of a request when its response has ended.

    Args:
        environ: as the layers left it: ``REMOTE_ADDR`` is the client behind trusted proxies.
        status: its status.
        size: the bytes of the body that were sent.
        route: the rule that served it, if one did.
        outcome: how the response ended.
    """
    attributes: Attributes = {"http.response.status_code": status, "http.response.body.size": size}
    if route is not None:
        attributes["http.route"] = route
    if address := environ.get("REMOTE_ADDR"):
        attributes["client.address"] = address
        peer = environ.get(PROXY_ORIGINAL, {}).get("REMOTE_ADDR") or address
        attributes["network.peer.address"] = peer
    if request_id := environ.get(REQUEST_ID):
        attributes["wsgikit.request_id"] = request_id
    if outcome != "complete":
        attributes["wsgikit.outcome"] = outcome
    return attributes


def header_attributes(kind: str, names: Iterable[str], values: Mapping[str, list[str]]) -> Attributes:
    """Return the attributes of captured headers.

    Args:
        kind: ``"request"`` or ``"response"``.
        names: which, in lower case.
        values: the values of each, by its name in lower case.
    """
    return {f"http.{kind}.header.{name}": values[name] for name in names if values.get(name)}


def statement_name(text: str) -> str:
    """Return the name of a statement's span: its first word, such as ``SELECT``."""
    match = _WORD.match(text)
    return "SQL" if match is None else match[1].upper()


def statement_attributes(system: str, database: str, text: str) -> Attributes:
    """Return the attributes of a statement. The text has placeholders for its values."""
    return {
        "db.system.name": _SYSTEMS.get(system, system),
        "db.operation.name": statement_name(text),
        "db.query.text": text,
        "wsgikit.database": database,
    }
