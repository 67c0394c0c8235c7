"""Two sessions of one name on one host: the browser keeps one cookie for both."""

from __future__ import annotations

__all__ = ["is_shared", "warn_of_namesakes"]

import time
from typing import TYPE_CHECKING

from wsgikit.sessions.backends import CookieBackend, StoreBackend
from wsgikit.sessions.formats.base import Envelope

if TYPE_CHECKING:
    from wsgikit.sessions.manager import SessionManager


def is_shared(ours: SessionManager, theirs: SessionManager) -> bool:
    """Return whether what one writes is a session to the other: by the same secret, in the same form and place."""
    if isinstance(ours.backend, CookieBackend):
        now = time.time()
        return theirs.backend.knows(ours.backend.format.dump(Envelope({}, now, now, "x")))
    is_one_place = ours.store is theirs.store
    if isinstance(ours.store_option, str) and ours.store is not None and ours.store.is_shared:
        is_one_place = ours.store_option == theirs.store_option  # two stores of one URL
    return is_one_place and isinstance(ours.backend, StoreBackend) and theirs.backend.knows(ours.backend.sample())


def warn_of_namesakes(ours: SessionManager, place: str, theirs: SessionManager, other_place: str) -> None:
    """Warn where two applications on one host would each end the other's session."""
    mine, other = ours.writer, theirs.writer
    if mine.name == other.name and mine.path == other.path != "mount" and not is_shared(ours, theirs):
        ours.warn_once(
            "beside",
            "cookie_name: expected another one at %r than at %r, got %r twice: a browser keeps one of the two "
            "cookies, so that each application replaces the session of the other. Give each a cookie_name, set "
            "cookie_path='mount', or give both the same secret_key and store.",
            place or "/",
            other_place or "/",
            mine.name,
        )
