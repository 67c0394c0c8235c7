"""`AuthenticationMiddleware`: find out who the client is, and refuse who may not see a view."""

from __future__ import annotations

__all__ = ["AuthenticationMiddleware"]

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from wsgikit.exceptions import ApplicationError, ConfigurationError, complaint
from wsgikit.http.targets import is_local_target, target_of
from wsgikit.http.users import id_of
from wsgikit.middleware.authentication.schemes import Scheme, WrongCredentials
from wsgikit.middleware.authentication.session_login import SessionLogin
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.refusal import Refusal
from wsgikit.onion.reply import Reply
from wsgikit.options.flags import check_flags
from wsgikit.wsgi import AUTHENTICATION, SESSION, USER, WSGIApplication

# A 401 has to have a challenge (RFC 9110 §15.5.2). No browser knows this one, so it asks the visitor for nothing.
_NO_CHALLENGE = "Session"

_NOT_FRESH = "Log in again: this needs a login by password."


class AuthenticationMiddleware(Middleware):
    """Find out who the client is, for all that is further in; refuse who isn't allowed.

    Use it around any application that reads ``REMOTE_USER``, and for your own logins. Don't use it if the
    application's framework knows its users already, and nobody else has to.

    Place: inside `SessionMiddleware` if users log in by a form, outside of whatever asks for the user. Environ: needs
    ``wsgikit.session`` for `SessionLogin`; provides ``wsgikit.user`` (or `environ_key`), the user or None, and sets
    ``REMOTE_USER`` to the user's ``get_id()``, else ``id``, else its text. `wsgikit.user` and ``request.user`` are the
    same.

    Args:
        app: the WSGI application to wrap.
        schemes: the ways to know a client, in order: `Basic`, `Bearer`, `SessionLogin`, `RemoteUser` of this module,
            or your own `Scheme`. The first that finds credentials decides.
        required: whether each request needs a user, but for `login_url`.
        environ_key: where the user is put in environ.

    Raises:
        ConfigurationError: an option that can't work.

    Wrong credentials are a 401 in any case; its ``WWW-Authenticate`` names each scheme. ``policy(login=True)`` asks for
    a user before a view, ``policy(login=is_admin)`` for one that a function is true for, which is a 403 otherwise.
    Without a user a GET that accepts HTML is sent to `login_url` by a 303, with ``next``. Responses to a user get
    ``Cache-Control: private, no-cache`` if the application set none.

    Example::

        from wsgikit.middleware.authentication import Basic

        stack = build_stack(app, use(AuthenticationMiddleware, schemes=[Basic(check_password)], required=True))
    """

    request_policy = ("login",)

    def __init__(
        self,
        app: WSGIApplication,
        *,
        schemes: Scheme | Sequence[Scheme],
        required: bool = False,
        environ_key: str = USER,
    ) -> None:
        super().__init__(app)
        where = "AuthenticationMiddleware"
        check_flags(where, required=required)
        listed = (schemes,) if isinstance(schemes, Scheme) else tuple(schemes)
        for scheme in listed:
            if not isinstance(scheme, Scheme):
                remedy = "Write Basic(verify), Bearer(verify), SessionLogin(load) or RemoteUser()"
                raise ConfigurationError(complaint(where, "schemes", "schemes", type(scheme).__name__, remedy))
        if not listed:
            raise ConfigurationError(complaint(where, "schemes", "at least one scheme", ()))
        if not isinstance(environ_key, str) or not environ_key:
            raise ConfigurationError(complaint(where, "environ_key", "the name of a key", environ_key))
        self.schemes = listed
        self.required = required
        self.environ_key = environ_key
        self.session_login = next((scheme for scheme in listed if isinstance(scheme, SessionLogin)), None)
        if any(scheme.needs_session for scheme in listed):
            self.requires = (SESSION,)
        self.provides = (environ_key,)
        self._challenges = _headers([scheme.challenge for scheme in listed])
        self._refused = Refusal(
            401,
            "The credentials are wrong.",
            _headers([scheme.refused_challenge or scheme.challenge for scheme in listed]),
        )
        # Without a header that any of ours reads there is no user; a scheme of yours may read anything.
        self._asks_always = any(type(scheme).__module__.partition(".")[0] != "wsgikit" for scheme in listed)
        if not required and not self._asks_always:
            self._hasten(AuthenticationMiddleware, *self._quick_hooks())

    # ------------------------------------------------------------------ the hooks

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Find the user."""
        environ = exchange.environ
        user = None
        has_key = "HTTP_COOKIE" in environ or "HTTP_AUTHORIZATION" in environ or "REMOTE_USER" in environ
        if has_key or self._asks_always:
            try:
                user = self._identify(exchange)
            except WrongCredentials:
                environ[self.environ_key] = None
                return self._refused
        environ[AUTHENTICATION] = self
        environ[self.environ_key] = user
        if user is not None:
            environ["REMOTE_USER"] = id_of(user)
        elif self.required and not self._is_login_page(exchange):
            return self.challenge(exchange)
        return None

    def before_view(self, exchange: Exchange) -> WSGIApplication | None:
        """Refuse who isn't allowed by the policy of the view."""
        wanted = exchange.policy.get("login")
        if not wanted:
            return None
        user = exchange.environ[self.environ_key]
        if user is None:
            return self.challenge(exchange)
        if wanted is not True and not wanted(user):
            return Refusal(403, "You may not see this page.")
        return None

    def after_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Put a refusal of `login_required` in the place of the response; keep responses to a user private."""
        environ = exchange.environ
        refusal: WSGIApplication | None = environ.pop(_REFUSAL, None)
        if refusal is not None:
            return refusal
        if environ.get(self.environ_key) is not None and not _has_cache_control(exchange):
            exchange.headers.add("Cache-Control", "private, no-cache")
        return None

    def _quick_hooks(self) -> list[Callable[[Exchange], WSGIApplication | None]]:
        """Return hooks that do the same as those above, with what they need at hand: most requests have no user."""
        key = self.environ_key
        identify, finish = self.before_request, self.after_request

        def before_request(exchange: Exchange) -> WSGIApplication | None:
            environ = exchange.environ
            if "HTTP_COOKIE" in environ or "HTTP_AUTHORIZATION" in environ or "REMOTE_USER" in environ:
                return identify(exchange)
            environ[AUTHENTICATION] = self
            environ[key] = None
            return None

        def after_request(exchange: Exchange) -> WSGIApplication | None:
            environ = exchange.environ
            if environ.get(key) is None and _REFUSAL not in environ:
                return None
            return finish(exchange)

        return [before_request, after_request]

    # ------------------------------------------------------------------ for views

    def log_in(self, exchange: Exchange, user: Any, *, remember: bool = False, fresh: bool = True) -> None:
        """Log a user in by the session: see `wsgikit.login_user`.

        Raises:
            ApplicationError: there is no `SessionLogin`, or the user has no id.
        """
        self._session_login("login_user").log_in(exchange, user, remember=remember, fresh=fresh)
        exchange.environ[self.environ_key] = user
        exchange.environ["REMOTE_USER"] = id_of(user)

    def log_out(self, exchange: Exchange) -> None:
        """End the session and forget the user: see `wsgikit.logout_user`."""
        self._session_login("logout_user").log_out(exchange)
        exchange.environ[self.environ_key] = None
        exchange.environ.pop("REMOTE_USER", None)

    def refuse_unless_logged_in(self, exchange: Exchange, *, redirect: str | None, fresh: bool) -> bool:
        """Have the response replaced if there is no user, or if its login isn't fresh; return whether it is.

        Args:
            exchange: the request.
            redirect: the page with the form; None is that of `SessionLogin`.
            fresh: whether the user must have typed a password in this session.
        """
        environ = exchange.environ
        if environ.get(self.environ_key) is None:
            environ[_REFUSAL] = self.challenge(exchange, redirect)
        elif fresh and self.session_login is not None and not self._is_fresh(exchange):
            environ[_REFUSAL] = self.challenge(exchange, redirect, _NOT_FRESH)
        return _REFUSAL in environ

    def challenge(
        self, exchange: Exchange, redirect: str | None = None, detail: str = "You have to log in."
    ) -> WSGIApplication:
        """Return the answer to a request that needs a user: a redirect to the form, or a 401."""
        environ = exchange.environ
        login_url = redirect or (self.session_login and self.session_login.login_url)
        if login_url and environ["REQUEST_METHOD"] in ("GET", "HEAD") and _accepts_html(environ.get("HTTP_ACCEPT")):
            target = target_of(environ)
            location = login_url
            if is_local_target(target):
                location += f"{'&' if '?' in login_url else '?'}next={quote(target, safe='/')}"
            head = [("Location", location), ("Cache-Control", "no-store"), ("Vary", "Cookie")]
            return Reply(303, "", "text/plain; charset=utf-8", head)
        return Refusal(401, detail, self._challenges)

    # ------------------------------------------------------------------ parts

    def _identify(self, exchange: Exchange) -> Any:
        for scheme in self.schemes:
            user = scheme.identify(exchange)
            if user is not None:
                return user
        return None

    def _is_login_page(self, exchange: Exchange) -> bool:
        login = self.session_login
        if login is None or login.login_url is None:
            return False
        path = exchange.environ.get("SCRIPT_NAME", "") + exchange.environ.get("PATH_INFO", "")
        return bool(path == login.login_url.partition("?")[0])

    def _is_fresh(self, exchange: Exchange) -> bool:
        """Return whether the user has proven who they are in this session, or in this request."""
        session_login: SessionLogin = self.session_login  # type: ignore[assignment]  # the caller looked
        if exchange.environ[SESSION].get("_user_id") is None:
            return True  # by another scheme, which asks in each request
        return session_login.is_fresh(exchange.environ)

    def _session_login(self, where: str) -> SessionLogin:
        if self.session_login is None:
            remedy = "Add one to schemes= of AuthenticationMiddleware"
            raise ApplicationError(complaint(where, "schemes", "a SessionLogin", None, remedy))
        return self.session_login


_REFUSAL = "wsgikit.login_refusal"


def _headers(challenges: list[str | None]) -> list[tuple[str, str]]:
    return [("WWW-Authenticate", text) for text in challenges if text] or [("WWW-Authenticate", _NO_CHALLENGE)]


def _has_cache_control(exchange: Exchange) -> bool:
    return any(name.lower() == "cache-control" for name, _ in exchange.header_list)


def _accepts_html(accept: str | None) -> bool:
    from wsgikit.http.accept import choose_form  # only who has to log in needs it

    return choose_form(accept) == "html"
