"""What is read from a request: the path in all the forms that servers give it, and the host."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from webtest import TestApp
from werkzeug.exceptions import BadRequest, MethodNotAllowed, NotFound
from werkzeug.routing import RequestRedirect

from wsgikit.exceptions import ConfigurationError
from wsgikit.routing.match import Match, Miss
from wsgikit.routing.matcher import RouteMap
from wsgikit.routing.request_path import decode_wsgi, host_of, quote_query, to_idna
from wsgikit.routing.router import Router
from wsgikit.routing.rules import Rule


def request(path: str, **more: str) -> dict[str, Any]:
    environ = {
        "PATH_INFO": path,
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "HTTP_HOST": "x.example",
    }
    return {**environ, "wsgi.url_scheme": "http", **more}


FILES = RouteMap(
    [
        Rule("/files/<name>", endpoint="file"),
        Rule("/files/<name>/edit", endpoint="edit"),
        Rule("/tree/<path:path>", endpoint="tree"),
        Rule("/dir/<name>/", endpoint="dir"),
        Rule("/grüße", endpoint="greetings"),
        Rule("/a/b", endpoint="ab", methods=["GET"]),
    ]
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/files/gr\xc3\xbc\xc3\x9fe", {"name": "grüße"}),
        ("/gr\xc3\xbc\xc3\x9fe", {}),
        ("/files/\xf0\x9f\x90\x8d", {"name": "🐍"}),
        ("/files/a b", {"name": "a b"}),
    ],
)
def test_a_path_is_decoded_from_the_bytes_that_the_server_tunnelled(path: str, expected: dict[str, Any]) -> None:
    assert FILES.match_environ(request(path)).values == expected


@pytest.mark.parametrize("path", ["/\xc0\x80", "/\xff", "/files/\xed\xa0\x80", "/gr\xfc\xdfe", "/files/日"])
@pytest.mark.parametrize("raw_path", [False, True])
def test_a_path_that_is_no_utf8_is_a_400(path: str, raw_path: bool) -> None:
    with pytest.raises(BadRequest):
        FILES.match_environ(request(path), raw_path=raw_path)
    assert FILES.find_environ(request(path), raw_path=raw_path).kind == "bad_request"


@pytest.mark.parametrize("path", ["/files/\udcff", "/\ud800", "/dir/\udcff"])
def test_a_text_path_with_half_a_character_is_a_400(path: str) -> None:
    with pytest.raises(BadRequest):
        FILES.match(path)


RAW = [
    ("/files/a%2Fb", "/files/a/b", ("file", {"name": "a/b"})),
    ("/files/a%2fb/edit", "/files/a/b/edit", ("edit", {"name": "a/b"})),
    ("/files/a%2Fb%20%C3%BC?q=/files", "/files/a/b \xc3\xbc", ("file", {"name": "a/b ü"})),
    ("/tree/a%2Fb/c", "/tree/a/b/c", ("tree", {"path": "a/b/c"})),
    ("http://x.example/files/a%2Fb", "/files/a/b", ("file", {"name": "a/b"})),
    ("/a%2Fb", "/a/b", None),
    ("/files/a%252Fb", "/files/a%2Fb", ("file", {"name": "a%2Fb"})),
    ("/dir/a%2Fb", "/dir/a/b", "/dir/a%2Fb/"),
    ("/files//a%2Fb", "/files//a/b", "/files/a%2Fb"),
]


@pytest.mark.parametrize(("raw", "path", "expected"), RAW, ids=[row[0] for row in RAW])
@pytest.mark.parametrize("key", ["REQUEST_URI", "RAW_URI"])
def test_a_raw_path_keeps_an_encoded_slash_apart(key: str, raw: str, path: str, expected: Any) -> None:
    found = FILES.find_environ(request(path, **{key: raw}), raw_path=True)
    assert ((found.endpoint, found.values) if isinstance(found, Match) else found.location or None) == expected


def test_a_raw_path_is_read_behind_the_script_name() -> None:
    environ = request("/files/a/b", SCRIPT_NAME="/\xc3\xbc/app", REQUEST_URI="/%C3%BC%2Fapp/files/a%2Fb")
    assert FILES.match_environ(environ, raw_path=True).values == {"name": "a/b"}


@pytest.mark.parametrize(
    "target", ["", "/rewritten/a%2Fb", "/files/a%2Fb/other", "*", "example.com:443", "/files/a%2Fc", "%2F", "/%2"]
)
def test_a_raw_path_that_is_another_one_than_path_info_is_not_used(target: str) -> None:
    environ = request("/files/ab", REQUEST_URI=target)
    assert FILES.match_environ(environ, raw_path=True).values == {"name": "ab"}
    environ = request("/files/a/b", REQUEST_URI=target)
    assert FILES.find_environ(environ, raw_path=True).kind == "not_found"


def test_without_raw_path_an_encoded_slash_is_a_slash() -> None:
    environ = request("/files/a/b", REQUEST_URI="/files/a%2Fb")
    assert FILES.find_environ(environ).kind == "not_found"


def test_a_redirect_of_a_request_is_a_path_with_script_name_and_query() -> None:
    environ = request("/dir/\xc3\xbc", SCRIPT_NAME="/app", QUERY_STRING="q=\xc3\xbc&x=a b\r\n")
    assert FILES.find_environ(environ).location == "/app/dir/%C3%BC/?q=%C3%BC&x=a%20b%0D%0A"


def test_each_kind_of_miss_has_its_exception() -> None:
    with pytest.raises(NotFound):
        FILES.match("/nothing")
    with pytest.raises(MethodNotAllowed) as not_allowed:
        FILES.match("/a/b", "POST")
    assert not_allowed.value.valid_methods == ["GET", "HEAD"]
    with pytest.raises(RequestRedirect) as redirect:
        FILES.match("/dir/x")
    assert (redirect.value.new_url, redirect.value.code) == ("/dir/x/", 308)


def test_a_match_is_true_and_a_miss_is_false_and_has_no_rule() -> None:
    assert FILES.find("/a/b")
    assert not FILES.find("/nothing")
    assert FILES.find("/nothing").rule is None
    assert repr(FILES.find("/files/a")) == "<Match '/files/<name>' -> file {'name': 'a'}>"
    assert repr(FILES.find("/dir/a")) == "<Miss redirect /dir/a/>"
    assert repr(Miss("not_found")) == "<Miss not_found>"


def test_allowed_methods_are_those_of_all_rules_of_the_path() -> None:
    table = RouteMap(
        [
            Rule("/x", endpoint="get", methods=["GET"]),
            Rule("/x", endpoint="put", methods=["PUT"]),
            Rule("/<y>", endpoint="patch", methods=["PATCH"]),
            Rule("/all/<y>", endpoint="all"),
        ]
    )
    assert table.allowed_methods("/x") == ["GET", "HEAD", "PATCH", "PUT"]
    assert table.allowed_methods("/y") == ["PATCH"]
    assert table.allowed_methods("/all/y") == []
    assert table.allowed_methods("/nothing/at/all") == []


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HTTP_HOST": "Example.COM"}, "example.com"),
        ({"HTTP_HOST": "example.com:80"}, "example.com"),
        ({"HTTP_HOST": "example.com:443", "wsgi.url_scheme": "https"}, "example.com"),
        ({"HTTP_HOST": "example.com:443"}, "example.com:443"),
        ({"HTTP_HOST": "[::1]:8080"}, "[::1]:8080"),
        ({"SERVER_NAME": "localhost", "SERVER_PORT": "8000"}, "localhost:8000"),
        ({"SERVER_NAME": "localhost", "SERVER_PORT": "80"}, "localhost"),
        ({"HTTP_HOST": "evil.example/x"}, ""),
        ({"HTTP_HOST": "a@b"}, ""),
        ({"HTTP_HOST": "a b\r\n"}, ""),
        ({"HTTP_HOST": "a..b"}, ""),
        ({"HTTP_HOST": ".example.com"}, ""),
        ({"HTTP_HOST": "x" * 64 + ".example.com"}, ""),
        ({"HTTP_HOST": "x" * 63 + ".example.com"}, "x" * 63 + ".example.com"),
        ({"HTTP_HOST": "example.com.:81"}, "example.com:81"),
        ({"HTTP_HOST": ""}, ""),
        ({"HTTP_HOST": "1.2.3.400"}, ""),
        ({"HTTP_HOST": "a.example:99999"}, ""),
        ({}, ""),
    ],
)
def test_the_host_of_a_request_is_plain_and_without_the_usual_port(environ: dict[str, Any], expected: str) -> None:
    assert host_of(environ) == expected


def test_a_host_that_is_none_matches_nothing() -> None:
    table = RouteMap([Rule("/", endpoint="x", host="<any>")], host_matching=True)
    assert table.find_environ(request("/", HTTP_HOST="ok.example"))
    assert table.find_environ(request("/", HTTP_HOST="evil.example/x")).kind == "not_found"
    assert table.find("/", host="ü" * 80).kind == "not_found"
    assert to_idna("ü" * 80) is None


@pytest.mark.parametrize("host", ["a..example.com", "x" * 64 + ".example.com"])
def test_a_host_that_can_stand_in_no_redirect_gets_none(host: str) -> None:
    router = Router("x", host_matching=True)
    router.add_url_rule("/a/", "a", lambda site: site, host="<site>.example.com")
    response = TestApp(router).get("/a", extra_environ={"HTTP_HOST": host}, expect_errors=True)
    assert response.status_int == 404
    assert TestApp(router).get("/a", extra_environ={"HTTP_HOST": "b.example.com"}).status_int == 308


def test_a_redirect_to_another_subdomain_names_it() -> None:
    rules = [
        Rule("/", endpoint="home", defaults={"lang": "en"}, subdomain="www"),
        Rule("/", endpoint="home", subdomain="<lang>"),
    ]
    table = RouteMap(rules, server_name="example.com")
    found = table.find_environ(request("/", HTTP_HOST="en.example.com", QUERY_STRING="a=1"))
    assert found.location == "http://www.example.com/?a=1"
    assert table.match_environ(request("/", HTTP_HOST="de.example.com")).values == {"lang": "de"}


@pytest.mark.parametrize(("text", "expected"), [("/a", "/a"), ("/\xc3\xbc", "/ü"), ("/\xff", None), ("/日", None)])
def test_environ_text_is_decoded_or_refused(text: str, expected: str | None) -> None:
    assert decode_wsgi(text) == expected


def test_a_query_goes_into_a_header_as_it_came() -> None:
    assert quote_query("a=%20&b=[]~'\"<>\\^`{|}+;") == "a=%20&b=[]~'\"<>\\^`{|}+;"
    assert quote_query("a=\xff b") == "a=%FF%20b"


def test_a_rule_may_be_added_after_the_first_match() -> None:
    table = RouteMap([Rule("/a", endpoint="a"), Rule("/<x>/", endpoint="x")])
    assert table.match("/a").endpoint == "a"
    assert table.find("/b/c").kind == "not_found"
    table.add(Rule("/b/<c>", endpoint="bc"))
    table.add(Rule("/b/", endpoint="b"))
    assert table.match("/b/c").values == {"c": "c"}
    assert table.match("/b/").endpoint == "b"
    assert table.build("bc", {"c": 1}) == "/b/1"
    assert [rule.rule for rule in table.iter_rules()] == ["/a", "/<x>/", "/b/<c>", "/b/"]
    assert [rule.rule for rule in table.iter_rules("bc")] == ["/b/<c>"]


def test_a_rule_that_cannot_be_added_leaves_the_map_as_it_was() -> None:
    table = RouteMap([Rule("/a", endpoint="a")])
    for bad in Rule("/<nope:x>", endpoint="x"), Rule("/a", endpoint="b"):
        with pytest.raises(ConfigurationError):
            table.add(bad)
    assert [rule.rule for rule in table.iter_rules()] == ["/a"]
    assert table.match("/a").endpoint == "a"


def test_threads_that_meet_a_new_map_all_get_their_rule() -> None:
    table = RouteMap([Rule(f"/{number}/<int:x>/{number % 7}", endpoint=str(number)) for number in range(300)])
    start = threading.Barrier(8)
    wrong: list[Any] = []

    def ask(offset: int) -> None:
        start.wait()
        for step in range(300):
            number = (offset + step) % 300
            found = table.find(f"/{number}/{step}/{number % 7}")
            url = table.build(str(number), {"x": step})
            if not isinstance(found, Match) or found.values != {"x": step} or url != f"/{number}/{step}/{number % 7}":
                wrong.append((number, found, url))
            if step % 100 == 50:
                table.add(Rule(f"/added/{offset}/{step}", endpoint=f"added {offset} {step}"))

    threads = [threading.Thread(target=ask, args=(number * 37,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(list(table.iter_rules())) == 324
    assert table.match("/added/259/250").endpoint == "added 259 250"
