"""A stored response, the key it is stored under, and which responses may be stored (RFC 9111 §3)."""

from __future__ import annotations

__all__ = [
    "Entry",
    "Limits",
    "PageKey",
    "Variant",
    "has_authorization",
    "is_no_store",
    "may_answer",
    "page_key",
    "refreshed",
    "says_nothing",
    "to_entry",
    "variant_of",
    "vary_names",
    "with_body",
]

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from wsgikit.http.accept import choose_encoding
from wsgikit.http.cache_control import (
    count_seconds,
    field_names,
    freshness_lifetime,
    initial_age,
    parse_directives,
)
from wsgikit.http.etags import unmodified_head
from wsgikit.wsgi import Environ

PageKey: TypeAlias = tuple[str, str, str, str, str]
"""Scheme, host, ``SCRIPT_NAME``, ``PATH_INFO`` and query."""
Variant: TypeAlias = tuple[str | None, ...]

_CODINGS = ("zstd", "br", "gzip", "deflate")
_CACHEABLE = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})  # RFC 9110 §15.1
_UNDERSTOOD = _CACHEABLE | {201, 202, 302, 303, 307, 400, 401, 402, 403, 406, 409, 429, 451, 500, 502, 503, 504}
# RFC 9111 §3.1: fields of one connection; and what this cache writes itself.
_NOT_STORED = frozenset(
    {"age", "cache-status", "connection", "keep-alive", "proxy-authenticate", "proxy-authentication-info"}
    | {"proxy-authorization", "proxy-connection", "te", "transfer-encoding", "upgrade"}
)
# RFC 9111 §3.2: a 304 describes the stored content otherwise, or not at all.
_NOT_UPDATED = frozenset({"content-encoding", "content-length", "content-range", "content-type"})
_VALIDATORS = ("etag", "last-modified")
_SAYING = frozenset({"cache-control", "expires", *_VALIDATORS})
_VALIDATED_SECONDS = 86_400.0  # how long a stale response with a validator is worth keeping


@dataclass(frozen=True, slots=True)
class Limits:
    """The options of the layer about responses: see `CacheMiddleware`."""

    default_seconds: int | None = None
    stale_while_revalidate_seconds: int = 0
    stale_if_error_seconds: int = 0
    tags_header: str = "cache-tag"


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored response.

    Attributes:
        status: the status line.
        headers: the pairs that are sent again.
        body: the whole body.
        names: the request headers that it depends on, in lower case.
        born: when it was made, in seconds since 1970, by its ``Age`` and ``Date``.
        fresh_until: until when it is used without a question, in seconds since 1970.
        revalidated_until: until when it is sent while it is refreshed.
        error_until: until when it is sent if the application fails.
        kept_until: when the store may forget it.
        is_shared: whether it may answer a request with credentials (RFC 9111 §3.5).
        is_anonymous: whether it answers only requests without cookies and credentials.
        tags: what it can be purged by.
        etag: its entity tag, if it is a 200 and has one.
        coding: its content coding, ``"identity"`` without one.
        headers_unmodified: the headers of a 304.
    """

    status: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    names: tuple[str, ...]
    born: float
    fresh_until: float
    revalidated_until: float
    error_until: float
    kept_until: float
    is_shared: bool
    is_anonymous: bool
    tags: tuple[str, ...] = ()
    etag: str | None = field(init=False, compare=False, repr=False)
    coding: str = field(init=False, compare=False, repr=False)
    headers_unmodified: tuple[tuple[str, str], ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Compute once what each answer needs."""
        object.__setattr__(self, "etag", self.header("etag") if self.status[:3] == "200" else None)
        object.__setattr__(self, "coding", (self.header("content-encoding") or "identity").strip().lower())
        object.__setattr__(self, "headers_unmodified", tuple(unmodified_head(self.headers)))

    def header(self, name: str) -> str | None:
        """Return a header by its name in lower case."""
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return None

    @property
    def size(self) -> int:
        """The bytes that it takes, nearly."""
        return len(self.body) + sum(len(name) + len(value) + 100 for name, value in self.headers) + 600

    def to_bytes(self) -> bytes:
        """Return it as one line of JSON and the body, for a store outside of the process."""
        fields = {one.name: getattr(self, one.name) for one in dataclasses.fields(self) if one.init}
        del fields["body"]
        return json.dumps(fields).encode("ascii") + b"\n" + self.body

    @classmethod
    def from_bytes(cls, data: bytes) -> Entry | None:
        """Return the entry that `to_bytes` wrote; None if it is something else."""
        head, _, body = data.partition(b"\n")
        try:
            fields = json.loads(head)
            fields["headers"] = tuple((name, value) for name, value in fields["headers"])
            fields["names"], fields["tags"] = tuple(fields["names"]), tuple(fields["tags"])
            return cls(body=body, **fields)
        except (ValueError, TypeError, KeyError):
            return None


