"""Hosts: what a ``Host`` header may be, read once and in one form.

The syntax is that of the URL standard (https://url.spec.whatwg.org/#host-parsing) and stricter in three points: no
percent-encoding, no characters but letters, digits, ``-``, ``_`` and ``.``, and an IPv4 address only as four decimal
numbers. Browsers rewrite the other forms before they send them.
"""

from __future__ import annotations

__all__ = ["Host", "host_of", "is_loopback", "is_loopback_or_ip", "is_trusted", "parse_host", "without_default_port"]

import ipaddress
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\x00-\x20\x7f\[\]:@/\\?#%]+))(?::([0-9]{0,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")  # RFC 1035 §2.3.4: at most 63 characters
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST_NAME = 253  # RFC 1035 §2.3.4, without the dot of the root
_LONGEST_TEXT = 1024  # no name in Unicode is longer than the 253 characters of its IDNA form
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Host(NamedTuple):
    """A host, as `parse_host` reads it.

    Attributes:
        name: in lower case and ASCII, without a trailing dot; an IPv6 address without brackets, in its shortest form.
        port: the port if it was given.
        address: the IP address if it is one.
    """

    name: str
    port: int | None = None
    address: ipaddress.IPv4Address | ipaddress.IPv6Address | None = None

    def __str__(self) -> str:
        """Return the host as it stands in a URL: ``example.org``, ``[::1]:8080``."""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port is None else f"{name}:{self.port}"


def parse_host(text: str) -> Host | None:
    """Return the host that a text is, or None if it is none.

    Args:
        text: a name, an IPv4 address or an IPv6 address in brackets, with or without a port. A name in another script
            becomes its IDNA form. For a header use `host_of`.
    """
    return _parse(text) if len(text) <= _LONGEST_TEXT else None


@lru_cache(maxsize=512)  # a site has few hosts, and each request asks for one
def _parse(text: str) -> Host | None:
    match = _HOST.fullmatch(text)
    if match is None:
        return None
    ipv6, name, digits = match.groups()
    port = int(digits) if digits else None
    if port is not None and port > 65535:
        return None
    if ipv6 is not None:
        try:
            address = ipaddress.IPv6Address(ipv6)
        except ValueError:
            return None
        return Host(_written(address), port, address)
    ascii_name = _ascii_name(name)
    if ascii_name is None:
        return None
    if _NUMBER.fullmatch(ascii_name.rpartition(".")[2]):  # the URL standard's "ends in a number": an address or nothing
        try:
            return Host(ascii_name, port, ipaddress.IPv4Address(ascii_name))
        except ValueError:
            return None
    return Host(ascii_name, port)


def _ascii_name(name: str) -> str | None:
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    name = name.lower().removesuffix(".")
    # The check comes last: IDNA makes spaces and dots of some characters.
    if len(name) > _LONGEST_NAME or not all(map(_LABEL.fullmatch, name.split("."))):
        return None
    return name


def host_of(environ: Mapping[str, Any]) -> Host | None:
    """Return the host that a request is for, or None if its ``Host`` header is no host.

    A request without the header (HTTP/1.0) is for the name and port that the server has. A header that isn't ASCII is
    no host: RFC 9110 §7.2 has no other letters in it.
    """
    header = environ.get("HTTP_HOST")
    if header is None:
        return parse_host(f"{environ.get('SERVER_NAME', '')}:{environ.get('SERVER_PORT', '')}")
    return parse_host(header) if header.isascii() else None


def _written(address: ipaddress.IPv6Address) -> str:
    """Write an IPv6 address as the URL standard does: IPv4 within it as two groups (Python 3.13 writes dots)."""
    mapped = address.ipv4_mapped
    if mapped is None:
        return str(address)
    return f"::ffff:{int(mapped) >> 16:x}:{int(mapped) & 0xFFFF:x}"


def is_loopback(host: Host) -> bool:
    """Return whether a host is this machine by its name: ``localhost``, a name below it, 127.0.0.0/8 or ``::1``."""
    if host.address is not None:
        mapped = getattr(host.address, "ipv4_mapped", None)
        return bool((mapped or host.address).is_loopback)
    return host.name == "localhost" or host.name.endswith(".localhost")  # RFC 6761 §6.3


def is_loopback_or_ip(host: Host) -> bool:
    """Return whether a host is this machine or an IP address: no name server can point these elsewhere."""
    return host.address is not None or is_loopback(host)


def is_trusted(host: Host, trusted: Iterable[str]) -> bool:
    """Return whether a host is in a list, as in Flask's ``trusted_hosts``; ports are ignored.

    Args:
        host: the request's.
        trusted: hosts; one that begins with a dot is that host and all below it.
    """
    for entry in trusted:
        wanted = parse_host(entry.removeprefix("."))
        if wanted is None:
            continue
        if host.name == wanted.name or (entry.startswith(".") and host.name.endswith(f".{wanted.name}")):
            return True
    return False


def without_default_port(host: str, scheme: str) -> str:
    """Return a host, as text, without the port that its scheme has anyway."""
    default = _DEFAULT_PORTS.get(scheme)
    return host.removesuffix(f":{default}") if default else host
