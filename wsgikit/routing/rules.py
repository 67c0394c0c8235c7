"""One rule of a map: its text, read once, and what it answers to.

The rule language is Werkzeug's: ``/static``, ``<name>``, ``<converter:name>``, ``<converter(arguments):name>``.
A rule knows nothing of a map, so the same one may be in several.
"""

from __future__ import annotations

__all__ = ["Rule", "Variable", "parse_arguments", "parse_rule"]

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.options.flags import check_flags


class Variable(NamedTuple):
    """A placeholder in a rule: ``<converter(arguments):name>``."""

    converter: str
    arguments: str
    name: str


Segment: TypeAlias = tuple[str | Variable, ...]
"""What stands between two slashes: literal text and placeholders. An empty one is ``()``."""

_TOKEN = re.compile(
    r"""
    (?P<slash>/)
  | (?P<literal>[^</]+)
  | <(?:(?P<converter>[a-zA-Z_][a-zA-Z0-9_]*)(?:\((?P<arguments>.*?)\))?:)?(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)>
    """,
    re.VERBOSE,
)
_ARGUMENT = re.compile(
    r"""\s*(?:(?P<name>\w+)\s*=\s*)?(?:[uUrR]?(?P<quoted>"[^"]*"|'[^']*')|(?P<bare>[^\s,"'=]+))\s*(?:,|$)""",
)
_CONSTANTS: dict[str, Any] = {"None": None, "True": True, "False": False}


def parse_rule(text: str) -> tuple[Segment, ...]:
    """Split a rule at its slashes and each segment into literals and placeholders.

    Raises:
        ConfigurationError: the text is no rule.
    """
    # Only the arguments of a converter may hold their own slash.
    raw = text.split("/") if "(" not in text else _split_outside_placeholders(text)
    try:
        return tuple([_parse_segment(segment) for segment in raw])
    except _MalformedError as error:
        raise ConfigurationError(
            complaint(
                f"Rule {text!r}", "its text", "<name>, <converter:name> or <converter(arguments):name>", str(error)
            )
        ) from None


class _MalformedError(ValueError):
    """Text that is neither a literal nor a placeholder; its message is that text."""


def _split_outside_placeholders(text: str) -> list[str]:
    segments = [""]
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            return text.split("/")  # malformed: reading the segment that is broken says so
        if token.lastgroup == "slash":
            segments.append("")
        else:
            segments[-1] += token[0]
        position = token.end()
    return segments


@lru_cache(maxsize=4096)  # real maps repeat their segments: <int:id>, "users", "edit"
def _parse_segment(text: str) -> Segment:
    if "<" not in text:
        return (text,) if text else ()
    pieces: list[str | Variable] = []
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise _MalformedError(text[position:])
        name = token["name"]
        if name is None:
            pieces.append(token[0])
        else:
            pieces.append(Variable(token["converter"] or "default", token["arguments"] or "", name))
        position = token.end()
    return tuple(pieces)


