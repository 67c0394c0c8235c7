"""Sessions in a store, with their id in the cookie."""

from __future__ import annotations

__all__ = ["StoreBackend"]

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from wsgikit.crypto.random import new_id
from wsgikit.crypto.signing import Signer
from wsgikit.sessions.backends.base import Backend, Conflict, Kept
from wsgikit.sessions.backends.merging import merge, read_record, unreadable
from wsgikit.sessions.errors import LockTimeout
from wsgikit.sessions.formats.base import Envelope
from wsgikit.sessions.formats.signed import pack
from wsgikit.sessions.journal import journal
from wsgikit.sessions.stores.base import Record, SessionStore, store_key
from wsgikit.sessions.stores.observed import ObservedStore

if TYPE_CHECKING:
    from wsgikit.sessions.session import Session
    from wsgikit.sessions.timeouts import Timeouts

# Each try means that another request of the same visitor was faster; more than a few in a row is a storm.
_MOST_TRIES = 50
# A record that was rotated says for so long where its session went, and nothing else: longer than requests are under
# way (gunicorn ends them after 30 seconds).
_FOLLOWED_SECONDS = 60.0
_MOVED = b"moved to "
# A browser sends one cookie of our name for each path and domain that set one. More ids are somebody's attempt to make
# one request cost many look-ups.
_MOST_LOOKUPS = 5


class StoreBackend(Backend):
    """Sessions in a store. The cookie has the id, signed: what a client invents never reaches the store.

    Args:
        store: where the records are.
        signer: signs ids.
        timeouts: says when a session ends.
        on_conflict: told of concurrent changes.
        is_revoked: asked about each session that is read; True ends it.
    """

    def __init__(
        self,
        store: SessionStore,
        signer: Signer,
        timeouts: Timeouts,
        on_conflict: Callable[[Conflict], object] | None = None,
        is_revoked: Callable[[Session], bool] | None = None,
    ) -> None:
        self.store = ObservedStore(store)
        self._signer = signer
        self._timeouts = timeouts
        self._on_conflict = on_conflict
        self._is_revoked = is_revoked

    def load(self, session: Session, values: Sequence[str]) -> dict[str, Any]:
        lookups = 0
        for value in values:
            verified = self._signer.unsign(value.encode("utf-8", "replace"))
            if verified is None:
                continue
            data = self.read(session, verified[0].decode("ascii", "replace"), verified[1])
            if data is not None:
                return data
            lookups += 1
            if lookups == _MOST_LOOKUPS:
                break
        return session._fill(None, None)

    def read(self, session: Session, session_id: str, is_current: bool) -> dict[str, Any] | None:
        """Fill the session with what is kept for an id; return None if there is no such session, or it is revoked.

        Args:
            session: a session that wasn't read yet.
            session_id: the id, which has been verified.
            is_current: whether the first secret signed it.
        """
        found = self.find(session, session_id)
        if found is None:
            return None
        envelope, kept = found
        envelope.id = session_id
        envelope.is_current = is_current
        data = session._fill(envelope, kept)
        if self._is_revoked is None or not self._is_revoked(session):
            return data
        session._reset()
        self.store.delete(kept.key)
        return None

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
            if record.data:
                session._moved = Kept(key, None, b"")
            return None
        envelope = read_record(record)
        if envelope is None:
            session._manager.note(session, "warning", unreadable(key))
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
            if record is None:
                return
            version = record.version
            if record.data.startswith(_MOVED):  # the next try finds out about the version there
                key, version = record.data[len(_MOVED) :].decode("ascii", "replace"), None
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

    def check(self, session: Session, write: Callable[[str], str]) -> None:
        if session._data and session.modified:
            self._record(session, time.time())

    def remember(self, session: Session) -> Callable[[], None]:
        """Return a function that puts back what the next `save` or `delete` of the session will replace."""
        before = [kept for kept in (session._token, session._to_delete) if isinstance(kept, Kept)]
        now = time.time()
        saved = now if session._saved is None else session._saved
        expires = self._timeouts.ends(saved if session._created is None else session._created, saved)
        session._replaced = None

        def put_back() -> None:
            after, replaced = session._token, session._replaced
            if isinstance(after, Kept) and all(kept.key != after.key for kept in before):
                self.store.delete(after.key)
            for kept in before:
                present = self.store.load(kept.key)
                is_ours = present is None or present.data[: len(_MOVED)] in (b"", _MOVED)
                if present is not None and isinstance(after, Kept) and after.key == kept.key:
                    is_ours = present.data == after.data
                if is_ours:  # or another request has built upon it meanwhile
                    data = replaced.data if replaced is not None and replaced.key == kept.key else kept.data
                    version = None if present is None else present.version
                    self.store.save(kept.key, Record(data, saved, expires), version)

        return put_back

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
                session._replaced = kept
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
        # The id isn't written: who reads the store must not learn it.
        envelope = Envelope(session._data or {}, created, now, None, session._is_permanent)
        return Record(pack(envelope), now, self._timeouts.ends(created, now))

    def _cookie(self, session: Session, write: Callable[[str], str]) -> str:
        return write(self._signer.sign(session.id.encode("ascii")).decode("ascii"))


def _end(record: Record) -> Record:
    """Return the record as one that is over and holds nothing."""
    return record._replace(expires=record.accessed, data=b"")
