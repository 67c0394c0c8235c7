"""Our sessions as Pyramid's ``request.session``: with our stores, or the session of the layer around the app."""

from __future__ import annotations

__all__ = ["session_factory"]

from collections.abc import Callable
from typing import Any

from pyramid.interfaces import ISession
from zope.interface import classImplements

from wsgikit.exceptions import ConfigurationError
from wsgikit.headers import merge_vary
from wsgikit.sessions.manager import SessionManager
from wsgikit.sessions.session import Session
from wsgikit.sessions.stream import WatchedBody
from wsgikit.wsgi import SESSION, is_at_rest

classImplements(Session, ISession)


def session_factory(*, environ_key: str = SESSION, **options: Any) -> Callable[[Any], Session]:
    """Return a session factory: ``config.set_session_factory(session_factory(secret_key=…, store="redis://…"))``.

    Without options the session is the very one of the `SessionMiddleware` around the app, which also saves it. With
    options, which are those of `SessionMiddleware`, it needs no layer.

    A store that doesn't answer raises `StoreUnavailable`, for which an exception view can be written.

    Args:
        environ_key: without other options, where the layer puts the session.
        options: those of `SessionMiddleware`, except for `save_on_error` and `environ_key`.

    Raises:
        ConfigurationError: an option can't work; or, at the first use, there is no layer.
    """
    if not options:

        def of_the_layer(request: Any) -> Session:
            session = request.environ.get(environ_key)
            if not isinstance(session, Session):
                raise ConfigurationError(
                    f"session_factory: expected the session of a SessionMiddleware in environ[{environ_key!r}], "
                    "got none. Put use(SessionMiddleware, …) around the app, or give the factory a secret_key=…."
                )
            return session

        return of_the_layer

    manager = SessionManager("session_factory", **options)

    def of_its_own(request: Any) -> Session:
        session = manager.new_session(request.environ.get("HTTP_COOKIE"))

        def save(request: Any, response: Any) -> None:
            is_kept = response.status_code < 500
            if session.accessed:
                vary = merge_vary(response.headers.getall("Vary"), ["Cookie"])
                if vary is not None:
                    response.headers["Vary"] = vary
                if is_kept:
                    is_https = request.scheme == "https"
                    for line in manager.commit(session, is_https=is_https, mount=request.script_name):
                        response.headers.add("Set-Cookie", line)
            session._is_dropped = not is_kept
            if is_at_rest(response.app_iter, request.environ):  # no code of the application's runs from now on
                session._mark_saved(False)
                session._close()
            else:
                length = response.content_length  # which webob forgets with the old body
                response.app_iter = WatchedBody(response.app_iter, session)
                response.content_length = length

        request.add_response_callback(save)
        return session

    return of_its_own
