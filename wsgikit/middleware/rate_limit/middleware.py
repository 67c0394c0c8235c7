"""`RateLimitMiddleware`: refuse a client that asks too often."""

from __future__ import annotations

__all__ = ["RateLimitMiddleware"]

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Literal

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.addresses import is_in, parse_networks
from wsgikit.middleware.rate_limit.clients import make_client_key
from wsgikit.middleware.rate_limit.counter import Counter, Strategy, Usage, parse_ban, parse_limits
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.refusal import Refusal
from wsgikit.wsgi import PROXY_ORIGINAL, Environ, WSGIApplication

_REPORT = "wsgikit.rate_limit"  # what the response says of the limits; the one with the least remaining counts
_MOST_ADDRESSES = 1024  # whose place on the safelist is kept: reading an address takes longer than all the rest
_UNAVAILABLE = Refusal(503, "Requests can't be counted at the moment.", [("Retry-After", "5")])


class _Report:
    """What a response says of the limits, of all layers of the request."""

    def __init__(self, usages: list[Usage], style: str) -> None:
        self.usages = usages
        self.style = style

    def tighten(self, usages: list[Usage]) -> None:
        """Take other limits if less is left of them."""
        if _tightest(usages).remaining <= _tightest(self.usages).remaining:
            self.usages = usages

    def write(self, exchange: Exchange) -> None:
        """Add the headers to the response, unless the application has its own."""
        headers = exchange.headers
        usage = _tightest(self.usages)
        if self.style in ("both", "x"):
            headers.setdefault("X-RateLimit-Limit", str(usage.amount))
            headers.setdefault("X-RateLimit-Remaining", str(usage.remaining))
            headers.setdefault("X-RateLimit-Reset", str(usage.reset_seconds))
        if self.style in ("both", "draft"):
            listed = ", ".join(f'"{each.text}";q={each.amount};w={each.window_seconds}' for each in self.usages)
            headers.setdefault("RateLimit-Policy", listed)
            headers.setdefault("RateLimit", f'"{usage.text}";r={usage.remaining};t={usage.reset_seconds}')


def _tightest(usages: list[Usage]) -> Usage:
    return min(usages, key=lambda usage: (usage.remaining, -usage.reset_seconds))


