"""Sessions in cookies, and in a store if they don't fit."""

from __future__ import annotations

__all__ = ["CookieBackend"]

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal

from wsgikit.sessions import serializer
from wsgikit.sessions.backends.base import Backend, Kept
from wsgikit.sessions.backends.store import StoreBackend
from wsgikit.sessions.errors import SessionTooLarge, UnsupportedByStore
from wsgikit.sessions.formats.base import CookieFormat, Envelope
from wsgikit.sessions.journal import journal

if TYPE_CHECKING:
    from wsgikit.sessions.session import Session
    from wsgikit.sessions.timeouts import Timeouts

_MOST_COOKIES = 50  # verified in one request: a header of 64 KB has room for a thousand


class CookieBackend(Backend):
    """Sessions in cookies, with a store for those that don't fit, if one is given.

    Args:
        cookie_format: how they are written.
        timeouts: says when a session ends.
        max_bytes: the longest ``Set-Cookie`` value that is sent.
        on_oversize: ``"error"``, ``"warn"``, or the backend that keeps what doesn't fit.
        is_revoked: asked about each session that is read; True ends it.
    """

    def __init__(
        self,
        cookie_format: CookieFormat,
        timeouts: Timeouts,
        max_bytes: int,
        on_oversize: Literal["error", "warn"] | StoreBackend,
        is_revoked: Callable[[Session], bool] | None = None,
    ) -> None:
        self.format = cookie_format
        self._timeouts = timeouts
        self._max_bytes = max_bytes
        self._on_oversize = on_oversize
        self.fallback = on_oversize if isinstance(on_oversize, StoreBackend) else None
        self._is_revoked = is_revoked

    def load(self, session: Session, values: Sequence[str]) -> dict[str, Any]:
        for value in values[:_MOST_COOKIES]:
            envelope = self.format.load(value)
            if envelope is None or self._timeouts.has_ended(envelope.created, envelope.saved):
                continue
            data = session._fill(envelope, value)
            if self._is_revoked is None or not self._is_revoked(session):
                return data
            session._reset()
        if self.fallback is not None:
            return self.fallback.load(session, values)
        return session._fill(None, None)

    def knows(self, value: str) -> bool:
        return self.format.load(value) is not None or (self.fallback is not None and self.fallback.knows(value))

    def save(self, session: Session, write: Callable[[str], str]) -> str | None:
        if session._committed is not None and self.fallback is not None:
            return self.fallback.save(session, write)  # a late change of a session that is in the store
        now = time.time()
        created = now if session._created is None else session._created
        data = session._data or {}
        session_id = session.id if self.format.has_created else None
        header = write(self.format.dump(Envelope(data, created, now, session_id, session._is_permanent)))
        if len(header) > self._max_bytes:
            return self._too_large(session, data, header, write)
        session._created = created
        if self.fallback is not None:
            kept = session._to_delete if session._is_rotated else session._token
            if isinstance(kept, Kept):  # it becomes small enough, and leaves the store
                if not self.fallback.take(session, kept):
                    return None
                session._token = session._to_delete = None
                return self.save(session, write)
            self.fallback.delete(session)
        session._token = header
        return header

    def check(self, session: Session, write: Callable[[str], str]) -> None:
        if session._data and session.modified:
            created = time.time() if session._created is None else session._created
            session_id = session.id if self.format.has_created else None
            envelope = Envelope(session._data, created, created, session_id, session._is_permanent)
            header = write(self.format.dump(envelope))
            if len(header) > self._max_bytes and self._on_oversize == "error":
                self._too_large(session, session._data, header, write)

    def remember(self, session: Session) -> Callable[[], None]:
        return super().remember(session) if self.fallback is None else self.fallback.remember(session)

    def delete(self, session: Session) -> None:
        if self.fallback is not None:
            self.fallback.delete(session)
        session._token = session._to_delete = None

    def refresh(self, session: Session, write: Callable[[str], str]) -> str | None:
        if self.fallback is not None and isinstance(session._token, Kept):
            return self.fallback.refresh(session, write)
        return self.save(session, write)

    def lock(self, session: Session, timeout_seconds: float, hold_seconds: float) -> AbstractContextManager[Session]:
        raise UnsupportedByStore(
            "session: lock: expected a server-side store, got sessions in cookies: each response carries its own. "
            "Choose another store, such as store='redis://…'."
        )

    def _too_large(
        self, session: Session, data: dict[str, Any], header: str, write: Callable[[str], str]
    ) -> str | None:
        if self.fallback is not None:
            if not isinstance(session._token, Kept):
                session._token = None
            if not isinstance(session._to_delete, Kept):
                session._to_delete = None
            return self.fallback.save(session, write)
        sizes = serializer.sizes_by_key(data)
        largest = ", ".join(f"{key!r} with {size}" for key, size in sizes[:5])
        text = (
            f"session: cookie: expected at most {self._max_bytes} bytes, got {len(header)}; "
            f"the largest keys are {largest} bytes. "
            "Keep less in it, or a server-side store: store='redis://…', or on_oversize='redis://…' for such sessions."
        )
        if self._on_oversize == "warn":
            journal().warning("%s The cookie was left as it was.", text)
            return None
        raise SessionTooLarge(text, sizes, len(header))
