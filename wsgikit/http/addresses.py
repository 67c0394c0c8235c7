"""Addresses of peers and clients: who is on this machine, who is in a list of networks, and who may see internals.

IPv4-mapped IPv6 (``::ffff:10.0.0.7``, which a server that listens on both families reports) counts as IPv4.
"""

from __future__ import annotations

__all__ = [
    "LOOPBACK",
    "Address",
    "Allow",
    "Network",
    "came_by_https",
    "debug_refusal",
    "forwarded_addresses",
    "has_proxy_header",
    "is_in",
    "is_local",
    "local_refusal",
    "parse_address",
    "parse_allow",
    "parse_network",
    "parse_networks",
    "peer_of",
]

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.hosts import host_of, is_loopback, is_loopback_or_ip
from wsgikit.wsgi import PROXY_ORIGINAL

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))

_WERKZEUG_ORIGINAL = "werkzeug.proxy_fix.orig"
_CLIENT_HEADERS = ("HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_CF_CONNECTING_IP", "HTTP_TRUE_CLIENT_IP")
# Beginnings of the headers that proxies, load balancers, tunnels and content delivery networks add.
_PROXY_HEADERS = (
    "HTTP_X_FORWARDED",
    "HTTP_FORWARDED",
    "HTTP_VIA",
    "HTTP_X_REAL_IP",
    "HTTP_CF_",  # Cloudflare
    "HTTP_TRUE_CLIENT_IP",  # Akamai, Cloudflare
    "HTTP_X_CLIENT_IP",
    "HTTP_X_CLUSTER_CLIENT_IP",
    "HTTP_FASTLY_",
    "HTTP_FLY_",
    "HTTP_CDN_LOOP",  # RFC 8586
    "HTTP_X_AMZN_",
    "HTTP_X_ENVOY_",
    "HTTP_X_APPENGINE_",
    "HTTP_X_ORIGINAL_FORWARDED_FOR",
    "HTTP_FRONT_END_HTTPS",
)
# Servers that hand every request header to the application, so that the absence of a proxy's header means something.
_OPEN_SERVERS = ("werkzeug/", "gunicorn/", "wsgiserver/", "cheroot/", "gevent/")


# ---------------------------------------------------------------------- addresses and networks


