"""Random maps and paths, held against Werkzeug.

Two oracles, both made of Werkzeug:

- the whole map, if none of our deliberate differences is in play: every outcome must be equal;
- each rule alone in a map, the outcomes then put together by the rules' own weights: that is what the deliberate
  differences R4 ("a rule that doesn't match has no say") and B70 ("a refused value gives the next rule its turn")
  amount to, and it must hold for every map.

``WSGIKIT_ROUTING_PAIRS=100000`` sets how many pairs of map and path are tried; the suite tries 2,000.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
import werkzeug.routing as wz
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from wsgikit.exceptions import ApplicationError, ConfigurationError
from wsgikit.routing.match import Match
from wsgikit.routing.matcher import BuildError, RouteMap
from wsgikit.routing.rules import Rule
from wsgikit.routing.settle import settle

PAIRS = int(os.environ.get("WSGIKIT_ROUTING_PAIRS", "2000"))
PATHS_PER_MAP = 10 if PAIRS <= 2000 else 50
HOST = "example.com"

in_bulk = settings(
    max_examples=max(PAIRS // PATHS_PER_MAP, 1),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=PAIRS <= 2000,
    database=None,
)


class Letters(wz.BaseConverter):
    """Takes letters, and refuses some of them only when it converts."""

    regex = "[a-c]+"
    weight = 70

    def to_python(self, value: str) -> str:
        if value.startswith("b"):
            raise wz.ValidationError()
        return value.upper()

    def to_url(self, value: Any) -> str:
        if value == "refused":
            raise wz.ValidationError()
        return str(value).lower()


class Rest(wz.BaseConverter):
    """Takes slashes, and may take nothing."""

    regex = ".*?"
    part_isolating = False
    weight = 150


class Grouped(wz.BaseConverter):
    """Has its own groups, named and not."""

    regex = r"(a|b)(?P<own>\d)?"


CUSTOM = {"letters": Letters, "rest": Rest, "grouped": Grouped}
_refusals: list[str] = []


def _recording(kind: type[wz.BaseConverter]) -> type[wz.BaseConverter]:
    class Recording(kind):  # type: ignore[valid-type, misc]
        regex = kind.regex
        part_isolating = kind.part_isolating

        def to_python(self, value: str) -> Any:
            try:
                return super().to_python(value)
            except wz.ValidationError:
                _refusals.append(value)
                raise

    return Recording


RECORDING = {
    "int": _recording(wz.IntegerConverter),
    "float": _recording(wz.FloatConverter),
    "letters": _recording(Letters),
    "rest": Rest,
    "grouped": Grouped,
}


class Spec(NamedTuple):
    text: str
    options: dict[str, Any]


class Table(NamedTuple):
    specs: list[Spec]
    options: dict[str, Any]

    def ours(self) -> RouteMap:
        table = RouteMap(converters=CUSTOM, **self.options)
        for spec in self.specs:
            table.add(Rule(spec.text, **spec.options))
        return table

    def theirs(self) -> tuple[wz.Map, list[wz.Rule]]:
        rules = [wz.Rule(spec.text, **spec.options) for spec in self.specs]
        return wz.Map(rules, converters=RECORDING, **self.options), rules


VARIABLES = [
    "<{}>", "<{}>", "<string:{}>", "<string(length=2):{}>", "<string(minlength=2, maxlength=3):{}>", "<int:{}>",
    "<int:{}>",
    "<int(min=5):{}>", "<int(fixed_digits=2):{}>", "<int(signed=True):{}>", "<float:{}>", "<any(a, b, 'a-b'):{}>",
    "<uuid:{}>", "<path:{}>", "<letters:{}>", "<rest:{}>", "<grouped:{}>",
]  # fmt: skip
AFFIXED = ["a{}", "{}b", "{}-{}", "{}.{}", "a-{}"]
LITERALS = ["a", "b", "ab", "5", "a-b"]
WORDS = ["a", "b", "ab", "ba", "abc", "5", "12", "7", "3.5", "-4", "a-b", "a5", "x", "é", "a b", "٣", "line\nbreak"]
WORDS += ["12345678-1234-5678-1234-567812345678"]


@st.composite
def rule_texts(draw: Any, first: int = 0) -> str:
    names = iter(f"v{number}" for number in range(first, 99))
    segments = []
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.integers(0, 9))
        if kind < 4:
            segments.append(draw(st.sampled_from(LITERALS)))
        elif kind < 8:
            segments.append(draw(st.sampled_from(VARIABLES)).format(next(names)))
        elif kind < 9:
            form = draw(st.sampled_from(AFFIXED))
            holes = [draw(st.sampled_from(VARIABLES)).format(next(names)) for _ in range(form.count("{}"))]
            segments.append(form.format(*holes))
        elif segments:
            segments.append("")
    return "/" + "/".join(segments) + draw(st.sampled_from(["", "/"]))


def _names(text: str) -> list[str]:
    return re.findall(r"(v\d+)>", text)


METHODS = st.sampled_from([None, None, None, ["GET"], ["POST"], ["GET", "POST"], ["PUT"]])
TERNARY = st.sampled_from([None, None, None, True, False])


@st.composite
def specs(draw: Any, is_bare: bool, with_subdomains: bool) -> Spec:
    text = draw(rule_texts())
    options: dict[str, Any] = {
        "endpoint": draw(st.sampled_from(["one", "two", "three", "four"])),
        "methods": draw(METHODS),
        "strict_slashes": draw(TERNARY),
        "merge_slashes": draw(TERNARY),
    }
    if with_subdomains:
        options["subdomain"] = draw(st.sampled_from([None, "api", "<sub>", "x-<sub>"]))
    if not is_bare:
        names = _names(text)
        if draw(st.integers(0, 3)) == 0:
            names = [*names, "v0", "v1"]
            options["defaults"] = {name: draw(st.sampled_from([5, "a"])) for name in {draw(st.sampled_from(names))}}
        match draw(st.integers(0, 11)):
            case 0:
                options["alias"] = True
            case 1:
                options["redirect_to"] = "".join(f"t/<{name}>/" for name in _names(text)) or "/t"
            case 2:
                options["redirect_to"] = lambda urls, **values: "t/" + "-".join(sorted(values))
            case 3:
                options["build_only"] = True
    return Spec(text, options)


@st.composite
def tables(draw: Any, is_bare: bool = False) -> Table:
    with_subdomains = draw(st.integers(0, 4)) == 0
    chosen = draw(st.lists(specs(is_bare, with_subdomains), min_size=1, max_size=7))
    options = {
        "strict_slashes": draw(st.booleans()),
        "merge_slashes": draw(st.booleans()),
        "redirect_defaults": draw(st.booleans()),
    }
    if with_subdomains:
        options["default_subdomain"] = draw(st.sampled_from(["", "www", "api"]))
    # What is no map for one of the two can't be compared: conflicts are refused here and not there.
    kept: list[Spec] = []
    ours = RouteMap(converters=CUSTOM, **options)
    for spec in chosen:
        try:
            kind = wz.Rule if spec.options.get("defaults") else MatchOnly  # a default may not fit its converter
            wz.Map([kind(spec.text, **spec.options)], converters=RECORDING, **options)
            ours.add(Rule(spec.text, **spec.options))
        except (ConfigurationError, ValueError, TypeError):
            continue
        kept.append(spec)
    return Table(kept, options)


def random_path(table: Table, random: Random) -> str:
    if table.specs and random.randrange(5):
        text = random.choice(table.specs).text
        path = re.sub(r"<[^>]*>", lambda hole: random.choice(WORDS), text)
        match random.randrange(8):
            case 0:
                path = path.rstrip("/")
            case 1:
                path += "/"
            case 2:
                path = path.replace("/", "//", random.randint(1, 3))
            case 3:
                path += "/" + random.choice(WORDS)
        return path
    return "/" + "/".join(random.choice([*WORDS, *WORDS, ""]) for _ in range(random.randrange(5)))


@st.composite
def cases(draw: Any, is_bare: bool = False) -> tuple[Table, list[tuple[str, str, str | None]]]:
    table = draw(tables(is_bare))
    subdomains = [None, "", "api", "x-y"] if "default_subdomain" in table.options else [None]
    # Hypothesis draws the map, which is worth shrinking; a seed for the paths makes 100,000 pairs a matter of minutes.
    random = Random(draw(st.integers(0, 2**32)))
    return table, [
        (random_path(table, random), random.choice(["GET", "GET", "POST", "HEAD"]), random.choice(subdomains))
        for _ in range(PATHS_PER_MAP)
    ]


def their_outcome(table: wz.Map, path: str, method: str, subdomain: str | None) -> tuple[Any, ...]:
    adapter = table.bind(HOST, "/app", subdomain, query_args="q=1")
    try:
        rule, values = adapter.match(path, method, return_rule=True)
    except wz.RequestRedirect as error:
        return ("redirect", error.new_url)
    except MethodNotAllowed as error:
        return ("405", frozenset(error.valid_methods or ()))
    except NotFound:
        return ("404",)
    except (wz.BuildError, HTTPException, KeyError, TypeError, ValueError) as error:
        return ("error", type(error).__name__)
    return ("match", id(rule), dict(values))


def our_outcome(table: RouteMap, path: str, method: str, subdomain: str | None) -> tuple[Any, ...]:
    try:
        found = table.find(path, method, host=HOST, subdomain=subdomain, script_name="/app", query="q=1")
    except (BuildError, KeyError, TypeError, ValueError) as error:
        return ("error", type(error).__name__)
    if isinstance(found, Match):
        return ("match", id(found.rule), found.values)
    if found.kind == "redirect":
        return ("redirect", found.location)
    return ("405", found.methods) if found.kind == "method_not_allowed" else ("404",)


def number_of(outcome: tuple[Any, ...], rules: list[Any]) -> tuple[Any, ...]:
    """Say which rule matched by its number, so that outcomes of two maps compare."""
    if outcome[0] != "match":
        return outcome
    return ("match", [id(rule) for rule in rules].index(outcome[1]), outcome[2])


def _has_forks(table: wz.Map) -> bool:
    """Return whether Werkzeug's trie has equally heavy branches, whose order depends on which rule opened them (R4)."""
    pending = [table._matcher._root]
    table.update()
    while pending:
        state = pending.pop()
        if any(a[0].weight == b[0].weight for a, b in zip(state.dynamic, state.dynamic[1:], strict=False)):
            return True
        pending += [*state.static.values(), *[following for _, following in state.dynamic]]
    return False


