"""The target of a request as a URL writes it: path and query, percent-encoded, for ``Location``."""

from __future__ import annotations

__all__ = ["is_local_target", "target_of"]

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

# RFC 3986 §3.3 and §3.4: what may stand in a path and in a query as it is. A percent sign in a query is one of an
# encoding that the client made, since PEP 3333 leaves the query encoded.
_PATH = "/!$&'()*+,;=:@~-._"
_QUERY = _PATH + "?%[]"


def target_of(environ: Mapping[str, Any]) -> str:
    """Return path and query of the request; it begins with a slash and has no control character in it."""
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    target = quote(path.encode("latin-1", "replace"), safe=_PATH)
    if not target.startswith("/"):
        target = "/" + target
    query = environ.get("QUERY_STRING", "")
    return f"{target}?{quote(query.encode('latin-1', 'replace'), safe=_QUERY)}" if query else target


# A browser takes "//evil.example" and "/\\evil.example" for another host, and drops tabs and line breaks.
_LOCAL = re.compile(r"/(?![/\\])[^\x00-\x20\x7f]*")


def is_local_target(text: object) -> bool:
    """Return whether a text leads to a path of this site, wherever it came from: for ``next`` in a redirect."""
    return isinstance(text, str) and _LOCAL.fullmatch(text) is not None
