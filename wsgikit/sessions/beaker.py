"""A session with Beaker's methods, so that an application written for Beaker runs unchanged."""

from __future__ import annotations

__all__ = ["BeakerSession"]

from contextlib import AbstractContextManager
from typing import Any

from wsgikit.exceptions import ApplicationError, complaint
from wsgikit.sessions.backends import StoreBackend
from wsgikit.sessions.session import Session


class _Answer(int):
    """True or False that can be called: Beaker's `accessed()` is a method, ours is an attribute."""

    def __call__(self) -> bool:
        return bool(self)


class BeakerSession(Session):
    """What ``environ["beaker.session"]`` is.

    Unlike with Beaker, a change is saved without `save()` too, and the times aren't among the keys: ``_creation_time``,
    ``_accessed_time`` and ``_id`` can be read as keys, but aren't counted or listed.
    """

    _held: AbstractContextManager[Session] | None = None
    _own_id: str | None = None
    """Of a session from `get_by_id`: the id that it is read by. It has no response: `save` writes it at once."""

    def __bool__(self) -> bool:
        """Return True, also if it is empty: ``environ.get("beaker.session") or {}`` must give the session."""
        return True

    def __getitem__(self, key: str) -> Any:
        try:
            return super().__getitem__(key)
        except KeyError:
            if key == "_creation_time":
                return float(self.created)
            if key == "_accessed_time":
                return self.last_accessed
            if key == "_id":
                return self.id
            raise

    @property
    def accessed(self) -> Any:  # a bool that can be called, as Beaker's users do
        """Whether the session was read or written in this request; may be called."""
        return _Answer(self._data is not None)

    @accessed.setter
    def accessed(self, value: bool) -> None:
        """Do nothing, as in the base."""

    @property
    def last_accessed(self) -> float | None:
        """When the session was last saved before this request, in seconds since 1970."""
        if self._data is None:
            self._open()
        return self._saved

    @property
    def is_new(self) -> bool:
        """Whether the session began with this request."""
        return self.new

    @property
    def path(self) -> str:
        """The path that the browser sends the cookie back to; it is the layer's for all sessions."""
        return self._manager.writer.path

    @path.setter
    def path(self, path: str) -> None:
        self._refuse("path", path, self.path)

    @property
    def domain(self) -> str | None:
        """The domain whose subdomains get the cookie too, or None; it is the layer's for all sessions."""
        return self._manager.writer._domain or None

    @domain.setter
    def domain(self, domain: str | None) -> None:
        self._refuse("domain", domain, self.domain)

    def _refuse(self, what: str, value: object, present: object) -> None:
        """Say that one session can't have another path or domain than the others, as it can in Beaker."""
        if (value or None) != present:
            remedy = f"Give the layer cookie_{what}={value!r}"
            raise ApplicationError(complaint("session", what, repr(present), value, remedy))

    def save(self, accessed_only: bool = False) -> None:
        """Save the session with this response; if it was only read, `accessed_only` leaves it as it is.

        A session from `get_by_id` is saved at once.
        """
        if not accessed_only and (len(self) or not self.new):
            self.changed()
        self._write_apart()

    def persist(self) -> None:
        """Save what has changed. It would be without this."""

    def dirty(self) -> bool:
        """Return whether there is something to save."""
        return self.modified

    def delete(self) -> None:
        """End the session; the same as `destroy`. One from `get_by_id` is ended at once."""
        self.destroy()
        self._write_apart()

    def revert(self) -> None:
        """Forget the changes of this request; the same as `rollback`."""
        self.rollback()

    def load(self) -> None:
        """Read the session now."""
        if self._data is None:
            self._open()

    def get_by_id(self, session_id: str) -> BeakerSession | None:
        """Return the session with this id, or None; sessions in cookies can't be found by id.

        Its changes are written by its own `save()` or `delete()`, not with the response.
        """
        if session_id == self.id:
            return self
        other = type(self)()
        other._own_id = session_id
        return None if other.new else other

    def _open(self) -> dict[str, Any]:
        if self._own_id is None:
            return super()._open()
        self._is_touched = True
        backend = self._store_backend()
        data = None if backend is None else backend.read(self, self._own_id, True)
        return self._fill(None, None) if data is None else data

    def _write_apart(self) -> None:
        backend = self._store_backend()
        if self._own_id is None or backend is None or not self.modified:
            return
        if len(self):
            backend.save(self, str)
        else:
            backend.delete(self)
        self._mark_saved(True)

    def _store_backend(self) -> StoreBackend | None:
        backend = self._manager.backend
        return backend if isinstance(backend, StoreBackend) else getattr(backend, "fallback", None)

    def lock(self, timeout_seconds: float = 10.0, hold_seconds: float = 30.0) -> AbstractContextManager[Session]:
        """Take the session's lock at once; `unlock` gives it back, as does the end of a ``with``."""
        self._held = super().lock(timeout_seconds, hold_seconds)
        self._held.__enter__()
        return _Held(self)

    def unlock(self) -> None:
        """Save the session and give back its lock."""
        held, self._held = self._held, None
        if held is not None:
            held.__exit__(None, None, None)

    def _myself(self, *_: object) -> BeakerSession:
        """Be the ``beaker.get_session`` of environ."""
        return self


class _Held(AbstractContextManager[Session]):
    def __init__(self, session: BeakerSession) -> None:
        self._session = session

    def __enter__(self) -> Session:
        return self._session

    def __exit__(self, *_: object) -> None:
        self._session.unlock()
