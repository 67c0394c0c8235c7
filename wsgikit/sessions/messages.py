"""Messages that a session keeps for the next page."""

from __future__ import annotations

__all__ = ["Messages"]

from collections.abc import Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from wsgikit.sessions.manager import SessionManager

FLASHES = "_flashes"  # as in Flask's session, so that an app and the layer around it show the same messages


class Messages(MutableMapping[str, Any]):
    """The part of a session that keeps messages until they are shown."""

    __slots__ = ()
    _manager: ClassVar[SessionManager]

    def flash(self, message: Any, queue: str = "", allow_duplicate: bool = True) -> None:
        """Keep a message to be shown with the next page, under a queue (Flask calls it a category)."""
        flashes = self.get(FLASHES)
        entry = self._manager.flash_entry(queue, message)
        if not isinstance(flashes, list):
            self[FLASHES] = [entry]
        elif allow_duplicate or not any(list(flash) == list(entry) for flash in flashes):
            self[FLASHES] = [*flashes, entry]

    def pop_flash(self, queue: str = "") -> list[Any]:
        """Return the messages of a queue, and remove them."""
        messages = self.peek_flash(queue)
        if messages:
            self._keep_flashes([flash for flash in self[FLASHES] if flash[0] != queue])
        return messages

    def peek_flash(self, queue: str = "") -> list[Any]:
        """Return the messages of a queue, and leave them."""
        return [message for category, message in self._flashes() if category == queue]

    def pop_flashes(self, queues: Iterable[str] | None = None) -> list[tuple[str, Any]]:
        """Return ``(queue, message)`` of all messages, or of those in `queues`, in order, and remove them."""
        flashes = self._flashes()
        if queues is None:
            taken, kept = flashes, []
        else:
            wanted = set(queues)
            taken = [flash for flash in flashes if flash[0] in wanted]
            kept = [self._manager.flash_entry(*flash) for flash in flashes if flash[0] not in wanted]
        if taken:
            self._keep_flashes(kept)
        return taken

    def _flashes(self) -> list[tuple[str, Any]]:
        flashes = self.get(FLASHES)
        return [(flash[0], flash[1]) for flash in flashes] if isinstance(flashes, list) else []

    def _keep_flashes(self, flashes: list[Any]) -> None:
        if flashes:
            self[FLASHES] = flashes
        else:
            del self[FLASHES]
