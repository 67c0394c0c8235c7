"""`AccessListMiddleware`: let only some addresses in, or keep some out."""

from __future__ import annotations

__all__ = ["AccessListMiddleware"]

from collections.abc import Iterable
from functools import lru_cache

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.addresses import is_in, parse_address, parse_networks
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.refusal import Refusal
from wsgikit.wsgi import WSGIApplication

_MOST_ADDRESSES = 1024  # whose decision is kept: reading an address takes longer than all the rest


class AccessListMiddleware(Middleware):
    """Refuse requests by the address of the client.

    Use it for an admin area, an office network or an address that misbehaves. Don't use it as the only lock of
    something secret: an address is no proof of who somebody is.

    Place: inside `ProxyHeadersMiddleware`, without which every visitor behind a proxy has the proxy's address. Scope it
    by ``use(…, only="/admin/*")``. Environ: reads ``REMOTE_ADDR``.

    Args:
        app: the WSGI application to wrap.
        allow: addresses and networks that may come in (``"10.0.0.7"``, ``"192.168.0.0/16"``, ``"2001:db8::/32"``);
            all others may not. Empty lets everybody in that `deny` doesn't name.
        deny: addresses and networks that may not come in, those in `allow` among them.
        status: the status of the refusal, 403 or another from 400 to 499; 404 hides that there is something.

    Raises:
        ConfigurationError: an entry is neither an address nor a network, or both lists are empty.

    A client without a readable address (a Unix socket without `ProxyHeadersMiddleware`) is not in `allow`.
    ``::ffff:10.0.0.7`` is ``10.0.0.7``.

    Example::

        stack = build_stack(app, use(AccessListMiddleware, allow=["192.168.0.0/16"], only="/admin/*"))
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        allow: str | Iterable[str] = (),
        deny: str | Iterable[str] = (),
        status: int = 403,
    ) -> None:
        super().__init__(app)
        where = "AccessListMiddleware"
        self.allow = parse_networks(where, "allow", allow)
        self.deny = parse_networks(where, "deny", deny)
        if not self.allow and not self.deny:
            remedy = "An empty list would let everybody in. Leave the layer out if that is meant"
            raise ConfigurationError(complaint(where, "allow", "an address or a network in allow or deny", (), remedy))
        if isinstance(status, bool) or not isinstance(status, int) or not 400 <= status <= 499:
            raise ConfigurationError(complaint(where, "status", "a status from 400 to 499", status))
        self.status = status
        detail = "There is nothing here." if status in (404, 410) else "Your address may not use this site."
        self._refusal = Refusal(status, detail)
        self._decide = lru_cache(_MOST_ADDRESSES)(self.is_allowed)

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Refuse a client that may not come in."""
        return None if self._decide(exchange.environ.get("REMOTE_ADDR")) else self._refusal

    def is_allowed(self, address: str | None) -> bool:
        """Return whether a client of this address may come in."""
        parsed = parse_address(address) if address else None
        if self.deny and is_in(parsed, self.deny):
            return False
        return not self.allow or is_in(parsed, self.allow)
