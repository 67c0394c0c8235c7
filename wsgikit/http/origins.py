"""Origins: scheme, host and port, as browsers write them into ``Origin`` (RFC 6454 §6.2, Fetch §3.2)."""

from __future__ import annotations

__all__ = ["DEFAULT_PORTS", "Origin", "is_origin_of", "parse_origin", "required_origin"]

import re
from typing import NamedTuple

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.hosts import Host, parse_host

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*\Z", re.IGNORECASE)  # RFC 3986 §3.1


class Origin(NamedTuple):
    """An origin in normal form: lower-case scheme and host.

    Attributes:
        scheme: such as ``"https"``.
        host: a name or an address, as `parse_host` gives it; IPv6 without brackets.
        port: the number, or None if it is the default of the scheme.
    """

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        return f"{self.scheme}://{Host(self.host, self.port)}"


def parse_origin(text: str) -> Origin | None:
    """Return the origin that a header is, or None if it is none: ``null``, a URL with a path, several origins."""
    return _read(text) if text.isascii() else None


def _read(text: str) -> Origin | None:
    scheme, separator, authority = text.partition("://")
    if not separator or not _SCHEME.match(scheme) or authority.endswith(":"):
        return None
    host = parse_host(authority)
    if host is None:
        return None
    scheme = scheme.lower()
    port = None if host.port == DEFAULT_PORTS.get(scheme) else host.port
    return Origin(scheme, host.name, port)


def is_origin_of(origin: Origin, host_header: str) -> bool:
    """Return whether a request with this ``Host`` goes to the origin, if the scheme is left out of account.

    A proxy that ends TLS passes the request on by http, so the scheme that the server sees proves nothing. Ports are
    compared; the default port of the origin's scheme may be written in ``Host`` or left out.
    """
    default = {"http": 80, "https": 443}.get(origin.scheme)
    host = parse_host(host_header) if default is not None and host_header.isascii() else None
    if host is None or host.name != origin.host:
        return False
    return origin.port == (None if host.port == default else host.port)


def required_origin(text: object, where: str, what: str) -> Origin:
    """Return the origin that an option names.

    Raises:
        ConfigurationError: the text is no origin: no scheme, no host, a path, a slash at the end, ``null``, …
    """
    origin = _read(text) if isinstance(text, str) else None
    if origin is None:
        remedy = "An origin has a scheme, a host and perhaps a port, and no path and no slash at the end"
        raise ConfigurationError(complaint(where, what, "an origin such as 'https://example.com'", text, remedy))
    return origin
