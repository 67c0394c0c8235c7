"""Our sessions as Pyramid's ``request.session``: with our stores, or the session of the layer around the app."""

from __future__ import annotations

__all__ = ["session_factory"]

from collections.abc import Callable
from typing import Any

from pyramid.httpexceptions import HTTPServiceUnavailable
from pyramid.interfaces import ISession
from zope.interface import classImplements

from wsgikit.exceptions import ConfigurationError
from wsgikit.http.headers import merge_vary
from wsgikit.sessions.adapted import AdaptedManager
from wsgikit.sessions.errors import StoreUnavailable
from wsgikit.sessions.manager import SessionManager
from wsgikit.sessions.privacy import make_private
from wsgikit.sessions.session import Session
from wsgikit.sessions.stream import WatchedBody
from wsgikit.sessions.unavailable import RETRY_SECONDS, UNAVAILABLE_TEXT
from wsgikit.wsgi import SESSION, is_at_rest, name_request

classImplements(Session, ISession)


# In this order, so that an exception view of `StoreUnavailable` comes before Pyramid's own of responses.
class PyramidStoreUnavailable(StoreUnavailable, HTTPServiceUnavailable):  # type: ignore[misc]  # Pyramid has no types
    """The store that holds the sessions doesn't answer. What went wrong is for the log, not for the visitor."""

    status = HTTPServiceUnavailable.status  # it is an attribute in one, and a property in the other

    def __init__(self, text: str) -> None:
        headers = [("Retry-After", RETRY_SECONDS), ("Cache-Control", "no-store")]
        super().__init__(UNAVAILABLE_TEXT, headers=headers)  # type: ignore[call-arg]  # as above
        self.reason = text

    def __str__(self) -> str:
        return self.reason


def session_factory(*, environ_key: str = SESSION, **options: Any) -> Callable[[Any], Session]:
    """Return a session factory: ``config.set_session_factory(session_factory(secret_key=…, store="redis://…"))``.

    Without options the session is the very one of the `SessionMiddleware` around the app, which also saves it. With
    options, which are those of `SessionMiddleware`, it needs no layer.

    A store that doesn't answer gives a 503, reading and writing; an exception view of `StoreUnavailable` makes a page
    of yours of it. With ``on_store_error="raise"`` it is an exception like any other.

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

    manager = AdaptedManager("session_factory", PyramidStoreUnavailable, **options)

    def of_its_own(request: Any) -> Session:
        session = manager.new_session(request.environ.get("HTTP_COOKIE"), name_request(request.environ))

        def save(request: Any, response: Any) -> None:
            is_kept = response.status_code < 500
            if session.accessed:
                vary = merge_vary(response.headers.getall("Vary"), ["Cookie"])
                if vary is not None:
                    response.headers["Vary"] = vary
                if is_kept:
                    _commit(manager, session, request, response)
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


def _commit(manager: SessionManager, session: Session, request: Any, response: Any) -> None:
    try:
        lines = manager.commit(session, is_https=request.scheme == "https", mount=request.script_name)
    except StoreUnavailable as error:
        if manager.on_store_error == "raise":
            raise
        manager.note_failure(session, error)
        # The view has answered, and Pyramid asks no exception view any more.
        page = request.invoke_exception_view((type(session._failure), session._failure, error.__traceback__))
        prepare = getattr(page, "prepare", None)  # an exception of Pyramid's gets its body when it is sent
        if prepare is not None:
            prepare(request.environ)
        close = getattr(response.app_iter, "close", None)
        if close is not None:
            close()
        response.status, response.headers, response.app_iter = page.status, page.headers, page.app_iter
        return
    if lines:
        make_private(response.headerlist)
    for line in lines:
        response.headers.add("Set-Cookie", line)
