"""Query strings for logs and traces: values of parameters that are secrets by their name are masked."""

from __future__ import annotations

__all__ = ["SECRET_PARAMETERS", "mask_query", "mask_url_query", "secret_names"]

from collections.abc import Iterable
from urllib.parse import unquote_plus

from wsgikit.exceptions import ConfigurationError, complaint

SECRET_PARAMETERS = frozenset(
    ("password", "passwd", "secret", "token", "access_token", "api_key", "code", "state", "signature")
)
"""Names whose values are secrets: passwords, keys, and what OAuth and signed URLs put into a query."""

_MASK = "***"


def secret_names(where: str, option: str, names: str | Iterable[str]) -> frozenset[str]:
    """Return the names that are masked: those of `SECRET_PARAMETERS`, and further ones of an option.

    Raises:
        ConfigurationError: a name isn't text.
    """
    listed = (names,) if isinstance(names, str) else tuple(names)
    for name in listed:
        if not isinstance(name, str) or not name:
            raise ConfigurationError(complaint(where, option, "names of parameters", name))
    return SECRET_PARAMETERS.union(name.lower() for name in listed)


def mask_query(query: str, names: frozenset[str] = SECRET_PARAMETERS) -> str:
    """Return a query string in which the values of some parameters are ``***``.

    Args:
        query: as the server has it in ``QUERY_STRING``, or the part of a URL after ``?``.
        names: in lower case. Names in the query are compared in any case, and percent-decoded.
    """
    if "=" not in query:
        return query
    pairs = query.split("&")
    for at, pair in enumerate(pairs):
        name, is_pair, value = pair.partition("=")
        if is_pair and value:
            known = name.lower() if "%" not in name and "+" not in name else unquote_plus(name).strip().lower()
            if known in names:
                pairs[at] = f"{name}={_MASK}"
    return "&".join(pairs)


def mask_url_query(url: str, names: frozenset[str] = SECRET_PARAMETERS) -> str:
    """Return a URL in which `mask_query` has masked the query."""
    address, is_query, rest = url.partition("?")
    if not is_query:
        return url
    query, is_fragment, fragment = rest.partition("#")
    return f"{address}?{mask_query(query, names)}{is_fragment}{fragment}"
