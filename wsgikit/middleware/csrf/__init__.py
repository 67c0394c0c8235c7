"""Protection against cross-site request forgery; the decision itself is `wsgikit.http.csrf_decision`."""

from __future__ import annotations

__all__ = ["CsrfMiddleware", "Verdict"]

from wsgikit.middleware.csrf.middleware import CsrfMiddleware, Verdict
