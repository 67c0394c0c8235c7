"""The plain JSON that Starlette and Django write: nothing that JSON hasn't, and an error that says where it is."""

from __future__ import annotations

__all__ = ["dump_plain"]

import json
from typing import Any

from wsgikit.exceptions import a_kind
from wsgikit.sessions.errors import SessionValueError
from wsgikit.sessions.serializer import explain


def dump_plain(data: dict[str, Any], whose: str, separators: tuple[str, str] = (", ", ": ")) -> bytes:
    """Write the data as JSON in ASCII.

    Raises:
        SessionValueError: it holds something that `whose` cookie can't hold; the error names where.
    """
    try:
        _check(data, whose, "")
        return json.dumps(data, separators=separators).encode("ascii")
    except SessionValueError:
        raise
    except (RecursionError, ValueError) as error:
        raise explain(data, error) from None


def _check(value: Any, whose: str, path: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise _unwritable(path or "key", key, whose, "keys that are str")
            _check(item, whose, f"{path}.{key}" if path else key)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check(item, whose, f"{path}[{index}]")
    elif value is not None and not isinstance(value, (str, int, float)):
        raise _unwritable(path, value, whose, "str, int, float, bool, None, list or dict")


def _unwritable(path: str, value: object, whose: str, expected: str) -> SessionValueError:
    return SessionValueError(
        f"session: {path}: expected {expected}, got {a_kind(value)}. "
        f"{whose} cookie is plain JSON: convert the value, or use another cookie_format.",
        path,
    )
