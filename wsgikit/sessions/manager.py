"""All that a session needs but the request: read by the layer, and by the adapters for Flask, Pyramid and Django."""

from __future__ import annotations

__all__ = ["OnOversize", "OnStoreError", "SessionManager"]

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from wsgikit.crypto.signing import Signer
from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.cookies import CookieWriter, SameSite, cookie_finder
from wsgikit.onion.log import mark_repeated
from wsgikit.options.flags import check_flags
from wsgikit.options.secrets import Secret, check_secrets
from wsgikit.sessions.advice import UnsignedCookies, warn_of_weak_secrets
from wsgikit.sessions.backends import Backend, Conflict, CookieBackend, StoreBackend, merge
from wsgikit.sessions.errors import SessionReadOnly, StoreUnavailable
from wsgikit.sessions.formats import FormatName, make_format
from wsgikit.sessions.formats.base import Envelope
from wsgikit.sessions.journal import journal
from wsgikit.sessions.session import Session
from wsgikit.sessions.stores import open_store
from wsgikit.sessions.stores.base import SessionStore
from wsgikit.sessions.timeouts import Timeouts
from wsgikit.wsgi import name_request

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange


OnStoreError: TypeAlias = Literal["503", "raise", "empty-readonly"]
OnOversize: TypeAlias = Literal["error", "warn"] | str | SessionStore

_MOST_KNOWN = 5  # cookies of our name that are looked at again when none is a session
_SWEPT_AT_ONCE = 100  # few enough that the visitor whose request does it doesn't notice


