"""Protection against cross-site request forgery: `http.csrf_decision` judges by headers, `tokens` and `form_field` by a token."""

from __future__ import annotations

__all__ = ["CsrfMiddleware", "Verdict"]

from wsgikit.middleware.csrf.middleware import CsrfMiddleware, Verdict
