"""A session engine for Django: ``SESSION_ENGINE = "wsgikit.sessions.django"``, with our stores.

``WSGIKIT_SESSION_STORE`` in Django's settings names the store: a URL such as ``redis://…``, or a `SessionStore`. The
rest (cookie, age, expiry) is as Django's settings have it. Two requests that change different keys both survive, and
keys at rest are hashes.
"""

from __future__ import annotations

__all__ = ["SessionStore"]

import time
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError

from wsgikit.crypto.random import new_id
from wsgikit.exceptions import ConfigurationError
from wsgikit.sessions import serializer, stores
from wsgikit.sessions.backends import read_record, unreadable
from wsgikit.sessions.formats.base import Envelope
from wsgikit.sessions.formats.signed import pack
from wsgikit.sessions.journal import journal
from wsgikit.sessions.stores.base import Record, store_key

_SWEPT_AT_ONCE = 1000
_MOST_TRIES = 50

# One store for each value of the setting: Django makes a SessionStore for each request, and knows only this module.
_opened: dict[Any, stores.SessionStore] = {}


def _store() -> stores.SessionStore:
    where = getattr(settings, "WSGIKIT_SESSION_STORE", None)
    if where is None:
        raise ConfigurationError(
            "settings: WSGIKIT_SESSION_STORE: expected a URL such as 'redis://127.0.0.1:6379/0', got none. Add it."
        )
    store = _opened.get(where)
    if store is None:
        store = _opened.setdefault(where, stores.open_store("settings", where, "WSGIKIT_SESSION_STORE"))
    return store


class SessionStore(SessionBase):  # type: ignore[misc]  # Django has no types
    """A session as Django has it, kept in one of our stores."""

    _session_key: str | None
    _version: Any = None
    _base: dict[str, Any] | None = None
    _created: float | None = None

    def load(self) -> dict[str, Any]:
        """Read the session; an unknown or expired key gives an empty one and is forgotten."""
        session_key = self.session_key
        key = store_key(session_key) if session_key else ""
        record = _store().load(key) if key else None
        envelope = None if record is None else read_record(record)
        if record is None or envelope is None:
            if record is not None:
                journal().warning("settings: WSGIKIT_SESSION_STORE: %s", unreadable(key))
            self._session_key = None
            return {}
        self._note(record.data, record.version, envelope.created)
        return envelope.data

    def create(self) -> None:
        """Begin a session under a new key."""
        while True:
            self._session_key = new_id()
            try:
                self.save(must_create=True)
            except CreateError:
                continue
            self.modified = True
            return

    def save(self, must_create: bool = False) -> None:
        """Write the session, merged by key with what another request wrote since it was read.

        Raises:
            CreateError: `must_create`, and there is one under this key.
            UpdateError: it was deleted since: Django answers 400.
        """
        session_key = self.session_key
        if session_key is None:
            self.create()
            return
        data: dict[str, Any] = self._get_session(no_load=must_create)
        key = store_key(session_key)
        store = _store()
        if must_create:
            record = self._record(data)
            version = store.save(key, record)
            if version is None:
                raise CreateError
            self._note(record.data, version, self._created)
            return
        for _ in range(_MOST_TRIES):
            record = self._record(data)
            version = store.save(key, record, self._version) if self._version is not None else None
            if version is not None:
                self._note(record.data, version, self._created)
                return
            theirs = store.load(key)
            envelope = None if theirs is None else read_record(theirs)
            if theirs is None or envelope is None:
                raise UpdateError
            data = self._merge(data, envelope.data)
            self._session_cache = data
            self._note(theirs.data, theirs.version, envelope.created)
        raise UpdateError

    def exists(self, session_key: str | None = None) -> bool:
        """Return whether there is a session of this key."""
        return bool(session_key) and _store().load(store_key(session_key or "")) is not None

    def delete(self, session_key: str | None = None) -> None:
        """End the session of this key, or this one."""
        session_key = session_key or self.session_key
        if session_key:
            _store().delete(store_key(session_key))

    @classmethod
    def clear_expired(cls) -> None:
        """Remove the expired sessions: ``manage.py clearsessions``."""
        while _store().sweep(_SWEPT_AT_ONCE) == _SWEPT_AT_ONCE:
            pass

    def _record(self, data: dict[str, Any]) -> Record:
        now = time.time()
        created = now if self._created is None else self._created
        return Record(pack(Envelope(data, created, now)), now, now + self.get_expiry_age())

    def _note(self, written: bytes, version: Any, created: float | None) -> None:
        self._base = serializer.loads(written)[0]
        self._version = version
        self._created = time.time() if created is None else created

    def _merge(self, ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
        base = self._base or {}
        merged = dict(theirs)
        for key in {*base, *ours}:
            if key not in ours:
                merged.pop(key, None)
            elif key not in base or serializer.dumps(base[key]) != serializer.dumps(ours[key]):
                merged[key] = ours[key]
        return merged