def parse_arguments(text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Read a converter's arguments: ``length=2, "a/b", True`` gives ``(("a/b", True), {"length": 2})``.

    Raises:
        ValueError: the text can't be read; the message is the part that can't.
    """
    positional: list[Any] = []
    named: dict[str, Any] = {}
    position = 0
    text = text.rstrip().removesuffix(",")
    while position < len(text):
        item = _ARGUMENT.match(text, position)
        if item is None:
            raise ValueError(text[position:])
        value = item["quoted"][1:-1] if item["quoted"] else _constant_or_number(item["bare"])
        if item["name"]:
            named[item["name"]] = value
        else:
            positional.append(value)
        position = item.end()
    return tuple(positional), named


def _constant_or_number(word: str) -> Any:
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    if word.lstrip("+-")[:1].isalpha():
        return word  # `any(nan, inf)` means the words
    for convert in (int, float):
        try:
            return convert(word)
        except ValueError:
            continue
    return word


class Rule:
    """Describe one URL pattern: which paths and methods it answers, and what for.

    The keywords are those of Werkzeug's ``Rule``. What is wrong with a rule by itself is raised here; what is wrong
    with it in a map (an unknown converter, a rule that another one hides) when it is added.

    Args:
        string: the pattern. It starts with a slash.
        endpoint: the name that URLs are built by. It may be left out only where `redirect_to` is given.
        methods: the methods it answers; None answers all. GET brings HEAD.
        defaults: values that the endpoint gets although they are not in the path.
        subdomain: the subdomain, itself a pattern, where the map matches subdomains.
        host: the host, itself a pattern, where the map matches hosts.
        build_only: True for a rule that only gives URLs.
        strict_slashes: False lets the path with and without its last slash match. None takes the map's setting.
        merge_slashes: False keeps ``//`` in this rule. None takes the map's setting.
        redirect_to: a target with placeholders, or a function ``(urls, **values) -> str`` that returns one.
        alias: True redirects to the rule of the same endpoint that is no alias.
        websocket: refused, for a WSGI server has no WebSockets.

    Attributes:
        rule: the pattern's text.
        methods: a frozenset, or None for all.
        arguments: the names that the pattern and `defaults` bind.
    """

    def __init__(
        self,
        string: str,
        *,
        endpoint: str = "",
        methods: Iterable[str] | None = None,
        defaults: Mapping[str, Any] | None = None,
        subdomain: str | None = None,
        host: str | None = None,
        build_only: bool = False,
        strict_slashes: bool | None = None,
        merge_slashes: bool | None = None,
        redirect_to: str | Callable[..., str] | None = None,
        alias: bool = False,
        websocket: bool = False,
    ) -> None:
        where = f"Rule {string!r}"
        if not string.startswith("/"):
            raise ConfigurationError(complaint(where, "its text", "a leading slash", string, f"Write {'/' + string!r}"))
        if websocket:
            remedy = "Serve WebSockets beside the WSGI application"
            raise ConfigurationError(
                complaint(where, "websocket", "False, as WSGI has no WebSockets", websocket, remedy)
            )
        check_flags(where, build_only=build_only, alias=alias)
        if strict_slashes is not None:
            check_flags(where, strict_slashes=strict_slashes)
        if merge_slashes is not None:
            check_flags(where, merge_slashes=merge_slashes)
        if not endpoint and redirect_to is None:
            raise ConfigurationError(complaint(where, "endpoint", "a name", endpoint))
        self.rule = string
        self.endpoint = endpoint
        self.methods = None if methods is None else _method_set(where, methods)
        self.defaults = dict(defaults) if defaults else None
        self.subdomain = subdomain
        self.host = host
        self.build_only = build_only
        self.strict_slashes = strict_slashes
        self.merge_slashes = merge_slashes
        self.redirect_to = redirect_to
        self.alias = alias
        self.segments = parse_rule(string)
        in_path = _names_in(self.segments)
        # A map compares either the subdomain or the host, so that both may bind a name.
        for names in (in_path, in_path + _names_of(subdomain), in_path + _names_of(host)):
            if len(set(names)) != len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise ConfigurationError(
                    complaint(where, "its placeholders", "each name once", twice, "Rename one of them")
                )
        names = in_path + _names_of(subdomain) + _names_of(host)
        self.arguments = frozenset(names) | frozenset(self.defaults) if self.defaults else frozenset(names)

    def __repr__(self) -> str:
        methods = f" ({', '.join(sorted(self.methods))})" if self.methods is not None else ""
        return f"<{type(self).__name__} {self.rule!r}{methods} -> {self.endpoint}>"


def _names_in(segments: tuple[Segment, ...]) -> list[str]:
    return [piece.name for segment in segments for piece in segment if type(piece) is Variable]


def _names_of(pattern: str | None) -> list[str]:
    return [] if pattern is None or "<" not in pattern else _names_in(parse_rule(pattern))


@lru_cache(maxsize=256)
def _normal_methods(methods: tuple[str, ...]) -> frozenset[str]:
    upper = {method.upper() for method in methods}
    return frozenset(upper | {"HEAD"} if "GET" in upper else upper)


def _method_set(where: str, methods: Iterable[str]) -> frozenset[str]:
    if isinstance(methods, str):
        raise ConfigurationError(complaint(where, "methods", "a list of names", methods, f"Write [{methods!r}]"))
    return _normal_methods(tuple(methods))
