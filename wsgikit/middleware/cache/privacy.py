"""Whether a response was made for one visitor."""

from __future__ import annotations

__all__ = ["has_secret", "has_user"]

from wsgikit.wsgi import CSP_NONCE, CSRF, SESSION, USER, Environ


def has_user(environ: Environ, request: Environ) -> bool:
    """Return whether the session was read, or a user was found, while the response was made.

    Args:
        environ: the request as the application left it.
        request: as it came in. A ``REMOTE_USER`` that it had is judged as ``Authorization`` is.
    """
    session = environ.get(SESSION)
    is_touched = getattr(session, "accessed", False) or getattr(session, "modified", False)
    is_found = environ.get(USER) is not None or environ.get("REMOTE_USER") != request.get("REMOTE_USER")
    return bool(is_touched) or is_found


def has_secret(environ: Environ) -> bool:
    """Return whether the page has a nonce or the token of a form, which no other visitor may get."""
    nonce = environ.get(CSP_NONCE)
    if nonce is not None and getattr(nonce, "is_used", True):
        return True
    return bool(getattr(environ.get(CSRF), "is_token_issued", False))
