"""URLs: a table that Werkzeug must agree with, and what is said where none can be built."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
import werkzeug.routing as wz
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from wsgikit.exceptions import ApplicationError
from wsgikit.routing.matcher import BuildError, RouteMap
from wsgikit.routing.rules import Rule

RULES: list[tuple[str, dict[str, Any]]] = [
    ("/", {"endpoint": "home"}),
    ("/user/<name>", {"endpoint": "user"}),
    ("/post/<int:id>/<slug>", {"endpoint": "post"}),
    ("/three/<a>/<b>/<int:c>", {"endpoint": "three"}),
    ("/files/<path:path>", {"endpoint": "files"}),
    ("/<path:any>/end/", {"endpoint": "first"}),
    ("/fixed/<int(fixed_digits=4):n>", {"endpoint": "fixed"}),
    ("/kind/<any(a, b):k>", {"endpoint": "kind"}),
    ("/id/<uuid:id>", {"endpoint": "id"}),
    ("/grüße & <x>", {"endpoint": "quoted"}),
    ("/100%/<x>", {"endpoint": "percent"}),
    ("/all/", {"endpoint": "all", "defaults": {"page": 1}}),
    ("/all/<int:page>", {"endpoint": "all"}),
    ("/by/get", {"endpoint": "by", "methods": ["GET"]}),
    ("/by/post", {"endpoint": "by", "methods": ["POST"]}),
    ("/old", {"endpoint": "page", "alias": True}),
    ("/page", {"endpoint": "page"}),
    ("/static/<path:file>", {"endpoint": "static", "build_only": True}),
    ("//double//<x>", {"endpoint": "double", "merge_slashes": False}),
]

TABLE: list[tuple[str, dict[str, Any] | None, dict[str, Any], str]] = [
    ("home", None, {}, "/"),
    ("home", {"q": "a b&c=d", "page": 2}, {}, "/?q=a+b%26c%3Dd&page=2"),
    ("home", {"q": ["a", "b"], "none": None, "empty": ""}, {}, "/?q=a&q=b&empty="),
    ("home", {"q": [None, "x"]}, {}, "/?q=x"),
    ("home", {"q": "/?:@!$'(),*;"}, {}, "/?q=/?:@!$'(),*;"),
    ("home", {"grün": "blau"}, {}, "/?gr%C3%BCn=blau"),
    ("home", {"q": "x"}, {"append_unknown": False}, "/"),
    ("user", {"name": "grün/blau gelb"}, {}, "/user/gr%C3%BCn/blau%20gelb"),
    ("user", {"name": "a?b#c%d"}, {}, "/user/a%3Fb%23c%25d"),
    ("user", {"name": "!$&'()*+,:;=@~-._"}, {}, "/user/!$&'()*+,:;=@~-._"),
    ("user", {"name": 5}, {}, "/user/5"),
    ("user", {"name": ""}, {}, "/user/"),
    ("user", {"name": "x", "q": 1}, {}, "/user/x?q=1"),
    ("user", {"name": "x"}, {"anchor": "top of/ä#"}, "/user/x#top%20of/%C3%A4#"),
    ("user", {"name": "x"}, {"script_name": "/app"}, "/app/user/x"),
    ("user", {"name": "x"}, {"script_name": "/app/"}, "/app/user/x"),
    ("user", {"name": "x"}, {"external": True}, "http://example.com/user/x"),
    ("user", {"name": "x"}, {"external": True, "scheme": "https", "script_name": "/a"}, "https://example.com/a/user/x"),
    ("user", {"name": "x"}, {"external": True, "scheme": "wss"}, "https://example.com/user/x"),
    ("user", {"name": "x"}, {"external": True, "scheme": ""}, "//example.com/user/x"),
    ("post", {"id": 7, "slug": "a-b"}, {}, "/post/7/a-b"),
    ("post", {"id": "07", "slug": "a"}, {}, "/post/7/a"),
    ("post", {"id": True, "slug": "a"}, {}, "/post/1/a"),
    ("post", {"id": 7.9, "slug": "a"}, {}, "/post/7/a"),
    ("three", {"a": "x", "b": "y z", "c": 3}, {}, "/three/x/y%20z/3"),
    ("files", {"path": "a/b c"}, {}, "/files/a/b%20c"),
    ("first", {"any": "/evil.example"}, {}, "/evil.example/end/"),
    ("first", {"any": "//evil.example"}, {"q": 1}, "/evil.example/end/"),
    ("fixed", {"n": 42}, {}, "/fixed/0042"),
    ("kind", {"k": "a"}, {}, "/kind/a"),
    ("id", {"id": UUID(int=5)}, {}, "/id/00000000-0000-0000-0000-000000000005"),
    ("quoted", {"x": "y"}, {}, "/gr%C3%BC%C3%9Fe%20&%20y"),
    ("percent", {"x": "50%"}, {}, "/100%25/50%25"),
    ("all", {"page": 1}, {}, "/all/"),
    ("all", {"page": 2}, {}, "/all/2"),
    ("all", {}, {}, "/all/"),
    ("by", {}, {}, "/by/get"),
    ("by", {}, {"method": "POST"}, "/by/post"),
    ("by", {}, {"default_method": "POST"}, "/by/post"),
    ("by", {}, {"default_method": "PUT"}, "/by/get"),
    ("page", {}, {}, "/page"),
    ("static", {"file": "a.css"}, {}, "/static/a.css"),
    ("double", {"x": "/y"}, {}, "/double///y"),
    ("user", MultiDict([("name", "a"), ("q", "1"), ("q", "2")]), {}, "/user/a?q=1&q=2"),
]


def theirs(endpoint: str, values: Any, options: dict[str, Any], rules: Any = RULES, **map_options: Any) -> str:
    table = wz.Map([wz.Rule(text, **given) for text, given in rules], **map_options)
    adapter = table.bind(
        "example.com",
        options.get("script_name"),
        url_scheme=options.get("scheme", "http"),
        default_method=options.get("default_method", "GET"),
    )
    return adapter.build(
        endpoint,
        values,
        method=options.get("method"),
        force_external=options.get("external", False),
        append_unknown=options.get("append_unknown", True),
    )


@pytest.mark.parametrize(("endpoint", "values", "options", "expected"), TABLE, ids=[row[3][:40] for row in TABLE])
def test_a_url_is_built_as_werkzeug_builds_it(
    endpoint: str, values: Any, options: dict[str, Any], expected: str
) -> None:
    options = {name: value for name, value in options.items() if name != "q"}
    table = RouteMap([Rule(text, **given) for text, given in RULES])
    for _ in range(2):  # the second time the writer of the endpoint is there
        assert table.build(endpoint, values, host="example.com", **options) == expected
    assert theirs(endpoint, values, options) == expected.partition("#")[0]


@pytest.mark.parametrize(
    ("map_options", "expected"),
    [
        ({}, "/?b=1&a=3&a=2"),
        ({"sort_parameters": True}, "/?a=2&a=3&b=1"),
        ({"sort_parameters": True, "sort_key": lambda item: str(item[1])}, "/?b=1&a=2&a=3"),
    ],
)
def test_the_query_is_sorted_where_the_map_says_so(map_options: dict[str, Any], expected: str) -> None:
    values = {"b": 1, "a": [3, 2]}
    assert RouteMap([Rule("/", endpoint="home")], **map_options).build("home", values) == expected
    assert theirs("home", values, {}, **map_options) == expected


SUBDOMAINS = [
    ("/", {"endpoint": "home"}),
    ("/", {"endpoint": "api", "subdomain": "api"}),
    ("/<page>", {"endpoint": "user", "subdomain": "<user>"}),
]


@pytest.mark.parametrize(
    ("host", "endpoint", "values", "expected"),
    [
        ("example.com", "home", {}, "/"),
        ("example.com", "api", {}, "http://api.example.com/"),
        ("api.example.com", "api", {}, "/"),
        ("api.example.com", "home", {}, "http://example.com/"),
        ("example.com", "user", {"user": "bob", "page": "x"}, "http://bob.example.com/x"),
        ("bob.example.com", "user", {"user": "bob", "page": "x"}, "/x"),
        (None, "home", {}, "/"),
        (None, "api", {}, "http://api.example.com/"),
        ("other.org", "api", {}, "http://api.example.com/"),
    ],
)
def test_a_url_in_another_subdomain_names_the_host(host: str | None, endpoint: str, values: Any, expected: str) -> None:
    table = RouteMap([Rule(text, **given) for text, given in SUBDOMAINS], server_name="example.com")
    assert table.build(endpoint, values, host=host) == expected


def test_with_host_matching_the_rule_of_the_same_host_is_preferred() -> None:
    rules = [("/a", {"endpoint": "x", "host": "one.example"}), ("/b", {"endpoint": "x", "host": "two.example"})]
    table = RouteMap([Rule(text, **given) for text, given in rules], host_matching=True)
    assert table.build("x", host="two.example") == "/b"
    assert table.build("x", host="three.example") == "http://one.example/a"
    assert table.build("x", host="three.example", scheme="https") == "https://one.example/a"


@pytest.mark.parametrize(
    ("endpoint", "values", "options", "message", "suggestions", "missing"),
    [
        (
            "usr",
            {},
            {},
            "Could not build url for endpoint 'usr'. Did you mean 'user' instead?",
            ["user"],
            [],
        ),
        (
            "post",
            {"id": 1},
            {},
            "Could not build url for endpoint 'post' with values ['id']. Did you forget to specify values ['slug']?",
            [],
            ["slug"],
        ),
        (
            "by",
            {},
            {"method": "DELETE"},
            "Could not build url for endpoint 'by' ('DELETE'). Did you mean to use methods ['GET', 'HEAD', 'POST']?",
            [],
            [],
        ),
        ("zzzzzz", {}, {}, "Could not build url for endpoint 'zzzzzz'.", [], []),
        (
            "user",
            {"name": None},
            {},
            "Could not build url for endpoint 'user'. Did you forget to specify values ['name']?",
            [],
            ["name"],
        ),
    ],
)  # fmt: skip
def test_where_no_url_can_be_built_the_error_says_what_is_near_or_missing(
    endpoint: str, values: Any, options: Any, message: str, suggestions: list[str], missing: list[str]
) -> None:
    table = RouteMap([Rule(text, **given) for text, given in RULES])
    with pytest.raises(BuildError) as caught:
        table.build(endpoint, values, **options)
    assert isinstance(caught.value, wz.BuildError)
    assert isinstance(caught.value, LookupError)
    assert str(caught.value) == message
    assert (caught.value.suggestions, caught.value.missing) == (suggestions, missing)


def test_an_error_names_several_endpoints_that_are_near() -> None:
    table = RouteMap([Rule(f"/{name}", endpoint=name) for name in ("posts.show", "posts.shown", "users")])
    with pytest.raises(BuildError, match="Did you mean 'posts.show' or 'posts.shown' instead"):
        table.build("posts.shwo")


def test_a_url_with_a_host_needs_one() -> None:
    table = RouteMap([Rule("/", endpoint="home"), Rule("/", endpoint="api", subdomain="api")])
    for endpoint, options in ("home", {"external": True}), ("api", {}):
        with pytest.raises(ApplicationError) as caught:
            table.build(endpoint, **options)
        assert str(caught.value) == (
            f"URL of endpoint {endpoint!r}: host: expected the request's host, for the URL names one, got None. "
            "Pass host=, or give the map a server_name."
        )


def test_as_many_values_as_needed_under_another_name_are_missing_values() -> None:
    table = RouteMap([Rule("/<int:a>/<b>", endpoint="x")])
    assert table.build("x", {"a": 1, "b": 2}) == "/1/2"
    with pytest.raises(BuildError, match=r"Did you forget to specify values \['b'\]"):
        table.build("x", {"a": "no number", "c": 2})


def test_a_value_that_its_converter_cannot_write_is_the_converters_error() -> None:
    table = RouteMap([Rule(text, **given) for text, given in RULES])
    with pytest.raises(ValueError, match="'c' is not one of 'a', 'b'"):
        table.build("kind", {"k": "c"})
    with pytest.raises(ValueError, match="invalid literal for int"):
        table.build("post", {"id": "x", "slug": "y"})


def test_a_converter_that_refuses_a_value_gives_the_next_rule_its_turn() -> None:
    class Even(wz.BaseConverter):
        def to_url(self, value: Any) -> str:
            if value % 2:
                raise wz.ValidationError()
            return str(value)

    rules = [Rule("/even/<even:n>", endpoint="n"), Rule("/any/<n>", endpoint="n")]
    table = RouteMap(rules, converters={"even": Even})
    assert [table.build("n", {"n": n}) for n in (2, 3)] == ["/even/2", "/any/3"]


TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1)


@given(TEXTS.filter(lambda text: "/" not in text), st.integers(0, 10**30), st.floats(0, 1e300), st.uuids())
def test_what_is_built_matches_and_gives_the_values_back(name: str, number: int, real: float, unique: UUID) -> None:
    table = RouteMap([Rule("/<x>/<int:i>/<float:f>/<uuid:u>", endpoint="x")])
    values = {"x": name, "i": number, "f": real, "u": unique}
    url = table.build("x", values)
    from urllib.parse import unquote

    assert table.match(unquote(url)).values == values
