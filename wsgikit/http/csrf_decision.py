"""Whether a request was sent by another site, by its headers: the decision of Go's ``http.CrossOriginProtection``.

::

    method is GET, HEAD or OPTIONS            safe-method      allowed
    Origin is in trusted_origins              trusted-origin   allowed
    Sec-Fetch-Site is same-origin or none     same-origin      allowed; with tokens="always" a token is needed
                      same-site               same-site        refused
                      anything else           cross-site       refused
                      not sent, and Origin is
                        the host's            same-origin      as above
                        null                  origin-null      refused, unless a token comes with it
                        anything else         origin-mismatch  refused
                        not sent, and there are
                          no credentials      no-browser       allowed
                          Cookie or Authorization              a token is needed, unless tokens="never"

A token is then found (token), not found (token-missing) or another (token-wrong).
"""

from __future__ import annotations

__all__ = ["ALLOWED", "SAFE_METHODS", "Tokens", "explain", "judge"]

from collections.abc import Collection
from typing import Literal, TypeAlias

from wsgikit.http.origins import Origin, is_origin_of, parse_origin

Tokens: TypeAlias = Literal["fallback", "never", "always"]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
ALLOWED = frozenset({"safe-method", "trusted-origin", "same-origin", "no-browser", "token", "exempt"})

# For the visitor, and for the developer.
_NAME_IT = "If the site is yours, name its origin in trusted_origins of CsrfMiddleware."
_FOR_VISITORS = {
    "cross-site": "Another site sent this request.",
    "same-site": "A neighbouring site sent this request.",
    "origin-mismatch": "Another site sent this request.",
    "origin-null": "The browser does not say which site sent this request. Reload the page and try again.",
    "token-missing": "The form lacks its token. Reload the page and try again.",
    "token-wrong": "The form is out of date. Reload the page and try again.",
}
_FOR_DEVELOPERS = {
    "cross-site": f"{_NAME_IT} If other sites may call it, use policy(csrf=False) or use(CsrfMiddleware, unless=…).",
    "same-site": _NAME_IT,
    "origin-mismatch": f"{_NAME_IT} If it is this site, a proxy replaces the Host header: have it pass the header on.",
    "origin-null": "Put csrf_field() into the form, or serve the site by https.",
    "token-missing": "Put csrf_field() into the form, before any file, or send csrf_token() in the header.",
    "token-wrong": "The token belongs to another session, or the session has ended.",
}


def judge(
    method: str,
    site: str | None,
    origin: str | None,
    host: str,
    *,
    trusted: Collection[Origin] = (),
    has_credentials: bool = True,
    tokens: Tokens = "fallback",
) -> tuple[str, bool]:
    """Return the reason of the decision, and whether a token can still turn it.

    Args:
        method: the request method.
        site: the value of ``Sec-Fetch-Site``; None if it wasn't sent.
        origin: the value of ``Origin``; None if it wasn't sent.
        host: the value of ``Host``.
        trusted: origins that may send anything.
        has_credentials: whether the request has ``Cookie`` or ``Authorization``.
        tokens: as the option of the middleware.
    """
    if method in SAFE_METHODS:
        return "safe-method", False
    parsed = parse_origin(origin) if origin else None
    if parsed is not None and parsed in trusted:
        return "trusted-origin", False
    if site:
        if site in ("same-origin", "none"):
            return ("token-missing", True) if tokens == "always" else ("same-origin", False)
        return ("same-site" if site == "same-site" else "cross-site"), False
    if not origin:
        if tokens == "never" or not has_credentials:
            return "no-browser", False
        return "token-missing", True
    if origin == "null":
        return "origin-null", tokens != "never"
    if parsed is None or not is_origin_of(parsed, host):
        return "origin-mismatch", False
    return ("token-missing", True) if tokens == "always" else ("same-origin", False)


def explain(reason: str) -> tuple[str, str]:
    """Return what a reason of a refusal means: a sentence for the visitor, and one for the developer."""
    return _FOR_VISITORS[reason], _FOR_DEVELOPERS[reason]
