"""Logging in by a form: the session remembers the user, and a cookie does longer if asked to."""

from __future__ import annotations

__all__ = ["SessionLogin"]

import json
import time
from collections.abc import Callable
from typing import Any

from wsgikit.crypto.signing import Signer, decode_base64, encode_base64
from wsgikit.exceptions import ApplicationError, ConfigurationError, complaint
from wsgikit.http.cookies import CookieWriter, cookie_finder
from wsgikit.http.targets import is_local_target
from wsgikit.http.users import id_of
from wsgikit.middleware.authentication.schemes import Scheme
from wsgikit.onion.exchange import Exchange
from wsgikit.options.amounts import check_amount
from wsgikit.options.secrets import Secret, check_secrets
from wsgikit.wsgi import SESSION, Environ

USER_ID, FRESH, EPOCH = "_user_id", "_fresh", "_epoch"  # the first two are Flask-Login's
_SALT = b"wsgikit.remember"


class SessionLogin(Scheme):
    """The user whose id is in the session, as ``login_user`` puts it there.

    Args:
        load: a function of the id, a text, that returns the user or None. It is called in each request of a session
            with an id.
        login_url: the path of the page with the form, as browsers have it: ``"/login"``.
        epoch: a function of the user that returns a text or a number. When it changes, all logins of the user end:
            the way to log out everywhere, and after a change of the password.
        secret_key: what signs the cookie of "remember me", or several secrets of which the first signs.
        remember_seconds: how long that cookie lasts.
        remember_cookie: its name.

    Raises:
        ConfigurationError: an argument that can't work.

    The session keeps the id under ``_user_id``, as Flask-Login does, and under ``_fresh`` whether the user has typed a
    password in it.
    """

    challenge = None
    needs_session = True

    def __init__(
        self,
        load: Callable[[str], Any],
        login_url: str | None = None,
        epoch: Callable[[Any], str | int] | None = None,
        *,
        secret_key: Secret | None = None,
        remember_seconds: int | str = 31_536_000,  # a year, as Flask-Login has it
        remember_cookie: str = "remember",
    ) -> None:
        where = "SessionLogin"
        if not callable(load):
            raise ConfigurationError(complaint(where, "load", "a function of the id", type(load).__name__))
        if epoch is not None and not callable(epoch):
            raise ConfigurationError(complaint(where, "epoch", "a function of the user, or None", epoch))
        if login_url is not None and not is_local_target(login_url):
            raise ConfigurationError(complaint(where, "login_url", "a path such as '/login', or None", login_url))
        self.login_url = login_url
        self._load = load
        self._epoch = epoch
        self._remember_seconds = check_amount(where, "remember_seconds", remember_seconds, minimum=1)
        self._signer = None if secret_key is None else Signer(check_secrets(where, secret_key), _SALT)
        is_prefixed = isinstance(remember_cookie, str) and remember_cookie.lower().startswith("__")
        self._plain, self._secure = (
            CookieWriter(
                where,
                name=remember_cookie,
                path="/",
                domain=None,
                secure=secure,
                httponly=True,
                samesite="Lax",
                partitioned=False,
            )
            for secure in (is_prefixed, True)
        )
        self._find = cookie_finder(remember_cookie)

    # ------------------------------------------------------------------ who it is

    def identify(self, exchange: Exchange) -> Any:
        """Return the user of the session, or of the cookie that remembers one."""
        header = exchange.environ.get("HTTP_COOKIE")
        if not header:
            return None
        session = exchange.environ[SESSION]
        user_id = session.get(USER_ID)
        if user_id is not None:
            user = self._load(str(user_id)) or None
            if user is not None and self._epoch_of(user) == session.get(EPOCH):
                return user
        return self._remembered(exchange, header) if self._signer is not None else None

    def is_fresh(self, environ: Environ) -> bool:
        """Return whether the user of the session has typed a password in it."""
        return bool(environ[SESSION].get(FRESH))

    def _remembered(self, exchange: Exchange, header: str) -> Any:
        """Return the user that a signed cookie names, logged in again, not fresh."""
        for value in self._find(header):
            known = self.read_cookie(value)
            if known is None:
                continue
            user = self._load(known[0]) or None
            if user is not None and self._epoch_of(user) == known[1]:
                self.write(exchange.environ[SESSION], user, fresh=False)
                return user
        return None

    # ------------------------------------------------------------------ in and out

    def write(self, session: Any, user: Any, *, fresh: bool = True) -> None:
        """Put a user into a session, under a new id. What the session has of another user is dropped."""
        user_id = id_of(user)
        if session.get(USER_ID) not in (None, user_id):
            session.destroy()
        else:
            session.rotate()
        session[USER_ID] = user_id
        session[FRESH] = fresh
        if self._epoch is not None:
            session[EPOCH] = self._epoch_of(user)
        else:
            session.pop(EPOCH, None)

    def log_in(self, exchange: Exchange, user: Any, *, remember: bool, fresh: bool) -> None:
        """Log a user in, for the session or longer."""
        session = exchange.environ[SESSION]
        if remember and self._signer is None:
            raise ApplicationError(
                "login_user: remember: expected a secret_key= of SessionLogin, which signs the cookie, got none."
            )
        self.write(session, user, fresh=fresh)
        if remember:
            line = self.make_cookie(user, is_secure=self._is_secure(exchange.environ))
            self._set_cookie(exchange, line)

    def log_out(self, exchange: Exchange) -> None:
        """End the session and forget the user."""
        environ = exchange.environ
        environ[SESSION].destroy()
        if self._find(environ.get("HTTP_COOKIE", "")):
            is_secure = self._is_secure(environ)
            self._set_cookie(exchange, (self._secure if is_secure else self._plain).delete(is_https=is_secure))

    def _set_cookie(self, exchange: Exchange, line: str) -> None:
        """Have a cookie go out with the response, in the place of one that was set before."""
        state = exchange.state
        is_first = self not in state
        state[self] = line

        def add(exchange: Exchange) -> None:
            if exchange.status_code < 500:  # the session isn't saved then either
                exchange.headers.add("Set-Cookie", state[self])

        if is_first:
            exchange.on_response(add)

    # ------------------------------------------------------------------ the cookie

    def make_cookie(self, user: Any, *, is_secure: bool) -> str:
        """Return the ``Set-Cookie`` value that remembers a user."""
        ends = int(time.time()) + self._remember_seconds
        payload = json.dumps([id_of(user), ends, self._epoch_of(user)], separators=(",", ":")).encode()
        signer: Any = self._signer
        token = signer.sign(encode_base64(payload)).decode("ascii")
        writer = self._secure if is_secure else self._plain
        return writer.write(token, is_https=is_secure, max_age=self._remember_seconds)

    def read_cookie(self, value: str) -> tuple[str, str | None] | None:
        """Return the id and the epoch that a cookie remembers; None if it isn't signed or has expired."""
        signer: Any = self._signer
        found = signer.unsign(value.encode("latin-1", "replace"))
        if found is None:
            return None
        user_id, ends, epoch = json.loads(decode_base64(found[0]))  # signed: we have written it
        return None if ends <= time.time() else (user_id, epoch)

    def _epoch_of(self, user: Any) -> str | None:
        return None if self._epoch is None else str(self._epoch(user))

    def _is_secure(self, environ: Environ) -> bool:
        """Return whether the cookie goes over https only: as the session's does."""
        return bool(environ[SESSION].is_cookie_secure(is_https=environ["wsgi.url_scheme"] == "https"))
