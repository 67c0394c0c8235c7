"""Text becomes a typed value, by the annotation that the option has.

If several types are allowed they are tried in this order, whatever the order in the annotation: the words of a
`Literal` or an enum, none, on/off, number (with the units that the option's name allows), an object by its dotted name,
mappings and lists, paths, text. If text is allowed, a dotted name is one only with its colon. If nothing is
declared, or `Any`, a value is what it looks like: none, on/off, a number, a dotted name with a colon, text.
"""

from __future__ import annotations

__all__ = ["Unfit", "convert"]

import datetime
import enum
import math
import pathlib
import re
import typing
from collections.abc import Callable
from typing import Any, Literal, NoReturn

from wsgikit.options.annotations import is_unresolved
from wsgikit.options.dotted import is_dotted_name, load_dotted
from wsgikit.options.masking import is_secret
from wsgikit.options.sources import resolve_source
from wsgikit.options.words import (
    BOOLEANS,
    is_dotted,
    is_duration,
    is_path,
    is_size,
    members_of,
    split_collection,
    split_mapping,
    strip_annotated,
    words_of,
)

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZES: dict[str, int] = {"": 1, "b": 1} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("kmgt", start=1)
    for suffix, base in (("b", 1000), ("ib", 1024))
}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw])\s*")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)\Z")
_ITEM = re.compile(r'\s*("[^"]*"|[^,\n]*)\s*(?:,|\n|\Z)')


class _Anything:
    """Stands for an object of any kind, by its dotted name."""


_GUESSES: dict[Any, tuple[Any, ...]] = dict.fromkeys((Any, object), (type(None), bool, int, float, _Anything, str))


class Unfit(ValueError):
    """A text that no type of the option can be made of; what would have been right is its only argument."""


class _UnfitObject(Unfit):
    """A dotted name that leads to something, but not to what is wanted."""


class _Reader:
    """Reads one option's text: what doesn't change from one type to the next."""

    def __init__(self, name: str, where: str, here: str, *, is_item: bool = False) -> None:
        self.name = name
        self.where = where
        self.here = here
        self.is_item = is_item

    def read(self, text: str, annotation: Any) -> Any:
        """Make a value of `text`; raise `Unfit` if no member of the annotation fits."""
        members = tuple(kind for member in members_of(annotation) for kind in _GUESSES.get(member, (member,)))
        found = resolve_source(text, self.name, self.where, self.here, self.is_item)
        text = text.strip() if found is None else found
        if not self.is_item and found is None and text == "" and type(None) in members:
            return None
        has_text = any(member in (str, bytes) for member in members)
        for member in sorted(members, key=_rank):
            try:
                return self._read_as(text, member, members, has_text)
            except _UnfitObject:
                raise
            except Unfit:
                continue
        raise Unfit(words_of(annotation, self.name))

    def _read_as(self, text: str, member: Any, members: tuple[Any, ...], has_text: bool) -> Any:
        member = strip_annotated(member)
        if member is type(None):
            return None if text.lower() == "none" else _unfit()
        if member is bool:
            is_number = text in ("0", "1") and (int in members or float in members)
            return _unfit() if is_number else _boolean(text)
        if member in (int, float):
            return self._number(text, member)
        if member is datetime.timedelta:
            return _timedelta(text)
        if typing.get_origin(member) is Literal:
            return _choice(text, typing.get_args(member))
        if isinstance(member, type) and issubclass(member, enum.Enum):
            return _enum_member(text, member)
        if is_dotted(member):
            return self._object(text, member, has_text)
        if split_mapping(member) is not None:
            return self._mapping(text, member)
        if split_collection(member) is not None:
            return self._collection(text, member, has_text)
        if is_path(member):
            path = pathlib.Path(self.here, unquoted(text))
            return path if text else _unfit()
        if (typing.get_origin(member) or member) is re.Pattern:
            return _pattern(unquoted(text))
        plain = unquoted(text)
        return plain.encode() if member is bytes else plain

    def _number(self, text: str, kind: type) -> Any:
        if is_duration(self.name):
            number: float = _duration(text)
        elif is_size(self.name):
            number = _size(text)
        else:
            try:
                return kind(text) if kind is int else _finite(float(text))
            except ValueError:
                _unfit()
        if number == int(number):
            return int(number)  # 14 days are 1209600 seconds, as one would write in Python, whole or not
        return _unfit() if kind is int else number

    def _object(self, text: str, member: Any, has_text: bool) -> Any:
        if not is_dotted_name(text, with_colon=has_text):
            return _unfit()
        value = load_dotted(text, self.where, self.name)
        if not _is_one(value, member):
            raise _UnfitObject(f"the dotted name of {_kind_words(member)}")
        return value

    def _collection(self, text: str, member: Any, has_text: bool) -> Any:
        made_as, arguments = typing.cast("tuple[type, tuple[Any, ...]]", split_collection(member))
        items = _split(text, commas=not is_secret(self.name))
        if has_text and len(items) < 2:
            return _unfit()  # if one text is allowed, one text is meant
        arguments = arguments or (str, Ellipsis)
        if made_as is tuple and arguments[-1] is not Ellipsis and typing.get_origin(member) is tuple:
            if len(arguments) != len(items):
                _unfit()
            return tuple(self._item(item, kind) for item, kind in zip(items, arguments, strict=True))
        return made_as(self._item(item, arguments[0]) for item in items)

    def _mapping(self, text: str, member: Any) -> Any:
        key_kind, value_kind = typing.cast("tuple[Any, Any]", split_mapping(member))
        made: dict[Any, Any] = {}
        for line in _split(text, commas=False):
            key, equals, value = line.partition("=")
            if not equals:
                _unfit()
            made[self._item(key.strip(), key_kind)] = self._item(value.strip(), value_kind)
        return made

    def _item(self, text: str, annotation: Any) -> Any:
        return _Reader(self.name, self.where, self.here, is_item=True).read(text, annotation)


