"""What a type looks like when it is written as text, in words: for errors, the docs and ``wsgikit show``."""

from __future__ import annotations

__all__ = ["comment_hint", "is_duration", "is_size", "members_of", "split_collection", "strip_annotated", "words_of"]

import datetime
import enum
import os
import pathlib
import re
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, Sequence, Set
from typing import Any, Literal

from wsgikit.options.annotations import is_unresolved
from wsgikit.options.masking import is_secret

NUMBERS = (int, float)
BOOLEANS = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False, "1": True, "0": False}
DURATION_WORDS = "a duration (90, 15m, 2h, 14d)"
SIZE_WORDS = "a size (512, 64KiB, 10MB)"
DOTTED_WORDS = "a dotted name (package.module:attribute)"

# What an annotated collection is made as. A tuple stands for "some sequence": nobody can change it afterwards.
_COLLECTIONS: dict[object, type] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    Sequence: tuple,
    Iterable: tuple,
    Collection: tuple,
    Set: frozenset,
}
_MAPPINGS = (dict, Mapping, MutableMapping)
_PLAIN = {
    int: "an integer",
    float: "a number",
    str: "text",
    bytes: "text",
    datetime.timedelta: DURATION_WORDS,
    re.Pattern: "a regular expression",
    Any: "a value",
    object: "a value",
}


def comment_hint(text: str) -> str:
    """Return a sentence for a value of an ini file that seems to have a comment in it, or nothing."""
    for mark in (" ;", " #", "\t;", "\t#"):
        if mark in text:
            return f"A comment stands on a line of its own: {mark.strip()!r} within a line is part of the value."
    return ""


def is_duration(name: str) -> bool:
    """Tell by its name whether a number is a time in seconds."""
    return name == "seconds" or name.endswith("_seconds")


def is_size(name: str) -> bool:
    """Tell by its name whether a number is a size in bytes."""
    return name == "bytes" or name.endswith("_bytes")


def strip_annotated(annotation: Any) -> Any:
    """Return the type inside `Annotated`, `Final`, a `NewType` or a bound `TypeVar`."""
    while True:
        if typing.get_origin(annotation) in (typing.Annotated, typing.Final, typing.Required, typing.NotRequired):
            annotation = typing.get_args(annotation)[0]
        elif isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif isinstance(annotation, typing.TypeVar):
            annotation = annotation.__bound__ or Any
        else:
            return annotation


def members_of(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, nested ones unfolded; a type that is none is its own only member."""
    annotation = strip_annotated(annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return tuple(inner for member in typing.get_args(annotation) for inner in members_of(member))
    return (type(None) if annotation is None else annotation,)


def split_collection(annotation: Any) -> tuple[type, tuple[Any, ...]] | None:
    """Return what a collection is made as, and its arguments; None for anything else."""
    origin = typing.get_origin(annotation) or annotation
    made_as = _COLLECTIONS.get(origin) if _is_hashable(origin) else None
    return None if made_as is None else (made_as, typing.get_args(annotation))


def split_mapping(annotation: Any) -> tuple[Any, Any] | None:
    """Return the key's and the value's type of a mapping; None for anything else."""
    if (typing.get_origin(annotation) or annotation) not in _MAPPINGS:
        return None
    arguments = typing.get_args(annotation)
    return (arguments[0], arguments[1]) if len(arguments) == 2 else (str, str)


def is_dotted(annotation: Any) -> bool:
    """Return whether a value of this type can only be named: a callable, a class, an object of somebody's."""
    origin = typing.get_origin(annotation) or annotation
    if origin in (Callable, type, typing.Callable) or is_unresolved(origin):
        return True
    if origin in (*_PLAIN, bool, type(None), Literal) or is_path(origin):
        return False
    if split_collection(annotation) is not None or split_mapping(annotation) is not None:
        return False
    return not (isinstance(origin, type) and issubclass(origin, enum.Enum))


def is_path(annotation: Any) -> bool:
    """Return whether a value is the path of a file or folder."""
    origin = typing.get_origin(annotation) or annotation
    return origin is os.PathLike or (isinstance(origin, type) and issubclass(origin, pathlib.PurePath))


def words_of(annotation: Any, name: str = "") -> str:
    """Return in words what may be written for an option of this type and name."""
    members = members_of(annotation)
    words = list(dict.fromkeys(word for member in members for word in _words_of_one(member, name)))
    if len(words) > 1 and "text" in words:  # whatever comes first, text is what is left
        words = [*(word for word in words if word != "text"), "text"]
    if type(None) in members:  # the word itself may stand for something else: SameSite=None
        words.append("nothing" if "none" in (word.lower() for word in words) else "none")
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _words_of_one(annotation: Any, name: str) -> Sequence[str]:
    annotation = strip_annotated(annotation)
    if annotation is type(None):
        return ()
    if annotation is bool:
        return tuple(BOOLEANS)
    if typing.get_origin(annotation) is Literal:
        choices = typing.get_args(annotation)
        return [word for c in choices for word in (BOOLEANS if isinstance(c, bool) else (str(c),))]
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return [str(member.value) for member in annotation]
    return (_words_of_type(annotation, name),)


def _words_of_type(annotation: Any, name: str) -> str:
    if annotation in NUMBERS and is_duration(name):
        return DURATION_WORDS
    if annotation in NUMBERS and is_size(name):
        return SIZE_WORDS
    if _is_hashable(annotation) and (plain := _PLAIN.get(typing.get_origin(annotation) or annotation)) is not None:
        return plain
    if is_path(annotation):
        return "a path"
    mapping = split_mapping(annotation)
    if mapping is not None:
        return f"lines of name = value, each value {words_of(mapping[1])}"
    collection = split_collection(annotation)
    if collection is None:
        return DOTTED_WORDS
    inner = [argument for argument in collection[1] if argument is not Ellipsis]
    kinds = " and ".join(dict.fromkeys(words_of(argument) for argument in inner)) if inner else "text"
    between = "a line each" if is_secret(name) else "commas or lines between"  # a secret may have a comma in it
    return f"a list ({between})" if kinds == "text" else f"a list ({between}) of: {kinds}"


def _is_hashable(value: object) -> bool:
    return type(value).__hash__ is not None
