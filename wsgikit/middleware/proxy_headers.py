"""`ProxyHeadersMiddleware`: take address, scheme and host of the client from proxies that you trust."""

from __future__ import annotations

__all__ = ["ProxyHeadersMiddleware"]

from collections.abc import Iterable
from typing import Any, Literal

from wsgikit.exceptions import ConfigurationError, complaint, did_you_mean
from wsgikit.http.addresses import Address, is_in, parse_address, parse_networks
from wsgikit.http.forwarded import (
    MalformedError,
    parse_forwarded,
    parse_port,
    parse_prefix,
    parse_proto,
    split_addresses,
    unquoted,
    walk,
)
from wsgikit.http.hosts import Host, parse_host
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.refusal import Refusal
from wsgikit.options.flags import check_flags
from wsgikit.wsgi import PROXY_ORIGINAL, Environ, WSGIApplication

_X_HEADERS = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix")
_KEYS = {name: "HTTP_" + name.upper().replace("-", "_") for name in (*_X_HEADERS, "forwarded")}
_X_FAMILY = frozenset(_KEYS[name] for name in _X_HEADERS)
# What a proxy says about a request. Whoever isn't trusted says none of it.
_ALL_KEYS = frozenset(
    {
        "HTTP_FORWARDED",
        "HTTP_X_REAL_IP",
        *_X_FAMILY,
        *("HTTP_X_FORWARDED_" + name for name in ("BY", "SERVER", "SCHEME", "SSL")),
    }
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


class ProxyHeadersMiddleware(Middleware):
    """Set ``REMOTE_ADDR``, ``wsgi.url_scheme`` and more to what trusted proxies say; remove what others say.

    Use it behind nginx, Apache, HAProxy, a load balancer or a content delivery network. Use it without options, too,
    if there is no proxy: forwarded headers that a client makes up are removed. Leave it out if the server does the same
    (waitress with ``trusted_proxy``, gunicorn's ``forwarded_allow_ips`` for the scheme): one place has to decide.

    Place: outside of whatever reads addresses, schemes or hosts; it may stand inside `ErrorPagesMiddleware`. Environ:
    changes ``REMOTE_ADDR``, ``REMOTE_PORT`` and ``REMOTE_HOST`` (removed), ``wsgi.url_scheme``, ``HTTP_HOST``,
    ``SERVER_NAME``, ``SERVER_PORT`` and ``SCRIPT_NAME``. Whatever it changes or removes is kept in the dict
    ``wsgikit.proxy.original``.

    Args:
        app: the WSGI application to wrap.
        trusted_proxies: addresses and networks of your proxies (``"10.0.0.0/8"``), ``"unix"`` for a Unix socket.
        headers: the headers that your proxies set or replace. Name others than the default only if yours do: most
            proxies pass a client's own ``X-Forwarded-Host`` on. ``["forwarded"]`` is RFC 7239.
        strip_untrusted: whether forwarded headers that aren't believed are removed from environ.
        on_conflict: what happens if headers contradict one another or can't be read: ``"400"`` refuses the request,
            ``"ignore"`` drops them all.

    Raises:
        ConfigurationError: an option that can't work.

    The walk along the addresses goes from the right and ends at the first that isn't a trusted proxy, so that what a
    client writes in front of them is never believed. If trusted headers name the client by several hosts, by ports that
    differ, or in both families (``X-Forwarded-*`` and ``Forwarded``), the request is refused.

    Example::

        stack = build_stack(app, use(ProxyHeadersMiddleware, trusted_proxies=["127.0.0.1", "::1"]))
    """

    outside_of = (
        "TrustedHostsMiddleware",
        "HttpsMiddleware",
        "AccessListMiddleware",
        "RateLimitMiddleware",
        "CookiePolicyMiddleware",
        "CsrfMiddleware",
        "SessionMiddleware",
    )

    def __init__(
        self,
        app: WSGIApplication,
        *,
        trusted_proxies: str | Iterable[str] = (),
        headers: str | Iterable[str] = ("x-forwarded-for", "x-forwarded-proto"),
        strip_untrusted: bool = True,
        on_conflict: Literal["400", "ignore"] = "400",
    ) -> None:
        super().__init__(app)
        where = "ProxyHeadersMiddleware"
        check_flags(where, strip_untrusted=strip_untrusted)
        if on_conflict not in ("400", "ignore"):
            raise ConfigurationError(complaint(where, "on_conflict", "'400' or 'ignore'", on_conflict))
        proxies = [trusted_proxies] if isinstance(trusted_proxies, str) else list(trusted_proxies)
        self.trusts_unix = "unix" in proxies
        others = [proxy for proxy in proxies if proxy != "unix"]
        self.networks = parse_networks(where, "trusted_proxies", others, "Or write 'unix' for a Unix socket")
        self.headers = _checked_headers(headers, where)
        self._removed = _ALL_KEYS - {_KEYS[name] for name in self.headers}
        self.strip_untrusted = strip_untrusted
        self.on_conflict = on_conflict

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Change environ to what trusted proxies say."""
        environ = exchange.environ
        if environ.keys().isdisjoint(_ALL_KEYS):
            return None
        peer = parse_address(environ.get("REMOTE_ADDR") or "")
        if not (self.trusts_unix if peer is None else is_in(peer, self.networks)):
            if self.strip_untrusted:
                _remove(environ, _ALL_KEYS)
            return None
        try:
            changes = self._read(environ, peer)
        except MalformedError as error:
            _log(environ, error)
            _remove(environ, _ALL_KEYS)
            if self.on_conflict == "ignore":
                return None
            return Refusal(400, f"The headers of the proxy can't be used: {error}.")
        if self.strip_untrusted:
            _remove(environ, self._removed)
        _change(environ, changes)
        return None

    def _read(self, environ: Environ, peer: Address | None) -> dict[str, Any]:
        """Return the changes to environ that the trusted headers ask for; None as a value removes the key."""
        if "HTTP_FORWARDED" in environ and not environ.keys().isdisjoint(_X_FAMILY):
            raise MalformedError("both Forwarded and X-Forwarded headers came")
        given = {name: value for name in self.headers if (value := environ.get(_KEYS[name]))}
        if not given:
            return {}
        if "forwarded" in given:
            return self._read_forwarded(environ, peer, given["forwarded"])
        changes: dict[str, Any] = {}
        if "x-forwarded-for" in given:
            nodes = split_addresses(given["x-forwarded-for"])
            client, count = walk(nodes, self._is_trusted, peer)
            changes = _of_client(client, peer)
            changes["HTTP_X_FORWARDED_FOR"] = ", ".join(nodes[len(nodes) - count :])
        proto = parse_proto(given["x-forwarded-proto"]) if "x-forwarded-proto" in given else None
        port = parse_port(given["x-forwarded-port"]) if "x-forwarded-port" in given else None
        changes |= _of_host(environ, proto, given.get("x-forwarded-host"), port)
        if "x-forwarded-prefix" in given:
            prefix = parse_prefix(given["x-forwarded-prefix"])
            changes["SCRIPT_NAME"] = prefix + environ.get("SCRIPT_NAME", "")
        return changes

    def _read_forwarded(self, environ: Environ, peer: Address | None, header: str) -> dict[str, Any]:
        elements = parse_forwarded(header)
        client, count = walk([element.get("for") for element in elements], self._is_trusted, peer)
        believed = elements[len(elements) - count :]
        # The proxy that is nearest to the client knows what the client asked for.
        proto = next((element["proto"] for element in believed if "proto" in element), None)
        host = next((element["host"] for element in believed if "host" in element), None)
        changes = _of_client(client, peer)
        changes |= _of_host(environ, None if proto is None else parse_proto(proto), host, None)
        changes["HTTP_FORWARDED"] = ", ".join(_written(element) for element in believed)
        return changes

    def _is_trusted(self, address: Address) -> bool:
        return is_in(address, self.networks)


def _of_client(client: Address | None, peer: Address | None) -> dict[str, Any]:
    """Return the changes to environ for the address of the client."""
    if client is None or client == peer:
        return {}
    return {"REMOTE_ADDR": str(client), "REMOTE_PORT": None, "REMOTE_HOST": None}


def _of_host(environ: Environ, proto: str | None, host_text: str | None, port: int | None) -> dict[str, Any]:
    """Return the changes to environ for what the client asked for: scheme, host and port."""
    changes: dict[str, Any] = {}
    scheme = environ["wsgi.url_scheme"]
    if proto is not None:
        scheme = changes["wsgi.url_scheme"] = proto
    if host_text is not None:
        bare = unquoted(host_text.strip(" \t"))
        host = parse_host(bare) if bare.isascii() else None
        if host is None:
            raise MalformedError(f"the host {host_text[:80]!a} is no host")
        if port is not None and host.port is not None and host.port != port:
            raise MalformedError("the port of X-Forwarded-Host is not that of X-Forwarded-Port")
        port = port if host.port is None else host.port
        changes["SERVER_NAME"] = host.name
    else:
        host = parse_host(environ.get("HTTP_HOST", "")) if port is not None else None
    default = _DEFAULT_PORTS.get(scheme)
    if host is not None:
        changes["HTTP_HOST"] = str(Host(host.name, None if port == default else port))
    if port is not None or proto is not None:
        changes["SERVER_PORT"] = str(port or default)
    return changes


def _remove(environ: Environ, keys: Iterable[str]) -> None:
    _change(environ, {key: None for key in keys if key in environ})


def _change(environ: Environ, changes: dict[str, Any]) -> None:
    """Change environ, and keep what was there; a value of None removes the key."""
    changed = {key: value for key, value in changes.items() if environ.get(key) != value}
    if not changed:
        return
    original = environ.setdefault(PROXY_ORIGINAL, {})
    for key, value in changed.items():
        original.setdefault(key, environ.get(key))  # what the server wrote, if there are two such layers
        if value is None:
            environ.pop(key, None)
        else:
            environ[key] = value


def _written(element: dict[str, str]) -> str:
    return ";".join(f'{name}="{value}"' for name, value in element.items() if '"' not in value and "\\" not in value)


def _checked_headers(headers: str | Iterable[str], where: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.lower() for name in ((headers,) if isinstance(headers, str) else headers)))
    for name in names:
        if name not in _KEYS:
            expected = f"names among {', '.join(_KEYS)}"
            raise ConfigurationError(complaint(where, "headers", expected, name, did_you_mean(name, _KEYS)))
    if "forwarded" in names and len(names) > 1:
        remedy = "A client could use the family that your proxy doesn't set"
        raise ConfigurationError(complaint(where, "headers", "'forwarded' alone, or X-Forwarded names", names, remedy))
    return names


def _log(environ: Environ, error: MalformedError) -> None:
    import logging  # costs start-up time, and only a conflict logs

    from wsgikit.wsgi import name_request

    text = "%s from %s: %s"
    logger = logging.getLogger("wsgikit.proxy_headers")
    logger.warning(text, name_request(environ), ascii(environ.get("REMOTE_ADDR"))[1:-1], error)