class RateLimitMiddleware(Middleware):
    """Refuse a client that asks more often than it may, with a 429 that says when to come back.

    Use it around whatever is expensive or is worth guessing at: logins, searches, APIs. Don't expect it to stop a
    flood: each request still costs a worker some time, which a proxy or a network provider saves you.

    Place: inside `ProxyHeadersMiddleware`, without which all visitors behind a proxy are one client. Environ: reads
    ``REMOTE_ADDR``, or what `key` names.

    Args:
        app: the WSGI application to wrap.
        limits: ``"100/minute; 2000/day"``, ``"5 per 10 seconds"``: all of them hold.
        count: a function of the exchange, called with the response: only requests that it is true for are counted,
            such as failed logins.
        key: whose requests are counted together: ``"address"``, ``"session"``, ``"user"``, the name of a header
            such as ``"X-API-Key"``, or a function of the exchange that returns a text, or None for no limit. A
            request without a session, a user or the header counts by its address.
        store: where is counted: ``"memory://"`` for one process, ``"redis://localhost:6379/0"`` for all, or another
            store of the library limits.
        strategy: ``"fixed-window"``; ``"moving-window"``, which is exact and keeps each request; ``"sliding-window"``.
        ipv6_prefix: how many bits of an IPv6 address are one client.
        on_store_error: what happens while the store is down: ``"allow"``, or ``"deny"`` (503).
        headers: ``"x"`` for ``X-RateLimit-*``, ``"draft"`` for ``RateLimit`` and ``RateLimit-Policy``, or ``"both"``.
        cost: what one request counts as.
        safelist: addresses and networks without a limit.
        ban: ``"10/minute for 1h"``: a client that got so many responses of `ban_statuses` is refused for that long.
        ban_statuses: the statuses that `ban` counts.
        name: the name of the layer: layers of other names count for themselves.

    Raises:
        ConfigurationError: an option that can't work; the library limits or a driver is missing.

    With an address, a header or a function, limits are checked on the way in; with a user or a session, right before
    the view. ``policy(rate_limit="5/minute")`` is a further limit of one view. Every response says what is left of
    the limit with the least remaining. The store is asked again a second after it failed, and its failure is logged
    once (logger ``wsgikit.rate_limit``). Clients without an address share one limit.

    Example::

        stack = build_stack(app, use(RateLimitMiddleware, limits="100/minute", store="redis://localhost:6379/0"))
    """

    request_policy = ("rate_limit",)
    inside_of = ("ProxyHeadersMiddleware",)

    def __init__(
        self,
        app: WSGIApplication,
        *,
        limits: str,
        count: Callable[[Exchange], object] | None = None,
        key: str | Callable[[Exchange], str | None] = "address",
        store: str = "memory://",
        strategy: Strategy = "fixed-window",
        ipv6_prefix: int = 64,
        on_store_error: Literal["allow", "deny"] = "allow",
        headers: Literal["both", "x", "draft"] = "both",
        cost: int = 1,
        safelist: str | Iterable[str] = (),
        ban: str | None = None,
        ban_statuses: Iterable[int] = (401, 403, 404),
        name: str = "rate_limit",
    ) -> None:
        super().__init__(app)
        where = "RateLimitMiddleware"
        self.limits = parse_limits(where, "limits", limits)
        if count is not None and not callable(count):
            raise ConfigurationError(complaint(where, "count", "a function of the exchange, or None", count))
        _check_number(where, "ipv6_prefix", ipv6_prefix, 1, 128)
        _check_number(where, "cost", cost, 1, min(item.amount for item in self.limits))
        if on_store_error not in ("allow", "deny"):
            raise ConfigurationError(complaint(where, "on_store_error", "'allow' or 'deny'", on_store_error))
        if headers not in ("both", "x", "draft"):
            raise ConfigurationError(complaint(where, "headers", "'both', 'x' or 'draft'", headers))
        self.ban_statuses = frozenset(ban_statuses)
        for status in self.ban_statuses:
            _check_number(where, "ban_statuses", status, 400, 599)
        self.count = count
        self.headers = headers
        self.cost = cost
        self.safelist = parse_networks(where, "safelist", safelist)
        self.ban = None if ban is None else parse_ban(where, ban)
        self.name = name
        self.on_store_error = on_store_error
        self._client_of, self._is_late = make_client_key(where, key, ipv6_prefix)
        self._address_of = make_client_key(where, "address", ipv6_prefix)[0]
        self._counter = Counter(where, store, strategy)
        self._is_listed = lru_cache(_MOST_ADDRESSES)(lambda address: is_in(address, self.safelist))
        self._warned: set[str] = set()

    # ------------------------------------------------------------------ the hooks

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Refuse a client that is banned; count the request, unless the layers further in name its client."""
        environ = exchange.environ
        self._warn(environ)
        if self._is_safe(environ):
            return None
        if self.ban is not None:
            refusal = self._check_ban(exchange)
            if refusal is not None:
                return refusal
        return None if self._is_late else self._check(exchange, self.limits, ())

    def before_view(self, exchange: Exchange) -> WSGIApplication | None:
        """Count the request if the layers further in name its client, and by the limit of the view."""
        wanted = exchange.policy.get("rate_limit")
        if (not self._is_late and not wanted) or self._is_safe(exchange.environ):
            return None
        refusal = self._check(exchange, self.limits, ()) if self._is_late and wanted is not False else None
        if refusal is not None or not wanted:
            return refusal
        route = exchange.route
        return self._check(exchange, _limits_of(wanted), ("view", str(route.endpoint if route else "")))

    def close(self) -> None:
        """Give back the connections of the store."""
        self._counter.close()

    # ------------------------------------------------------------------ counting

    def _check(self, exchange: Exchange, items: tuple[Any, ...], part: tuple[str, ...]) -> WSGIApplication | None:
        """Count a request by some limits; return the refusal if one is exceeded."""
        client = self._client_of(exchange)
        if client is None:
            return None
        key = (self.name, *part, client)
        counter = self._counter
        is_counted_later = self.count is not None
        is_within = (counter.test if is_counted_later else counter.hit)(items, key, self.cost)
        usages = None if is_within is None else counter.usages(items, key)
        if is_within is None or usages is None:
            return _UNAVAILABLE if self.on_store_error == "deny" else None
        self._report(exchange, usages)
        if is_counted_later:
            self._count_later(exchange, items, key)  # what is registered last is called first
        return None if is_within else _too_many(_longest_wait(usages, self.cost))

    def _count_later(self, exchange: Exchange, items: tuple[Any, ...], key: tuple[str, ...]) -> None:
        """Count the request when its response is there, if the function `count` says so."""
        is_wanted: Callable[[Exchange], object] = self.count  # type: ignore[assignment]  # the caller looked

        def count(exchange: Exchange) -> None:
            if is_wanted(exchange):
                self._counter.hit(items, key, self.cost)
                usages = self._counter.usages(items, key)
                if usages is not None:
                    exchange.environ[_REPORT].tighten(usages)

        exchange.on_response(count)

    def _report(self, exchange: Exchange, usages: list[Usage]) -> None:
        report: _Report | None = exchange.environ.get(_REPORT)
        if report is not None:
            report.tighten(usages)
            return
        report = exchange.environ[_REPORT] = _Report(usages, self.headers)
        exchange.on_response(report.write)

    def _check_ban(self, exchange: Exchange) -> WSGIApplication | None:
        ban: Any = self.ban
        client = (self._address_of if self._is_late else self._client_of)(exchange)
        if client is None:
            return None
        key = (self.name, client)
        seconds = self._counter.banned_seconds(ban, key)
        if seconds:
            return _too_many(seconds)

        def count(exchange: Exchange) -> None:
            if exchange.status_code in self.ban_statuses:
                self._counter.count_bad(ban, key)

        exchange.on_response(count)
        return None

    def _is_safe(self, environ: Environ) -> bool:
        return bool(self.safelist) and self._is_listed(environ.get("REMOTE_ADDR"))

    # ------------------------------------------------------------------ warnings

    def _warn(self, environ: Environ) -> None:
        """Log, once each, what makes the limit another one than was meant."""
        if self._counter.is_memory and environ.get("wsgi.multiprocess"):
            self._warn_once(
                "processes",
                "store: several processes count in memory, each by itself, so that a client may ask several times as "
                "often. Use store='redis://…'",
            )
        is_forwarded = "HTTP_X_FORWARDED_FOR" in environ or "HTTP_FORWARDED" in environ
        if is_forwarded and PROXY_ORIGINAL not in environ and "werkzeug.proxy_fix.orig" not in environ:
            self._warn_once(
                "proxy",
                "A request came through a proxy, and no layer reads its headers: all visitors are one client. "
                "Add ProxyHeadersMiddleware outside of RateLimitMiddleware, with the proxy's address",
            )

    def _warn_once(self, about: str, text: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            import logging  # costs start-up time

            logging.getLogger("wsgikit.rate_limit").warning(text)


@lru_cache(256)
def _limits_of(text: str) -> tuple[Any, ...]:
    return parse_limits("policy", "rate_limit", text)


def _longest_wait(usages: list[Usage], cost: int) -> int:
    """Return for how many seconds a client that was refused should wait."""
    waits = [usage.reset_seconds for usage in usages if usage.remaining < cost]
    return max([1, *waits])


def _too_many(seconds: int) -> Refusal:
    return Refusal(429, f"Too many requests. Try again in {seconds} seconds.", [("Retry-After", str(seconds))])


def _check_number(where: str, option: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigurationError(complaint(where, option, f"a whole number from {least} to {most}", value))