def _merged(path: str) -> str:
    return re.sub("/{2,}", "/", path)


def normal(path: str) -> str:
    """Return a path as both take it: any number of leading slashes is one."""
    return f"/{path.lstrip('/')}" if path else ""


seen: Counter[str] = Counter()


@in_bulk
@given(cases())
def test_a_whole_map_answers_as_werkzeug_does(case: tuple[Table, list[tuple[str, str, str | None]]]) -> None:
    table, requests = case
    ours = table.ours()
    theirs, their_rules = table.theirs()
    our_rules = list(ours.iter_rules())
    has_forks = _has_forks(theirs)
    for path, method, subdomain in requests:
        mine = number_of(our_outcome(ours, path, method, subdomain), our_rules)
        other = number_of(their_outcome(theirs, path, method, subdomain), their_rules)
        seen[f"whole: {other[0]}"] += 1
        if mine == other:
            continue
        difference = _deliberate(table, path, subdomain, mine, other, has_forks)
        seen[f"whole: differs: {difference}"] += 1
        assert difference, f"{table} {path!r} {method} {subdomain!r}:\nours   {mine}\ntheirs {other}"


# What ours and Werkzeug's say where a rule that keeps slashes stops Werkzeug from asking the others.
KEPT_SLASHES = {("redirect", "404"), ("redirect", "405"), ("405", "404"), ("405", "405")}


