"""Where a session goes: whole into a cookie, or into a store with its id in the cookie."""

from __future__ import annotations

__all__ = ["Backend", "Conflict", "CookieBackend", "Kept", "StoreBackend", "merge", "read_record", "unreadable"]

from wsgikit.sessions.backends.base import Backend, Conflict, Kept
from wsgikit.sessions.backends.cookie import CookieBackend
from wsgikit.sessions.backends.merging import merge, read_record, unreadable
from wsgikit.sessions.backends.store import StoreBackend