def page_key(environ: Environ) -> PageKey:
    """Return what a page is stored under: the URI of the request (RFC 9111 §2)."""
    host = environ.get("HTTP_HOST")
    if host is None:
        host = f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
    return (
        environ["wsgi.url_scheme"],
        host.lower(),
        environ.get("SCRIPT_NAME", ""),
        environ.get("PATH_INFO", ""),
        environ.get("QUERY_STRING", ""),
    )


def says_nothing(pairs: Sequence[tuple[str, str]]) -> bool:
    """Return whether a response has neither a time nor a validator, so that nothing of it can be stored by itself."""
    return all(name.lower() not in _SAYING for name, _ in pairs)


def vary_names(lines: Sequence[str]) -> set[str]:
    """Return the names of all ``Vary`` lines, in lower case."""
    return field_names(",".join(lines))


def variant_of(names: Sequence[str], environ: Mapping[str, Any]) -> Variant:
    """Return the values of the request headers that a response depends on, as they are compared (RFC 9111 §4.1).

    ``Accept-Encoding`` is compared by the coding that the client likes best, so that one variant is kept per coding.
    Blanks around commas don't count; languages are compared without regard to case.
    """
    if len(names) == 1 and names[0] == "accept-encoding":  # most that vary do so by this
        return (choose_encoding(environ.get("HTTP_ACCEPT_ENCODING"), _CODINGS),)
    return tuple([_normalised(name, environ) for name in names])


def _normalised(name: str, environ: Mapping[str, Any]) -> str | None:
    key = name.upper().replace("-", "_")
    value: str | None = environ.get(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}")
    if name == "accept-encoding":
        return choose_encoding(value, _CODINGS)
    if value is None or name == "cookie":
        return value
    value = ",".join(part.strip() for part in value.split(","))
    return value.lower() if name == "accept-language" else value


def may_answer(entry: Entry, environ: Environ) -> bool:
    """Return whether an entry may be sent to the client of a request that it was selected for."""
    has_credentials = has_authorization(environ)
    if has_credentials and not entry.is_shared:
        return False
    if entry.is_anonymous and (has_credentials or "HTTP_COOKIE" in environ):
        return False
    coding = entry.coding
    if coding == "identity" or "accept-encoding" not in entry.names:
        return True
    return choose_encoding(environ.get("HTTP_ACCEPT_ENCODING"), (coding,)) == coding


def has_authorization(environ: Environ) -> bool:
    """Return whether a request was made by a user that its headers or its server name."""
    return "HTTP_AUTHORIZATION" in environ or bool(environ.get("REMOTE_USER"))


