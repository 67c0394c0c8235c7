"""What routing reads from a request: its path, decoded once and with care, and its host."""

from __future__ import annotations

__all__ = ["ENCODED_SLASH", "decode_wsgi", "host_of", "path_of", "quote_query", "to_idna"]

import re
from urllib.parse import quote, unquote_to_bytes

from wsgikit.http.hosts import host_of as read_host
from wsgikit.http.hosts import without_default_port
from wsgikit.routing.parts import ENCODED_SLASH
from wsgikit.wsgi import Environ

_ENCODED_SLASH_BYTES = re.compile(r"%2[fF]")


def decode_wsgi(text: str) -> str | None:
    """Return the text that a WSGI server tunnelled as latin-1; None if the bytes are no UTF-8.

    PEP 3333 "Unicode Issues": each character of an environ string stands for one byte.
    """
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return None


def path_of(environ: Environ, raw_path: bool = False) -> str | None:
    """Return the path to route; None if it is no UTF-8.

    Args:
        raw_path: True keeps ``%2F`` apart from ``/`` if the server gives the undecoded path (``REQUEST_URI`` or
            ``RAW_URI``) and that still says what PATH_INFO says. In the result `ENCODED_SLASH` stands for it.
    """
    path: str = environ.get("PATH_INFO", "")
    if raw_path:
        raw = _raw_path_info(environ, path)
        if raw is not None:
            marked = [decode_wsgi(_unquote(piece)) for piece in _ENCODED_SLASH_BYTES.split(raw)]
            return None if None in marked else ENCODED_SLASH.join(piece or "" for piece in marked)
    return decode_wsgi(path)


def _unquote(text: str) -> str:
    return unquote_to_bytes(text.encode("latin-1", "replace")).decode("latin-1")


def _raw_path_info(environ: Environ, path: str) -> str | None:
    """Return the undecoded PATH_INFO; None if the server gives none, or a layer before us rewrote the path."""
    target = environ.get("REQUEST_URI") or environ.get("RAW_URI")
    if not target or "%2" not in target:
        return None  # nothing to keep apart
    raw: str = target.partition("?")[0].partition("#")[0]
    if not raw.startswith("/"):
        # The absolute form of RFC 9112 §3.2.2: http://host/path.
        raw = "/" + raw.partition("://")[2].partition("/")[2]
    script_name: str = environ.get("SCRIPT_NAME", "")
    if _unquote(raw) != script_name + path:
        return None
    end = 0
    taken = ""
    while len(taken) < len(script_name):
        step = 3 if raw[end] == "%" and len(_unquote(raw[end : end + 3])) == 1 else 1
        taken += _unquote(raw[end : end + step])
        end += step
    return raw[end:]


def host_of(environ: Environ) -> str:
    """Return the host of the request in lower case, without the port that its scheme has anyway; empty if it is none.

    What is no host names none, so no rule and no URL sees it.
    """
    host = read_host(environ)
    return "" if host is None else without_default_port(str(host), environ.get("wsgi.url_scheme", "http"))


def to_idna(host: str) -> str | None:
    """Return a host (or a pattern of one) as clients send it, non-ASCII names in Punycode; None if it is no host."""
    if host.isascii() or "<" in host:
        return host
    name, colon, port = host.partition(":")  # the port would count for the length limit of a label
    try:
        return f"{name.encode('idna').decode('ascii')}{colon}{port}"
    except UnicodeError:
        return None


def quote_query(query: str) -> str:
    """Return a query of a request fit for a header: what is neither ASCII nor printable is quoted."""
    if query.isascii() and query.isprintable() and " " not in query:
        return query
    return quote(query.encode("latin-1", "replace"), safe="%!#$&'()*+,/:;=?@[]~{}|^`\\\"<>")
