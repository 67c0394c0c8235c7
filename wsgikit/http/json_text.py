"""JSON as RFC 8259 has it: `NaN` and `Infinity`, which Python's `json` reads and writes, are none."""

from __future__ import annotations

__all__ = ["dumps", "loads"]

import json
from math import isinf
from typing import Any, NoReturn


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"JSON: number: expected a finite one (RFC 8259 §6), got {name[:40]}.")


def _read_float(text: str) -> float:
    number = float(text)
    if isinf(number):  # `dumps` could not write it again (RFC 8259 §6 allows a limit)
        _refuse(text)
    return number


_decode = json.JSONDecoder(parse_constant=_refuse, parse_float=_read_float).decode


def loads(text: str | bytes) -> Any:
    """Return the value of a JSON text; bytes are UTF-8, UTF-16 or UTF-32.

    Raises:
        ValueError: it is no JSON, or not in its encoding.
    """
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text), "surrogatepass")
    return _decode(text)


def dumps(value: Any) -> str:
    """Return a value as JSON text without blanks.

    Raises:
        TypeError: a value has no form in JSON.
        ValueError: a number is NaN or infinite.
    """
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
