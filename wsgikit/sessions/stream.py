"""A lazy body of another framework's, watched so that what it changes in the session is saved at its end."""

from __future__ import annotations

__all__ = ["WatchedBody"]

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange
    from wsgikit.sessions.session import Session


class WatchedBody:
    """Passes on the chunks of a body, and has the session saved once more when it is closed, if the body changed it.

    To the session it is what an exchange is in our own layer: that which knows when the response ends, and how.

    Args:
        body: the lazy body, as the framework would send it.
        session: the session, saved with the head by now where that was to be.

    Attributes:
        error: what the body raised, or None.
        is_complete: whether it was produced to its end.
    """

    error: BaseException | None = None
    is_complete = False

    def __init__(self, body: Iterable[Any], session: Session) -> None:
        self._body = body
        self._session = session
        self._step: Callable[[], Any] | None = None
        self._callbacks: list[Callable[[], object]] = []
        session._committed = lambda: cast("Exchange", self)
        if session.accessed and not session._is_dropped:
            session._mark_saved(True)

    def __iter__(self) -> WatchedBody:
        return self

    def __next__(self) -> Any:
        step = self._step
        if step is None:
            step = self._step = iter(self._body).__next__
        try:
            return step()
        except StopIteration:
            self.is_complete = True
            raise
        except BaseException as error:
            self.error = error
            raise

    def on_teardown(self, function: Callable[[], object]) -> None:
        """Call `function` when the body is closed."""
        self._callbacks.append(function)

    def close(self) -> None:
        """Close the body, save the session, and refuse further changes of it."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        except BaseException as error:
            self.error = error
            raise
        finally:
            while self._callbacks:
                self._callbacks.pop()()
            self._session._close()
