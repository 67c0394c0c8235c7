"""Requests that a map answers otherwise than Werkzeug, on purpose: one case each, with what Werkzeug does."""

from __future__ import annotations

from typing import Any

import pytest
import werkzeug.routing as wz
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import BadRequest, NotFound

from wsgikit.exceptions import ConfigurationError
from wsgikit.routing.match import Match
from wsgikit.routing.matcher import RouteMap
from wsgikit.routing.rules import Rule


def answers(rules: list[tuple[str, dict[str, Any]]], path: str, **options: Any) -> tuple[Any, Any]:
    """Return what our map and Werkzeug's say: an endpoint, a URL to go to, or None."""
    found = RouteMap([Rule(text, **given) for text, given in rules], **options).find(path, host="example.com")
    mine = found.endpoint if isinstance(found, Match) else found.location or None
    table = wz.Map([wz.Rule(text, **given) for text, given in rules], **options)
    try:
        other: Any = table.bind("example.com").match(path)[0]
    except wz.RequestRedirect as error:
        other = error.new_url
    except NotFound:
        other = None
    return mine, other


def test_undecodable_utf8_is_a_400_and_not_a_replacement_character() -> None:
    environ = {"PATH_INFO": "/\xff", "REQUEST_METHOD": "GET", "SERVER_NAME": "x", "SERVER_PORT": "80"}
    environ["wsgi.url_scheme"] = "http"
    with pytest.raises(BadRequest, match="The path is no UTF-8"):
        RouteMap([Rule("/<name>", endpoint="x")]).match_environ(environ)
    assert wz.Map([wz.Rule("/<name>", endpoint="x")]).bind_to_environ(environ).match() == ("x", {"name": "\ufffd"})


BRANCHES = [
    ("/<string(length=2):lang>/<page>", {"endpoint": "by language"}),
    ("/<first>/<second>", {"endpoint": "any"}),
]
UNRELATED = ("/<first>/unrelated", {"endpoint": "unrelated"})


def test_a_rule_that_does_not_match_has_no_say_about_equal_weights() -> None:
    assert answers(BRANCHES, "/en/home") == ("by language", "by language")
    # Werkzeug enters the branch `<first>` before the other one now, as a rule has opened it before.
    assert answers([UNRELATED, *BRANCHES], "/en/home") == ("by language", "any")


def test_a_later_segment_decides_between_equally_heavy_ones() -> None:
    rules = [("/<uuid:x>/<name>", {"endpoint": "first"}), ("/<name>/<int:y>", {"endpoint": "lighter"})]
    path = "/12345678-1234-5678-1234-567812345678/5"
    assert answers(rules, path) == ("lighter", "first")


def test_a_rule_that_keeps_slashes_does_not_stop_another_one_from_merging_them() -> None:
    rules = [
        ("/<int:x>/a", {"endpoint": "keeps", "merge_slashes": False}),
        ("/<name>/a", {"endpoint": "merges"}),
    ]
    assert answers(rules, "/5//a") == ("http://example.com/5/a", None)


@pytest.mark.parametrize(
    ("first", "path", "expected"),
    [
        ("/<int(max=5):x>", "/6", ("second", None)),
        ("/<int(max=5):x>/", "/6", ("second", "http://example.com/6/")),
        ("/<int(fixed_digits=3):x>", "/6", ("second", None)),
    ],
)
def test_a_refused_value_gives_the_next_rule_its_turn(first: str, path: str, expected: Any) -> None:
    assert answers([(first, {"endpoint": "first"}), ("/<x>", {"endpoint": "second"})], path) == expected


def test_a_refused_value_is_no_405() -> None:
    table = RouteMap([Rule("/<int(max=5):x>", endpoint="x", methods=["POST"])])
    assert table.find("/3").kind == "method_not_allowed"
    assert table.find("/6").kind == "not_found"
    theirs = wz.Map([wz.Rule("/<int(max=5):x>", endpoint="x", methods=["POST"])]).bind("example.com")
    assert list(theirs.allowed_methods("/6")) == ["POST"]


