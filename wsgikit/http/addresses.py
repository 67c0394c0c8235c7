"""Who may see a traceback: the peer that the server saw, and every address that a proxy in between names."""

from __future__ import annotations

__all__ = ["LOOPBACK", "has_proxy_header", "is_in", "parse_hosts", "peer_of", "refusal"]

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from wsgikit.exceptions import ConfigurationError, complaint

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))

_FORWARDED_FOR = ("HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_FORWARDED")
_PROXY_HEADERS = ("HTTP_X_FORWARDED_", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")


def parse_hosts(hosts: Iterable[str]) -> tuple[Network, ...]:
    """Return the networks that ``debug_hosts`` names, loopback among them.

    Raises:
        ConfigurationError: an entry is neither an address nor a network.
    """
    networks = list(LOOPBACK)
    for host in hosts:
        try:
            networks.append(ipaddress.ip_network(host, strict=False))
        except ValueError:
            remedy = "The peer's address counts, not the Host header"
            expected = "addresses or networks such as '10.0.0.7' or '172.17.0.0/16'"
            raise ConfigurationError(complaint("ErrorPagesMiddleware", "debug_hosts", expected, host, remedy)) from None
    return tuple(networks)


def peer_of(environ: Mapping[str, Any]) -> str | None:
    """Return the address that the connection came from, as the server wrote it; None where no server did.

    A layer that trusts a proxy (Werkzeug's `ProxyFix`) overwrites ``REMOTE_ADDR`` with what a header says, and keeps
    the server's word aside. That word counts here.
    """
    original = environ.get("werkzeug.proxy_fix.orig")
    if isinstance(original, Mapping) and original.get("REMOTE_ADDR") is not None:
        return str(original["REMOTE_ADDR"])
    peer = environ.get("REMOTE_ADDR")
    return None if peer is None else str(peer)


def has_proxy_header(environ: Mapping[str, Any]) -> bool:
    """Tell whether the request says that it came through a proxy."""
    return any(key.startswith(_PROXY_HEADERS) for key in environ)


def refusal(environ: Mapping[str, Any], networks: Iterable[Network]) -> str | None:
    """Return why the traceback is not to be shown, or None where it may be.

    An environ without ``REMOTE_ADDR`` was made inside the process, by a test: servers give one, if only an empty one
    (for a Unix socket, which is refused).
    """
    allowed = tuple(networks)
    peer = peer_of(environ)
    if peer is not None and not is_in(peer, allowed):
        return f"the peer {peer or 'of a Unix socket'} is not in debug_hosts"
    if has_proxy_header(environ):
        addresses = list(_forwarded(environ))
        if not addresses:
            return "a proxy is in between that doesn't say whom it answers"
        for address in addresses:
            if not is_in(address, allowed):
                return f"{address or 'somebody'} behind the proxy is not in debug_hosts"
    return None


def is_in(address: str, networks: Iterable[Network]) -> bool:
    """Tell whether an address is in one of the networks."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)  # ::ffff:127.0.0.1, where a server listens on both
    return any((mapped or parsed) in network for network in networks)


def _forwarded(environ: Mapping[str, Any]) -> Iterable[str]:
    for key in _FORWARDED_FOR:
        for part in str(environ.get(key, "")).split(","):
            if key == "HTTP_FORWARDED":  # RFC 7239: for="[2001:db8::1]:4711";proto=http
                pairs = (pair.partition("=") for pair in part.split(";"))
                part = next((value for name, _, value in pairs if name.strip().lower() == "for"), "")
            address = part.strip().strip('"')
            if address.startswith("["):
                address = address[1:].partition("]")[0]
            elif address.count(":") == 1:
                address = address.partition(":")[0]
            if address:
                yield address
