"""The log of sessions. Imported when something is written: `logging` costs start-up time."""

from __future__ import annotations

__all__ = ["journal"]

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger


def journal() -> Logger:
    """Return the logger ``wsgikit.sessions``."""
    from logging import getLogger

    return getLogger("wsgikit.sessions")
