"""`FetchPolicyMiddleware`: refuse requests that other sites cause, by the Fetch Metadata headers."""

from __future__ import annotations

__all__ = ["FetchPolicyMiddleware", "is_isolated"]

from collections.abc import Callable, Iterable
from typing import Any

from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.refusal import Refusal
from wsgikit.onion.scope import Scope
from wsgikit.options.flags import check_flags
from wsgikit.wsgi import Environ, WSGIApplication

_OURS = frozenset({"same-origin", "same-site", "none"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# The destinations by which a page of another site would run or show ours inside itself.
_EMBEDDED = frozenset({"object", "embed", "iframe", "frame", "fencedframe"})


def is_isolated(method: str, site: str, mode: str, destination: str, allow_navigation: bool = True) -> bool:
    """Return whether a request must be refused, as the resource isolation policy of W3C Fetch Metadata has it.

    Args:
        method: the request method.
        site: the value of ``Sec-Fetch-Site``; empty if it wasn't sent.
        mode: the value of ``Sec-Fetch-Mode``.
        destination: the value of ``Sec-Fetch-Dest``.
        allow_navigation: whether links and address bars of other sites may lead here.
    """
    if not site or site in _OURS:
        return False
    if method == "OPTIONS" and mode == "cors":
        return False  # a preflight changes nothing, and the answer to it is the business of CorsMiddleware
    is_navigation = mode in ("navigate", "nested-navigate") or (not mode and method in _SAFE)
    return not (allow_navigation and is_navigation and method in _SAFE and destination not in _EMBEDDED)


class FetchPolicyMiddleware(Middleware):
    """Refuse requests that other sites cause with a 403: embedding, scripts, images, `fetch`. Links still work.

    Use it for applications whose pages and data are for their own site only: it stops cross-site leaks (XS-Leaks) and
    much of CSRF. Don't use it around resources that other sites load: a public API, fonts, images, an OAuth callback
    by POST. Name those in `allow`.

    Place: inside `CorsMiddleware`, outside of whatever it protects. Environ: reads ``HTTP_SEC_FETCH_SITE``,
    ``HTTP_SEC_FETCH_MODE`` and ``HTTP_SEC_FETCH_DEST``. A client that sends none of them passes: it is an old browser
    or no browser.

    Args:
        app: the WSGI application to wrap.
        allow_navigation: whether links of other sites may lead here. Frames and embedding are refused all the same.
        allow: requests that are never refused: path patterns such as ``"/embed/*"``, methods, or callables of
            environ, as in ``use(…, unless=…)``.

    Raises:
        ConfigurationError: an option that can't work.

    Example::

        stack = build_stack(app, use(FetchPolicyMiddleware, allow=["/fonts/*"]))
    """

    inside_of = ("CorsMiddleware",)

    def __init__(
        self,
        app: WSGIApplication,
        *,
        allow_navigation: bool = True,
        allow: str | Callable[[Environ], bool] | Iterable[str | Callable[[Environ], bool]] = (),
    ) -> None:
        super().__init__(app)
        check_flags("FetchPolicyMiddleware", allow_navigation=allow_navigation)
        self.allow_navigation = allow_navigation
        patterns: Any = (allow,) if isinstance(allow, str) or callable(allow) else tuple(allow)
        self.allow = patterns
        self._is_judged = (
            Scope("FetchPolicyMiddleware", None, patterns, unless_name="allow").matches if patterns else None
        )
        self._refusal = Refusal(
            403,
            "This address may not be loaded by another site. Open it from its own site.",
            [("Vary", "Sec-Fetch-Site, Sec-Fetch-Mode, Sec-Fetch-Dest")],
        )

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Refuse a request that another site caused."""
        environ = exchange.environ
        site = environ.get("HTTP_SEC_FETCH_SITE", "")
        if not site or site in _OURS:
            return None
        mode, destination = environ.get("HTTP_SEC_FETCH_MODE", ""), environ.get("HTTP_SEC_FETCH_DEST", "")
        if not is_isolated(environ["REQUEST_METHOD"], site, mode, destination, self.allow_navigation):
            return None
        if self._is_judged is not None and not self._is_judged(environ):
            return None
        return self._refusal
