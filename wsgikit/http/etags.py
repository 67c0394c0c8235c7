"""Entity tags (RFC 9110 §8.8.3) and the preconditions of a request (RFC 9110 §13)."""

from __future__ import annotations

__all__ = ["evaluate_preconditions", "has_tag", "make_etag", "parse_last_modified", "unmodified_head", "weaken"]

import hashlib
import re
import time
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from typing import Literal

from wsgikit.wsgi import Environ

# One member of a list of entity tags. A member that is no entity tag is skipped up to the next comma. The list must
# not end with commas or blanks: the time to match would be quadratic.
_MEMBER = re.compile(r'[\s,]*+(?:(?P<tag>(?:W/)?"[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?=,|\Z)|[^,]+)')
_NO_CACHE = re.compile(r"(?:^|,)\s*no-cache\s*(?:,|$)", re.IGNORECASE)
_SAFE = ("GET", "HEAD")
# RFC 9110 §15.4.5: these describe content, and a 304 has none.
_OF_CONTENT = {
    *("content-type", "content-length", "content-encoding", "content-language", "content-range", "content-md5"),
    *("content-disposition", "accept-ranges", "transfer-encoding"),
}


def make_etag(body: bytes) -> str:
    """Return a strong entity tag for these bytes."""
    return f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'


def weaken(etag: str) -> str:
    """Return the weak form of an entity tag, for a representation that is only equivalent to the tagged one."""
    return etag if etag.startswith("W/") else f"W/{etag}"


def has_tag(header: str, etag: str | None, *, strong: bool, exists: bool = True) -> bool:
    """Return whether a list such as that of ``If-None-Match`` names an entity tag.

    Args:
        header: ``*``, or entity tags between commas. Members that are none are ignored.
        etag: the tag of the current representation, if it has one.
        strong: whether weak tags match nothing (RFC 9110 §8.8.3.2).
        exists: whether there is a current representation, which is what ``*`` stands for.
    """
    if header.strip() == "*":
        return exists
    if etag is None or (strong and etag.startswith("W/")):
        return False
    opaque = etag.removeprefix("W/")
    for member in _MEMBER.finditer(header.rstrip(", \t")):
        tag = member["tag"]
        if tag is not None and (tag if strong else tag.removeprefix("W/")) == opaque:
            return True
    return False


def parse_last_modified(text: str | None) -> int | None:
    """Return a date of HTTP in seconds since 1970; None if it is missing or invalid (RFC 9110 §5.6.7)."""
    if not text:
        return None
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def evaluate_preconditions(
    environ: Environ, etag: str | None, last_modified: int | None, *, exists: bool = True
) -> Literal[304, 412] | None:
    """Evaluate the preconditions of a request in the order of RFC 9110 §13.2.2.

    Args:
        environ: the request.
        etag: the entity tag of the current representation, if it has one.
        last_modified: its time in seconds since 1970, if it is known.
        exists: whether there is a current representation.

    Returns:
        412 if a precondition failed, 304 if the client has the representation already, None to go on. Dates that are
        invalid are ignored, and so is an ``If-Modified-Since`` in the future. A request with ``Cache-Control:
        no-cache`` gets no 304: that is how a client asks for the whole again.
    """
    if_match = environ.get("HTTP_IF_MATCH")
    if if_match:
        if not has_tag(if_match, etag, strong=True, exists=exists):
            return 412
    elif last_modified is not None and (text := environ.get("HTTP_IF_UNMODIFIED_SINCE")):
        since = parse_last_modified(text)
        if since is not None and last_modified > since:
            return 412
    if_none_match = environ.get("HTTP_IF_NONE_MATCH")
    if if_none_match:
        if not has_tag(if_none_match, etag, strong=False, exists=exists):
            return None
        if environ["REQUEST_METHOD"] not in _SAFE:
            return 412
    elif not _is_unmodified(environ, last_modified):
        return None
    return None if _NO_CACHE.search(environ.get("HTTP_CACHE_CONTROL", "")) else 304


def _is_unmodified(environ: Environ, last_modified: int | None) -> bool:
    text = environ.get("HTTP_IF_MODIFIED_SINCE")
    if not text or last_modified is None or environ["REQUEST_METHOD"] not in _SAFE:
        return False
    since = parse_last_modified(text)
    return since is not None and last_modified <= since <= time.time()


def unmodified_head(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers of a 304: all that a cache updates, cookies too, and nothing about the content."""
    return [pair for pair in pairs if pair[0].lower() not in _OF_CONTENT]
