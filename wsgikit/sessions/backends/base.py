"""What a manager asks of the place where its sessions go."""

from __future__ import annotations

__all__ = ["Backend", "Conflict", "Kept"]

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from wsgikit.sessions.session import Session


class Kept(NamedTuple):
    """What is remembered of a record between loading and saving it."""

    key: str
    version: Any
    data: bytes


class Conflict(NamedTuple):
    """Two requests of one session changed it at the same time; told to ``on_conflict``.

    Attributes:
        kind: ``"merged"``: both survive, and if both changed a key, this request's value stays;
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
        """Save the session, end the one it took the place of; return the ``Set-Cookie`` value, if one is to be sent.

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
        """Return whether a cookie value is one that was written here, or elsewhere with our secret."""

    def can_save_late(self, session: Session) -> bool:
        """Return whether the session can still be saved when the head has left."""
        return isinstance(session._token, Kept)

    @abstractmethod
    def check(self, session: Session, write: Callable[[str], str]) -> None:
        """Raise what `save` would raise of the session's data, without saving it."""

    def remember(self, session: Session) -> Callable[[], None]:
        """Return a function that puts back what the next `save` or `delete` of the session will replace."""
        return lambda: None

    @abstractmethod
    def lock(self, session: Session, timeout_seconds: float, hold_seconds: float) -> AbstractContextManager[Session]:
        """Hold the session's lock."""
