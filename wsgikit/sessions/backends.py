"""Where a session goes: whole into a cookie, or into a store with its id in the cookie."""

from __future__ import annotations

__all__ = ["Backend", "Conflict", "CookieBackend", "Kept", "StoreBackend"]

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from wsgikit.sessions import serializer
from wsgikit.sessions.errors import LockTimeout, SessionTooLarge, UnsupportedByStore
from wsgikit.sessions.formats.base import CookieFormat, Envelope
from wsgikit.sessions.formats.signed import pack, unpack
from wsgikit.sessions.ids import new_id
from wsgikit.sessions.journal import journal
from wsgikit.sessions.signing import Signer
from wsgikit.sessions.stores.base import Record, SessionStore, store_key

if TYPE_CHECKING:
    from wsgikit.sessions.session import Session
    from wsgikit.sessions.timeouts import Timeouts


# Each try means that another request of the same visitor was faster; more than a few in a row is a storm.
_MOST_TRIES = 50
_ABSENT = b""  # no JSON is empty
# A record that was rotated says for so long where its session went, and nothing else: longer than requests are under
# way (gunicorn ends them after 30 seconds).
_FOLLOWED_SECONDS = 60.0
_MOVED = b"moved to "


class Kept(NamedTuple):
    """What is remembered of a record between loading and saving it."""

    key: str
    version: Any
    data: bytes


class Conflict(NamedTuple):
    """Two requests of one session changed it at the same time; told to ``on_conflict``.

    Attributes:
        kind: ``"merged"``: both survive, and where both changed a key, this request's value stays;
            ``"destroyed"``: the session was ended or got another id meanwhile, and this request's changes are dropped.
        keys: ``merged``: the keys that both changed; ``destroyed``: those that this request changed.
    """

    kind: Literal["merged", "destroyed"]
    keys: tuple[str, ...]


class Backend(ABC):
    """Reads and writes sessions for a manager."""

    @abstractmethod
    def load(self, session: Session, values: Sequence[str]) -> dict[str, Any]:
        """Fill the session from the first of the cookie values that is valid."""

    @abstractmethod
    def save(self, session: Session, write: Callable[[str], str]) -> str | None:
        """Save the session, end the one it took the place of; return the ``Set-Cookie`` value, where one is to be sent.

        Args:
            session: what to save.
            write: makes a ``Set-Cookie`` value of a cookie value.
        """

    @abstractmethod
    def delete(self, session: Session) -> None:
        """End the session that was destroyed, or emptied."""

    @abstractmethod
    def refresh(self, session: Session, write: Callable[[str], str]) -> str | None:
        """Note that the session is in use, without a change."""

    @abstractmethod
    def knows(self, value: str) -> bool:
        """Tell whether a cookie value is one that was written here, or elsewhere with our secret."""

    def can_save_late(self, session: Session) -> bool:
        """Tell whether the session can still be saved when the head has left."""
        return isinstance(session._token, Kept)

    @abstractmethod
    def lock(self, session: Session, timeout_seconds: float, hold_seconds: float) -> AbstractContextManager[Session]:
        """Hold the session's lock."""


