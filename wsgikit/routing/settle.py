"""The long way to an answer: for redirects, 405, refused values, and all that the short walk can't decide."""

from __future__ import annotations

__all__ = ["settle"]

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from wsgikit.routing.build import provides_defaults_for
from wsgikit.routing.converters import ValidationError
from wsgikit.routing.match import BAD_REQUEST, NOT_FOUND, Match, Miss, matched
from wsgikit.routing.redirects import Binding, location, quote_path, redirect_target
from wsgikit.routing.request_path import ENCODED_SLASH
from wsgikit.routing.trie import MISSING_SLASH, Candidate, Node, collect

if TYPE_CHECKING:
    from wsgikit.routing.build import UrlBuilder
    from wsgikit.routing.parts import BoundRule

_SLASHES = re.compile("/{2,}")


def settle(
    root: Node,
    builder: UrlBuilder,
    path: str,
    method: str,
    binding: Binding,
    is_merging: bool,
    redirects_defaults: bool,
) -> Match | Miss:
    """Return the match of a path, or the miss, with every rule that has a say about it weighed."""
    try:
        path.replace(ENCODED_SLASH, "").encode()
    except UnicodeEncodeError:
        return BAD_REQUEST
    if path:
        path = f"/{path.lstrip('/')}"
    allowed: set[str] = set()
    for candidate, values in _fitting(root, binding.domain, path, method, allowed):
        if candidate.fit is MISSING_SLASH and candidate.bound.is_strict:
            return Miss("redirect", location=location(binding, quote_path(f"{path}/")))
        return _finish(candidate.bound, values, method, binding, builder, redirects_defaults)
    if is_merging and "//" in path:
        merged = _SLASHES.sub("/", path)
        for candidate, _ in _fitting(root, binding.domain, merged, method, allowed):
            if candidate.fit is MISSING_SLASH and candidate.bound.is_strict:
                return Miss("redirect", location=location(binding, quote_path(f"{merged}/")))
            if candidate.bound.is_merging:
                return Miss("redirect", location=location(binding, quote_path(merged)))
    return Miss("method_not_allowed", frozenset(allowed)) if allowed else NOT_FOUND


def _fitting(
    root: Node, domain: str, path: str, method: str, allowed: set[str]
) -> Iterator[tuple[Candidate, dict[str, Any]]]:
    """Iterate over the rules that take the path, best first; add the methods of those that don't take this one."""
    segments = path.split("/")
    segments[0] = domain
    candidates: list[Candidate] = []
    collect(root, segments, 0, candidates)
    has_encoded_slashes = ENCODED_SLASH in path
    for candidate in sorted(candidates):
        bound = candidate.bound
        takes_method = bound.methods is None or method in bound.methods
        if not takes_method and candidate.fit is MISSING_SLASH:
            continue
        try:
            values = bound.values_of(segments, has_encoded_slashes)
        except ValidationError:
            continue
        if takes_method:
            yield candidate, values
        else:
            allowed |= bound.methods or frozenset()


def _finish(
    bound: BoundRule,
    values: dict[str, Any],
    method: str,
    binding: Binding,
    builder: UrlBuilder,
    redirects_defaults: bool,
) -> Match | Miss:
    """Return the match, or the redirect that it becomes."""
    if redirects_defaults:
        canonical = _canonical(bound, values, method, binding, builder)
        if canonical is not None:
            domain, path = canonical
            return Miss("redirect", location=location(binding, path, domain))
    if bound.rule.redirect_to is not None:
        return Miss("redirect", location=redirect_target(bound, values, binding, builder.build_for))
    return matched(bound.rule, values)


def _canonical(
    bound: BoundRule, values: dict[str, Any], method: str, binding: Binding, builder: UrlBuilder
) -> tuple[str, str] | None:
    """Return domain and path of the rule that should be seen in the place of this one; None if it is itself."""
    writers = builder.writers_of(bound.rule.endpoint)
    if bound.rule.alias:
        originals = [writer for writer in writers if not writer.bound.rule.alias]
        return builder.first_written(originals, values, method, binding)
    for writer in writers:
        if writer.bound is bound:
            return None
        if provides_defaults_for(writer.bound, bound) and writer.is_suitable(values, method):
            written = writer.write({**values, **writer.defaults})
            if written is not None:
                return written
    return None
