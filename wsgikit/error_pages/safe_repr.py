"""A repr for strangers' objects: short, never raising, with nothing in it that stands under a secret name."""

from __future__ import annotations

__all__ = ["safe_repr"]

import os
from collections.abc import Callable
from itertools import islice
from typing import Any

from wsgikit.http.redact import HIDDEN, is_secret_name, tells_a_secret

_LONGEST = 400  # characters: four lines of the page
_MOST_ITEMS = 12
_DEEPEST = 2
_READ = 10_000  # characters of a text that are looked through for secrets before it is cut


def safe_repr(value: object, clean: Callable[[str], str] = str, depth: int = 0) -> str:
    """Return a repr that is short, doesn't raise, and hides what stands under a secret name in it.

    Containers are walked here, item by item, and long texts are cut before they are quoted: a list of a million
    entries costs no more than one of ten.

    Args:
        value: whatever there is.
        clean: takes secrets out of a text. It sees texts before they are cut: the first half of a token must not stay.
        depth: how many containers it is in.
    """
    try:
        text = _repr(value, clean, depth)
    except Exception as error:  # noqa: BLE001 - somebody's __repr__ may raise anything
        text = f"<{type(value).__name__}: repr() failed with {type(error).__name__}>"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _repr(value: Any, clean: Callable[[str], str], depth: int) -> str:
    kind = type(value)
    if kind is str:
        return repr(clean(value[:_READ])[:_LONGEST]) + _length(value)
    if kind is bytes or kind is bytearray:
        return clean(repr(value[:_READ]))[:_LONGEST] + _length(value)
    if kind is dict and "wsgi.version" in value:
        return f"<WSGI environ with {len(value)} keys>"  # servers put the variables of the process into it
    if kind is type(os.environ):
        return "<variables of the process>"
    if kind in _CONTAINERS:
        return _container(value, clean, depth)
    # What holds other people's secrets is named, not shown: a session, a request, a layer.
    if kind.__module__.startswith("wsgikit."):
        return f"<{kind.__qualname__}>"
    return clean(repr(value)[:_READ])


def _length(value: str | bytes | bytearray) -> str:
    return f"… ({len(value)} long)" if len(value) > _LONGEST else ""


def _container(value: Any, clean: Callable[[str], str], depth: int) -> str:
    kind = type(value)
    if depth > _DEEPEST:
        return "…"
    if not value:
        return repr(value)
    if kind is dict:
        items = [
            f"{safe_repr(key, clean, depth + 1)}: "
            + (HIDDEN if isinstance(key, str) and is_secret_name(key) else safe_repr(item, clean, depth + 1))
            for key, item in islice(value.items(), _MOST_ITEMS)
        ]
    elif kind is tuple and len(value) == 2 and isinstance(value[0], str) and tells_a_secret(value[0]):
        items = [safe_repr(value[0], clean, depth + 1), HIDDEN]  # a header, an item of a dictionary
    else:
        items = [safe_repr(item, clean, depth + 1) for item in islice(value, _MOST_ITEMS)]
    if len(value) > _MOST_ITEMS:
        items.append(f"… ({len(value)} in all)")
    elif kind is tuple and len(value) == 1:
        items.append("")
    opening, closing = _CONTAINERS[kind]
    return opening + ", ".join(items).rstrip(" ") + closing


_CONTAINERS: dict[type, tuple[str, str]] = {
    dict: ("{", "}"),
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
}
