"""`CorsMiddleware`: let the pages of other origins read what the application answers (the Fetch standard, §3.2)."""

from __future__ import annotations

__all__ = ["CorsMiddleware", "OriginPattern", "refuse_preflight"]

import re
from collections.abc import Callable, Collection, Iterable
from typing import Protocol, runtime_checkable

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.origins import Origin, parse_origin, required_origin
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.refusal import Refusal
from wsgikit.onion.reply import Reply
from wsgikit.options.flags import check_flags
from wsgikit.wsgi import Environ, WSGIApplication

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")  # RFC 9110 §5.6.2
_WILDCARD = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)\*\.(.+)\Z", re.DOTALL)
_MOST_NAMES = 100  # in one Access-Control-Request-Headers; a browser sends a handful


@runtime_checkable
class OriginPattern(Protocol):
    """A compiled regular expression, or an object with the same method."""

    def fullmatch(self, string: str, /) -> object:
        """Return something true if the whole text matches."""


def refuse_preflight(
    method: str, requested_headers: str, methods: Collection[str] | None, headers: Collection[str] | None
) -> str:
    """Return why a preflight must be refused, or ``""`` if its method and headers are allowed.

    Args:
        method: the value of ``Access-Control-Request-Method``. Methods are case-sensitive.
        requested_headers: the value of ``Access-Control-Request-Headers``.
        methods: the allowed methods; None allows all.
        headers: the allowed header names in lower case; None allows all.
    """
    if not _TOKEN.match(method) or (methods is not None and method not in methods):
        return f"the method {ascii(method)[1:-1]} is not in methods"
    names = _split(requested_headers)
    if len(names) > _MOST_NAMES:
        return "too many headers are asked for"
    for name in names:
        if not _TOKEN.match(name) or (headers is not None and name.lower() not in headers):
            return f"the header {ascii(name)[1:-1]} is not in headers"
    return ""


def _split(names: str) -> list[str]:
    return [name for part in names.split(",") if (name := part.strip(" \t"))]


