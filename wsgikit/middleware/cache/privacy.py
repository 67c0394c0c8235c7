"""Whether a response was made for one visitor."""

from __future__ import annotations

__all__ = ["has_nonce", "has_user"]

from wsgikit.wsgi import CSP_NONCE, SESSION, USER, Environ


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


def has_nonce(environ: Environ) -> bool:
    """Return whether the page has a nonce, which must never be sent twice."""
    nonce = environ.get(CSP_NONCE)
    return nonce is not None and bool(getattr(nonce, "is_used", True))
