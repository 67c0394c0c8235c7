"""A rule made ready for one map: its segments as parts with converters, tests and weights.

The weights are Werkzeug's: a literal segment before any placeholder; among those with placeholders more literal
pieces first, then longer ones, then more placeholders, then the weights of the converters. They are compared segment
by segment from the left, the domain being the first.
"""

from __future__ import annotations

__all__ = ["ENCODED_SLASH", "EXTRA_SEGMENT", "BoundRule", "DynamicPart", "Part"]

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from wsgikit.routing.converters import BaseConverter, PathConverter, python_converter, whole_segment_test
from wsgikit.routing.rules import Rule, Segment, Variable, parse_rule

Weight: TypeAlias = tuple[Any, ...]
_LITERAL: Weight = (0,)
EXTRA_SEGMENT: Weight = (2,)
"""Heavier than every part: it stands for the slash that a path has too many."""

ENCODED_SLASH = "\udc2f"
"""Stands for ``%2F`` in a path that was split before it was decoded; no decoded text can hold it."""


class DynamicPart:
    """One segment of a rule that holds placeholders, or the rest of the rule from one that may match slashes.

    Attributes:
        content: the regular expression that the part is; equal contents share a branch of the trie.
        weight: what it is compared by.
        names: its placeholders in order, and `converters` theirs.
        is_whole: the part is one placeholder and nothing else, so that it takes the whole segment.
        signature: equal for parts that take the same texts.
        is_final: it takes the rest of the path.
        is_suffixed: it takes the rest of the path, and the rule ends with a slash.
        is_compiled: `test` needs no expression, or has it.
        test: tells whether it matches a segment (or the rest), as a regular expression's `match` does.
    """

    __slots__ = (
        "_pattern",
        "content",
        "converters",
        "is_compiled",
        "is_final",
        "is_suffixed",
        "is_whole",
        "names",
        "signature",
        "test",
        "weight",
    )

    def __init__(
        self, pieces: list[str | Variable], converters: list[BaseConverter], is_final: bool, is_suffixed: bool
    ) -> None:
        self.names = [piece.name for piece in pieces if type(piece) is Variable]
        self.converters = converters
        self.is_final = is_final
        self.is_suffixed = is_suffixed
        self.is_whole = len(pieces) == 1 and not is_suffixed
        literals = [piece for piece in _without_slashes(pieces) if type(piece) is str]
        self.weight: Weight = (
            1,
            -len(literals),
            tuple([(number, -len(literal)) for number, literal in enumerate(literals)]),
            -len(converters),
            tuple([converter.weight for converter in converters]),
        )
        self.content = _expression(pieces, converters, is_suffixed)
        self.signature = (self.content, *[_identity(converter) for converter in converters])
        self._pattern: re.Pattern[str] | None = None
        test = whole_segment_test(converters[0]) if self.is_whole else None
        self.is_compiled = test is not None
        self.test: Callable[[str], Any] = test or self._first_test

    @property
    def pattern(self) -> re.Pattern[str]:
        """The compiled expression. Compiling is dear and most rules of a map are never met, so it waits until used."""
        if self._pattern is None:
            self._pattern = re.compile(self.content)
        return self._pattern

    def _first_test(self, segment: str) -> Any:
        self.test = self.pattern.match
        self.is_compiled = True
        return self.test(segment)

    def texts(self, target: str) -> list[str]:
        """Return the text of each placeholder in a target that the part matches."""
        if self.is_whole:
            return [target]
        found = self.pattern.match(target)
        if found is None:  # only a converter whose expression changed under our hands gets here
            raise ValueError(target)
        return [found[f"wsgikit_{number}"] for number in range(len(self.names))]


def _without_slashes(pieces: list[str | Variable]) -> list[str | Variable]:
    return [piece for piece in pieces if piece != "/"]


def _expression(pieces: list[str | Variable], converters: list[BaseConverter], is_suffixed: bool) -> str:
    """Return the regular expression of a part.

    Several `path` placeholders would try every way to share a path among them: cubic for three. Each but the last one
    is put in an atomic group with what stands between it and the next: the first place where that fits is kept. No
    match is lost, as a later `path` takes whatever an earlier one leaves, if it doesn't begin with a slash.
    """
    paths = _linear_paths(pieces, converters)
    text = ""
    number = 0
    for piece in pieces:
        if type(piece) is Variable:
            if number in paths:
                text += "" if number == paths[0] else "(?=[^/]))"
                text += "" if number == paths[-1] else "(?>"
            text += f"(?P<wsgikit_{number}>{converters[number].regex})"
            number += 1
        elif piece == "/":
            text += "/"
        else:
            text += re.escape(str(piece))
    if is_suffixed:
        # The slash at the end may be there or not; which of both decides about a redirect.
        text += "(?<!/)(/?)"
    return text + r"\Z"


def _linear_paths(pieces: list[str | Variable], converters: list[BaseConverter]) -> list[int]:
    """Return the numbers of the `path` placeholders, if there are several and the first fit of each is the only one.

    So it is if all that stands between two of them is text and segments whose placeholders end at a slash.
    """
    paths = [number for number, converter in enumerate(converters) if converter.regex == PathConverter.regex]
    if len(paths) < 2 or not all(
        converters[number].part_isolating or number in paths for number in range(len(converters))
    ):
        return []
    number = -1
    for piece, following in zip(pieces, [*pieces[1:], None], strict=True):
        if type(piece) is Variable:
            number += 1
            if paths[0] < number < paths[-1] and number not in paths and following != "/":
                return []
    return paths