def test_ranges_of_the_same_number_may_have_different_rules() -> None:
    rules = [("/<int(max=5):x>", {"endpoint": "low"}), ("/<int(min=6):x>", {"endpoint": "high"})]
    assert answers(rules, "/7") == ("high", None)


def test_an_alias_without_an_original_answers_itself_and_not_with_a_redirect_to_itself() -> None:
    rules = [("/old", {"endpoint": "page", "alias": True})]
    assert answers(rules, "/old") == ("page", "http://example.com/old")


@pytest.mark.parametrize(
    ("target", "path", "location", "theirs"),
    [
        ("<x>", "/go/http://evil.example/x", "http://example.com/http://evil.example/x", "http://evil.example/x"),
        ("<x>", "/go/javascript:alert(1)", "http://example.com/javascript:alert(1)", "javascript:alert(1)"),
        (lambda urls, x: f"/{x}", "/go/a", "http://example.com/a", "http://example.com/a"),
        (lambda urls, x: f"//{x}", "/go/evil.example", "http://example.com/evil.example", "http://evil.example"),
        (lambda urls, x: f"/\\{x}", "/go/evil.example", "http://example.com/evil.example", "http://example.com/\\evil.example"),
    ],
    ids=["another host", "a script", "a path", "no scheme", "a backslash"],
)  # fmt: skip
def test_what_a_visitor_writes_never_takes_a_redirect_to_another_host(
    target: Any, path: str, location: str, theirs: str
) -> None:
    assert answers([("/go/<path:x>", {"redirect_to": target, "endpoint": "go"})], path) == (location, theirs)


def test_a_literal_host_in_redirect_to_is_followed() -> None:
    rules = [("/go/<x>", {"endpoint": "go", "redirect_to": "https://<x>.example.org/in"})]
    assert answers(rules, "/go/acme")[0] == "https://acme.example.org/in"


@pytest.mark.parametrize(
    "path", ["//evil.example", "///evil.example/..", "/\\evil.example", "//evil.example//", "/%5Cevil"]
)
@pytest.mark.parametrize("host", ["example.com", None])
def test_a_redirect_for_a_slash_is_never_scheme_relative(path: str, host: str | None) -> None:
    table = RouteMap([Rule("/<x>/", endpoint="x"), Rule("/<x>/<y>/", endpoint="y")])
    found = table.find(path, host=host)
    assert not isinstance(found, Match) or path.endswith("/")
    location = getattr(found, "location", "/x")
    assert location.startswith("http://example.com/" if host else "/")
    assert not location.removeprefix("http://example.com").startswith(("//", "/\\"))


def test_a_small_number_is_built_in_the_form_that_its_rule_matches() -> None:
    table = RouteMap([Rule("/<float:x>", endpoint="x")])
    for value, url in (1e-07, "/0.0000001"), (1e22, "/10000000000000000000000.0"), (3, "/3.0"), (2.5, "/2.5"):
        assert table.build("x", {"x": value}) == url
        assert table.match(url).values == {"x": value}
    assert wz.Map([wz.Rule("/<float:x>", endpoint="x")]).bind("x").build("x", {"x": 1e-07}) == "/1e-07"


def test_a_script_name_is_quoted_in_urls() -> None:
    table = RouteMap([Rule("/a/", endpoint="a")])
    assert table.build("a", script_name="/grün und blau") == "/gr%C3%BCn%20und%20blau/a/"
    assert table.find("/a", script_name="/grün und blau").location == "/gr%C3%BCn%20und%20blau/a/"