class StoreBackend(Backend):
    """Sessions in a store. The cookie has the id, signed: what a client invents never reaches the store.

    Args:
        store: where the records are.
        signer: signs ids.
        timeouts: says when a session ends.
        on_conflict: told of concurrent changes.
    """

    def __init__(
        self,
        store: SessionStore,
        signer: Signer,
        timeouts: Timeouts,
        on_conflict: Callable[[Conflict], object] | None = None,
    ) -> None:
        self.store = store
        self._signer = signer
        self._timeouts = timeouts
        self._on_conflict = on_conflict

    def load(self, session: Session, values: Sequence[str]) -> dict[str, Any]:
        for value in values:
            verified = self._signer.unsign(value.encode("utf-8", "replace"))
            if verified is None:
                continue
            session_id = verified[0].decode("ascii", "replace")
            found = self.find(session, session_id)
            if found is not None:
                envelope, kept = found
                envelope.id = session_id
                envelope.is_current = verified[1]
                return session._fill(envelope, kept)
        return session._fill(None, None)

    def knows(self, value: str) -> bool:
        return self._signer.unsign(value.encode("utf-8", "replace")) is not None

    def sample(self) -> str:
        """Return a cookie value such as this backend writes, of no session."""
        return self._signer.sign(b"sample").decode("ascii")

    def find(self, session: Session, session_id: str) -> tuple[Envelope, Kept] | None:
        """Return what is kept for an id, if it hasn't expired; `session` is the one that asks."""
        key = store_key(session_id)
        record = self.store.load(key)
        if record is None:
            return None
        if record.data[: len(_MOVED)] in (b"", _MOVED):
            return None
        envelope = read_record(record)
        if envelope is None:
            text = f"record {key[:16]}…: expected a session, got something that can't be read. It counts as expired."
            session._manager.note(session, "warning", text)
            return None
        if self._timeouts.has_ended(envelope.created, envelope.saved):
            self.store.delete(key)
            return None
        return envelope, Kept(key, record.version, record.data)

    def save(self, session: Session, write: Callable[[str], str]) -> str | None:
        kept = session._token
        if not isinstance(kept, Kept):
            return self._begin(session, write)
        kept = self._swap(session, kept, lambda record: record)
        if kept is None:
            return None
        session._token = kept
        has_new_life = session._is_permanent or session._is_permanent != session._was_permanent
        return self._cookie(session, write) if has_new_life or not session._is_current else None

    def delete(self, session: Session) -> None:
        token = session._token
        if isinstance(token, Kept):
            # Emptied rather than destroyed: what another request put in meanwhile stays.
            session._token = self._swap(session, token, lambda record: record if session._data else _end(record))
            if session._data:
                return
        if isinstance(session._token, Kept):
            self.store.delete(session._token.key)
        if isinstance(session._to_delete, Kept):
            self._end(session._to_delete)
        session._token = session._to_delete = None

    def _end(self, kept: Kept) -> None:
        """End a session, whatever a request in flight has made of its record: changed it, or moved it to another id."""
        key, version = kept.key, kept.version
        for _ in range(_MOST_TRIES):
            now = time.time()
            if self.store.save(key, Record(b"", now, now + _FOLLOWED_SECONDS), version) is not None:
                break
            record = self.store.load(key)
            while record is not None and record.data.startswith(_MOVED):
                key = record.data[len(_MOVED) :].decode("ascii")
                record = self.store.load(key)
            if record is None:
                return
            version = record.version
        self.store.delete(key)

    def take(self, session: Session, kept: Kept) -> bool:
        """End the record that the session was in, merged with what others wrote there; False: it is gone already."""
        if self._swap(session, kept, _end) is None:
            return False
        self.store.delete(kept.key)
        return True

    def _move(self, session: Session, kept: Kept, key: str) -> bool:
        """End the record as `take` does, and leave word of the new one to who is about to destroy the session."""
        until = time.time() + _FOLLOWED_SECONDS
        moved = _MOVED + key.encode("ascii")
        return self._swap(session, kept, lambda record: record._replace(data=moved, expires=until)) is not None

    def refresh(self, session: Session, write: Callable[[str], str]) -> str | None:
        now = time.time()
        created = now if session._created is None else session._created
        self.store.touch(session._token.key, now, self._timeouts.ends(created, now))
        return self._cookie(session, write) if session._is_permanent else None

    @contextmanager
    def lock(self, session: Session, timeout_seconds: float, hold_seconds: float) -> Iterator[Session]:
        if session._data is None:
            session._open()
        kept = session._token
        if not isinstance(kept, Kept):
            yield session  # nobody else can know it yet
            return
        key = store_key(f"lock:{kept.key}")
        owner = new_id().encode("ascii")
        until = time.monotonic() + timeout_seconds
        wait_seconds = 0.002
        while True:
            now = time.time()
            version = self.store.save(key, Record(owner, now, now + hold_seconds))
            if version is not None:
                break
            if time.monotonic() >= until:
                raise LockTimeout(
                    f"session: lock: expected it within {timeout_seconds:g} seconds, got no answer from its holder. "
                    "Hold it for less time, or wait longer: lock(timeout_seconds=…)."
                )
            time.sleep(wait_seconds)
            wait_seconds = min(wait_seconds * 1.5, 0.05)
        try:
            self._fetch_again(session, kept)
            yield session
            # A rotation or an end needs the cookie as well, and is left to the end of the request.
            if session._data and isinstance(session._token, Kept) and session.modified:
                self.save(session, str)
                session._mark_saved(True)
        finally:
            held = self.store.load(key)
            if held is not None and held.data == owner:  # or it ran out, and is another's by now
                self.store.delete(key)

    # ------------------------------------------------------------------ one step each

    def _fetch_again(self, session: Session, kept: Kept) -> None:
        """Bring the session up to date with its record; what this request changed stays."""
        record = self.store.load(kept.key)
        envelope = None if record is None else read_record(record)
        if record is not None and envelope is not None:
            merge(session, envelope, kept.data)
            session._token = Kept(kept.key, record.version, record.data)

    def _begin(self, session: Session, write: Callable[[str], str]) -> str | None:
        """Write a record under a new id, and end the one it takes the place of."""
        now = time.time()
        record = self._record(session, now)
        key = store_key(session.id)
        version = self.store.save(key, record)
        while version is None:  # 256 bits met twice, or a test's random numbers
            session._id = new_id()
            key = store_key(session.id)
            version = self.store.save(key, record)
        old = session._to_delete
        if isinstance(old, Kept):
            if not session._is_rotated:
                self._end(old)
            else:
                # The old record is taken by compare-and-swap: a change made to it meanwhile comes along, and one that
                # was destroyed meanwhile doesn't come back under the new id.
                data = record.data
                if not self._move(session, old, key):
                    self.store.delete(key)
                    return None
                record = self._record(session, now)
                if record.data != data:
                    version = self.store.save(key, record, version)
        session._created = session._created if session._created is not None else now
        session._token = Kept(key, version, record.data)
        return self._cookie(session, write)

    def _swap(self, session: Session, kept: Kept, change: Callable[[Record], Record]) -> Kept | None:
        """Write the session over the record it came from, merged with what others wrote there; None: it is gone."""
        both: tuple[str, ...] | None = None
        for _ in range(_MOST_TRIES):
            record = self._record(session, time.time())
            version = self.store.save(kept.key, change(record), kept.version)
            if version is not None:
                if both is not None:
                    self._tell("merged", both)
                return Kept(kept.key, version, record.data)
            theirs = self.store.load(kept.key)
            envelope = None if theirs is None else read_record(theirs)
            if theirs is None or envelope is None:
                break
            both = (*(both or ()), *merge(session, envelope, kept.data))
            kept = Kept(kept.key, theirs.version, theirs.data)
        self._tell("destroyed", tuple(sorted(session._settle())))
        session._is_dropped = True
        return None

    def _tell(self, kind: Literal["merged", "destroyed"], keys: tuple[str, ...]) -> None:
        journal().debug("a session was %s by another request of the same visitor", kind)
        if self._on_conflict is not None:
            self._on_conflict(Conflict(kind, keys))

    def _record(self, session: Session, now: float) -> Record:
        created = now if session._created is None else session._created
        # The id isn't written: who reads the store shall not learn it.
        envelope = Envelope(session._data or {}, created, now, None, session._is_permanent)
        return Record(pack(envelope), now, self._timeouts.ends(created, now))

    def _cookie(self, session: Session, write: Callable[[str], str]) -> str:
        return write(self._signer.sign(session.id.encode("ascii")).decode("ascii"))


