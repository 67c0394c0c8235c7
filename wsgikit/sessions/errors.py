"""What can go wrong with a session, by name."""

from __future__ import annotations

__all__ = [
    "LockTimeout",
    "SessionCommitted",
    "SessionReadOnly",
    "SessionTooLarge",
    "SessionValueError",
    "StoreUnavailable",
    "UnsupportedByStore",
]

from wsgikit.exceptions import ApplicationError, HeadSentError, WsgikitError


class SessionCommitted(HeadSentError):
    """The session was changed after the head of the response left, and its cookie with it.

    Attributes:
        key: the session's key that was to be changed, or None if the change had none (`rotate`).
    """

    def __init__(self, text: str, key: str | None = None) -> None:
        super().__init__(text)
        self.key = key


class SessionReadOnly(ApplicationError):
    """The session was changed after `readonly()`.

    Attributes:
        key: the session's key that was to be changed, or None if the change had none (`rotate`).
    """

    def __init__(self, key: str | None = None) -> None:
        what = f"key {key!r}" if key else "change"
        super().__init__(f"session: {what}: expected none after readonly(), got one. Leave out one of the two.")
        self.key = key


class SessionTooLarge(ApplicationError):
    """The session doesn't fit into a cookie, or into memcached.

    Attributes:
        sizes: the bytes that each key takes, the largest first; a store doesn't know them.
        length: the bytes of the whole ``Set-Cookie`` header, or record.
    """

    def __init__(self, text: str, sizes: list[tuple[str, int]], length: int) -> None:
        super().__init__(text)
        self.sizes = sizes
        self.length = length


class SessionValueError(ApplicationError, ValueError):
    """A value in the session can't be written.

    Attributes:
        path: where it stands, such as ``cart[0].price``.
    """

    def __init__(self, text: str, path: str) -> None:
        super().__init__(text)
        self.path = path


class StoreUnavailable(WsgikitError):
    """The store that holds the sessions doesn't answer. Nobody is to blame but the network: it becomes a 503."""

    status = "503 Service Unavailable"


class UnsupportedByStore(ApplicationError):
    """The store can't do what was asked for: memcached can't count, a cookie can't be locked."""


class LockTimeout(ApplicationError):
    """Another request held the session's lock for longer than this one would wait."""
