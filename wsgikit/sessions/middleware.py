"""The layer that gives each request its session."""

from __future__ import annotations

__all__ = ["SessionMiddleware"]

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from weakref import ref

from wsgikit.exceptions import ConfigurationError
from wsgikit.http.cookies import SameSite
from wsgikit.onion.middleware import Middleware
from wsgikit.options.flags import check_flags
from wsgikit.options.secrets import Secret
from wsgikit.sessions.advice import (
    warn_of_namesake,
    warn_of_other_writer,
    warn_of_processes,
    warn_of_the_way_back,
)
from wsgikit.sessions.backends import Conflict
from wsgikit.sessions.errors import StoreUnavailable
from wsgikit.sessions.formats import FormatName
from wsgikit.sessions.manager import OnOversize, OnStoreError, SessionManager
from wsgikit.sessions.privacy import make_private
from wsgikit.sessions.session import Session
from wsgikit.sessions.stores.base import SessionStore
from wsgikit.sessions.unavailable import answer_unavailable, reply_unavailable
from wsgikit.wsgi import SESSION, Environ, WSGIApplication, name_request

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange


class SessionMiddleware(Middleware):
    """Remembers visitors: gives each request a session that is read when it is touched and saved when it has changed.

    Use it if requests of one visitor belong together: logins, carts, messages to be shown once. Don't use it for an
    API whose clients send a token with each request, and don't put data in it that has to outlive the visit.

    Place it inside `ErrorPagesMiddleware` and `ContextMiddleware`, outside of everything that uses the session. It
    needs no environ keys and provides ``wsgikit.session`` (or `environ_key`), a `Session`.

    A request that doesn't touch its session costs nothing, reads nothing and sends nothing. A response made from it
    says ``Vary: Cookie``. One that sets the cookie is made ``private`` if shared caches might keep it. Changes are
    saved before the head leaves, unless the status is 500 or above or an exception came through; a redirect that is
    raised is saved.

    Args:
        app: the WSGI application to wrap.
        secret_key: the secret that signs the cookie, or several: the first signs, all verify. ``wsgikit secret`` makes
            one.
        store: ``"cookie"``, a URL (``memory://``, ``sqlite:///sessions.db``, ``postgresql+psycopg://…``, ``redis://…``,
            ``memcached://…``), or a `SessionStore`.
        cookie_name: the name of the cookie; ``__Host-session`` asks browsers to guard it best, over https only.
        cookie_path: the path that the browser sends it back to; ``"mount"`` is where the application is mounted.
        cookie_domain: a domain whose subdomains get it too; None is this host only.
        cookie_secure: whether it goes over https only; ``"auto"``: as the request that sets it came.
        cookie_httponly: whether scripts can't read it.
        cookie_samesite: ``"Lax"``, ``"Strict"``, ``"None"`` (needs `cookie_secure`), or None to say nothing.
        cookie_partitioned: whether a page that embeds this one has its own jar for it (needs `cookie_secure`).
        cookie_permanent: whether a new session is `permanent`: kept by the browser when it is closed.
        cookie_max_bytes: the longest ``Set-Cookie`` value that is sent; browsers drop longer ones silently.
        cookie_format: ``"wsgikit"``; or ``"flask"``, ``"starlette"``, ``"django"``: the cookie of these, read and
            written.
        cookie_digest: ``"sha256"`` or ``"sha512"``; cookies signed with either are read.
        encrypt: whether the cookie's owner can't read it either (needs ``wsgikit[encryption]``).
        idle_timeout_seconds: how long a session lasts without being used; None is for ever.
        absolute_timeout_seconds: how long a session lasts at all; None is for ever.
        refresh_after_seconds: after how long reading alone counts as use and is noted; None is a tenth of the idle
            timeout, a day at the most. With the idle timeout or more, only writing counts.
        on_oversize: for a session that doesn't fit into a cookie: ``"error"`` names the largest keys, ``"warn"`` logs
            that and leaves the old cookie, and a store (or its URL) takes such sessions.
        on_store_error: when the store doesn't answer: ``"503"``, ``"raise"``, or ``"empty-readonly"``: reading finds
            nothing and writing raises. Requests that don't touch the session go on in any case.
        save_on_error: whether changes are saved when the status is 500 or above.
        on_conflict: called with a `Conflict` when two requests have changed one session at the same time.
        is_revoked: called with each session that was read; True ends it. The way to end cookie sessions before their
            time. A server-side store asks it too, and removes the record.
        sweep_probability: the chance that a request that saves also removes some expired sessions, from 0 to 1; a cron
            job with ``wsgikit sessions sweep`` does it better.
        environ_key: where the session is put in environ. With ``beaker.session`` it has Beaker's methods too.

    Raises:
        ConfigurationError: an option or a combination that can't work or isn't safe.
        StoreUnavailable: on use, the store doesn't answer.
        SessionTooLarge, SessionValueError: at the end of the request, the session can't be written.
        SessionCommitted: on use, the session is changed when its cookie has left.

    Security: ids are 256 random bits and kept as SHA-256. Ids and cookies that a client invents are never adopted. A
    signed cookie can be read by its owner, and until it expires can be used again even after `destroy()`: a server-side
    store or `is_revoked` prevents that.

    Example::

        def app(environ, start_response):
            session = environ["wsgikit.session"]
            session["visits"] = session.get("visits", 0) + 1
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [str(session["visits"]).encode()]

        app = SessionMiddleware(app, secret_key="9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a")
    """

    health_name: ClassVar[str] = "session"

    def __init__(
        self,
        app: WSGIApplication,
        *,
        secret_key: Secret | None = None,
        store: str | SessionStore = "cookie",
        cookie_name: str = "session",
        cookie_path: str = "/",
        cookie_domain: str | None = None,
        cookie_secure: bool | Literal["auto"] = "auto",
        cookie_httponly: bool = True,
        cookie_samesite: SameSite = "Lax",
        cookie_partitioned: bool = False,
        cookie_permanent: bool = False,
        cookie_max_bytes: int = 4093,
        cookie_format: FormatName = "wsgikit",
        cookie_digest: Literal["sha256", "sha512"] = "sha256",
        encrypt: bool = False,
        idle_timeout_seconds: float | None = 1_209_600,  # 14 days, as Django and Starlette have it
        absolute_timeout_seconds: float | None = None,
        refresh_after_seconds: float | None = None,
        on_oversize: OnOversize = "error",
        on_store_error: OnStoreError = "503",
        save_on_error: bool = False,
        on_conflict: Callable[[Conflict], object] | None = None,
        is_revoked: Callable[[Session], bool] | None = None,
        sweep_probability: float = 0.0,
        environ_key: str = SESSION,
    ) -> None:
        super().__init__(app)
        where = type(self).__name__
        check_flags(where, save_on_error=save_on_error)
        session_class = Session
        self._is_beaker = environ_key == "beaker.session"
        if self._is_beaker:
            from wsgikit.sessions.beaker import BeakerSession

            session_class = BeakerSession
        self.manager = SessionManager(
            where,
            secret_key=secret_key,
            store=store,
            cookie_name=cookie_name,
            cookie_path=cookie_path,
            cookie_domain=cookie_domain,
            cookie_secure=cookie_secure,
            cookie_httponly=cookie_httponly,
            cookie_samesite=cookie_samesite,
            cookie_partitioned=cookie_partitioned,
            cookie_permanent=cookie_permanent,
            cookie_max_bytes=cookie_max_bytes,
            cookie_format=cookie_format,
            cookie_digest=cookie_digest,
            encrypt=encrypt,
            idle_timeout_seconds=idle_timeout_seconds,
            absolute_timeout_seconds=absolute_timeout_seconds,
            refresh_after_seconds=refresh_after_seconds,
            on_oversize=on_oversize,
            on_store_error=on_store_error,
            on_conflict=on_conflict,
            is_revoked=is_revoked,
            sweep_probability=sweep_probability,
            session_class=session_class,
        )
        self.manager.save_early = self._save_before_commit
        self._check_alone(app, cookie_name, environ_key)
        self._environ_key = environ_key
        self.provides = (environ_key,)
        self._save_on_error = save_on_error
        self._session_class = self.manager.session_class
        self._warns_of_processes = self.manager.store is not None and not self.manager.store.is_shared
        self._hasten(SessionMiddleware, *self._quick_hooks())

    # ------------------------------------------------------------------ the hooks

    def before_request(self, exchange: Exchange) -> None:
        environ = exchange.environ
        session = self._session_class()
        session._header = environ.get("HTTP_COOKIE")
        session._exchange = ref(exchange)
        if environ.setdefault(self._environ_key, session) is not session:
            self._shadow(environ, session)
        if self._is_beaker:
            environ["beaker.get_session"] = environ[self._environ_key]._myself
        if self._warns_of_processes and environ.get("wsgi.multiprocess"):
            warn_of_processes(self.manager)

    def after_request(self, exchange: Exchange) -> None:
        self._finish(exchange)

    def _quick_hooks(self) -> list[Callable[[Exchange], None]]:
        """Make hooks that do what the two above do, with what they need available: most requests touch no session."""
        key = self._environ_key
        session_class = self._session_class
        shadow = self._shadow
        finish = self._finish

        def before_request(exchange: Exchange) -> None:
            environ = exchange.environ
            session = session_class()
            session._header = environ.get("HTTP_COOKIE")
            session._exchange = ref(exchange)
            if environ.setdefault(key, session) is not session:
                shadow(environ, session)

        def after_request(exchange: Exchange) -> None:
            session: Any = exchange.environ.get(key)
            if type(session) is session_class and not session._is_touched:
                session._committed = session._exchange
            else:
                finish(exchange)

        return [after_request] if self._is_beaker or self._warns_of_processes else [before_request, after_request]

    def handle_exception(self, exchange: Exchange, error: Exception) -> WSGIApplication | None:
        session = self._session_of(exchange)
        if session is None or not session._is_touched:
            return None
        if isinstance(error, StoreUnavailable) and session._failure is None:  # a lock, or another late asking
            self.manager.note_failure(session, error)
        if session._notes:
            self._tell(exchange, session)
        if isinstance(error, StoreUnavailable):
            return None if self.manager.on_store_error == "raise" else reply_unavailable(self, exchange)
        # webob's and Werkzeug's exceptions are applications. A redirect that is raised is an answer like one that is
        # returned, and is let out as one, so that the cookie can go along (a login that ends so must not be lost).
        if 300 <= _status_of(error) < 400 and callable(error) and session.modified:
            return error
        session._is_dropped = True  # an answer of a layer further out doesn't pass this one, and saves nothing
        return None

    def check_health(self) -> None:
        """Ask the store for a record that can't exist. Cookies need no store."""
        store = self.manager.store
        if store is not None:
            store.load("0" * 64)

    def close(self) -> None:
        self.manager.close()

    # ------------------------------------------------------------------ for tests and scripts

    def open_session(self, cookie_header: str | None = None) -> Session:
        """Return the session of a ``Cookie`` header, outside of any request."""
        return self.manager.new_session(cookie_header)

    def save_session(self, session: Session, *, is_https: bool = False) -> list[str]:
        """Save a session of `open_session`; return the ``Set-Cookie`` values."""
        return self.manager.commit(session, is_https=is_https) if session.accessed else []

    # ------------------------------------------------------------------ the way out

    def _finish(self, exchange: Exchange) -> None:
        session = self._session_of(exchange)
        if session is None:
            return
        if session._notes:
            self._tell(exchange, session)
        if session._data is None and session._failure is None:
            session._committed = ref(exchange)
            return
        code = exchange.status_code
        if session._failure is not None and code >= 500:
            if self.manager.on_store_error != "raise":
                answer_unavailable(self, exchange)
            return
        headers = exchange.headers.as_list()
        names = [name.lower() for name, _ in headers]
        if "vary" in names:
            exchange.headers.vary("Cookie")
        else:
            headers.append(("Vary", "Cookie"))
        is_kept = code < 500 or self._save_on_error
        if session._sent is not None:
            # The response is another one than that which the session was saved for. What is in a store stays there, and
            # a new session is of no use without its cookie.
            if is_kept or self.manager.backend.can_save_late(session):
                _add_cookies(exchange, session._sent)
            return
        session._is_dropped = not is_kept
        early = session._early
        if early is not None and not (is_kept and session.modified):
            if is_kept or self.manager.backend.can_save_late(session):
                _add_cookies(exchange, early)
            session._sent = early
        elif is_kept:
            are_cookies_set = "set-cookie" in names
            if are_cookies_set or session._lent or self.manager.has_something_to_do(session):
                self._commit(exchange, session, are_cookies_set)
            else:
                session._sent = []
            if session._is_rejected and exchange.environ.get("SCRIPT_NAME"):
                warn_of_namesake(self.manager, exchange.environ["SCRIPT_NAME"])
        session._committed = ref(exchange)

    def _save_before_commit(self, session: Session, exchange: Exchange) -> Callable[[], None] | None:
        """Save a session right before a database layer commits; return what undoes that, if the commit fails."""
        if session._committed is not None or session._is_dropped:
            return session._undo  # the database layer is outside of this one: it is saved already
        if exchange.status_code >= 500 and not self._save_on_error:
            return None
        if session._failure is not None or not (session._lent or self.manager.has_something_to_do(session)):
            return None
        environ = exchange.environ
        is_https = environ.get("wsgi.url_scheme") == "https"
        undo = self.manager.commit_early(session, is_https=is_https, mount=environ.get("SCRIPT_NAME", ""))
        if undo is None:
            return None

        def undo_all() -> None:
            session._early = None
            session._is_dropped = True
            undo()

        return undo_all

    def _commit(self, exchange: Exchange, session: Session, are_cookies_set: bool) -> None:
        environ = exchange.environ
        is_https = environ.get("wsgi.url_scheme") == "https"
        ours, theirs = self._lines_inside(session, exchange) if are_cookies_set else ([], [])
        if theirs:
            warn_of_other_writer(self.manager)
        if ours or theirs:
            if not session.modified:  # an application inside has the last word
                session._sent = []
                session._committed = ref(exchange)
                return
            if ours:
                self.manager.merge_foreign(session, _value_of(ours[-1]))
        if session._is_save_planned and session._early is None:
            session._undo = self.manager.backend.remember(session)
        try:
            lines = self.manager.commit(session, is_https=is_https, mount=environ.get("SCRIPT_NAME", ""))
            lines = lines or session._early or []
        except StoreUnavailable as error:
            if self.manager.on_store_error == "raise":
                raise
            self.manager.note_failure(session, error)
            self._tell(exchange, session)
            answer_unavailable(self, exchange)
            return
        session._sent = lines
        session._committed = ref(exchange)
        session._mark_saved(exchange.is_streaming)
        if lines:
            if ours:  # one line for a session, whoever wrote another (RFC 6265 §4.1.1)
                kept = [h for h in exchange.headers if h[0].lower() != "set-cookie" or h[1] not in ours]
                exchange.headers[:] = kept
            _add_cookies(exchange, lines)
            warn_of_the_way_back(self.manager, environ, is_https)

    def _lines_inside(self, session: Session, exchange: Exchange) -> tuple[list[str], list[str]]:
        """Return the lines of our cookie's name that an application inside wrote: of this session, and of its own.

        Its own are those that can't be read as ours. They are left as they are.
        """
        ours: list[str] = []
        theirs: list[str] = []
        writer, backend = self.manager.writer, self.manager.backend
        for line in exchange.headers.get_all("Set-Cookie"):
            if not line.lstrip().startswith(writer.name + "="):  # Django and Beaker begin it with a space
                continue
            value = _value_of(line)
            if value:
                (ours if backend.knows(value) else theirs).append(line)
            elif writer.is_same_place(line, exchange.environ.get("SCRIPT_NAME", "")):
                (theirs if session._is_rejected else ours).append(line)
        return ours, theirs

    def _tell(self, exchange: Exchange, session: Session) -> None:
        self.manager.tell(session, name_request(exchange.environ))

    # ------------------------------------------------------------------ the rare cases

    def _shadow(self, environ: Environ, session: Session) -> None:
        """Take the place of the session of a stack around this one, which finds its own again on the way out."""
        other = environ[self._environ_key]
        if type(other) is self._session_class and other._is_copy:  # in copy_current_context(): it is this layer's
            other._is_copy = False
            return
        environ[self._environ_key] = session
        if isinstance(other, Session) and other._committed is None:
            session._shadowed = other
            session._is_touched = True

    def _session_of(self, exchange: Exchange) -> Session | None:
        session: Any = exchange.environ.get(self._environ_key)
        if type(session) is self._session_class and session._committed is None:
            return session
        while isinstance(session, Session):
            if session.__class__ is self._session_class:
                committed = session._committed
                if committed is None or committed() is exchange:
                    return session
            session = session._shadowed
        return None

    def __wsgikit_beside__(self, place: str, other: Middleware, other_place: str) -> None:
        """Look at a layer of an application that is mounted beside this one's: it may be a session of the same name."""
        if isinstance(other, SessionMiddleware):
            from wsgikit.sessions.namesakes import warn_of_namesakes  # only if applications are mounted

            warn_of_namesakes(self.manager, place, other.manager, other_place)

    def _check_alone(self, app: object, cookie_name: str, environ_key: str) -> None:
        """Refuse a second session of the same cookie or key in one onion: each would undo the other."""
        while isinstance(app, Middleware):
            if isinstance(app, SessionMiddleware):
                for option, ours, theirs in (
                    ("cookie_name", cookie_name, app.manager.writer.name),
                    ("environ_key", environ_key, app._environ_key),
                ):
                    if ours == theirs:
                        raise ConfigurationError(
                            f"{type(self).__name__}: {option}: expected one that no other session in this stack has, "
                            f"got {ours!r} twice. Give one of them another {option}."
                        )
            app = app.app


def _add_cookies(exchange: Exchange, lines: list[str]) -> None:
    if lines:
        headers = exchange.headers.as_list()
        make_private(headers)
        headers.extend([("Set-Cookie", line) for line in lines])


def _value_of(line: str) -> str:
    """Return the value that a ``Set-Cookie`` line sets; an empty one removes the cookie."""
    return line.partition("=")[2].partition(";")[0].strip('" ')


def _status_of(error: Exception) -> int:
    """Return the status that an exception of webob's or Werkzeug's stands for, or 0."""
    code = getattr(error, "code", None)
    if code is None:  # `abort(response)` has it on the response
        code = getattr(getattr(error, "response", None), "status_code", None)
    return code if type(code) is int else 0
