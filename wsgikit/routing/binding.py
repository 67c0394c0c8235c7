"""Making a rule ready for one map: converters are made, and what can't work is refused."""

from __future__ import annotations

__all__ = ["bind_rule", "make_converter"]

import re
from collections.abc import Callable, Mapping

from wsgikit.exceptions import ConfigurationError, complaint, did_you_mean
from wsgikit.routing.converters import BaseConverter, is_shareable
from wsgikit.routing.parts import BoundRule, DynamicPart, Part
from wsgikit.routing.rules import Rule, Segment, Variable, parse_arguments, parse_rule


def bind_rule(
    rule: Rule,
    order: int,
    make_converter: Callable[[str, str], BaseConverter],
    part_cache: dict[Segment, DynamicPart],
    *,
    domain: str,
    is_strict: bool,
    is_merging: bool,
) -> BoundRule:
    """Make a rule ready for a map.

    Args:
        make_converter: returns the converter of a name and the text of its arguments.
        part_cache: parts that may be shared by equal segments; it is filled here.
        domain: the rule's pattern for the subdomain or host; "" for none.
    """
    segments = rule.segments[1:]  # the empty text before the first slash
    if is_merging and "//" in rule.rule:
        segments = parse_rule(re.sub("/{2,}", "/", rule.rule))[1:]
    binder = _Binder(make_converter, part_cache)
    parts = [_domain_part(domain, rule, binder), *binder.parts(segments)]
    bound = BoundRule(rule, parts, domain, segments, order, is_strict, is_merging)
    for name in bound.converters.keys() & (rule.defaults or {}).keys():
        _check_default(bound, name)
    return bound


def _check_default(bound: BoundRule, name: str) -> None:
    value = (bound.defaults or {})[name]
    try:
        bound.converters[name].to_url(value)
    except (TypeError, ValueError) as error:
        where = f"Rule {bound.rule.rule!r}"
        raise ConfigurationError(
            complaint(where, f"the default of {name!r}", "a value that its converter can write", value, str(error))
        ) from error


def _domain_part(domain: str, rule: Rule, binder: _Binder) -> Part:
    if "<" not in domain and "/" not in domain:
        return domain
    segments = parse_rule(domain)
    part = binder.parts(segments)[0]
    if len(segments) > 1 or (type(part) is DynamicPart and part.is_final):
        where = f"Rule {rule.rule!r}"
        raise ConfigurationError(complaint(where, "subdomain or host", "a pattern that takes no slash", domain))
    return part


class _Binder:
    """Turns segments into parts."""

    def __init__(
        self, make_converter: Callable[[str, str], BaseConverter], part_cache: dict[Segment, DynamicPart]
    ) -> None:
        self.make_converter = make_converter
        self.part_cache = part_cache

    def parts(self, segments: tuple[Segment, ...]) -> list[Part]:
        result: list[Part] = []
        for index, segment in enumerate(segments):
            if not segment:
                result.append("")
            elif len(segment) == 1 and type(segment[0]) is str:
                result.append(segment[0])
            else:
                part = self.part_cache.get(segment)
                if part is None:
                    part = self._dynamic(segments, index)
                result.append(part)
                if part.is_final:
                    if part.is_suffixed:
                        result.append("")
                    break
        return result

    def _dynamic(self, segments: tuple[Segment, ...], index: int) -> DynamicPart:
        segment = segments[index]
        pieces: list[str | Variable] = list(segment)
        converters = [self.make_converter(p.converter, p.arguments) for p in segment if type(p) is Variable]
        if all(converter.part_isolating for converter in converters):
            part = DynamicPart(pieces, converters, is_final=False, is_suffixed=False)
            if all(is_shareable(type(converter)) for converter in converters):
                self.part_cache[segment] = part
            return _checked(part)
        for later in segments[index + 1 :]:
            pieces.append("/")
            pieces += later
            converters += [self.make_converter(p.converter, p.arguments) for p in later if type(p) is Variable]
        is_suffixed = pieces[-1] == "/"
        if is_suffixed:
            pieces.pop()
        return _checked(DynamicPart(pieces, converters, is_final=True, is_suffixed=is_suffixed))


def _checked(part: DynamicPart) -> DynamicPart:
    """Return the part; raise where the expressions of its converters can't stand in one, as two groups of one name."""
    if len(part.converters) > 1 and not all(is_shareable(type(converter)) for converter in part.converters):
        try:
            re.compile(part.content)
        except re.error as error:
            names = ", ".join(type(converter).__name__ for converter in part.converters)
            raise ConfigurationError(
                complaint(f"converters {names}", "their regex", "expressions that can stand in one", str(error))
            ) from error
    return part


def make_converter(
    owner: object, known: Mapping[str, type[BaseConverter]], cache: dict[tuple[str, str], BaseConverter]
) -> Callable[[str, str], BaseConverter]:
    """Return a function that makes the converter of a name and its arguments, as `owner` (the map) knows them."""

    def make(name: str, arguments: str) -> BaseConverter:
        found = cache.get((name, arguments))
        if found is not None:
            return found
        kind = known.get(name)
        where = f"converter {name!r}"
        if kind is None:
            names = ", ".join(sorted(known))
            raise ConfigurationError(complaint(where, "its name", f"one of {names}", name, did_you_mean(name, known)))
        try:
            positional, named = parse_arguments(arguments)
        except ValueError as error:
            raise ConfigurationError(
                complaint(where, "its arguments", "values or name=value, with commas between", str(error))
            ) from None
        try:
            converter = kind(owner, *positional, **named)  # type: ignore[arg-type]  # a RouteMap stands in for a Map
            if not is_shareable(kind):
                re.compile(converter.regex)  # what is wrong with it is told now
        except (TypeError, ValueError, re.error) as error:
            raise ConfigurationError(
                complaint(where, "its arguments", "what it takes", arguments, str(error))
            ) from error
        if is_shareable(kind):
            cache[(name, arguments)] = converter
        return converter

    return make
