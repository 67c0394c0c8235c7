"""How values become JSON: as Flask's provider writes them, so that clients of a moved application see no change."""

from __future__ import annotations

__all__ = ["JsonProvider", "is_model"]

import json
from collections.abc import Callable
from typing import Any, Literal

from wsgikit.http import json_text
from wsgikit.options.flags import check_flags


def is_model(value: object) -> bool:
    """Return whether `value` is a dataclass's instance or a pydantic model, which become JSON as a dict would."""
    kind = type(value)
    return hasattr(kind, "__dataclass_fields__") or hasattr(kind, "model_dump_json")


class JsonProvider:
    """Writes and reads JSON for views: ``Router(json=JsonProvider(sort_keys=False))``.

    Dates, UUIDs, decimals, dataclasses, pydantic models and objects with ``__html__`` are understood.

    Args:
        dates: ``"http"`` writes dates as Flask does (``Tue, 01 Jan 2030 00:00:00 GMT``), ``"iso"`` as RFC 3339.
        ensure_ascii: escape all that isn't ASCII.
        sort_keys: order the keys of objects, so that a response can be cached.
        indent: spaces per level; None writes no whitespace.
    """

    mimetype = "application/json"

    def __init__(
        self,
        *,
        dates: Literal["http", "iso"] = "http",
        ensure_ascii: bool = True,
        sort_keys: bool = True,
        indent: int | None = None,
    ) -> None:
        check_flags("JsonProvider", ensure_ascii=ensure_ascii, sort_keys=sort_keys)
        self._default = _plain_http if dates == "http" else _plain_iso
        self._encode: Callable[[Any], str] = json.JSONEncoder(
            default=self._default,
            allow_nan=False,
            ensure_ascii=ensure_ascii,
            sort_keys=sort_keys,
            indent=indent,
            separators=(",", ":") if indent is None else None,
        ).encode

    def dumps(self, value: Any) -> str:
        """Return `value` as JSON text.

        Raises:
            TypeError: a value has no form in JSON.
            ValueError: a number is NaN or infinite, which JSON doesn't have (RFC 8259 §6).
        """
        return self._encode(value)

    def loads(self, text: str | bytes) -> Any:
        """Return what JSON text says.

        Raises:
            ValueError: it isn't JSON; ``NaN`` and ``Infinity`` aren't either.
        """
        return json_text.loads(text)

    def body(self, value: Any) -> bytes:
        """Return the body of a response with `value`: JSON and a newline, as Flask ends it."""
        return self._encode(value).encode() + b"\n"


# The kinds of values below are imported when one is met: most applications never write them, and dataclasses, decimal
# and uuid together cost as much start-up time as the rest of the router.


def _plain_http(value: Any) -> Any:
    from datetime import date

    if isinstance(value, date):
        from werkzeug.http import http_date

        return http_date(value)
    return _plain(value)


def _plain_iso(value: Any) -> Any:
    from datetime import date, datetime

    if isinstance(value, date):
        text = value.isoformat()
        return text[:-6] + "Z" if isinstance(value, datetime) and text.endswith("+00:00") else text
    return _plain(value)


def _plain(value: Any) -> Any:
    from decimal import Decimal
    from uuid import UUID

    if isinstance(value, (Decimal, UUID)):
        return str(value)
    if hasattr(type(value), "model_dump"):
        return value.model_dump(mode="json")
    fields = getattr(type(value), "__dataclass_fields__", None)
    if fields is not None:
        import dataclasses

        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    to_html = getattr(value, "__html__", None)
    if to_html is not None:
        return str(to_html())
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
