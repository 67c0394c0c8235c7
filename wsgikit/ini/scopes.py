"""The keys `only` and `unless` of a layer's section: the requests that the layer takes part in."""

from __future__ import annotations

__all__ = ["SCOPE_KEYS", "take_scope"]

import re
from collections.abc import Callable
from typing import Any

from wsgikit.exceptions import ConfigurationError
from wsgikit.onion.scope import limit_layer
from wsgikit.options import load_dotted
from wsgikit.wsgi import WSGIApplication

SCOPE_KEYS = ("only", "unless")

Limit = Callable[[WSGIApplication, WSGIApplication], WSGIApplication]


def take_scope(texts: dict[str, str], where: Callable[[str], str]) -> Limit | None:
    """Remove `only` and `unless` from a section's keys; return a function that limits the layer to them.

    Args:
        texts: the section's keys. Several patterns in one value are separated by commas or line breaks; a dotted name
            (``package.module:function``) is a callable of environ.
        where: names the place of a key, for errors.

    Returns:
        A function of the layer and the application inside it, or None if the section has neither key.

    Raises:
        ConfigurationError: a dotted name leads to nothing. The function raises it if a pattern can't be read.
    """
    found = {key: _patterns(key, texts.pop(key), where(key)) for key in SCOPE_KEYS if key in texts}
    if not found:
        return None

    def limit(layer: WSGIApplication, app: WSGIApplication) -> WSGIApplication:
        try:
            return limit_layer(layer, app, type(layer).__name__, found.get("only"), found.get("unless"))
        except ConfigurationError as error:
            raise ConfigurationError(f"{where(next(iter(found)))}: {error}") from error

    return limit


def _patterns(key: str, text: str, where: str) -> list[Any]:
    items = [item for item in (part.strip() for part in re.split(r"[,\n]", text)) if item]
    return [load_dotted(item, where, key) if _is_dotted(item) else item for item in items]


def _is_dotted(item: str) -> bool:
    return ":" in item and " " not in item and not item.startswith(("/", "*"))
