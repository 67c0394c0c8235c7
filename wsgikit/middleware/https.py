"""`HttpsMiddleware`: redirect to https, and have browsers remember it (HSTS, RFC 6797)."""

from __future__ import annotations

__all__ = ["HttpsMiddleware", "hsts_value"]

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.addresses import came_by_https
from wsgikit.http.hosts import Host, host_of, is_loopback_or_ip, parse_host
from wsgikit.http.targets import target_of
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.refusal import Refusal
from wsgikit.onion.reply import Reply
from wsgikit.onion.scope import Scope
from wsgikit.options.flags import check_flags
from wsgikit.wsgi import PROXY_ORIGINAL, Environ, WSGIApplication

_YEAR = 31536000  # what the preload list of browsers asks for at least (hstspreload.org)
_HSTS = "Strict-Transport-Security"


def hsts_value(seconds: int, *, subdomains: bool = False, preload: bool = False) -> str:
    """Return a ``Strict-Transport-Security`` value (RFC 6797 §6.1)."""
    return f"max-age={seconds}{'; includeSubDomains' if subdomains else ''}{'; preload' if preload else ''}"


class HttpsMiddleware(Middleware):
    """Redirect requests that came by http to https with a 308, and send HSTS on those that came by https.

    Use it around a site that has https. Don't use it for an application that is only reached inside a machine or a
    network without certificates. Behind a proxy that ends TLS every request arrives by http:
    `ProxyHeadersMiddleware` outside of it must say which came by https. Without, the redirect leads in a circle; that
    is logged once (logger ``wsgikit.https``).

    Place: inside `ProxyHeadersMiddleware` and `TrustedHostsMiddleware`, outside of whatever answers. Environ: reads
    ``wsgi.url_scheme`` and ``HTTP_HOST``.

    Args:
        app: the WSGI application to wrap.
        redirect: whether requests by http are redirected.
        host: the host that the redirect leads to; None is the one that was asked for.
        hsts_seconds: how long browsers remember to use https; None sends no header, 0 has them forget it.
        hsts_subdomains: whether that holds for all names below the host, too.
        hsts_preload: whether the host may be put on the browsers' own list; needs a year and `hsts_subdomains`.
        permanent_get: whether GET and HEAD are redirected with a 301, which old clients know.
        port: the port of https.
        exempt: requests that are not redirected, as in ``use(…, unless=…)``.

    Raises:
        ConfigurationError: an option that can't work.

    ``localhost`` and hosts that are addresses are never redirected, and never get HSTS.

    Example::

        stack = build_stack(app, use(ProxyHeadersMiddleware, trusted_proxies=["127.0.0.1"]), use(HttpsMiddleware))
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        redirect: bool = True,
        host: str | None = None,
        hsts_seconds: int | None = _YEAR,
        hsts_subdomains: bool = False,
        hsts_preload: bool = False,
        permanent_get: bool = False,
        port: int = 443,
        exempt: str | Callable[[Environ], bool] | Iterable[str | Callable[[Environ], bool]] = (
            "/.well-known/acme-challenge/*",
        ),
    ) -> None:
        super().__init__(app)
        where = "HttpsMiddleware"
        check_flags(where, redirect=redirect, hsts_subdomains=hsts_subdomains, hsts_preload=hsts_preload)
        check_flags(where, permanent_get=permanent_get)
        if hsts_seconds is not None and (type(hsts_seconds) is not int or hsts_seconds < 0):
            raise ConfigurationError(complaint(where, "hsts_seconds", "whole seconds, or None", hsts_seconds))
        if hsts_preload and ((hsts_seconds or 0) < _YEAR or not hsts_subdomains):
            expected = f"hsts_seconds={_YEAR} or more, and hsts_subdomains=True beside it"
            raise ConfigurationError(complaint(where, "hsts_preload", expected, hsts_preload))
        if type(port) is not int or not 1 <= port <= 65535:
            raise ConfigurationError(complaint(where, "port", "a number from 1 to 65535", port))
        wanted = None if host is None else parse_host(host)
        if host is not None and (wanted is None or wanted.port is not None):
            raise ConfigurationError(complaint(where, "host", "a host without a port", host, "The port is in port="))
        self.redirect = redirect
        self.permanent_get = permanent_get
        self._host = wanted
        self._port = None if port == 443 else port
        patterns: Any = (exempt,) if isinstance(exempt, str) or callable(exempt) else tuple(exempt)
        self.exempt = patterns
        self._is_redirected = Scope(where, None, patterns, unless_name="exempt").matches if patterns else _always
        self.hsts: str | None = None
        if hsts_seconds is not None:
            self.hsts = hsts_value(hsts_seconds, subdomains=hsts_subdomains, preload=hsts_preload)
        self._told: set[str] = set()

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Redirect to https; have HSTS added to a response that goes by https."""
        environ = exchange.environ
        if environ["wsgi.url_scheme"] == "https":
            if self.hsts is not None and _takes_hsts(environ.get("HTTP_HOST", "")):
                exchange.on_response(self._add_hsts)
            return None
        if not self.redirect:
            return None
        host = host_of(environ)
        if host is None:
            return Refusal(400, "The host that was asked for can't be read.")
        if is_loopback_or_ip(host) or not self._is_redirected(environ):
            return None
        self._warn_of_circle(environ)
        location = f"https://{Host((self._host or host).name, self._port)}{target_of(environ)}"
        is_get = self.permanent_get and environ["REQUEST_METHOD"] in ("GET", "HEAD")
        head = [("Location", location)]
        return Reply(301 if is_get else 308, f"Moved to {location}\n", "text/plain; charset=utf-8", head)

    def _add_hsts(self, exchange: Exchange) -> None:
        headers = exchange.headers
        if not headers.has(_HSTS):
            headers.add(_HSTS, self.hsts or "")

    def _warn_of_circle(self, environ: Environ) -> None:
        """Log, once, that a request that is redirected to https seems to have come by https."""
        if self._told or not came_by_https({**environ, **environ.get(PROXY_ORIGINAL, {})}):
            return
        self._told.add("circle")
        import logging  # costs start-up time, and only this warning logs

        logging.getLogger("wsgikit.https").warning(
            "A request that seems to have come by https is redirected to https, which leads in a circle: the proxy "
            "ends TLS, and nothing says so. Add ProxyHeadersMiddleware with the proxy's address in trusted_proxies"
        )


@lru_cache(256)
def _takes_hsts(text: str) -> bool:
    """Return whether browsers remember HSTS for a host: not for an address (RFC 6797 §8.1.1)."""
    host = parse_host(text) if text.isascii() else None
    return host is not None and not is_loopback_or_ip(host)


def _always(environ: Environ) -> bool:
    return True
