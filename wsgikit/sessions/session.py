"""The session as an application sees it: a mapping that is read when it is touched and saved when it has changed."""

from __future__ import annotations

__all__ = ["Session"]

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from wsgikit.crypto.random import new_id
from wsgikit.sessions import serializer
from wsgikit.sessions.csrf import CSRF_TOKEN, CsrfTokens
from wsgikit.sessions.errors import SessionCommitted, SessionReadOnly, SessionValueError
from wsgikit.sessions.messages import Messages
from wsgikit.wsgi import EXCHANGE

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange
    from wsgikit.sessions.formats.base import Envelope
    from wsgikit.sessions.manager import SessionManager

# What can be handed out without looking later whether it was changed inside.
_IMMUTABLE = frozenset({str, int, float, bool, type(None), bytes})
_MISSING: Any = object()


class Session(Messages, CsrfTokens):
    """What is remembered of one visitor.

    Nothing is read before it is touched. A change is noticed by itself, inside lists and dicts too. It is saved before
    the head of the response leaves, unless the response is an error of the server's (status 500 and above).
    """

    # What an untouched session is stands on the class: making one costs one assignment.
    _manager: ClassVar[SessionManager]
    _header: str | None = None
    _is_touched = False
    _shadowed: Any = None
    """What stood under the environ key before: the session of a stack around this one."""
    _committed: Callable[[], Exchange | None] | None = None
    """Returns the exchange once the response has left or is about to leave; None if there is none."""
    _exchange: Callable[[], Exchange | None] | None = None
    """Gives the exchange of the layer while there is one. Not a plain reference: environ has the session in it."""
    _is_save_planned = False
    """The exchange will have it saved before a database layer commits, if one does."""
    _early: list[str] | None = None
    """The ``Set-Cookie`` values, if it was saved in a store before a database layer committed."""
    _undo: Callable[[], None] | None = None
    """Puts back the record that the last save replaced, for a commit that fails."""
    _replaced: Any = None
    """What the store had under the session's key right before the last save."""
    _data: dict[str, Any] | None = None
    _changed: set[str] | None = None
    _lent: dict[str, bytes] | None = None
    _is_cleared = False
    _is_forced = False
    _is_rotated = False
    _is_new = True
    _is_permanent = False
    _was_permanent = False
    _is_current = True
    _is_due = False
    """It was saved so long ago that being read is to be noted as use."""
    _is_dropped = False
    _is_read_only = False
    _id: str | None = None
    _created: float | None = None
    _saved: float | None = None
    _token: Any = None
    """What the backend remembers of where it came from; None: it is nowhere yet."""
    _to_delete: Any = None
    """The `_token` of a session that was destroyed or rotated in this request."""
    _has_cookie = False
    _moved: Any = None
    """The record under the id that the client sent, if the session was rotated from it a moment ago."""
    _was_changed = False
    """There was something to save, and it was saved."""
    _is_rejected = False
    """The client sent a cookie of our name, and none was valid."""
    _is_over = False
    """The client sent a cookie that is signed by us, and the session has ended: the cookie is to be removed."""
    _failure: Exception | None = None
    _request: str | None = None
    """How the log names the request; None: the layer knows it."""
    _notes: list[tuple[str, str]] | None = None
    """Levels and texts that are to be logged with the request's name."""
    _is_late_save_planned = False
    _is_copy = False
    """It was copied for work in the background, where the layer leaves it in its place."""
    _sent: list[str] | None = None

    # ------------------------------------------------------------------ the mapping

    def __getitem__(self, key: str) -> Any:
        data = self._data
        if data is None:
            data = self._open()
        value = data[key]
        if type(value) not in _IMMUTABLE:
            self._lend(key, value)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        self._writable(key)[key] = value

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        del self._writable(key)[key]

    def __contains__(self, key: object) -> bool:
        return key in (self._open() if self._data is None else self._data)

    def __iter__(self) -> Iterator[str]:
        return iter(self._open() if self._data is None else self._data)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._open() if self._data is None else self._data)

    def __len__(self) -> int:
        return len(self._open() if self._data is None else self._data)

    def __bool__(self) -> bool:
        return bool(self._open() if self._data is None else self._data)

    def __eq__(self, other: object) -> bool:
        data = self._open() if self._data is None else self._data
        if isinstance(other, Session):
            return data == (other._open() if other._data is None else other._data)
        return data == other if isinstance(other, Mapping) else NotImplemented

    def __hash__(self) -> int:
        return id(self)  # a request has one session, and some keep it in a WeakKeyDictionary

    def __repr__(self) -> str:
        # The values may be secret, and an untouched session stays untouched by being printed.
        if self._data is None:
            return "<Session, not read yet>"
        return f"<Session with {', '.join(map(repr, self._data)) or 'nothing'}>"

    def __wsgikit_peek__(self) -> list[str] | None:
        """Return the keys, for a debug page; None if nobody has read the session, which this doesn't do either."""
        return None if self._data is None else list(self._data)

    def __wsgikit_use__(self) -> Literal["untouched", "read", "changed"]:
        """Return what the request did with the session, for layers that report it."""
        if self._data is None:
            return "untouched"
        return "changed" if self._was_changed or self.modified else "read"

    def __wsgikit_copy__(self) -> Session:
        """Return a session with the data as it is now, for work in the background. Nothing saves its changes."""
        from copy import deepcopy  # only background work needs it

        copied = type(self)()
        if self._data is not None:
            copied._id = self.id
        for name in _OF_A_COPY:
            if name in self.__dict__:
                setattr(copied, name, self.__dict__[name])
        copied._data = deepcopy(self._data)
        copied._is_copy = True
        return copied

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or `default`."""
        data = self._data
        if data is None:
            data = self._open()
        value = data.get(key, default)
        if type(value) not in _IMMUTABLE and key in data:
            self._lend(key, value)
        return value

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        """Remove a key and return its value."""
        if key not in self:
            if default is _MISSING:
                raise KeyError(key)
            return default
        return self._writable(key).pop(key)

    def popitem(self) -> tuple[str, Any]:
        """Remove the key that was added last and return it with its value."""
        if not len(self):
            raise KeyError("popitem(): the session is empty")
        key = next(reversed(self._data or {}))
        return key, self._writable(key).pop(key)

    def clear(self) -> None:
        """Remove all keys. The session goes on with its id; `destroy` ends it.

        If it came with an id that was rotated away a moment ago, the session under the new id is ended.
        """
        if len(self):
            self._writable("").clear()
            self._changed = set()
            self._lent = None
            self._is_cleared = True
        elif self._moved is not None and self._token is None:
            self.destroy()

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**self.copy(), **other}

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**other, **self.copy()}

    def __ior__(self, other: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> Session:
        self.update(other)
        return self

    def copy(self) -> dict[str, Any]:
        """Return the keys and values as its own dict."""
        return dict(self.items())

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        from copy import deepcopy

        return deepcopy(self.copy(), memo)

    def has_key(self, key: str) -> bool:
        """Return whether the key is there."""
        return key in self

    # ------------------------------------------------------------------ what is known about it

    @property
    def accessed(self) -> bool:
        """Whether the session was read or written in this request."""
        return self._data is not None

    @accessed.setter
    def accessed(self, value: bool) -> None:
        """Do nothing: Flask sets it when it hands the session out, and we know better whether it was used."""

    @property
    def modified(self) -> bool:
        """Whether there is something to save. Setting it to True says so, as `changed()` does."""
        if self._data is None:
            return False
        return bool(
            self._changed
            or self._is_forced
            or self._is_cleared
            or self._is_rotated
            or self._to_delete is not None
            or self._is_permanent != self._was_permanent
            or (self._lent and self._changed_inside())
        )

    @modified.setter
    def modified(self, value: bool) -> None:
        if value:
            self.changed()

    @property
    def new(self) -> bool:
        """Whether the session began with this request."""
        if self._data is None:
            self._open()
        return self._is_new

    @property
    def id(self) -> str:
        """The session's id: 256 random bits. That of a session that is never written is of no use."""
        if self._data is None:
            self._open()
        if self._id is None:
            self._id = new_id()
        return self._id

    @property
    def created(self) -> int:
        """When the session began, in seconds since 1970; of a new one, when this was first asked or it was saved."""
        if self._data is None:
            self._open()
        if self._created is None:
            self._created = time.time()
        return int(self._created)

    @property
    def permanent(self) -> bool:
        """Whether the browser keeps the session when it is closed."""
        if self._data is None:
            self._open()
        return self._is_permanent

    @permanent.setter
    def permanent(self, value: bool) -> None:
        key = self._manager.permanent_key
        if key is not None:
            if bool(self.get(key, self._manager.permanent)) != bool(value):
                self[key] = bool(value)
        else:
            self._writable(None)
        self._is_permanent = bool(value)

    # ------------------------------------------------------------------ what can be done with it

    def changed(self) -> None:
        """Say that it has changed; needed only for objects whose changes the session can't see."""
        self._writable(None)
        self._is_forced = True

    save = changed

    def rotate(self) -> None:
        """Keep the data under a new id: at a login, so that an id known before is worth nothing after.

        The old id is dead in the store once the response leaves. The csrf token, if there is one, is renewed: a page
        that was opened before the login can't send its form after it.
        """
        self._writable(None)
        if self._committed is not None:
            raise SessionCommitted(
                "session: rotate(): expected before the head of the response leaves, got it after. "
                "It needs a new cookie: call it before the first chunk of the body."
            )
        if self._token is not None:
            self._to_delete = self._token
            self._is_rotated = True
        self._token = self._id = None
        if CSRF_TOKEN in self:
            self.new_csrf_token()

    regenerate = cycle_key = regenerate_id = rotate

    def destroy(self) -> None:
        """End the session: its data, its id, its cookie. What is written afterwards begins another one."""
        data = self._writable(None)
        if self._to_delete is None:
            self._to_delete = self._moved if self._token is None else self._token
        self._is_forced = True
        data.clear()
        self._changed = self._lent = self._token = self._id = self._created = None
        self._is_cleared = self._is_new = True
        self._is_rotated = self._is_due = False
        self._is_permanent = self._was_permanent = self._manager.permanent

    invalidate = destroy

    def is_cookie_secure(self, *, is_https: bool) -> bool:
        """Return whether the cookie of the session goes over https only, for cookies that should be as its own."""
        return self._manager.writer.is_secure(is_https)

    def rollback(self) -> None:
        """Forget the changes of this request and read the session again."""
        if self._data is not None:
            self._reset()
            self._open()

    def readonly(self) -> Session:
        """Only look, for the rest of this request: a change is an error, and being read doesn't count as being used.

        For what a page asks for again and again by itself, so that a visitor who has gone is logged out in time.

        Raises:
            SessionReadOnly: it has been changed already.
        """
        if self.modified:
            raise SessionReadOnly(next(iter(self._settle()), None))
        self._is_read_only = True
        return self

    def lock(self, timeout_seconds: float = 10.0, hold_seconds: float = 30.0) -> AbstractContextManager[Session]:
        """Be alone with the session: read it again, run the block, save it at its end.

        Other requests go on without; only those that lock too are kept waiting.

        Args:
            timeout_seconds: how long to wait for another request's lock.
            hold_seconds: after which time the lock counts as lost, so that a process that died keeps nobody waiting.

        Raises:
            LockTimeout: another request held it for too long.
            UnsupportedByStore: the session is in a cookie.
        """
        return self._manager.backend.lock(self, timeout_seconds, hold_seconds)

    # ------------------------------------------------------------------ for the manager

    def _open(self) -> dict[str, Any]:
        """Read the session, at its first touch."""
        return self._manager.open(self)

    def _fill(self, envelope: Envelope | None, token: Any) -> dict[str, Any]:
        """Take what was read."""
        if envelope is None:
            self._data = {}
            self._is_permanent = self._was_permanent = self._manager.permanent
            return self._data
        self._data = envelope.data
        self._created = envelope.created
        self._saved = envelope.saved
        self._is_current = envelope.is_current
        permanent = envelope.permanent
        self._is_permanent = self._was_permanent = self._manager.permanent if permanent is None else permanent
        self._is_new = False
        if envelope.id is not None:
            self._id = envelope.id
        self._token = token
        return self._data

    def _reset(self) -> None:
        """Become untouched again, but for what is known of the request."""
        keep = {name: self.__dict__[name] for name in _OF_THE_REQUEST if name in self.__dict__}
        if self._is_read_only and self._failure is None:  # by `readonly`, and not for a store that is down
            keep["_is_read_only"] = True
        self.__dict__.clear()
        self.__dict__.update(keep)

    def _writable(self, key: str | None) -> dict[str, Any]:
        """Return the data, to be changed at `key` (None: not in the data)."""
        data = self._open() if self._data is None else self._data
        if self._committed is not None:
            self._write_late(key)
        if self._is_read_only:
            raise self._failure or SessionReadOnly(key)
        if not self._is_save_planned:
            self._plan_save()
        if key is not None:
            if self._changed is None:
                self._changed = set()
            self._changed.add(key)
        return data

    def _plan_save(self) -> None:
        """Have the session saved before a database layer commits: a save that fails then leaves no row behind."""
        self._is_save_planned = True
        exchange = self._exchange() if self._exchange is not None else None
        if exchange is None or self._committed is not None:
            return
        # A database layer further in may claim the commit later. Without one, this runs when the session is saved.
        # A request that is repeated may have an exchange for each attempt.
        innermost: Exchange = exchange.environ.get(EXCHANGE, exchange)
        innermost.before_commit(self._save_early)

    def _save_early(self, exchange: Exchange) -> Callable[[], None] | None:
        save = self._manager.save_early
        return None if save is None else save(self, exchange)

    def __wsgikit_checkpoint__(self) -> Callable[[], None]:
        """Return a function that puts the session back to what it is now, for a request that is repeated."""
        from copy import deepcopy  # only requests that may be repeated need it

        kept = dict(self.__dict__)
        data = deepcopy(self._data)

        def put_back() -> None:
            self.__dict__.clear()
            self.__dict__.update(kept)
            if data is not None:
                self._data = deepcopy(data)
            if self._changed is not None:
                self._changed = set(self._changed)
            if self._lent is not None:
                self._lent = dict(self._lent)

        return put_back

    def _write_late(self, key: str | None) -> None:
        if not self._manager.backend.can_save_late(self) or not self._plan_late_save():
            raise self._too_late(key)

    def _too_late(self, key: str | None) -> SessionCommitted:
        what = f"key {key!r}" if key else "change"
        remedy = "Change it before the first chunk of the body"
        if not self._manager.backend.can_save_late(self):
            remedy += "; a server-side store saves later changes of sessions that exist already"
        return SessionCommitted(
            f"session: {what}: expected a change before the head of the response leaves, got one after. {remedy}.",
            key,
        )

    def _close(self) -> None:
        """Refuse changes from now on: the response is complete, and nothing saves them."""
        self._committed = _nobody

    def _plan_late_save(self) -> bool:
        """Have the session saved when the request ends; return False if it has ended."""
        if self._is_late_save_planned:
            return True
        exchange = self._committed() if self._committed is not None else None
        if exchange is not None:
            self._is_late_save_planned = True
            exchange.on_teardown(
                lambda: self._manager.save_late(self, exchange)
            )  # which it calls at once if it is over
        return self._is_late_save_planned

    def _lend(self, key: str, value: Any) -> None:
        """Remember what a value was before it was handed out, so that a change inside it is noticed."""
        if self._changed is not None and key in self._changed:
            return
        if self._lent is None:
            self._lent = {}
            if not self._is_save_planned:
                self._plan_save()
        if key not in self._lent:
            self._lent[key] = serializer.dumps(value)
            if self._committed is not None:
                self._plan_late_save()

    def _changed_inside(self) -> set[str]:
        """Return the keys whose values were changed inside after they were handed out."""
        data = self._data or {}
        changed = set()
        for key, before in (self._lent or {}).items():
            if key in data:
                try:
                    if serializer.dumps(data[key]) != before:
                        changed.add(key)
                except SessionValueError:  # what can't be written was put in: the save will say so, with its path
                    changed.add(key)
        return changed

    def _settle(self) -> set[str]:
        """Return all keys that this request has changed, and remember them as such."""
        changed = self._changed or set()
        changed |= self._changed_inside()
        self._changed = changed
        return changed

    def _mark_saved(self, is_watched: bool) -> None:
        """Begin again to look for changes, where there can be any: those in a stream."""
        if self.modified:
            self._was_changed = True
        if is_watched:
            data = self._data or {}
            keys = set(self._lent or ()) | (self._changed or set())
            kept = {key: data[key] for key in keys if key in data and type(data[key]) not in _IMMUTABLE}
            lent = {key: serializer.dumps(value) for key, value in kept.items()}
            self._lent = lent or None
            if lent:
                self._plan_late_save()
        self._changed = self._to_delete = None
        self._is_forced = self._is_cleared = self._is_rotated = self._is_due = False
        self._was_permanent = self._is_permanent


_OF_THE_REQUEST = (
    *("_header", "_request", "_notes", "_is_touched", "_has_cookie", "_shadowed"),
    *("_committed", "_sent", "_is_late_save_planned", "_own_id", "_exchange", "_is_save_planned", "_early", "_undo"),
)
_OF_A_COPY = (
    *("_header", "_is_touched", "_has_cookie", "_is_rejected", "_failure", "_is_read_only", "_token", "_created"),
    *("_saved", "_is_new", "_is_current", "_is_permanent", "_was_permanent"),
)


def _nobody() -> None:
    """Be the exchange of a session that isn't the layer's."""
