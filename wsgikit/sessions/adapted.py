"""What our sessions inside another framework need: errors that the framework itself knows how to answer."""

from __future__ import annotations

__all__ = ["AdaptedManager"]

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wsgikit.sessions.errors import StoreUnavailable
from wsgikit.sessions.manager import SessionManager
from wsgikit.sessions.session import Session


class _AdaptedSession(Session):
    """A session whose lock, too, fails in the framework's words."""

    @contextmanager
    def lock(self, timeout_seconds: float = 10.0, hold_seconds: float = 30.0) -> Iterator[Session]:
        try:
            with super().lock(timeout_seconds, hold_seconds) as session:
                yield session
        except StoreUnavailable as error:
            if self._failure is None:
                self._manager.note_failure(self, error)
            if self._failure is None or self._failure is error:
                raise
            raise self._failure from error


class AdaptedManager(SessionManager):
    """A manager that says that the store is down in the framework's words: by an exception that is a 503 there.

    With ``on_store_error="raise"`` the error is left as it is.

    Args:
        where: the name of what is being configured, for the errors.
        unavailable: the framework's exception, made from the text of ours.
        options: those of `SessionManager`.
    """

    def __init__(self, where: str, unavailable: type[StoreUnavailable], **options: Any) -> None:
        super().__init__(where, session_class=_AdaptedSession, **options)
        self._unavailable = unavailable

    def open(self, session: Session) -> dict[str, Any]:
        """Read a session that was touched."""
        try:
            return super().open(session)
        except StoreUnavailable as error:
            if session._failure is None or error is session._failure:
                raise
            raise session._failure from error

    def note_failure(self, session: Session, error: StoreUnavailable) -> None:
        """Remember that the store didn't answer, as the framework will answer it; log it."""
        super().note_failure(session, error)
        if self.on_store_error != "raise":
            session._failure = self._unavailable(str(error))