def parse_address(text: str) -> Address | None:
    """Return the address that a text is, or None if it is none. A zone (``fe80::1%eth0``) is left out."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def parse_network(text: str) -> Network:
    """Return the network of an address or a CIDR text; bits behind the prefix are dropped.

    Raises:
        ValueError: the text is neither.
    """
    network = ipaddress.ip_network(text.strip(), strict=False)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= 96:  # ::ffff:0:0/96 holds the IPv4 addresses (RFC 4291 §2.5.5.2)
        return ipaddress.ip_network(f"{mapped}/{network.prefixlen - 96}")
    return network


def parse_networks(where: str, option: str, values: str | Iterable[str], remedy: str = "") -> tuple[Network, ...]:
    """Return the networks that the value of an option names.

    Args:
        where: the layer, for the error text.
        option: the option's name, for the error text.
        values: addresses and networks (``"10.0.0.7"``, ``"172.17.0.0/16"``, ``"2001:db8::/32"``), or one of them.
        remedy: a sentence for the error text.

    Raises:
        ConfigurationError: an entry is neither an address nor a network.
    """
    networks = []
    for value in [values] if isinstance(values, str) else values:
        try:
            networks.append(parse_network(value))
        except (AttributeError, ValueError):
            expected = "addresses or networks such as '10.0.0.7' or '172.17.0.0/16'"
            raise ConfigurationError(complaint(where, option, expected, value, remedy)) from None
    return tuple(networks)


def is_in(address: str | Address | None, networks: Iterable[Network]) -> bool:
    """Return whether an address is in one of the networks. A text that is no address is in none."""
    parsed = parse_address(address) if isinstance(address, str) else address
    return parsed is not None and any(parsed in network for network in networks)


# ---------------------------------------------------------------------- what a request says about its way


def peer_of(environ: Mapping[str, Any]) -> str | None:
    """Return the address that the connection came from, as the server wrote it; None if there is none.

    A layer that trusts a proxy (`ProxyHeadersMiddleware`, Werkzeug's ``ProxyFix``) replaces ``REMOTE_ADDR`` by the
    client that a header names, and keeps the server's value. The server's value is returned.
    """
    for key in (PROXY_ORIGINAL, _WERKZEUG_ORIGINAL):
        original = environ.get(key)
        if isinstance(original, Mapping) and original.get("REMOTE_ADDR") is not None:
            return str(original["REMOTE_ADDR"])
    peer = environ.get("REMOTE_ADDR")
    return None if peer is None else str(peer)


def has_proxy_header(environ: Mapping[str, Any]) -> bool:
    """Return whether the request came through a proxy, by its headers or by what a layer removed from them."""
    return bool(environ.get(PROXY_ORIGINAL)) or any(key.startswith(_PROXY_HEADERS) for key in environ)


def forwarded_addresses(environ: Mapping[str, Any]) -> Iterator[str]:
    """Yield each client and hop that a proxy header names, as written, without port and brackets.

    Headers that a layer removed are read from ``wsgikit.proxy.original``. Any client can send such a header: an address
    here is a reason to refuse, and never alone one to allow.
    """
    original = environ.get(PROXY_ORIGINAL)
    sources = (environ, original) if isinstance(original, Mapping) else (environ,)
    for source in sources:
        for key in _CLIENT_HEADERS:
            for part in str(source.get(key) or "").split(","):
                if address := _bare(part):
                    yield address
        for element in str(source.get("HTTP_FORWARDED") or "").split(","):
            pairs = (pair.partition("=") for pair in element.split(";"))  # RFC 7239: for="[2001:db8::1]:4711"
            for name, _, value in pairs:
                if name.strip().lower() == "for" and (address := _bare(value)):
                    yield address


def came_by_https(environ: Mapping[str, Any]) -> bool:
    """Return whether a request that arrived by http seems to have left the visitor's browser by https.

    Forwarded headers say so. A server may delete those (waitress does), but browsers send ``Sec-Fetch-Site`` only to
    https and to the names of the client's machine (Fetch Metadata §2).
    """
    proto = str(environ.get("HTTP_X_FORWARDED_PROTO") or environ.get("HTTP_X_FORWARDED_SCHEME") or "")
    if proto.split(",")[0].strip().lower() == "https":
        return True
    if "on" in (environ.get("HTTP_X_FORWARDED_SSL"), environ.get("HTTP_FRONT_END_HTTPS")):
        return True
    if "proto=https" in str(environ.get("HTTP_FORWARDED") or "").lower().replace('"', ""):
        return True
    return "HTTP_SEC_FETCH_SITE" in environ and not _is_host_local(environ, any_ip=False)


def _bare(text: str) -> str:
    address = text.strip().strip('"')
    if address.startswith("["):
        return address[1:].partition("]")[0]
    if address.count(":") == 1:
        return address.partition(":")[0]
    return address


def _is_host_local(environ: Mapping[str, Any], *, any_ip: bool = True) -> bool:
    """Return whether the Host is a name of this machine or an address, which no name server can point elsewhere."""
    if environ.get("HTTP_HOST") is None:  # browsers always send one
        return True
    host = host_of(environ)
    return host is not None and (is_loopback_or_ip(host) if any_ip else is_loopback(host))


# ---------------------------------------------------------------------- who may see internals


@lru_cache(1024)
def _is_loopback(address: str) -> bool:
    return is_in(address, LOOPBACK)


def is_local(environ: Mapping[str, Any]) -> bool:
    """Return whether a request surely comes from this machine: the rule for debug pages and for ``allow="local"``."""
    return local_refusal(environ) is None


def local_refusal(environ: Mapping[str, Any]) -> str | None:
    """Return why a request can't be taken for one from this machine, or None if it can.

    All of these hold for one that can: the peer is a loopback address; the Host is ``localhost`` or an address
    (otherwise a page of ``evil.example`` could ask, by DNS rebinding); nothing shows a proxy; and the server is known
    to hand proxy headers on. An environ without ``REMOTE_ADDR`` or ``SERVER_SOFTWARE`` was made inside the process, by
    a test.
    """
    peer = peer_of(environ)
    if peer is not None and not _is_loopback(peer):
        return f"the peer {peer or 'of a Unix socket'} is not a loopback address"
    if has_proxy_header(environ):
        return "the request came through a proxy"
    if not _is_host_local(environ):
        return f"the Host {str(environ['HTTP_HOST'])[:80]!a} is neither localhost nor an address"
    server = environ.get("SERVER_SOFTWARE", _OPEN_SERVERS[0])
    if "waitress.client_disconnected" in environ or not str(server).lower().startswith(_OPEN_SERVERS):
        return f"the server {str(server)[:80]!a} may hide a proxy"
    if "SERVER_SOFTWARE" in environ and environ.get("SERVER_PROTOCOL") == "HTTP/1.0":
        return "the request is HTTP/1.0, as those of proxies such as nginx are"
    return None


def debug_refusal(environ: Mapping[str, Any], networks: Iterable[Network]) -> str | None:
    """Return why the traceback is not shown, or None if it may be.

    It may be if the request is local, or if the peer and every address that a proxy header names is in `networks`.
    """
    allowed = tuple(networks)
    reason = local_refusal(environ)
    if reason is None or not allowed:
        return reason
    peer = peer_of(environ)
    if not is_in(peer, allowed):
        return f"{reason}, and the peer {peer or 'of a Unix socket'} is not in debug_hosts"
    if not has_proxy_header(environ):
        return None
    addresses = [*forwarded_addresses(environ)]
    if not addresses:
        return "a proxy is in between that doesn't name its client"
    if environ.get(PROXY_ORIGINAL):  # the client that ProxyHeadersMiddleware found
        addresses.append(str(environ.get("REMOTE_ADDR")))
    for address in addresses:
        if not is_in(address, allowed):
            return f"{address[:80]!a} behind the proxy is not in debug_hosts"
    return None


class Allow:
    """Who may see something internal: requests from this machine, and clients of some networks.

    Make one by `parse_allow`. The networks are compared with ``REMOTE_ADDR``, which is the client if
    `ProxyHeadersMiddleware` stands further out.
    """

    __slots__ = ("_contains", "_local", "_networks")

    def __init__(self, *, local: bool, networks: Iterable[Network] = ()) -> None:
        self._local = local
        listed = self._networks = tuple(networks)
        # Most requests come from few addresses, and reading one costs more than all else here.
        self._contains = lru_cache(1024)(lambda address: is_in(address, listed))

    def permits(self, environ: Mapping[str, Any]) -> bool:
        """Return whether the client of this request may see it."""
        return self.refusal(environ) is None

    def refusal(self, environ: Mapping[str, Any]) -> str | None:
        """Return why the client of this request may not see it, or None if it may."""
        address = environ.get("REMOTE_ADDR")
        if self._networks and address is not None and self._contains(str(address)):
            return None
        if self._local:
            return local_refusal(environ)
        return f"the client {address or 'without an address'} is not in the list"


def parse_allow(where: str, option: str, value: str | Iterable[str] | None) -> Allow:
    """Return who may see something, from the value of an option.

    Args:
        where: the layer, for the error text.
        option: the option's name, for the error text.
        value: ``"local"`` for requests from this machine (see `is_local`), addresses and networks, or both in a list.
            An empty list or None allows nobody.

    Raises:
        ConfigurationError: an entry is neither ``"local"`` nor an address nor a network.
    """
    entries = [value] if isinstance(value, str) else list(value or ())
    others = [entry for entry in entries if entry != "local"]
    networks = parse_networks(where, option, others, "Or write 'local' for requests from this machine")
    return Allow(local=len(others) < len(entries), networks=networks)
