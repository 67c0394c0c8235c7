"""What identifies a request: its key, its client, and what it asks for."""

from __future__ import annotations

__all__ = ["client_of", "digest_of", "fingerprint_body", "read_key", "record_id"]

import hashlib
import re
from tempfile import SpooledTemporaryFile
from typing import Any

from wsgikit.http.input import input_of
from wsgikit.wsgi import SESSION, USER, Environ

_KEY = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")
_SPOOLED_BYTES = 524_288  # a larger body waits on disk
_READ_BYTES = 65_536


def read_key(value: str) -> str | None:
    """Return the key that a header names, with or without quotes; None if it is none: 1 to 255 visible characters."""
    key = value.strip()
    if len(key) > 2 and key[0] == key[-1] == '"':  # draft-ietf-httpapi-idempotency-key-header: a string of RFC 9651
        key = key[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return key if _KEY.fullmatch(key) else None


def client_of(environ: Environ) -> str | None:
    """Return who sends a request: the user, else the session; None if neither is known."""
    user = environ.get(USER)
    if user is not None:
        identify = getattr(user, "get_id", None)
        name = identify() if callable(identify) else getattr(user, "id", None)
        return f"user {name if name is not None else user}"
    if environ.get("REMOTE_USER"):
        return f"user {environ['REMOTE_USER']}"
    session = environ.get(SESSION)
    return None if session is None or session.new else f"session {session.id}"


def record_id(client: str | None, environ: Environ, key: str) -> str:
    """Return what a response is kept under: the client, the method, the path and the key, as one digest."""
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return digest_of("" if client is None else f"of {client}", environ["REQUEST_METHOD"], path, key)


def digest_of(*parts: str) -> str:
    """Return one digest of several texts, of which none can pass for a part of another."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()


def fingerprint_body(environ: Environ) -> tuple[str, Any]:
    """Return a digest of what a request asks for, and the file with its body, which ``wsgi.input`` is then.

    It is made of the query, the media type and the body.
    """
    digest = hashlib.sha256()
    spool: Any = SpooledTemporaryFile(_SPOOLED_BYTES)  # noqa: SIM115  # closed with the request
    source = input_of(environ, None)
    while chunk := source.read(_READ_BYTES):
        digest.update(chunk)
        spool.write(chunk)
    length = spool.tell()
    spool.seek(0)
    environ["wsgi.input"] = spool
    if length or environ.get("CONTENT_LENGTH"):
        environ["CONTENT_LENGTH"] = str(length)
    query, kind = environ.get("QUERY_STRING", ""), environ.get("CONTENT_TYPE", "")
    return digest_of(query, kind, digest.hexdigest()), spool
