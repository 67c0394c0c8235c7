"""The trie of a map's rules, one level per segment, and the two walks through it.

`walk` is the short way: it finds the rule that wins, or that none is near, and gives up (`UNDECIDED`) wherever
something else than a plain match might come of it: a redirect, a method that isn't allowed. `collect` is the long way:
it finds every rule that has a say about a path. Both see the same trie, which never changes once it was made: a map
that gets a rule makes a new one.

Priority. Rules are compared by their own weights, segment by segment from the left; where those are equal the rule
that was added first wins. So a rule that doesn't match a path has no say about it. Werkzeug instead descends into
equally heavy branches in the order in which any rule first opened them.
"""

from __future__ import annotations

__all__ = [
    "EXTRA_SLASH",
    "MATCHES",
    "MISSING_SLASH",
    "UNDECIDED",
    "Candidate",
    "Node",
    "collect",
    "grow",
    "literal_paths",
    "walk",
]

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from wsgikit.routing.parts import EXTRA_SEGMENT, BoundRule, DynamicPart
from wsgikit.routing.rules import Rule

# How a rule and a path fit.
MATCHES: Final = "matches"
MISSING_SLASH: Final = "missing slash"
EXTRA_SLASH: Final = "extra slash"

UNDECIDED: Final = BoundRule.__new__(BoundRule)
"""In the place of a rule: the walk doesn't decide. As a rule it is special, like those whose match may redirect."""
UNDECIDED.is_special = True

# For these a rule that takes every method is found in one hop; any other method takes the walk.
_USUAL_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_NOTHING: Mapping[str, Any] = {}

_STEP = 0
_REST = 1
_FORK = 2


class Node:
    """Where a path may stand after some of its segments.

    Attributes:
        static: the next node for a literal segment.
        branches: what dynamic parts lead on, in order of weight, None for none: lists of (test, node, kind). `_STEP`
            takes one segment and `_REST` all; a `_FORK` holds branches of equal weight in the place of its node.
        lone: the only branch, if there is just one and it takes one segment.
        edges: the same as `branches` before they were ordered: part and node by what makes the part.
        rules: the rules that end here.
        final, otherwise: what ends the walk here, by method, and for any other method.
        extra, extra_otherwise: the same if one slash too many is left; both are empty if no rule allows that.
    """

    __slots__ = ("branches", "edges", "extra", "extra_otherwise", "final", "lone", "otherwise", "rules", "static")

    def __init__(self) -> None:
        self.static: dict[str, Node] = {}
        self.branches: list[Any] | None = None
        self.lone: list[Any] | None = None
        self.edges: dict[Any, tuple[DynamicPart, Node]] | None = None
        self.rules: list[BoundRule] | None = None
        self.final: Mapping[str, BoundRule | None] = _NOTHING
        self.otherwise: BoundRule | None = None
        self.extra: Mapping[str, BoundRule | None] | None = None
        self.extra_otherwise: BoundRule | None = None


class Candidate(NamedTuple):
    """A rule that has a say about a path. Candidates sort by priority."""

    rank: Any
    fit: str
    bound: BoundRule


def grow(rules: Iterable[BoundRule]) -> Node:
    """Make the trie of some rules, given in the order of their registration. Its first level is the domain."""
    root = Node()
    ends: list[Node] = []
    forks: list[Node] = [root]
    for bound in rules:
        node = before = root
        for part in bound.parts:
            before = node
            if type(part) is str:
                following = node.static.get(part)
                if following is None:
                    following = node.static[part] = Node()
            else:
                following = _edge(node, part, forks)  # type: ignore[arg-type]
            node = following
        if node.rules is None:
            node.rules = []
            ends.append(node)
            if bound.parts[-1] == "":
                ends.append(before)
        node.rules.append(bound)
    for node in forks:
        _order_branches(node)
    for node in ends:
        _decide(node)
    return root


def _edge(node: Node, part: DynamicPart, forks: list[Node]) -> Node:
    if node.edges is None:
        node.edges = {}
        forks.append(node)
    key = (part.content, part.is_final, part.is_suffixed, part.weight)
    found = node.edges.get(key)
    if found is None:
        found = node.edges[key] = (part, Node())
    return found[1]


def _order_branches(node: Node) -> None:
    if not node.edges:
        return
    by_weight: dict[Any, list[list[Any]]] = {}
    for part, following in node.edges.values():
        branch = [part.test, following, _REST if part.is_final else _STEP]
        if not part.is_compiled:
            # The first test compiles the expression; from then on the branch has its bound `match`.
            branch[0] = _compiling(part, branch)
        by_weight.setdefault(part.weight, []).append(branch)
    groups = [by_weight[weight] for weight in sorted(by_weight)] if len(by_weight) > 1 else by_weight.values()
    branches = [group[0] if len(group) == 1 else [bool, group, _FORK] for group in groups]
    node.branches = branches
    if len(branches) == 1 and branches[0][2] == _STEP:
        node.lone = branches[0]


def _compiling(part: DynamicPart, branch: list[Any]) -> Any:
    def test(segment: str) -> Any:
        branch[0] = part.pattern.match
        return branch[0](segment)

    return test


