"""Messages for the next page, kept in the session where Flask keeps them."""

from __future__ import annotations

__all__ = ["flash", "get_flashed_messages"]

from collections.abc import Iterable
from typing import Any

from wsgikit.context.locals import current_exchange, session
from wsgikit.routing.invoke import as_sync
from wsgikit.signals import RECEIVERS, find_sender, send_signal

_KEY = "_flashes"  # Flask's: if its cookie is shared, both sides see the messages


def flash(message: Any, category: str = "message") -> None:
    """Put a message in the session, for the next page to show by `get_flashed_messages`.

    Args:
        message: what to show.
        category: its kind, such as ``"error"``, for the page to style it by.
    """
    exchange = current_exchange("flash()")  # it says what was called, if there is no request
    flashes = session.get(_KEY, [])
    # A new list, so that any session notices, also one that doesn't watch what is nested.
    session[_KEY] = [*flashes, (category, message)]
    if RECEIVERS:
        sender = find_sender(exchange.environ)
        send_signal("message_flashed", sender, as_sync, message=message, category=category)


def get_flashed_messages(with_categories: bool = False, category_filter: Iterable[str] = ()) -> list[Any]:
    """Take the messages out of the session; in one request each call returns them again.

    Args:
        with_categories: return pairs of category and message.
        category_filter: return those of these categories only.
    """
    state = current_exchange("get_flashed_messages()").state
    flashes = state.get(_KEY)
    if flashes is None:
        # A session that has none isn't written to: it would get a cookie for nothing.
        flashes = session.pop(_KEY) if _KEY in session else []
        state[_KEY] = flashes
    wanted = set(category_filter)
    pairs = [(category, message) for category, message in flashes if not wanted or category in wanted]
    return pairs if with_categories else [message for _, message in pairs]
