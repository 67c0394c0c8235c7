"""Where the token is kept that a form has to send back: in the session, or in a signed cookie."""

from __future__ import annotations

__all__ = ["CookieTokens", "NoTokens", "SessionTokens", "TokenKeeper"]

from typing import Protocol

from wsgikit.crypto.masking import mask_token, tokens_match
from wsgikit.crypto.random import random_text
from wsgikit.crypto.signing import Signer
from wsgikit.exceptions import ApplicationError, HeadSentError
from wsgikit.http.cookies import CookieWriter, cookie_finder
from wsgikit.onion.exchange import Exchange
from wsgikit.options.secrets import Secret, check_secrets
from wsgikit.wsgi import SESSION


class TokenKeeper(Protocol):
    """Makes the token of a visitor, and knows it again."""

    def issue(self, exchange: Exchange) -> str:
        """Return the token, masked again at each call; it is made on first use."""
        ...

    def matches(self, exchange: Exchange, text: str) -> bool:
        """Return whether a text is the token, plain or masked; compared in constant time."""
        ...


class NoTokens:
    """Keeps none: forms get an empty token, and no token is right."""

    def issue(self, exchange: Exchange) -> str:
        """Return an empty text."""
        return ""

    def matches(self, exchange: Exchange, text: str) -> bool:
        """Return False."""
        return False


class SessionTokens:
    """Keeps the token in the session, so that it changes with it."""

    def issue(self, exchange: Exchange) -> str:
        """Return the token of the session, masked."""
        session = exchange.environ.get(SESSION)
        if session is None:
            raise ApplicationError("csrf_token: there is no session. Add SessionMiddleware outside of CsrfMiddleware.")
        return mask_token(session.get_csrf_token())

    def matches(self, exchange: Exchange, text: str) -> bool:
        """Return whether a text is the token of the session."""
        session = exchange.environ.get(SESSION)
        return session is not None and bool(session.check_csrf_token(text))


class CookieTokens:
    """Keeps the token in its own signed cookie (OWASP "Signed Double-Submit Cookie").

    Scripts can read the cookie and send its value in the header.

    Args:
        where: the layer, for errors.
        name: the cookie's name.
        secret_key: what signs it, so that a neighbouring site can't put a value of its choice there.

    Raises:
        ConfigurationError: a name or a secret that can't work.
    """

    def __init__(self, where: str, name: str, secret_key: Secret | None) -> None:
        self._signer = Signer(check_secrets(where, secret_key), b"wsgikit.csrf")
        prefixed = name.lower().startswith("__")
        self._writer = CookieWriter(
            where,
            name=name,
            path="/",
            domain=None,
            secure=True if prefixed else "auto",
            httponly=False,
            samesite="Lax",
            partitioned=False,
        )
        self._find = cookie_finder(name)

    def issue(self, exchange: Exchange) -> str:
        """Return the token, masked; have the cookie set if the visitor has none."""
        state = exchange.state
        token: str | None = state.get(self)
        if token is None:
            token = state[self] = self._sent(exchange) or self._make(exchange)
            if not exchange.is_head_sent:
                exchange.on_response(_vary)
        return mask_token(token)

    def _make(self, exchange: Exchange) -> str:
        """Make a token, and have its cookie set."""
        if exchange.is_head_sent:
            raise HeadSentError(
                "csrf_token: the head of the response has left without its cookie. "
                "Call csrf_token() before the first chunk."
            )
        token, line = self.make_cookie(is_https=exchange.environ["wsgi.url_scheme"] == "https")
        exchange.on_response(lambda exchange: exchange.headers.add("Set-Cookie", line))
        return token

    def matches(self, exchange: Exchange, text: str) -> bool:
        """Return whether a text is the token of the cookie."""
        token = self._sent(exchange)
        return token is not None and tokens_match(token, text)

    def make_cookie(self, *, is_https: bool) -> tuple[str, str]:
        """Return a new token and the ``Set-Cookie`` value that keeps it."""
        token = self._signer.sign(random_text().encode()).decode("ascii")
        return token, self._writer.write(token, is_https=is_https)

    def _sent(self, exchange: Exchange) -> str | None:
        """Return the first token in the request that is signed, or None."""
        for value in self._find(exchange.environ.get("HTTP_COOKIE", "")):
            if self._signer.unsign(value.encode("latin-1", "replace")) is not None:
                return value
        return None


def _vary(exchange: Exchange) -> None:
    """Keep caches from sending a page with a token to other visitors."""
    exchange.headers.vary("Cookie")