def convert(text: str, annotation: Any, name: str, where: str, here: str) -> Any:
    """Make of a text what the annotation of an option asks for.

    Args:
        text: as it stands in the file; ``env:NAME`` and ``file:PATH`` are replaced by what they stand for.
        annotation: the resolved type.
        name: the option's name: its ending may allow units (``_seconds``, ``_bytes``).
        where: begins the text of an error.
        here: the folder that relative paths start from.

    Raises:
        Unfit: the text fits no type of the annotation.
        ConfigurationError: an environment variable or a file is missing; a dotted name can't be loaded.
    """
    return _Reader(name, where, here).read(text, annotation)


def unquoted(text: str) -> str:
    """Take one pair of double quotes off: ``""`` is the empty text, ``"none"`` the word, ``" a "`` keeps its blanks."""
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text


_SIMPLEST_FIRST = (type(None), bool, int, float, datetime.timedelta)


def _rank(member: Any) -> int:
    member = strip_annotated(member)
    origin = typing.get_origin(member) or member
    if origin is Literal or (isinstance(origin, type) and issubclass(origin, enum.Enum)):
        return 0
    if origin in _SIMPLEST_FIRST:
        return 1 + _SIMPLEST_FIRST.index(origin)
    if origin in (str, bytes):
        return 11 if origin is str else 12
    if split_collection(member) is not None:
        return 8
    if split_mapping(member) is not None:
        return 7
    if is_path(member) or origin is re.Pattern:
        return 9
    return 6


def _boolean(text: str) -> bool:
    value = BOOLEANS.get(text.lower())
    return _unfit() if value is None else value


def _finite(number: float) -> float:
    return number if math.isfinite(number) else _unfit()


def _duration(text: str) -> float:
    text = text.strip().lower()
    try:
        return _finite(float(text)) if text[:1].isdigit() or text[:1] == "-" else _unfit()
    except ValueError:
        pass
    parts = _DURATION_PART.findall(text)
    if not parts or _DURATION_PART.sub("", text):
        _unfit()
    total = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return round(_finite(total), 6)  # microseconds: 0.1s + 0.2s is 0.3s


def _timedelta(text: str) -> datetime.timedelta:
    try:
        return datetime.timedelta(seconds=_duration(text))
    except OverflowError:
        return _unfit()


def _size(text: str) -> float:
    match = _SIZE.match(text.strip())
    if match is None or match[2].lower() not in _SIZES:
        _unfit()
    unit = _SIZES[match[2].lower()]
    # Integers stay exact, however large.
    return _finite(float(match[1]) * unit) if "." in match[1] else int(match[1]) * unit


def _choice(text: str, choices: tuple[Any, ...]) -> Any:
    for choice in choices:
        if isinstance(choice, str) and choice == unquoted(text):
            return choice
    for choice in choices:
        if choice is None and text.lower() == "none":
            return None
        if isinstance(choice, bool) and BOOLEANS.get(text.lower()) is choice:
            return choice
        if not isinstance(choice, bool) and str(choice).lower() == text.lower():
            return choice
    return _unfit()


def _enum_member(text: str, kind: type[enum.Enum]) -> enum.Enum:
    for member in kind:
        if text.lower() in (member.name.lower(), str(member.value).lower()):
            return member
    return _unfit()


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error:
        _unfit()


def _split(text: str, *, commas: bool) -> list[str]:
    if not commas:
        return [line.strip() for line in text.splitlines() if line.strip()]
    return [item for match in _ITEM.finditer(text) if (item := match[1].strip())]


def _is_one(value: object, member: Any) -> bool:
    """Return whether an object that was named can be what the annotation says, as far as that can be told."""
    origin = typing.get_origin(member) or member
    if origin in (Callable, typing.Callable):
        return callable(value)
    if origin is type:
        return isinstance(value, type)
    if origin is _Anything or is_unresolved(origin) or not isinstance(origin, type):
        return True
    return getattr(origin, "_is_protocol", False) or isinstance(value, origin)


def _kind_words(member: Any) -> str:
    origin = typing.get_origin(member) or member
    if origin in (Callable, typing.Callable):
        return "something that can be called"
    return "a class" if origin is type else f"an instance of {origin.__name__}"


def _unfit() -> NoReturn:
    raise Unfit
