"""What a user is known by: in environ, in a session, and where requests are counted."""

from __future__ import annotations

__all__ = ["id_of"]

from typing import Any

from wsgikit.exceptions import ApplicationError, complaint


def id_of(user: Any) -> str:
    """Return what a user is known by: ``get_id()``, else ``id``, else the text of it.

    Raises:
        ApplicationError: that is empty.
    """
    get_id = getattr(user, "get_id", None)
    user_id = get_id() if callable(get_id) else getattr(user, "id", user)
    if user_id is None or user_id == "":
        raise ApplicationError(complaint("login", "the user's id", "get_id(), or an attribute id", user_id))
    return str(user_id)