def _deliberate(table: Table, path: str, subdomain: str | None, mine: Any, other: Any, has_forks: bool) -> str:
    """Name the deliberate difference that explains two outcomes; "" for none. Each has its own case elsewhere."""
    if mine[0] == "match" and table.specs[mine[1]].options.get("alias"):
        return "an alias that has no original for these values answers itself"
    alone = [Alone(table, number) for number in range(len(table.specs))]
    if any(rule.refuses(candidate, subdomain) for rule in alone for candidate in (path, _merged(path))):
        return "a refused value gives the next rule its turn (B70)"
    if has_forks:
        return "a rule that doesn't match has no say: branches of equal weight (R4)"
    outcomes = (mine[0], other[0])
    if "//" in path and outcomes in KEPT_SLASHES and not all(rule.is_merging for rule in alone):
        return "a rule that doesn't match has no say: one with merge_slashes=False (R4)"
    return ""


class MatchOnly(wz.Rule):
    """Werkzeug's rule without the functions that build URLs, which take most of the time to make."""

    def _compile_builder(self, append_unknown: bool = True) -> Any:
        return lambda rule, **values: ("", "")


class Alone:
    """One rule of a map, alone in maps of Werkzeug's."""

    def __init__(self, table: Table, number: int) -> None:
        spec = table.specs[number]
        is_strict = spec.options["strict_slashes"]
        is_merging = spec.options["merge_slashes"]
        self.is_strict = table.options["strict_slashes"] if is_strict is None else is_strict
        self.is_merging = table.options["merge_slashes"] if is_merging is None else is_merging
        bare = {name: spec.options[name] for name in ("endpoint", "methods", "subdomain") if name in spec.options}
        bare["merge_slashes"] = self.is_merging
        self.number = number
        options = {**table.options, "merge_slashes": False}
        self.map = self._map(spec.text, {**bare, "strict_slashes": self.is_strict}, options)
        self.lenient = self._map(spec.text, {**bare, "strict_slashes": False, "methods": None}, options)
        self.exact = self._map(spec.text, {**bare, "strict_slashes": True, "methods": None}, options)
        rule = next(self.map.iter_rules())
        self.weight = tuple((0,) if part.static else (1, *_frozen(part.weight)) for part in rule._parts)
        self.is_build_only = bool(spec.options.get("build_only"))

    @staticmethod
    def _map(text: str, options: dict[str, Any], map_options: dict[str, Any]) -> wz.Map:
        return wz.Map([MatchOnly(text, **options)], converters=RECORDING, **map_options)

    def refuses(self, path: str, subdomain: str | None) -> bool:
        _refusals.clear()
        their_outcome(self.lenient, path, "GET", subdomain)
        return bool(_refusals)

    def answer(self, path: str, method: str, subdomain: str | None) -> tuple[Any, tuple[Any, ...]] | None:
        """Return rank and outcome; None if the rule has no say."""
        if self.is_build_only or self.refuses(path, subdomain):
            return None
        outcome = their_outcome(self.map, path, method, subdomain)
        if outcome[0] == "404":
            return None
        weight = self.weight
        if path.endswith("/") and their_outcome(self.exact, path, method, subdomain)[0] == "404":
            weight = (*weight, (2,))
        return (weight, self.number), outcome


