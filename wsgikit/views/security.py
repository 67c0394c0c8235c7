"""What pages write for the layers that protect them: the token of a form, and the nonce of a script."""

from __future__ import annotations

__all__ = ["csp_nonce", "csrf_field", "csrf_token"]

from markupsafe import Markup

from wsgikit.context.locals import current_exchange, session
from wsgikit.crypto.masking import mask_token
from wsgikit.wsgi import CSP_NONCE, CSRF


def csrf_token() -> str:
    """Return the token that a form or a script sends back; another text at each call.

    It is the one of `CsrfMiddleware`, or that of the session if there is no such layer:
    ``session.check_csrf_token`` then checks it.

    Raises:
        OutsideRequestError: there is no request, or neither layer.
        HeadSentError: the token is new, and the head that would set its cookie has left.
    """
    verdict = current_exchange().environ.get(CSRF)
    return str(verdict.get_token()) if verdict is not None else mask_token(session.get_csrf_token())


def csrf_field() -> Markup:
    """Return the hidden field of a form with the token: ``<input type="hidden" …>``.

    Raises:
        OutsideRequestError: as `csrf_token`.
    """
    verdict = current_exchange().environ.get(CSRF)
    name = "csrf_token" if verdict is None else verdict.field
    return Markup('<input type="hidden" name="{}" value="{}">').format(name, csrf_token())


def csp_nonce() -> str:
    """Return the nonce of the response, for ``<script nonce="…">``; empty if no layer sends a policy.

    Raises:
        OutsideRequestError: there is no request.
        ApplicationError: the head has left, and it can't name the nonce any more.
    """
    nonce = current_exchange().environ.get(CSP_NONCE)
    return "" if nonce is None else str(nonce)