def test_a_host_outside_of_the_server_name_is_no_subdomain() -> None:
    table = RouteMap([Rule("/", endpoint="user", subdomain="<user>")], server_name="example.com")
    assert table.find("/", host="evilexample.com").kind == "not_found"
    assert table.find("/", host="other.org").kind == "not_found"
    theirs = wz.Map([wz.Rule("/", endpoint="user", subdomain="<user>")])
    environ = {"HTTP_HOST": "other.org", "REQUEST_METHOD": "GET", "wsgi.url_scheme": "http", "PATH_INFO": "/"}
    with pytest.warns(UserWarning, match="doesn't match configured"):
        assert theirs.bind_to_environ(environ, "example.com").match() == ("user", {"user": "<invalid>"})


def test_a_host_in_unicode_matches_what_clients_send() -> None:
    table = RouteMap([Rule("/", endpoint="books", host="bücher.example:8080")], host_matching=True)
    assert table.match("/", host="xn--bcher-kva.example:8080").endpoint == "books"
    assert table.match("/", host="Bücher.example:8080").endpoint == "books"
    assert table.build("books", external=True, host="x") == "http://xn--bcher-kva.example:8080/"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("/x", {}), ("/x", {})),
        (("/<a>", {}), ("/<b>", {})),
        (("/<int:a>/x", {"methods": ["GET", "POST"]}), ("/<int:b>/x", {"methods": ["POST", "PUT"]})),
        (("/x", {}), ("/x", {"methods": ["GET"]})),
        (("/x", {"methods": ["GET"]}), ("/x", {"methods": ["HEAD", "GET"]})),
        (("/a//b", {}), ("/a/b", {})),
        (("/<path:a>/", {}), ("/<path:b>/", {})),
    ],
)
def test_two_rules_for_the_same_paths_are_refused_naming_both(first: Any, second: Any) -> None:
    table = RouteMap([Rule(first[0], endpoint="first", **first[1])])
    with pytest.raises(ConfigurationError) as caught:
        table.add(Rule(second[0], endpoint="second", **second[1]))
    text = str(caught.value)
    assert f"{first[0]!r} of endpoint 'first'" in text
    assert f"{second[0]!r} of endpoint 'second'" in text
    assert "Give them different paths or methods" in text
    assert [rule.endpoint for rule in table.iter_rules()] == ["first"]


@pytest.mark.parametrize(
    ("first", "second", "of_first", "of_second"),
    [
        (("/x", {"methods": ["GET"]}), ("/x", {"methods": ["POST"]}), {}, {"method": "POST"}),
        (("/x", {"methods": ["GET", "OPTIONS"]}), ("/x", {"methods": ["POST", "OPTIONS"]}), {}, {"method": "POST"}),
        (("/x", {"methods": ["HEAD"]}), ("/x", {"methods": ["GET"]}), {"method": "HEAD"}, {}),
        (("/x", {"methods": ["GET"]}), ("/x", {}), {}, {"method": "PUT"}),
        (("/x", {}), ("/x/", {}), {}, {"path": "/x/"}),
        (("/x", {}), ("/x", {"subdomain": "api"}), {}, {"subdomain": "api"}),
        (("/<int(min=5):a>", {}), ("/<int(max=4):a>", {}), {"path": "/7"}, {"path": "/3"}),
        (("/<int:a>", {}), ("/<a>", {}), {"path": "/7"}, {"path": "/x"}),
        (("/a//b", {"merge_slashes": False}), ("/a/b", {}), {"path": "/a//b"}, {"path": "/a/b"}),
    ],
)
def test_rules_that_leave_each_other_a_request_are_no_conflict(
    first: Any, second: Any, of_first: dict[str, Any], of_second: dict[str, Any]
) -> None:
    rules = [Rule(first[0], endpoint="first", **first[1]), Rule(second[0], endpoint="second", **second[1])]
    table = RouteMap(rules)
    assert table.match(**{"path": "/x", **of_first}).endpoint == "first"
    assert table.match(**{"path": "/x", **of_second}).endpoint == "second"