def to_entry(
    request: Environ,
    status: str,
    pairs: Sequence[tuple[str, str]],
    now: float,
    limits: Limits,
    key_headers: Sequence[str] = (),
    *,
    has_user: bool = False,
) -> Entry | None:
    """Return a response as an entry without its body; None if it may not be stored (RFC 9111 §3).

    Args:
        request: environ of the request, as it came in.
        status: the status line.
        pairs: the headers of the response.
        now: when it was received, in seconds since 1970.
        limits: the options.
        key_headers: request headers that every response depends on, in lower case.
        has_user: whether a user was found, or a session was read, on the way to the response.
    """
    lines: dict[str, list[str]] = {}
    for name, value in pairs:
        lines.setdefault(name.lower(), []).append(value)
    directives = parse_directives(lines.get("cache-control", ()))
    code = int(status[:3])
    hidden = field_names(directives.get("private")) | field_names(directives.get("no-cache"))
    names = vary_names(lines.get("vary", ()))
    if not _may_store(code, directives, lines, hidden) or "*" in names or is_no_store(request):
        return None
    is_shared = any(name in directives for name in ("public", "s-maxage", "must-revalidate"))
    is_public = "public" in directives or "s-maxage" in directives
    if has_authorization(request) and not is_shared:
        return None
    if has_user and not is_public and "cookie" not in names:
        return None
    date = lines.get("date", [None])[0]
    lifetime = freshness_lifetime(directives, lines.get("expires", ()), date, now)
    is_anonymous = False
    if lifetime is None and limits.default_seconds is not None and code in _CACHEABLE:
        if has_user or "HTTP_COOKIE" in request or has_authorization(request):
            return None
        lifetime, is_anonymous = limits.default_seconds, True
    has_validator = any(name in lines for name in _VALIDATORS)
    if lifetime is None and not (has_validator and (code in _CACHEABLE or "public" in directives)):
        return None
    if "no-cache" in directives and not hidden:
        lifetime = 0
    born = now - initial_age(lines.get("age", ()), date, now)
    fresh_until = born + (lifetime or 0)
    waits = (0, 0) if _is_strict(directives) else _stale_seconds(directives, limits)
    ends = [fresh_until + seconds for seconds in waits]
    kept_until = max(fresh_until, *ends, now + _VALIDATED_SECONDS if has_validator else 0.0)
    if kept_until <= now:
        return None
    dropped = _NOT_STORED | hidden | field_names(",".join(lines.get("connection", ())))
    return Entry(
        status=status,
        headers=tuple(pair for pair in pairs if pair[0].lower() not in dropped),
        body=b"",
        names=tuple(sorted(names.union(key_headers))),
        born=born,
        fresh_until=fresh_until,
        revalidated_until=ends[0],
        error_until=ends[1],
        kept_until=kept_until,
        is_shared=is_shared,
        is_anonymous=is_anonymous,
        tags=tuple(tag for line in lines.get(limits.tags_header, ()) for tag in line.replace(",", " ").split()),
    )


def _may_store(
    code: int, directives: Mapping[str, str | None], lines: Mapping[str, Sequence[str]], hidden: set[str]
) -> bool:
    if code < 200 or code in (206, 304) or "content-range" in lines:
        return False
    if "must-understand" in directives:
        if code not in _UNDERSTOOD:
            return False
    elif "no-store" in directives:
        return False
    if "private" in directives and not directives["private"]:
        return False
    return "set-cookie" in hidden or "set-cookie" not in lines


def is_no_store(request: Environ) -> bool:
    """Return whether the client wants nothing of this exchange to be stored (RFC 9111 §5.2.1.5)."""
    given = request.get("HTTP_CACHE_CONTROL")
    return given is not None and "no-store" in parse_directives((given,))


def _is_strict(directives: Mapping[str, str | None]) -> bool:
    """Return whether a response may never be used once it is stale (RFC 9111 §4.2.4)."""
    return any(name in directives for name in ("must-revalidate", "proxy-revalidate", "s-maxage", "no-cache"))


def _stale_seconds(directives: Mapping[str, str | None], limits: Limits) -> tuple[int, int]:
    """Return for how long a stale response is used while it is refreshed, and if the application fails (RFC 5861)."""
    refreshing, failing = limits.stale_while_revalidate_seconds, limits.stale_if_error_seconds
    if "stale-while-revalidate" in directives:
        refreshing = count_seconds(directives["stale-while-revalidate"]) or 0
    if "stale-if-error" in directives:
        failing = count_seconds(directives["stale-if-error"]) or 0
    return refreshing, failing


def refreshed(old: Entry, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers of a stored response after a 304 (RFC 9111 §3.2)."""
    new = [pair for pair in pairs if pair[0].lower() not in _NOT_UPDATED]
    replaced = {name.lower() for name, _ in new}
    return [*(pair for pair in old.headers if pair[0].lower() not in replaced), *new]


def with_body(entry: Entry, body: bytes) -> Entry:
    """Return an entry with its body, and the length of it in the headers."""
    headers = tuple(pair for pair in entry.headers if pair[0].lower() != "content-length")
    if entry.status[:3] != "204":
        headers += (("Content-Length", str(len(body))),)
    return replace(entry, headers=headers, body=body)
