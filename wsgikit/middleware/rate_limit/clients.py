"""Which requests are of one client: by address, session, user, a header, or a function."""

from __future__ import annotations

__all__ = ["SHARED", "ClientKey", "address_key", "make_client_key"]

import hashlib
import ipaddress
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias, cast

from wsgikit.exceptions import ApplicationError, ConfigurationError, complaint, did_you_mean
from wsgikit.http.addresses import parse_address
from wsgikit.http.users import id_of
from wsgikit.onion.exchange import Exchange
from wsgikit.wsgi import SESSION, USER

ClientKey: TypeAlias = Callable[[Exchange], "str | None"]

SHARED = "no address"
"""The bucket of all clients without an address."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2
_WORDS = ("address", "session", "user")


@lru_cache(4096)  # reading an address takes longer than all the rest
def address_key(text: str | None, ipv6_prefix: int) -> str:
    """Return the bucket of an address: itself, or its network if it is IPv6.

    A client of IPv6 has at least a /64 to choose addresses from (RFC 6177).
    """
    address = parse_address(text) if text else None
    if address is None:
        return SHARED
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, ipv6_prefix), strict=False))


def make_client_key(where: str, key: Any, ipv6_prefix: int) -> tuple[ClientKey, bool]:
    """Return the function that names the client of a request, and whether it needs the layers further in.

    Args:
        where: the layer, for errors.
        key: ``"address"``, ``"session"``, ``"user"``, the name of a header, or a function of the exchange.
        ipv6_prefix: how many bits of an IPv6 address are one client.

    Raises:
        ConfigurationError: it is none of these.
    """

    def by_address(exchange: Exchange) -> str:
        return address_key(exchange.environ.get("REMOTE_ADDR"), ipv6_prefix)

    def by_session(exchange: Exchange) -> str:
        session = exchange.environ.get(SESSION)
        if session is None:
            raise ApplicationError(f"{where}: key: expected a session in this request. Add SessionMiddleware.")
        # A client that keeps no cookie has a new session each time.
        return by_address(exchange) if session.new else f"session {_digest(session.id)}"

    def by_user(exchange: Exchange) -> str:
        name = _user_of(exchange.environ)
        return f"user {_digest(name)}" if name else by_address(exchange)

    if key in _WORDS:
        return {"address": by_address, "session": by_session, "user": by_user}[key], key != "address"
    if callable(key):
        return cast("ClientKey", key), False
    expected = "'address', 'session', 'user', the name of a header or a function of the exchange"
    remedy = did_you_mean(key, _WORDS, likeness=0.7) if isinstance(key, str) else ""
    if not isinstance(key, str) or not _TOKEN.fullmatch(key) or remedy:
        raise ConfigurationError(complaint(where, "key", expected, key, remedy))
    header = "HTTP_" + key.upper().replace("-", "_")

    def by_header(exchange: Exchange) -> str:
        value = exchange.environ.get(header)
        return f"{header} {_digest(value)}" if value else by_address(exchange)

    return by_header, False


def _user_of(environ: Mapping[str, Any]) -> str:
    """Return what the user is known by: the one under ``wsgikit.user``, else the server's ``REMOTE_USER``."""
    user = environ.get(USER)
    return str(environ.get("REMOTE_USER") or "") if user is None else id_of(user)


def _digest(text: str) -> str:
    """Return a short text for one that may be long, or secret."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
