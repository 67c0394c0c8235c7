"""Our sessions as Flask's own ``flask.session``: with our stores, or the session of the layer around the app."""

from __future__ import annotations

__all__ = ["SessionInterface"]

from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

from flask.sessions import SessionInterface as FlaskSessionInterface
from werkzeug.exceptions import ServiceUnavailable

from wsgikit.exceptions import ConfigurationError, a_kind
from wsgikit.sessions.adapted import AdaptedManager
from wsgikit.sessions.errors import StoreUnavailable
from wsgikit.sessions.manager import SessionManager
from wsgikit.sessions.privacy import make_private
from wsgikit.sessions.session import Session
from wsgikit.sessions.stream import WatchedBody
from wsgikit.sessions.unavailable import RETRY_SECONDS, UNAVAILABLE_TEXT
from wsgikit.wsgi import SESSION, name_request

if TYPE_CHECKING:
    from flask import Flask, Request, Response
    from flask.sessions import SessionMixin


class FlaskStoreUnavailable(ServiceUnavailable, StoreUnavailable):
    """The store that holds the sessions doesn't answer. What went wrong is for the log, not for the visitor."""

    def __init__(self, text: str) -> None:
        super().__init__(UNAVAILABLE_TEXT, retry_after=int(RETRY_SECONDS))
        self.text = text

    def __str__(self) -> str:
        return self.text

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        """Return the headers of the answer: no cache should keep it."""
        return [*super().get_headers(*args, **kwargs), ("Cache-Control", "no-store")]


class SessionInterface(FlaskSessionInterface):
    """Makes ``flask.session`` one of ours: ``app.session_interface = SessionInterface(store="redis://…")``.

    Without options it is the very session of the `SessionMiddleware` around the app, which also saves it. With options,
    which are those of `SessionMiddleware`, it needs no layer. What isn't given is taken from Flask's configuration:
    ``SECRET_KEY`` and ``SECRET_KEY_FALLBACKS``, ``SESSION_COOKIE_*``, ``PERMANENT_SESSION_LIFETIME``.

    A store that doesn't answer gives a 503, reading and writing; ``app.register_error_handler(StoreUnavailable, page)``
    makes a page of yours of it. With ``on_store_error="raise"`` it is an exception like any other.

    Args:
        environ_key: without other options, where the layer puts the session.
        options: those of `SessionMiddleware`, except for `save_on_error` and `environ_key`.

    Raises:
        ConfigurationError: at the first request, there is no layer, or an option can't work.
    """

    def __init__(self, *, environ_key: str = SESSION, **options: Any) -> None:
        self._environ_key = environ_key
        self._options = options
        self._managers: WeakKeyDictionary[Flask, SessionManager] = WeakKeyDictionary()

    def open_session(self, app: Flask, request: Request) -> SessionMixin:
        """Return the session of a request; it is read when it is touched."""
        if self._options:
            session: Any = self.manager(app).new_session(
                request.environ.get("HTTP_COOKIE"), name_request(request.environ)
            )
        else:
            session = request.environ.get(self._environ_key)
            if not isinstance(session, Session):
                raise ConfigurationError(
                    f"SessionInterface: expected the session of a SessionMiddleware in environ[{self._environ_key!r}], "
                    "got none. Put use(SessionMiddleware, …) around the app, or give the interface a store=…."
                )
        return cast("SessionMixin", session)  # it has all that a SessionMixin has

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Save the session with the response; the layer around the app does so by itself."""
        if not self._options or not isinstance(session, Session):
            return
        is_kept = response.status_code < 500
        if session.accessed:
            response.vary.add("Cookie")
            if is_kept:
                self._commit(app, session, response)
        session._is_dropped = not is_kept
        if response.is_sequence or response.direct_passthrough:  # no code of the application's runs from now on
            session._mark_saved(False)
            session._close()
        else:
            response.response = WatchedBody(response.response, session)

    def _commit(self, app: Flask, session: Session, response: Response) -> None:
        from flask import request  # only inside a request

        manager = self.manager(app)
        try:
            lines = manager.commit(session, is_https=request.is_secure, mount=request.script_root)
        except StoreUnavailable as error:
            if manager.on_store_error == "raise":
                raise
            manager.note_failure(session, error)
            # The view has answered, and Flask asks no error handler any more.
            page = app.make_response(app.handle_user_exception(cast("Exception", session._failure)))
            close = getattr(response.response, "close", None)
            if close is not None:
                close()
            response.status, response.headers, response.response = page.status, page.headers, page.response
            return
        if lines:
            headers = response.headers.to_wsgi_list()
            make_private(headers)
            response.headers = type(response.headers)([*headers, *(("Set-Cookie", line) for line in lines)])

    def manager(self, app: Flask) -> SessionManager:
        """Return what manages an app's sessions: made at its first request, when its configuration is complete."""
        manager = self._managers.get(app)
        if manager is None:
            config = app.config
            fallbacks = config.get("SECRET_KEY_FALLBACKS") or ()
            if isinstance(fallbacks, (str, bytes)):  # of which Flask would take each character
                kind = a_kind(fallbacks)
                raise ConfigurationError(
                    f"SessionInterface: SECRET_KEY_FALLBACKS: expected a list of secrets, got {kind}. Write [secret]."
                )
            options: dict[str, Any] = {
                "secret_key": [app.secret_key, *fallbacks] if app.secret_key else None,
                "cookie_name": self.get_cookie_name(app),
                "cookie_path": self.get_cookie_path(app),
                "cookie_domain": self.get_cookie_domain(app),
                "cookie_httponly": self.get_cookie_httponly(app),
                "cookie_partitioned": self.get_cookie_partitioned(app),
                "cookie_samesite": self.get_cookie_samesite(app) or "Lax",
                "cookie_secure": self.get_cookie_secure(app) or "auto",
                "idle_timeout_seconds": app.permanent_session_lifetime.total_seconds(),
            }
            manager = self._managers[app] = AdaptedManager(
                "SessionInterface", FlaskStoreUnavailable, **{**options, **self._options}
            )
        return manager
