"""Whether a call was sent by another site."""

from __future__ import annotations

__all__ = ["reason_to_refuse"]

from wsgikit.http.csrf_decision import ALLOWED, judge
from wsgikit.wsgi import CSRF, SESSION, Environ


def reason_to_refuse(environ: Environ) -> str | None:
    """Return why a call is refused as one that another site sent; None if it is allowed."""
    verdict = environ.get(CSRF)
    if verdict is not None:
        return None if verdict.allowed or getattr(verdict, "is_report_only", False) else str(verdict.reason)
    session = environ.get(SESSION)
    reason, _ = judge(
        environ["REQUEST_METHOD"],
        environ.get("HTTP_SEC_FETCH_SITE"),
        environ.get("HTTP_ORIGIN"),
        environ.get("HTTP_HOST", ""),
        has_credentials=session is not None or "HTTP_COOKIE" in environ or "HTTP_AUTHORIZATION" in environ,
    )
    if reason in ALLOWED:
        return None
    token = environ.get("HTTP_X_CSRF_TOKEN")
    if reason in ("token-missing", "origin-null") and session is not None and token:
        return None if session.check_csrf_token(token) else "token-wrong"
    return reason