def _frozen(weight: Any) -> tuple[Any, ...]:
    return (weight[0], tuple(weight[1]), weight[2], tuple(weight[3]))


def expected_by_weights(
    table: Table, alone: list[Alone], path: str, method: str, subdomain: str | None
) -> tuple[Any, ...]:
    allowed: set[str] = set()
    for candidate_path in (path, _merged(path)):
        is_second = candidate_path != path
        if is_second and not table.options["merge_slashes"]:
            break
        answers = [answer for rule in alone if (answer := rule.answer(candidate_path, method, subdomain))]
        for rank, outcome in sorted(answers, key=lambda answer: answer[0]):
            if outcome[0] == "405":
                allowed |= outcome[1]
            elif outcome[0] == "redirect":
                return outcome
            elif not is_second:
                return ("match", rank[1], outcome[2])
            elif alone[rank[1]].is_merging:
                where = quote(f"/{candidate_path.lstrip('/')}", safe="!$&'()*+,/:;=@")
                domain = table.options.get("default_subdomain", "") if subdomain is None else subdomain
                host = f"{domain}.{HOST}" if domain else HOST
                return ("redirect", f"http://{host}/app{where}?q=1")
        if is_second or "//" not in path:
            break
    return ("405", frozenset(allowed)) if allowed else ("404",)


@in_bulk
@given(cases(is_bare=True))
def test_the_rule_that_wins_is_the_best_of_those_that_match_alone(
    case: tuple[Table, list[tuple[str, str, str | None]]],
) -> None:
    table, requests = case
    ours = table.ours()
    rules = list(ours.iter_rules())
    alone = [Alone(table, number) for number in range(len(table.specs))]
    for path, method, subdomain in requests:
        mine = number_of(our_outcome(ours, path, method, subdomain), rules)
        expected = expected_by_weights(table, alone, normal(path), method, subdomain)
        seen[f"alone: {expected[0]}"] += 1
        assert mine == expected, f"{table} {path!r} {method} {subdomain!r}"


