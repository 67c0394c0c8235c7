"""`TrustedHostsMiddleware`: answer only to the hosts that the site has."""

from __future__ import annotations

__all__ = ["HostPattern", "TrustedHostsMiddleware", "parse_pattern"]

from collections.abc import Iterable
from typing import NamedTuple

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.hosts import Host, host_of, parse_host
from wsgikit.http.targets import target_of
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.refusal import Refusal
from wsgikit.onion.reply import Reply
from wsgikit.options.flags import check_flags
from wsgikit.wsgi import Environ, WSGIApplication

_DEFAULT_PORTS = {"http": 80, "https": 443}
_EXPECTED = "hosts such as 'example.com', '.example.com', '*.example.com' or 'localhost:8080'"


class HostPattern(NamedTuple):
    """A host that a site has, or a domain with all below it.

    Attributes:
        name: the host in normal form.
        port: the port that is asked for; None is any.
        has_apex: whether the name itself matches.
        has_subdomains: whether the names below it match.
    """

    name: str
    port: int | None
    has_apex: bool
    has_subdomains: bool

    def matches(self, host: Host, default_port: int | None) -> bool:
        """Return whether a request for a host is meant; its port is `default_port` if it names none."""
        if self.port is not None and self.port != (host.port or default_port):
            return False
        if host.name == self.name:
            return self.has_apex
        return self.has_subdomains and host.name.endswith("." + self.name)


def parse_pattern(text: object, where: str, option: str) -> HostPattern:
    """Return the pattern of a text.

    Raises:
        ConfigurationError: the text is no host, or has a ``*`` that isn't the first label or the port.
    """
    rest = text if isinstance(text, str) else ""
    has_apex = has_subdomains = True
    if rest.startswith("*."):
        rest, has_apex = rest[2:], False
    elif rest.startswith("."):
        rest = rest[1:]
    else:
        has_subdomains = False
    host = parse_host(rest.removesuffix(":*"))
    if host is None or (has_subdomains and host.address is not None):
        remedy = "Leave the layer out to answer to every host" if text == "*" else ""
        raise ConfigurationError(complaint(where, option, _EXPECTED, text, remedy))
    return HostPattern(host.name, host.port, has_apex, has_subdomains)


class TrustedHostsMiddleware(Middleware):
    """Refuse requests whose ``Host`` isn't one of the site's with a 400, and texts that are no host at all.

    Use it around every application that writes its own address into links, mails or redirects: the client chooses the
    ``Host`` header, so a password-reset link would lead to a host of the attacker's choice. It also stops DNS
    rebinding. Health checks by address need ``allow_ip=True`` or a layer further out that answers them.

    Place: inside `ProxyHeadersMiddleware`, outside of whatever builds addresses. Environ: reads ``HTTP_HOST``, and
    ``HTTP_X_FORWARDED_HOST`` if it is still there, since the application may read it.

    Args:
        app: the WSGI application to wrap.
        hosts: ``"example.com"``, ``".example.com"`` (the name and all below it), ``"*.example.com"`` (all below it),
            ``"localhost:8080"`` (only this port), ``"localhost:*"``. Without a port any will do.
        allow_ip: whether addresses are allowed as hosts, besides those in `hosts`.
        canonical: the host that requests for the other allowed ones are redirected to (308).

    Raises:
        ConfigurationError: no hosts, or one that can't be read.

    A request without ``Host`` is refused, unless it is HTTP/1.0: then ``SERVER_NAME`` counts.

    Example::

        stack = build_stack(app, use(TrustedHostsMiddleware, hosts=[".example.com"], canonical="www.example.com"))
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        hosts: str | Iterable[str],
        allow_ip: bool = False,
        canonical: str | None = None,
    ) -> None:
        super().__init__(app)
        where = "TrustedHostsMiddleware"
        check_flags(where, allow_ip=allow_ip)
        listed = (hosts,) if isinstance(hosts, str) else tuple(hosts)
        if not listed:
            raise ConfigurationError(complaint(where, "hosts", _EXPECTED, listed, "Name the hosts of the site"))
        self.patterns = [parse_pattern(one, where, "hosts") for one in listed]
        self.allow_ip = allow_ip
        self.canonical: HostPattern | None = None
        if canonical is not None:
            self.canonical = parse_pattern(canonical, where, "canonical")
            if self.canonical.has_subdomains:
                raise ConfigurationError(complaint(where, "canonical", "one host", canonical))
            self.patterns.append(self.canonical)
        # The hosts that matched by themselves: nearly every request asks for one of a few.
        self._exact = frozenset(p.name for p in self.patterns if p.has_apex and p.port is None)
        self._refusal = Refusal(400, "This site does not answer to the host that was asked for.", [("Vary", "Host")])

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Refuse a host that isn't the site's; redirect to the canonical one."""
        environ = exchange.environ
        text = environ.get("HTTP_HOST")
        if text in self._exact and self.canonical is None and "HTTP_X_FORWARDED_HOST" not in environ:
            return None
        is_asked = text is not None or environ.get("SERVER_PROTOCOL") == "HTTP/1.0"
        host = host_of(environ) if is_asked else None
        if host is None or not self.is_trusted(host, environ["wsgi.url_scheme"]):
            return self._refusal
        if not self._is_forwarded_trusted(environ):
            return self._refusal
        return self._redirect(environ, host) if self.canonical is not None else None

    def is_trusted(self, host: Host, scheme: str) -> bool:
        """Return whether a host is one of the site's."""
        if self.allow_ip and host.address is not None:
            return True
        default = _DEFAULT_PORTS.get(scheme)
        return any(pattern.matches(host, default) for pattern in self.patterns)

    def _is_forwarded_trusted(self, environ: Environ) -> bool:
        """Return whether each host that ``X-Forwarded-Host`` names is one of the site's."""
        for text in environ.get("HTTP_X_FORWARDED_HOST", "").split(","):
            if bare := text.strip(" \t"):
                host = parse_host(bare) if bare.isascii() else None
                if host is None or not self.is_trusted(host, environ["wsgi.url_scheme"]):
                    return False
        return True

    def _redirect(self, environ: Environ, host: Host) -> WSGIApplication | None:
        """Return the redirect to the canonical host, or None if the request asked for it."""
        scheme = environ["wsgi.url_scheme"]
        wanted: HostPattern = self.canonical  # type: ignore[assignment]  # the caller looked
        if wanted.matches(host, _DEFAULT_PORTS.get(scheme)):
            return None
        port = None if wanted.port == _DEFAULT_PORTS.get(scheme) else wanted.port
        location = f"{scheme}://{Host(wanted.name, port)}{target_of(environ)}"
        return Reply(308, f"Moved to {location}\n", "text/plain; charset=utf-8", [("Location", location)])