def test_a_rule_that_only_gives_urls_is_no_conflict() -> None:
    table = RouteMap([Rule("/x", endpoint="first"), Rule("/x", endpoint="second", build_only=True)])
    assert table.match("/x").endpoint == "first"
    assert table.build("second") == "/x"


def test_the_same_rule_twice_is_no_conflict() -> None:
    table = RouteMap([Rule("/x", endpoint="x"), Rule("/x", endpoint="x")])
    assert table.match("/x").endpoint == "x"


# Paths that several `path` placeholders could share in many ways. The answers are Werkzeug's.
SEVERAL_PATHS = [
    ("/<path:a>/x/<path:b>", "/p/x/q/x/r"),
    ("/<path:a>/x/<path:b>", "/p/x//q/x/r"),
    ("/<path:a>/x/<path:b>", "/p/x/"),
    ("/<path:a>/x/<path:b>/x/<path:c>/z", "/p/x/q/r/x/s/t/z"),
    ("/<path:a>/x/<path:b>/x/<path:c>/z", "/p/x/q/x/x/x/z/z"),
    ("/<path:a>/edit/<int:n>/<path:b>", "/p/edit/q/edit/7/r"),
    ("/<path:a>/edit/<int:n>/<path:b>/", "/p/edit/7/r/"),
    ("/<path:a>/<b>-<c>/<path:d>", "/p/q/r-s-t/u/v"),
    ("/<path:a><path:b>", "/abc/d"),
    ("/<path:a>-<b>x<path:c>y", "/1-2x3xy"),
    ("/<path:a>.<b>.<path:c>", "/1.2.3.4"),
    ("/v<path:a>/<path:b>.zip", "/v1/2/3.zip"),
    ("/<path:a>/<path:b>/<path:c>", "/1/2\n/3"),
]


@pytest.mark.parametrize(("rule", "path"), SEVERAL_PATHS)
def test_several_path_placeholders_share_a_path_as_in_werkzeug(rule: str, path: str) -> None:
    theirs = wz.Map([wz.Rule(rule, endpoint="x")], merge_slashes=False)
    table = RouteMap([Rule(rule, endpoint="x")], merge_slashes=False)
    found = table.find(path)
    try:
        values = theirs.bind("localhost").match(path)[1]
    except NotFound:
        values = None
    assert (found.values if isinstance(found, Match) else None) == values


@given(text=st.text(alphabet="/axzp1-", max_size=24), rule=st.sampled_from([rule for rule, _ in SEVERAL_PATHS]))
def test_any_path_is_shared_as_in_werkzeug(text: str, rule: str) -> None:
    test_several_path_placeholders_share_a_path_as_in_werkzeug(rule, f"/{text.lstrip('/')}")


@pytest.mark.parametrize("rule", ["/<path:a>/x/<path:b>/x/<path:c>/z", "/<path:a>/<int:n>/<path:b>/<path:c>/z"])
def test_several_path_placeholders_do_not_share_a_path_in_every_way(rule: str) -> None:
    """With every way tried, this path would take hours."""
    table = RouteMap([Rule(rule, endpoint="x")])
    assert table.find("/" + "a/x/7/" * 20_000 + "b").kind == "not_found"


@pytest.mark.parametrize("target", ["javascript:alert(1)", "data:text/html,x", " javascript:alert(1)", "vbscript:x"])
def test_a_redirect_function_never_leads_to_another_scheme(target: str) -> None:
    table = RouteMap([Rule("/<path:target>", endpoint="x", redirect_to=lambda urls, target: target)])
    for host in (None, "example.org"):
        found = table.find(f"/{target}", host=host)
        assert found.location.startswith("/" if host is None else "http://example.org/")  # type: ignore[union-attr]


def test_a_redirect_function_may_name_another_host() -> None:
    table = RouteMap([Rule("/", endpoint="x", redirect_to=lambda urls: "https://example.com/y")])
    assert table.find("/", host="example.org").location == "https://example.com/y"  # type: ignore[union-attr]
