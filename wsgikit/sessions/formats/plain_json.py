"""The plain JSON that Starlette and Django write: nothing that JSON hasn't, and an error that says where it is."""

from __future__ import annotations

__all__ = ["check_plain"]

from typing import Any

from wsgikit.sessions.errors import SessionValueError


def check_plain(value: Any, whose: str, path: str = "") -> None:
    """Refuse what `whose` cookie can't hold.

    Raises:
        SessionValueError: it holds something else than JSON has; the error names where.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise _unwritable(path or "key", key, whose, "keys that are str")
            check_plain(item, whose, f"{path}.{key}" if path else key)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            check_plain(item, whose, f"{path}[{index}]")
    elif value is not None and not isinstance(value, (str, int, float)):
        raise _unwritable(path, value, whose, "str, int, float, bool, None, list or dict")


def _unwritable(path: str, value: object, whose: str, expected: str) -> SessionValueError:
    return SessionValueError(
        f"session: {path}: expected {expected}, got a {type(value).__name__}. "
        f"{whose} cookie is plain JSON: convert the value, or use another cookie_format.",
        path,
    )
