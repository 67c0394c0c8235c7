"""What is said of a store that doesn't answer: where it is, and why, with no password."""

from __future__ import annotations

__all__ = ["place_of", "unavailable"]

from wsgikit.options.masking import hide_credentials
from wsgikit.sessions.errors import StoreUnavailable

_LONGEST = 300  # characters of a cause: the line of a log has a request and an address beside it


def unavailable(place: str, whom: str, error: Exception) -> StoreUnavailable:
    """Return the error that says that a store doesn't answer.

    Args:
        place: where it is, without credentials.
        whom: what should have answered.
        error: what came instead; the first line of its text is told.
    """
    kind = type(error).__name__
    text = hide_credentials(_first_line(getattr(error, "orig", None) or error))  # SQLAlchemy's has the driver's
    return StoreUnavailable(f"store {place}: expected an answer from {whom}, got {kind}{text and f': {text}'}")


def place_of(url: str) -> str:
    """Return a URL as it may be shown: without user, password and query."""
    scheme, _, rest = url.partition("://")
    place, _, query = rest.partition("?")
    # A password may have a "?" in it, unescaped.
    return f"{scheme}://…" if "@" in query else f"{scheme}://{place.rpartition('@')[2]}"


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # psycopg has a headline where it tried several addresses.
    count = 2 if lines and lines[0].endswith(":") else 1
    return " ".join(lines[:count])[:_LONGEST]