Part: TypeAlias = str | DynamicPart
Trace: TypeAlias = tuple[tuple[bool, str], ...]


class BoundRule:
    """A rule as one map holds it, with the map's settings and converters filled in.

    Attributes:
        rule: the rule.
        parts: the domain's part, then those of the path; a literal one is its text.
        order: its number in the map.
        is_strict, is_merging: `strict_slashes` and `merge_slashes`, resolved.
        converters: by placeholder name.
        arguments: the names that it binds.
        weights, rank: what it is compared by; `rank` ends with the order of registration.
        bind: a faster `values_of`.
        may_redirect: it is an alias or has `redirect_to`.
        is_special: a match may become a redirect, for that or because of another rule's defaults.
    """

    __slots__ = (
        "_source",
        "_trace",
        "arguments",
        "bind",
        "converters",
        "defaults",
        "dynamic",
        "is_merging",
        "is_special",
        "is_strict",
        "may_redirect",
        "methods",
        "order",
        "parts",
        "rank",
        "rule",
        "signature",
        "weights",
    )

    def __init__(
        self,
        rule: Rule,
        parts: list[Part],
        domain: str,
        segments: tuple[Segment, ...],
        order: int,
        is_strict: bool,
        is_merging: bool,
    ) -> None:
        self.rule = rule
        self.parts = parts
        self._source = (domain, segments)
        self._trace: Trace | None = None
        self.order = order
        self.is_strict = is_strict
        self.is_merging = is_merging
        self.methods = rule.methods
        self.defaults = rule.defaults
        self.may_redirect = rule.alias or rule.redirect_to is not None
        self.is_special = self.may_redirect
        self.dynamic = [(position, part) for position, part in enumerate(parts) if type(part) is DynamicPart]
        self.converters = {
            name: c for _, part in self.dynamic for name, c in zip(part.names, part.converters, strict=True)
        }
        self.weights = tuple([_LITERAL if type(part) is str else part.weight for part in parts])  # type: ignore[union-attr]
        self.rank = (self.weights, order)
        # A rule's pattern for the subdomain means nothing to a map that matches hosts, and the other way round.
        self.arguments = frozenset(self.converters).union(self.defaults or ())
        # Two rules with one signature take the same paths.
        self.signature = tuple([part if type(part) is str else part.signature for part in parts])  # type: ignore[union-attr]
        self.bind = self._binder()

    def _binder(self) -> Callable[[list[str]], dict[str, Any]]:
        """Return what does the same as `values_of`, for the usual rules in one step.

        Where it raises any `ValueError`, `values_of` is to be asked what that means.
        """
        if self.defaults or not all(part.is_whole for _, part in self.dynamic) or not 1 <= len(self.dynamic) <= 2:
            return self.values_of
        position, part = self.dynamic[-1]
        name, convert = part.names[0], python_converter(part.converters[0]) or str
        if len(self.dynamic) == 1:
            if part.is_final:
                return lambda segments: {name: convert("/".join(segments[position:]))}
            if convert is str:
                return lambda segments: {name: segments[position]}
            return lambda segments: {name: convert(segments[position])}
        if part.is_final:
            return self.values_of
        first_position, first = self.dynamic[0]
        first_name, convert_first = first.names[0], python_converter(first.converters[0]) or str
        return lambda segments: {first_name: convert_first(segments[first_position]), name: convert(segments[position])}

    @property
    def trace(self) -> Trace:
        """The rule as it is written into a URL: (is a placeholder, its name or the literal); ``|`` ends the domain."""
        if self._trace is None:
            self._trace = _trace(*self._source)
        return self._trace

    def values_of(self, segments: list[str], has_encoded_slashes: bool = False) -> dict[str, Any]:
        """Return what a path binds that the rule matches.

        Raises:
            ValidationError: a converter refused its text.
        """
        values: dict[str, Any] = {}
        for position, part in self.dynamic:
            target = "/".join(segments[position:]) if part.is_final else segments[position]
            for name, converter, text in zip(part.names, part.converters, part.texts(target), strict=True):
                if has_encoded_slashes:
                    text = text.replace(ENCODED_SLASH, "/")
                values[name] = converter.to_python(text)
        if self.defaults:
            values.update(self.defaults)
        return values


def _identity(converter: BaseConverter) -> Any:
    state = {name: value for name, value in vars(converter).items() if name != "map"}
    return (type(converter), repr(sorted(state.items())))


def _trace(domain: str, segments: tuple[Segment, ...]) -> Trace:
    trace: list[tuple[bool, str]] = []
    if "<" in domain:
        for segment in parse_rule(domain):
            trace += [_step(piece) for piece in segment]
    elif domain:
        trace.append((False, domain))
    trace.append((False, "|"))
    for segment in segments:
        trace.append((False, "/"))
        trace += [_step(piece) for piece in segment]
    return tuple(trace)


def _step(piece: str | Variable) -> tuple[bool, str]:
    return (True, piece.name) if type(piece) is Variable else (False, piece)  # type: ignore[return-value]
