"""Where a redirect goes: never to another host than the rules name, and never to a scheme-relative ``//``."""

from __future__ import annotations

__all__ = ["Binding", "RedirectUrls", "location", "redirect_target"]

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from wsgikit.routing.converters import SEGMENT_SAFE
from wsgikit.routing.request_path import ENCODED_SLASH, quote_query

if TYPE_CHECKING:
    from wsgikit.routing.parts import BoundRule

_PLACEHOLDER = re.compile(r"<([^>]+)>")


class Binding(NamedTuple):
    """What a map is asked for: the request's host and the like.

    Attributes:
        host: the host, or the map's server name; None if it is not known, which makes URLs without one.
        subdomain: the subdomain in which the request is; None if the map matches hosts.
        query: the query, undecoded.
        script_name: the path that the application is mounted at, decoded.
    """

    host: str | None = None
    subdomain: str | None = None
    query: str = ""
    script_name: str = ""
    scheme: str = "http"
    method: str = "GET"

    @property
    def domain(self) -> str:
        """The subdomain or host that rules are compared with."""
        return (self.host or "") if self.subdomain is None else self.subdomain

    def host_in(self, domain: str | None) -> str | None:
        """Return the host of a subdomain (or the host itself, where the map matches hosts); None is the request's."""
        if self.subdomain is None:
            return self.host if domain is None else domain
        if self.host is None:
            return None
        subdomain = self.subdomain if domain is None else domain
        return f"{subdomain}.{self.host}" if subdomain else self.host


def quote_path(path: str) -> str:
    """Quote a path for a URL; what came in as ``%2F`` goes out as that."""
    return "%2F".join(quote(piece, safe=SEGMENT_SAFE) for piece in path.split(ENCODED_SLASH))


def location(binding: Binding, path: str, domain: str | None = None) -> str:
    """Return the URL of a path within the application.

    Args:
        path: quoted, without the script name.
        domain: another subdomain or host than the request's.
    """
    prefix = quote_path(binding.script_name.strip("/"))
    full = f"/{prefix}/{path.lstrip('/')}" if prefix else f"/{path.lstrip('/')}"
    if binding.query:
        full = f"{full}?{quote_query(binding.query)}"
    host = binding.host_in(domain)
    return full if host is None else f"{binding.scheme or 'http'}://{host}{full}"


class RedirectUrls:
    """What a function given as `redirect_to` gets as its first argument: the URLs of the current request.

    Attributes:
        host, subdomain, script_name, scheme: of the request; `host` is None if it is not known.
    """

    def __init__(self, binding: Binding, build: Callable[..., str]) -> None:
        self.host = self.server_name = binding.host
        self.subdomain = binding.subdomain
        self.script_name = f"{binding.script_name.rstrip('/')}/"
        self.scheme = self.url_scheme = binding.scheme
        self._binding = binding
        self._build = build

    def build(self, endpoint: str, values: Mapping[str, Any] | None = None, **options: Any) -> str:
        """Return the URL of an endpoint; the options are `method`, `external`, `anchor` and `append_unknown`."""
        return self._build(endpoint, values, self._binding, **options)


def redirect_target(bound: BoundRule, values: Mapping[str, Any], binding: Binding, build: Callable[..., str]) -> str:
    """Return the URL to which a rule with `redirect_to` sends a request.

    The target is joined to the root of the application. What the visitor wrote in the path can't make it leave the
    host: only the developer's own text, or function, names another one.
    """
    target = bound.rule.redirect_to
    host = binding.host_in(None)
    script_name = quote_path(binding.script_name.strip("/"))
    base = f"{binding.scheme or 'http'}://{host or 'host.invalid'}/{script_name + '/' if script_name else ''}"
    if callable(target):
        # `//host` is never meant: it comes from a value with a slash in front.
        text = re.sub(r"^[/\\]{2,}", "/", target(RedirectUrls(binding, build), **values))
        joined = urljoin(base, text)
        if urlsplit(joined).scheme not in ("http", "https"):  # `javascript:` comes from a value, too
            joined = base + text.lstrip("/")
    else:
        template = target or ""
        text = _PLACEHOLDER.sub(lambda hole: bound.converters[hole[1]].to_url(values[hole[1]]), template)
        joined = urljoin(base, text)
        if not urlsplit(template).netloc and _origin(joined) != _origin(urljoin(base, _PLACEHOLDER.sub("x", template))):
            joined = base + text.lstrip("/")
    if host is None:
        path = joined.removeprefix(f"{binding.scheme or 'http'}://host.invalid")
        return path if path is joined else re.sub(r"^[/\\]+", "/", path)
    return joined


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