def _decide(node: Node) -> None:
    """Work out what ends a walk at this node, for each method that a rule here names and for any other."""
    slash = node.static.get("")
    own = node.rules or []
    with_slash = slash.rules if slash is not None and slash.rules is not None else []
    if len(own) == 1 and not with_slash:
        only = own[0]
        node.final = _NOTHING if only.methods is None else dict.fromkeys(only.methods, only)
        node.otherwise = only if only.methods is None else UNDECIDED
    else:
        node.final = {method: _end(method, own, with_slash) for method in _methods_of([*own, *with_slash])}
        node.otherwise = _end(None, own, with_slash)
    lenient = [bound for bound in own if not bound.is_strict]
    if lenient:
        node.extra = {method: _end(method, lenient, []) for method in _methods_of(lenient)}
        node.extra_otherwise = _end(None, lenient, [])


def _methods_of(rules: list[BoundRule]) -> set[str]:
    return {method for bound in rules for method in bound.methods or ()}


def _end(method: str | None, own: list[BoundRule], with_slash: list[BoundRule]) -> BoundRule | None:
    for bound in own:
        if bound.methods is None or method in bound.methods:
            return bound
    for bound in with_slash:
        if bound.methods is None or method in bound.methods:
            return UNDECIDED if bound.is_strict else bound
    # A rule is here but not for this method: another one may be elsewhere, or it is a 405.
    return UNDECIDED if own else None


def literal_paths(rules: Iterable[BoundRule], domain: str) -> dict[str, dict[str, Rule | None]]:
    """Return the rule of each path without placeholders and each method; None if the walk must decide.

    No other rule can come before such a one: a literal segment is before any placeholder.
    """
    paths: dict[str, dict[str, Rule | None]] = {}
    for bound in rules:
        if bound.dynamic or bound.parts[0] != domain:
            continue
        path = "/".join(["", *bound.parts[1:]])  # type: ignore[list-item]
        if path.startswith("//"):
            continue  # a path never starts so: its leading slashes count as one
        by_method = paths.get(path)
        if by_method is None:
            by_method = paths[path] = {}
        rule = None if bound.is_special or bound.defaults else bound.rule
        for method in _USUAL_METHODS if bound.methods is None else bound.methods:
            by_method.setdefault(method, rule)
    return paths


def walk(node: Node, segments: list[str], index: int, count: int, method: str) -> BoundRule | None:
    """Return the rule that wins for the segments from `index` on, `UNDECIDED`, or None if no rule is near."""
    while index < count:
        segment = segments[index]
        index += 1
        following = node.static.get(segment)
        branches = node.branches
        if branches is None and (segment or node.extra is None):
            if following is None:
                return None
            node = following
            continue
        if following is not None:
            found = walk(following, segments, index, count, method)
            if found is not None:
                return found
        elif segment and node.lone is not None:
            # Nowhere to come back to: go on without a call.
            test, following, _ = node.lone
            if not test(segment):
                return None
            node = following
            continue
        for test, following, kind in branches or ():
            if kind == _STEP:
                found = walk(following, segments, index, count, method) if test(segment) else None
            elif kind == _REST:
                found = _walk_rest(test, following, segments, index - 1, method)
            else:
                found = _walk_fork(following, segments, index, count, method)
            if found is not None:
                return found
        if not segment and index == count and node.extra is not None:
            return node.extra.get(method, node.extra_otherwise)
        return None
    return node.final.get(method, node.otherwise)


def _walk_rest(test: Any, node: Node, segments: list[str], index: int, method: str) -> BoundRule | None:
    found = test("/".join(segments[index:]))
    if not found:
        return None
    rest = _rest_after(found, node)
    return walk(node, rest, 0, len(rest), method)


def _rest_after(found: Any, node: Node) -> list[str]:
    """Return what is left after a part that took the rest: a last slash, where the rule ends with one."""
    # Only a rule with a slash at its end goes on after such a part, and its last group is that slash.
    return [""] if node.static and found[found.re.groups] == "/" else []


def _walk_fork(group: list[list[Any]], segments: list[str], index: int, count: int, method: str) -> BoundRule | None:
    """Walk equally heavy branches: of the rules they lead to the one with the least rank wins."""
    best: BoundRule | None = None
    for test, node, kind in group:
        if kind == _STEP:
            found = walk(node, segments, index, count, method) if test(segments[index - 1]) else None
        else:
            found = _walk_rest(test, node, segments, index - 1, method)
        if found is None:
            continue
        if found is UNDECIDED:
            return UNDECIDED
        if best is not None and segments[-1] == "":
            # One of them may be a rule that takes a slash too many, which ranks lower than the rule itself.
            return UNDECIDED
        if best is None or found.rank < best.rank:
            best = found
    return best


def collect(node: Node, segments: list[str], index: int, found: list[Candidate]) -> None:
    """Add every rule that has a say about the segments from `index` on, whatever its methods."""
    if index == len(segments):
        found += [Candidate(bound.rank, MATCHES, bound) for bound in node.rules or ()]
        slash = node.static.get("")
        if slash is not None:
            found += [Candidate(bound.rank, MISSING_SLASH, bound) for bound in slash.rules or ()]
        return
    segment = segments[index]
    following = node.static.get(segment)
    if following is not None:
        collect(following, segments, index + 1, found)
    for part, following in (node.edges or {}).values():
        if not part.is_final:
            if part.test(segment):
                collect(following, segments, index + 1, found)
        else:
            matched = part.test("/".join(segments[index:]))
            if matched:
                collect(following, _rest_after(matched, following), 0, found)
    if not segment and index == len(segments) - 1:
        found += [
            Candidate(((*bound.weights, EXTRA_SEGMENT), bound.order), EXTRA_SLASH, bound)
            for bound in node.rules or ()
            if not bound.is_strict
        ]
