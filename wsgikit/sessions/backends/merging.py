"""Two requests of one session: what each has changed, key by key."""

from __future__ import annotations

__all__ = ["merge", "read_record", "unreadable"]

from typing import TYPE_CHECKING, Any

from wsgikit.sessions import serializer
from wsgikit.sessions.formats.base import Envelope
from wsgikit.sessions.formats.signed import unpack
from wsgikit.sessions.stores.base import Record

if TYPE_CHECKING:
    from wsgikit.sessions.session import Session

_ABSENT = b""  # no JSON is empty


def read_record(record: Record) -> Envelope | None:
    """Return what a record holds, or None if it holds nothing of ours."""
    try:
        return unpack(serializer.loads(record.data), record.accessed, True)
    except (ValueError, TypeError, ArithmeticError, RecursionError):
        return None


def unreadable(key: str) -> str:
    """Return what the log says of a record that can't be read; of the key so much that it can be found."""
    return f"record {key[:16]}…: expected a session, got something that can't be read. It counts as expired."


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
