"""Converters: what a placeholder takes from a path, and how its value is written into a URL.

They are Werkzeug's own classes, so a converter written for Werkzeug or Flask works unchanged. What is ours is how fast
the usual ones run: a segment is tested, converted and quoted without a regular expression where that gives the same.
"""

from __future__ import annotations

__all__ = [
    "DEFAULT_CONVERTERS",
    "BaseConverter",
    "FloatConverter",
    "PathConverter",
    "ValidationError",
    "quote_segment",
]

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from werkzeug.routing import (
    AnyConverter,
    BaseConverter,
    IntegerConverter,
    PathConverter,
    UnicodeConverter,
    UUIDConverter,
    ValidationError,
)
from werkzeug.routing import FloatConverter as WerkzeugFloatConverter

# What may stand unquoted in a segment: https://url.spec.whatwg.org/#url-path-segment-string
SEGMENT_SAFE = "!$&'()*+,/:;=@"


class FloatConverter(WerkzeugFloatConverter):
    """Werkzeug's, but very small and large numbers are written out, so that their URLs match: not ``1e-07``."""

    def to_url(self, value: Any) -> str:
        """Return the number in the form that the rule matches."""
        text = super().to_url(value)
        if "e" not in text:
            return text
        from decimal import Decimal  # few URLs hold such numbers

        digits = format(Decimal(text), "f")
        return digits if "." in digits else f"{digits}.0"


DEFAULT_CONVERTERS: Mapping[str, type[BaseConverter]] = {
    "default": UnicodeConverter,
    "string": UnicodeConverter,
    "any": AnyConverter,
    "path": PathConverter,
    "int": IntegerConverter,
    "float": FloatConverter,
    "uuid": UUIDConverter,
}

# Their instances hold nothing of a rule or a map, so equal ones may be shared.
_SHAREABLE = frozenset(DEFAULT_CONVERTERS.values())
_LENGTHS = re.compile(r"\[\^/\]\{(\d+)(,?)(\d*)\}")
# The same as the converter's own lazy `[^/].*?` if nothing follows, and faster.
_WHOLE_REST = re.compile(r"[^/].*\Z").match


def is_shareable(kind: type[BaseConverter]) -> bool:
    """Return whether one instance may serve several rules."""
    return kind in _SHAREABLE


def whole_segment_test(converter: BaseConverter) -> Callable[[str], object] | None:
    """Return a test, without its own regular expression, that a whole segment is what the converter takes.

    It must say what ``regex`` says, to the letter; None if only the regular expression can tell. Subclasses are
    never taken for the class they derive from.
    """
    kind = type(converter)
    if kind is UnicodeConverter:
        if converter.regex == "[^/]{1,}":
            return bool
        found = _LENGTHS.fullmatch(converter.regex)
        return None if found is None else _length_test(found)
    if kind is IntegerConverter:
        # `\d` and isdecimal() both mean Unicode's category Nd.
        return str.isdecimal if converter.regex == r"\d+" else None
    if kind is AnyConverter:
        items = converter.items  # type: ignore[attr-defined]
        return frozenset(items).__contains__ if items else None
    if kind is PathConverter:
        return _WHOLE_REST
    return None


def _length_test(found: re.Match[str]) -> Callable[[str], object]:
    least = int(found[1])
    if not found[2]:
        return lambda segment: len(segment) == least
    if not found[3]:
        return lambda segment: len(segment) >= least
    most = int(found[3])
    return lambda segment: least <= len(segment) <= most


def python_converter(converter: BaseConverter) -> Callable[[str], Any] | None:
    """Return what makes the Python value of the text; None if the text is the value."""
    if type(converter).to_python is BaseConverter.to_python and "to_python" not in vars(converter):
        return None
    if type(converter) is IntegerConverter:
        plain = converter.min is None and converter.max is None and not converter.fixed_digits
        if plain:
            return int
    return converter.to_python


def url_converter(converter: BaseConverter) -> Callable[[Any], str]:
    """Return what writes a value into a URL."""
    if type(converter).to_url is BaseConverter.to_url and "to_url" not in vars(converter):
        return quote_segment
    if type(converter) is IntegerConverter and not converter.fixed_digits:
        return _write_integer
    return converter.to_url


def quote_segment(value: Any) -> str:
    """Quote a value for a path as Werkzeug does: slashes stay."""
    text = value if type(value) is str else str(value)
    if text.isalnum() and text.isascii():
        return text
    return quote(text, safe=SEGMENT_SAFE)


def _write_integer(value: Any) -> str:
    return str(value) if type(value) is int else str(int(value))