class SessionManager:
    """Opens, saves and ends sessions, as its options say; those are `SessionMiddleware`'s.

    Args:
        where: the name of what is being configured, for the errors.

    Attributes:
        backend: where sessions go.
        name: that of what is configured, for the log.
        store: the server-side store, or None.
        store_option: the option `store` as it was given.
        writer: writes the cookie.
        is_foreign: whether the cookie is another framework's, to be shared with it.
        permanent: whether new sessions are.
        permanent_key: the key of the data that says so, in formats that have it there.
        session_class: what `new_session` makes.
        save_early: saves a session before a database layer commits; returns what undoes that. Set by the layer.
    """

    save_early: Callable[[Session, Exchange], Callable[[], None] | None] | None = None

    def __init__(
        self,
        where: str = "SessionManager",
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
        idle_timeout_seconds: float | None = 1_209_600,
        absolute_timeout_seconds: float | None = None,
        refresh_after_seconds: float | None = None,
        on_oversize: OnOversize = "error",
        on_store_error: OnStoreError = "503",
        on_conflict: Callable[[Conflict], object] | None = None,
        is_revoked: Callable[[Session], bool] | None = None,
        sweep_probability: float = 0.0,
        session_class: type[Session] = Session,
    ) -> None:
        check_flags(
            where,
            cookie_httponly=cookie_httponly,
            cookie_partitioned=cookie_partitioned,
            cookie_permanent=cookie_permanent,
            encrypt=encrypt,
        )
        is_foreign = cookie_format != "wsgikit"
        secrets = check_secrets(where, secret_key, refuse_weak=not is_foreign)
        if is_foreign:
            warn_of_weak_secrets(where, secrets, cookie_format)
        self.writer = CookieWriter(
            where,
            name=cookie_name,
            path=cookie_path,
            domain=cookie_domain,
            secure=cookie_secure,
            httponly=cookie_httponly,
            samesite=cookie_samesite,
            partitioned=cookie_partitioned,
        )
        if on_store_error not in ("503", "raise", "empty-readonly"):
            raise ConfigurationError(
                complaint(where, "on_store_error", "'503', 'raise' or 'empty-readonly'", on_store_error)
            )
        if not 0 <= sweep_probability <= 1:
            raise ConfigurationError(complaint(where, "sweep_probability", "a number from 0 to 1", sweep_probability))
        if cookie_max_bytes < 256:
            raise ConfigurationError(complaint(where, "cookie_max_bytes", "at least 256", cookie_max_bytes))
        timeouts = Timeouts(where, idle_timeout_seconds, absolute_timeout_seconds, refresh_after_seconds)
        id_signer = Signer(secrets, f"wsgikit.session.id:{cookie_name}".encode())
        self.backend: Backend
        self.store: SessionStore | None = None
        self.permanent_key: str | None = None
        self._failures = 0  # of the store, since it last answered
        self._down_since = 0.0
        if store == "cookie":
            formats = make_format(where, cookie_format, secrets, cookie_name, encrypt=encrypt, digest=cookie_digest)
            if not formats.has_created and absolute_timeout_seconds is not None:
                what = f"absolute_timeout_seconds with cookie_format={cookie_format!r}"
                remedy = "That format doesn't say when a session began"
                raise ConfigurationError(complaint(where, what, "None", absolute_timeout_seconds, remedy))
            self.permanent_key = formats.permanent_key
            oversize: Literal["error", "warn"] | StoreBackend
            if on_oversize == "error":
                oversize = "error"
            elif on_oversize == "warn":
                oversize = "warn"
            else:
                self.store = open_store(where, on_oversize, "on_oversize")
                oversize = StoreBackend(self.store, id_signer, timeouts, on_conflict, is_revoked)
            self.backend = CookieBackend(formats, timeouts, cookie_max_bytes, oversize, is_revoked)
        else:
            if encrypt or cookie_format != "wsgikit":
                what = "encrypt" if encrypt else "cookie_format"
                raise ConfigurationError(
                    complaint(where, f"{what} with a server-side store", "neither", encrypt or cookie_format)
                    + " The cookie holds only an id there."
                )
            self.store = open_store(where, store)
            self.backend = StoreBackend(self.store, id_signer, timeouts, on_conflict, is_revoked)
        self.name = where
        self.store_option = store
        self.timeouts = timeouts
        self.is_foreign = is_foreign
        self.permanent = cookie_permanent
        self.on_store_error = on_store_error
        self._find = cookie_finder(cookie_name)
        self._sweep_probability = sweep_probability if self.store is not None else 0.0
        self.session_class: type[Session] = type(session_class.__name__, (session_class,), {"_manager": self})
        self._warned: set[str] = set()
        self._unsigned = UnsignedCookies(self)

    def new_session(self, cookie_header: str | None, request: str = "") -> Session:
        """Return a session that will be read from this ``Cookie`` header when it is touched.

        Args:
            cookie_header: the request's.
            request: how the log names the request, if there is one.
        """
        session: Session = self.session_class()
        session._header = cookie_header
        session._request = request
        return session

    def open(self, session: Session) -> dict[str, Any]:
        """Read a session that was touched."""
        session._is_touched = True
        if session._failure is not None:
            raise session._failure
        header = session._header
        values = self._find(header) if header else ()
        if not values:
            return session._fill(None, None)
        session._has_cookie = True
        if len(values) > 1:
            values = list(dict.fromkeys(values))
        try:
            data = self.backend.load(session, values)
        except StoreUnavailable as error:
            self.note_failure(session, error)
            if self.on_store_error != "empty-readonly":
                raise
            session._is_read_only = True
            return session._fill(None, None)
        if self._failures:
            self._note_recovery()
        if not session._is_new:
            # Flask refreshes permanent sessions only (`SESSION_REFRESH_EACH_REQUEST`).
            may_refresh = self.permanent_key is None or session._is_permanent
            session._is_due = may_refresh and self.timeouts.needs_refresh(session._saved or 0)
            if session._is_due and not session._is_save_planned:
                session._plan_save()
        else:
            # Somebody else's, expired, broken or forged: all the same to us, and nothing that fills a log.
            session._is_rejected = True
            journal().debug("a cookie named %s was sent that is no valid session", self.writer.name)
            session._is_over = any(map(self.backend.knows, values[:_MOST_KNOWN]))
            if not session._is_over:
                self._unsigned.note(values)
        return data

    def has_something_to_do(self, session: Session) -> bool:
        """Return whether `commit` would save or send something for a session that was touched."""
        return session.modified or session._is_over or session._is_due

    def commit(self, session: Session, *, is_https: bool = False, mount: str = "") -> list[str]:
        """Save what has changed; return the ``Set-Cookie`` values to be sent.

        Args:
            session: a session that was touched.
            is_https: whether the request came by https.
            mount: the request's ``SCRIPT_NAME``.

        Raises:
            StoreUnavailable: the store doesn't answer.
            SessionReadOnly: something was changed inside a value after `readonly()`.
            SessionTooLarge: it doesn't fit into a cookie.
            SessionValueError: it holds something that can't be written.
        """
        if session._is_read_only:
            for key in session._changed_inside():
                raise SessionReadOnly(key)
            return []
        write = self._writer_for(session, is_https, mount)
        if session.modified:
            if session._data:
                line = self.backend.save(session, write)
                if self._sweep_probability:
                    self._sweep()
                return [] if line is None else [line]
            self.backend.delete(session)
            if session._data:  # another request has put something in
                return []
            return [self.writer.delete(is_https=is_https, mount=mount)] if session._has_cookie else []
        if session._is_over:
            return [self.writer.delete(is_https=is_https, mount=mount)]
        if session._is_due:
            line = self.backend.refresh(session, write)
            return [] if line is None else [line]
        return []

    def commit_early(self, session: Session, *, is_https: bool, mount: str) -> Callable[[], None] | None:
        """Save a session before a database layer commits, or check that it can be written; return what undoes it.

        What is in a store is saved. A cookie is only checked, for nothing else of it can fail later. So is what is in a
        SQLite file, which has one writer at a time, as the transaction may be in the same file.

        Raises:
            StoreUnavailable, SessionReadOnly, SessionTooLarge, SessionValueError: as `commit`.
        """
        if self.store is None or self.store.waits_for_commit:
            if session._is_read_only:
                for key in session._changed_inside():
                    raise SessionReadOnly(key)
            self.backend.check(session, self._writer_for(session, is_https, mount))
            return None
        undo = self.backend.remember(session)
        session._early = self.commit(session, is_https=is_https, mount=mount)
        session._is_due = False
        session._mark_saved(True)
        return undo

    def save_late(self, session: Session, exchange: Exchange) -> None:
        """Save what a stream has changed, when it has ended. No answer can tell of an error any more: it is logged."""
        session._is_late_save_planned = False
        if not session.modified or session._is_dropped:
            return
        if exchange.error is not None and not exchange.is_complete:
            return  # the stream broke off: what an error leaves behind isn't kept
        if not self.backend.can_save_late(session) and session._to_delete is None:
            changed = ", ".join(map(repr, sorted(session._settle())))
            text = f"session: {changed} changed after the head of the response left, and can't be saved any more"
            self.note(session, "error", text)
            return
        try:
            if session._data:
                self.backend.save(session, str)
            else:
                self.backend.delete(session)
        except Exception:  # noqa: BLE001  # nobody is left to tell
            text = "session: a change made after the head of the response left couldn't be saved"
            self.note(session, "exception", text)

    def warn_once(self, key: str, text: str, *args: object) -> None:
        """Log a warning under the name of what is configured, the first time that `key` comes up."""
        if key not in self._warned:
            self._warned.add(key)
            journal().warning(f"%s: {text}", self.name, *args)

    def note_failure(self, session: Session, error: StoreUnavailable) -> None:
        """Remember that the store didn't answer; log it, if nobody else will hear of it."""
        session._failure = error
        if self._failures:
            mark_repeated(error)  # its traceback is that of the first one, which was logged
        else:
            self._down_since = time.monotonic()
        self._failures += 1
        if self.on_store_error != "raise":
            self.note(session, "error", str(error))

    def _note_recovery(self) -> None:
        failures, self._failures = self._failures, 0
        seconds = time.monotonic() - self._down_since
        journal().warning("%s: the store answers again: %d failures in %.0f s", self.name, failures, seconds)

    def note(self, session: Session, level: Literal["exception", "error", "warning"], text: str) -> None:
        """Log what befell a session, with its request: at once if that is known, or else when the layer tells it."""
        session._notes = [*(session._notes or ()), (level, text)]
        if session._request is not None:
            self.tell(session, session._request)
        elif session._committed is not None:  # in a stream
            exchange = session._committed()
            self.tell(session, "" if exchange is None else name_request(exchange.environ))

    def tell(self, session: Session, request: str) -> None:
        """Log the notes that were made on a session.

        Args:
            session: whose notes.
            request: the name of its request; empty if it has none.
        """
        notes, session._notes = session._notes, None
        for level, text in notes or ():
            getattr(journal(), level)("%s%s: %s", request and f"{request}: ", self.name, text)

    def flash_entry(self, queue: str, message: Any) -> Any:
        """Return a flash message as it is kept: in Flask's cookie as Flask has it."""
        return (queue, message) if self.permanent_key is not None else [queue, message]

    def merge_foreign(self, session: Session, value: str) -> None:
        """Take over what an application inside wrote into the same cookie; what was changed out here stays.

        Args:
            session: the session out here, which has changes.
            value: what it set the cookie to; empty if it removed it.
        """
        if not isinstance(self.backend, CookieBackend):
            return
        created = session._created or 0.0
        envelope = self.backend.format.load(value) if value else Envelope({}, created, created)
        if envelope is not None:
            merge(session, envelope, b"null")

    def close(self) -> None:
        """Give back the store's connections."""
        if self.store is not None:
            self.store.close()

    def _writer_for(self, session: Session, is_https: bool, mount: str) -> Callable[[str], str]:
        def write(value: str) -> str:
            return self.writer.write(value, is_https=is_https, mount=mount, max_age=self._max_age(session))

        return write

    def _max_age(self, session: Session) -> int | None:
        if not session._is_permanent:
            return None
        return self.timeouts.max_age(session._created)

    def _sweep(self) -> None:
        from random import random  # most layers never need it

        if random() >= self._sweep_probability:
            return
        try:
            self.store.sweep(_SWEPT_AT_ONCE)  # type: ignore[union-attr]  # the probability is 0 without a store
        except StoreUnavailable as error:
            journal().warning("%s: the session store could not be swept: %s", self.name, error)