class CookieBackend(Backend):
    """Sessions in cookies, with a store for those that don't fit, where one is given.

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
        for value in values:
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


def _end(record: Record) -> Record:
    """Return the record as one that is over and holds nothing."""
    return record._replace(expires=record.accessed, data=b"")


def read_record(record: Record) -> Envelope | None:
    """Return what a record holds, or None where it holds nothing of ours."""
    try:
        return unpack(serializer.loads(record.data), record.accessed, True)
    except (ValueError, TypeError, ArithmeticError, RecursionError):
        return None


def merge(session: Session, theirs: Envelope, base: bytes) -> list[str]:
    """Put this request's changes upon what another one wrote, key by key; return the keys that both changed."""
    changed = session._settle()
    ours = session._data or {}
    try:
        envelope = unpack(serializer.loads(base), 0, True)
    except ValueError:
        envelope = None
    before = {} if envelope is None else envelope.data
    both = [key for key in sorted(changed) if _written(theirs.data, key) != _written(before, key)]
    if not session._is_cleared:
        merged = theirs.data
        for key in changed:
            if key in ours:
                merged[key] = ours[key]
            else:
                merged.pop(key, None)
        session._data = merged
        session._lent = None  # what was changed inside is in `changed` by now
    if session._is_permanent == session._was_permanent and theirs.permanent is not None:
        session._is_permanent = session._was_permanent = theirs.permanent
    return both


def _written(data: dict[str, Any], key: str) -> bytes:
    return serializer.dumps(data[key]) if key in data else _ABSENT