@settings(in_bulk, max_examples=max(PAIRS // PATHS_PER_MAP // 4, 1))
@given(cases(is_bare=True), st.data())
def test_a_rule_that_does_not_match_never_changes_which_other_one_wins(
    case: tuple[Table, list[tuple[str, str, str | None]]], data: Any
) -> None:
    table, requests = case
    alone = [Alone(table, number) for number in range(len(table.specs))]
    for path, method, subdomain in requests:
        path = normal(path)
        full = table.ours()
        full_rules = list(full.iter_rules())
        before = number_of(our_outcome(full, path, method, subdomain), full_rules)
        silent = [
            rule.number
            for rule in alone
            if all(rule.answer(candidate, method, subdomain) is None for candidate in (path, _merged(path)))
        ]
        removed = set(data.draw(st.lists(st.sampled_from(silent), unique=True))) if silent else set()
        kept = [number for number in range(len(table.specs)) if number not in removed]
        fewer = Table([table.specs[number] for number in kept], table.options).ours()
        after = number_of(our_outcome(fewer, path, method, subdomain), list(fewer.iter_rules()))
        if after[0] == "match":
            after = ("match", kept[after[1]], after[2])
        assert after == before, f"{table} {path!r} {method} without {removed}"


@settings(in_bulk, max_examples=max(PAIRS // PATHS_PER_MAP // 2, 1))
@given(cases())
def test_the_short_way_answers_as_the_long_way_does(case: tuple[Table, list[tuple[str, str, str | None]]]) -> None:
    table, requests = case
    ours = table.ours()
    for path, method, subdomain in requests:
        short = our_outcome(ours, path, method, subdomain)
        root, _ = ours._prepare()
        binding = ours._binding(HOST, subdomain, "q=1", "/app", "http", method)
        assert binding is not None
        try:
            found: Any = settle(
                root, ours._prepare_builder(), path, method, binding, ours.merge_slashes, ours.redirect_defaults
            )
        except (BuildError, KeyError, TypeError, ValueError) as error:
            found = type(error).__name__
        if isinstance(found, str):
            assert short == ("error", found)
        elif isinstance(found, Match):
            assert short == ("match", id(found.rule), found.values)
        else:
            assert short[0] == {"redirect": "redirect", "not_found": "404", "method_not_allowed": "405"}[found.kind]
            assert short[1:] in ((), (found.location,), (found.methods,))


VALUES = [
    "a",
    "b",
    "ab",
    "a b/c",
    "é",
    "refused",
    5,
    12,
    -4,
    3.5,
    7,
    True,
    None,
    "",
    "/lead",
    ["a", "b"],
    ("x",),
    "a&b=c+d%",
]


@in_bulk
@given(tables(), st.integers(0, 2**32))
def test_urls_are_built_as_werkzeug_builds_them(table: Table, seed: int) -> None:
    random = Random(seed)
    ours = table.ours()
    theirs, _ = table.theirs()
    subdomains = [None, "", "api"] if "default_subdomain" in table.options else [None]
    names = sorted({name for spec in table.specs for name in _names(spec.text)} | {"q", "sub"})
    for _ in range(PATHS_PER_MAP):
        endpoint = random.choice(["one", "two", "three", "four", "none"])
        chosen = random.sample(names, random.randint(0, len(names)))
        values = {name: random.choice(VALUES) for name in chosen}
        options = {
            "method": random.choice([None, None, "GET", "POST"]),
            "append_unknown": random.choice([True, True, False]),
        }
        external = random.choice([True, False])
        subdomain = random.choice(subdomains)
        scheme = random.choice(["http", "https"])
        script_name = random.choice(["", "/app", "/app/"])
        adapter = theirs.bind(HOST, script_name, subdomain, scheme)
        try:
            expected = adapter.build(endpoint, values, force_external=external, **options)
        except (wz.BuildError, ValueError, TypeError) as error:
            expected = type(error).__name__
        try:
            built = ours.build(
                endpoint,
                values,
                host=HOST,
                subdomain=subdomain,
                script_name=script_name,
                scheme=scheme,
                external=external,
                **options,
            )
        except (BuildError, ValueError, TypeError, ApplicationError) as error:
            built = type(error).__name__
        seen["build: " + ("error" if "/" not in expected else "url")] += 1
        assert built == expected, f"{table} {endpoint} {values} {options} {subdomain!r}"


@pytest.fixture(scope="module", autouse=True)
def _report() -> Any:
    yield
    if PAIRS > 2000:
        print("\n" + "\n".join(f"{count:>8}  {what}" for what, count in sorted(seen.items())))
