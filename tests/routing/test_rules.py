"""The text of rules: what it means, and what is said about text that means nothing."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.routing import BaseConverter
from werkzeug.routing.rules import parse_converter_args

from wsgikit.exceptions import ConfigurationError
from wsgikit.routing.matcher import RouteMap
from wsgikit.routing.rules import Rule, Variable, parse_arguments, parse_rule


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/", ((), ())),
        ("/a/b/", ((), ("a",), ("b",), ())),
        ("/<x>", ((), (Variable("default", "", "x"),))),
        ("/a<int:x>b", ((), ("a", Variable("int", "", "x"), "b"))),
        ("/<x>-<y>", ((), (Variable("default", "", "x"), "-", Variable("default", "", "y")))),
        ("/<any('a/b', c):x>/d", ((), (Variable("any", "'a/b', c", "x"),), ("d",))),
        ("/a>b", ((), ("a>b",))),
        ("/ü:(x)", ((), ("ü:(x)",))),
    ],
)
def test_a_rule_is_split_at_its_slashes_and_placeholders(text: str, expected: Any) -> None:
    assert parse_rule(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2",
        "2, 3",
        "length=2",
        "a, b",
        "'a', \"b\"",
        "'a,b'",
        "minlength=1, maxlength=3",
        "1.5",
        "True, False",
        "None",
    ]
    + ["x='True'", "u'abc'", "a.b", "min=2, max=5, signed=True", "'5'", "  a ,b ", "_x", "1-2", "a=b.c"],
)
def test_arguments_of_converters_are_read_as_werkzeug_reads_them(text: str) -> None:
    expected = parse_converter_args(text) if text else ((), {})
    assert parse_arguments(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("min=-5", ((), {"min": -5})),
        ("a, -b", (("a", "-b"), {})),
        ("nan, inf", (("nan", "inf"), {})),  # words, not numbers
        ("a,", (("a",), {})),
    ],
)
def test_some_arguments_are_read_that_werkzeug_refuses_or_misreads(text: str, expected: Any) -> None:
    assert parse_arguments(text) == expected


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a", {}, "Rule 'a': its text: expected a leading slash, got 'a'. Write '/a'."),
        (
            "/<x",
            {},
            "Rule '/<x': its text: expected <name>, <converter:name> or <converter(arguments):name>, got '<x'.",
        ),
        ("/<int x>", {}, "got '<int x>'."),
        ("/<a/b>", {}, "got '<a'."),
        ("/<any(a/b:x>", {}, "got '<any(a'."),
        ("/<1x>", {}, "got '<1x>'."),
        ("/<x>/<x>", {}, "Rule '/<x>/<x>': its placeholders: expected each name once, got 'x'. Rename one of them."),
        ("/<x>", {"subdomain": "<x>"}, "expected each name once, got 'x'"),
        ("/ws", {"websocket": True}, "Rule '/ws': websocket: expected False, as WSGI has no WebSockets, got True."),
        ("/m", {"methods": "GET"}, "Rule '/m': methods: expected a list of names, got 'GET'. Write ['GET']."),
        ("/e", {"endpoint": ""}, "Rule '/e': endpoint: expected a name, got ''."),
    ],
)
def test_a_rule_that_cannot_work_is_refused_with_its_reason(text: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Rule(text, **{"endpoint": "x", **options})
    assert message in str(caught.value)


class Fussy(BaseConverter):
    def __init__(self, map: Any, size: int) -> None:
        super().__init__(map)
        self.regex = "[" if size < 0 else f".{{{size}}}"


class Named(BaseConverter):
    regex = "(?P<own>a)"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("/<itn:x>", {}, "converter 'itn': its name: expected one of any, default, float, fussy, int,"),
        ("/<itn:x>", {}, "Did you mean 'int'?"),
        ("/<int(min=a b):x>", {}, "converter 'int': its arguments: expected values or name=value, with commas between"),
        ("/<int(size=3):x>", {}, "converter 'int': its arguments: expected what it takes, got 'size=3'."),
        ("/<fussy:x>", {}, "missing 1 required positional argument: 'size'"),
        ("/<fussy(1):x>-<named:y>-<named:z>", {}, "Fussy, Named, Named: their regex: expected"),
        ("/<fussy(-1):x>", {}, "unterminated character set"),
        ("/", {"subdomain": "<path:x>"}, "Rule '/': subdomain or host: expected a pattern that takes no slash"),
        ("/", {"subdomain": "a/b"}, "expected a pattern that takes no slash, got 'a/b'."),
        ("/<int:x>", {"defaults": {"x": "a"}}, "default of 'x': expected a value that its converter can"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_work_in_a_map_is_refused_when_added(
    text: str, options: dict[str, Any], message: str
) -> None:
    rule = Rule(text, endpoint="x", **options)
    with pytest.raises(ConfigurationError) as caught:
        RouteMap([rule], converters={"fussy": Fussy, "named": Named})
    assert message in str(caught.value)


def test_get_brings_head_and_methods_are_upper_case() -> None:
    assert Rule("/", endpoint="x", methods=["get", "Post"]).methods == {"GET", "HEAD", "POST"}
    assert Rule("/", endpoint="x", methods=["POST"]).methods == {"POST"}
    assert Rule("/", endpoint="x").methods is None
    assert Rule("/", endpoint="x", methods=[]).methods == frozenset()


def test_a_rule_knows_its_text_arguments_and_endpoint() -> None:
    rule = Rule("/<int:a>/<b>", endpoint="x", subdomain="<c>", defaults={"d": 1}, methods=["GET"])
    assert (rule.rule, rule.endpoint, rule.arguments) == ("/<int:a>/<b>", "x", {"a", "b", "c", "d"})
    assert repr(rule) == "<Rule '/<int:a>/<b>' (GET, HEAD) -> x>"
    assert repr(Rule("/", endpoint="x")) == "<Rule '/' -> x>"


def test_one_rule_may_be_in_two_maps() -> None:
    rule = Rule("/x/", endpoint="x")
    strict, lax = RouteMap([rule]), RouteMap([rule], strict_slashes=False)
    assert strict.find("/x").kind == "redirect"
    assert lax.match("/x").rule is rule


def test_a_rule_may_be_subclassed_and_is_what_the_match_has() -> None:
    class Route(Rule):
        view = "a view"

    assert RouteMap([Route("/<x>", endpoint="x")]).match("/a").rule.view == "a view"


def test_a_converter_sees_the_map_and_replaces_a_known_one() -> None:
    class Shouting(BaseConverter):
        def to_python(self, value: str) -> str:
            assert "shouting" in self.map.converters
            return value.upper()

        def to_url(self, value: Any) -> str:
            return str(value).lower()

    table = RouteMap([Rule("/<x>/<shouting:y>", endpoint="x")], converters={"default": Shouting, "shouting": Shouting})
    assert table.match("/a/b").values == {"x": "A", "y": "B"}
    assert table.build("x", {"x": "A", "y": "B"}) == "/a/b"


def test_an_error_in_a_converter_that_is_no_refusal_is_not_hidden() -> None:
    class Broken(BaseConverter):
        def to_python(self, value: str) -> Any:
            raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        RouteMap([Rule("/<broken:x>", endpoint="x")], converters={"broken": Broken}).match("/a")


def test_a_subdomain_and_a_host_may_bind_the_same_name() -> None:
    """A map compares only one of them, as in Flask's own tests of `host=` beside `subdomain=`."""
    rule = Rule("/", endpoint="x", subdomain="<name>", host="<name>")
    assert rule.arguments == {"name"}
    table = RouteMap([rule], server_name="example.org")
    assert table.match("/", host="ann.example.org").values == {"name": "ann"}


@pytest.mark.parametrize("options", [{"subdomain": "<name>"}, {"host": "<name>"}], ids=["subdomain", "host"])
def test_a_path_and_its_domain_bind_each_name_once(options: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="expected each name once, got 'name'"):
        Rule("/<name>", endpoint="x", **options)  # type: ignore[arg-type]