class CorsMiddleware(Middleware):
    """Answer preflights, and allow the origins you name to read the responses (CORS).

    Use it if pages of another origin call this application by `fetch`. Don't use it to keep requests out: a request of
    an origin that isn't allowed still reaches the application, only its answer can't be read. `CsrfMiddleware` and
    `FetchPolicyMiddleware` keep requests out; name the origin in their options as well.

    Place: outside of everything that refuses requests, and it may stand inside `ErrorPagesMiddleware`: its headers are
    on error pages and refusals, too. Environ: reads ``HTTP_ORIGIN``.

    Args:
        app: the WSGI application to wrap.
        origins: the origins that may read: ``"https://app.example"``, ``"https://*.example.com"`` (every subdomain,
            not ``example.com`` itself), a compiled pattern that must match the whole origin, or a function that gets
            the origin's text and returns whether it is allowed. ``"*"`` allows everybody. ``null`` is refused.
        methods: what a preflight may ask for; ``"*"`` allows every method.
        headers: the request headers that a preflight may ask for, ``Content-Type`` for JSON among them; ``"*"`` allows
            all, and the answer lists those that were asked for.
        expose_headers: the response headers that the page can read.
        credentials: whether the page may send cookies and read the answer. It can't be used with ``origins="*"``.
        max_age_seconds: how long a browser keeps the answer to a preflight.
        private_network: whether a public page may call this application in a private network.

    Raises:
        ConfigurationError: an option that can't work.

    An application that writes ``Access-Control-Allow-Origin`` itself keeps its own headers.

    Example::

        stack = build_stack(
            app, use(CorsMiddleware, origins=["https://app.example"], headers=["Content-Type"], credentials=True)
        )
    """

    outside_of = ("CsrfMiddleware", "TrustedHostsMiddleware", "AccessListMiddleware", "RateLimitMiddleware")

    def __init__(
        self,
        app: WSGIApplication,
        *,
        origins: str | Iterable[str | OriginPattern | Callable[[str], bool]] = (),
        methods: str | Iterable[str] = ("GET", "HEAD", "POST"),
        headers: str | Iterable[str] = (),
        expose_headers: str | Iterable[str] = (),
        credentials: bool = False,
        max_age_seconds: int = 600,
        private_network: bool = False,
    ) -> None:
        super().__init__(app)
        where = "CorsMiddleware"
        check_flags(where, credentials=credentials, private_network=private_network)
        if isinstance(max_age_seconds, bool) or not isinstance(max_age_seconds, int) or max_age_seconds < 0:
            expected = "a whole number of seconds, 0 or more"
            raise ConfigurationError(complaint(where, "max_age_seconds", expected, max_age_seconds))
        self._any_origin = False
        self._exact: set[Origin] = set()
        self._suffixes: list[tuple[Origin, str]] = []
        self._tests: list[Callable[[str], object]] = []
        for one in (origins,) if isinstance(origins, str) or not isinstance(origins, Iterable) else tuple(origins):
            self._add_origin(one, where)
        if self._any_origin and credentials:
            remedy = "Name the origins: a page of any site could act as the visitor otherwise"
            raise ConfigurationError(complaint(where, "origins with credentials=True", "a list", "*", remedy))
        self._methods = _names(methods, where, "methods")
        names = _names(headers, where, "headers")
        self._header_names = None if names is None else frozenset(name.lower() for name in names)
        exposed = _names(expose_headers, where, "expose_headers")
        self._allowed = [("Access-Control-Allow-Credentials", "true")] if credentials else []
        self._of_preflight = [*self._allowed, ("Access-Control-Max-Age", str(max_age_seconds))]
        if names:
            self._of_preflight.append(("Access-Control-Allow-Headers", ", ".join(names)))
        if exposed is None or exposed:
            self._allowed.append(("Access-Control-Expose-Headers", "*" if exposed is None else ", ".join(exposed)))
        self._private_network = private_network

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Answer a preflight; have the headers of any other response added when it leaves."""
        environ = exchange.environ
        origin = environ.get("HTTP_ORIGIN")
        if origin is None:
            if not self._any_origin:
                exchange.on_response(_vary)
            return None
        if environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
            return self._answer_preflight(environ, origin)
        exchange.on_response(self._allow if self.is_allowed(origin) else _vary)
        return None

    def is_allowed(self, origin: str) -> bool:
        """Return whether the pages of an origin may read the responses."""
        if self._any_origin:
            return True
        parsed = parse_origin(origin)
        if parsed is None:
            return False
        if parsed in self._exact:
            return True
        for suffix, ending in self._suffixes:
            if parsed.scheme == suffix.scheme and parsed.port == suffix.port and parsed.host.endswith(ending):
                return True
        return any(test(origin) for test in self._tests)

    def _add_origin(self, origin: object, where: str) -> None:
        if origin == "*":
            self._any_origin = True
        elif isinstance(origin, str):
            wildcard = _WILDCARD.match(origin)
            parsed = required_origin(wildcard[1] + wildcard[2] if wildcard else origin, where, "origins")
            if wildcard:
                self._suffixes.append((parsed, "." + parsed.host))
            else:
                self._exact.add(parsed)
        elif isinstance(origin, OriginPattern):
            self._tests.append(origin.fullmatch)
        elif callable(origin):
            self._tests.append(origin)
        else:
            expected = "an origin such as 'https://app.example', a compiled pattern or a function"
            raise ConfigurationError(complaint(where, "origins", expected, origin))

    def _answer_preflight(self, environ: Environ, origin: str) -> WSGIApplication:
        method = environ["HTTP_ACCESS_CONTROL_REQUEST_METHOD"]
        requested = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "")
        is_private = environ.get("HTTP_ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK") == "true"
        reason = refuse_preflight(method, requested, self._methods, self._header_names)
        if not self.is_allowed(origin):
            reason = f"the origin {ascii(origin)[1:-1]} is not in origins"
        elif is_private and not self._private_network:
            reason = "private_network is off"
        varying = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
        if reason:
            return Refusal(403, f"CORS preflight: {reason}.", [("Vary", varying)])
        head = [("Access-Control-Allow-Origin", "*" if self._any_origin else origin), *self._of_preflight]
        listed = method if self._methods is None else ", ".join(self._methods)
        head.append(("Access-Control-Allow-Methods", listed))
        if self._header_names is None and requested:
            head.append(("Access-Control-Allow-Headers", ", ".join(_split(requested))))
        if is_private:
            head.append(("Access-Control-Allow-Private-Network", "true"))
        return Reply(204, b"", None, [*head, ("Vary", varying)])

    def _allow(self, exchange: Exchange) -> None:
        """Allow the origin of the request to read the response."""
        headers = exchange.headers
        if not self._any_origin:
            headers.vary("Origin")
        if headers.has("Access-Control-Allow-Origin"):
            return  # the application answers for itself
        origin = "*" if self._any_origin else exchange.environ["HTTP_ORIGIN"]
        headers.add("Access-Control-Allow-Origin", origin)
        for name, value in self._allowed:
            headers.setdefault(name, value)


def _vary(exchange: Exchange) -> None:
    """Note that another origin might get another response."""
    headers = exchange.headers
    if headers.has("Vary"):
        headers.vary("Origin")
    else:
        headers.add("Vary", "Origin")


def _names(names: str | Iterable[str], where: str, option: str) -> tuple[str, ...] | None:
    """Return the tokens of an option; None if it is ``"*"``."""
    listed = (names,) if isinstance(names, str) else tuple(names)
    if listed == ("*",):
        return None
    for name in listed:
        if not isinstance(name, str) or not _TOKEN.match(name) or name == "*":
            raise ConfigurationError(complaint(where, option, "names such as 'X-Total', or '*' alone", name))
    return tuple(dict.fromkeys(listed))
