"""A table of paths and what becomes of them. Each row is also asked of Werkzeug, which must say the same."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
import werkzeug.routing as wz
from werkzeug.exceptions import MethodNotAllowed, NotFound

from wsgikit.routing.match import Match
from wsgikit.routing.matcher import RouteMap
from wsgikit.routing.rules import Rule


class Pair(wz.BaseConverter):
    """A converter written for Werkzeug: two letters with a separator of one's choice, as a tuple."""

    def __init__(self, map: Any, separator: str = "-", upper: bool = False) -> None:
        super().__init__(map)
        self.regex = f"[a-z]{separator}[a-z]"
        self.separator = separator
        self.upper = upper

    def to_python(self, value: str) -> tuple[str, ...]:
        return tuple((value.upper() if self.upper else value).split(self.separator))

    def to_url(self, value: Any) -> str:
        return self.separator.join(value)


class Tail(wz.BaseConverter):
    regex = r"(?:[a-z]+/)*[a-z]+\.txt"  # it holds a slash, so it may take several segments


OPTIONS: dict[str, Any] = {"converters": {"pair": Pair, "tail": Tail}}


def r(text: str, **options: Any) -> tuple[str, dict[str, Any]]:
    return text, {"endpoint": text, **options}


BLOG = [r("/"), r("/posts/"), r("/posts/<int:id>"), r("/posts/<int:id>/edit"), r("/posts/new"), r("/<slug>")]
KINDS = [
    r("/s2/<string(length=2):x>"),
    r("/s13/<string(minlength=1, maxlength=3):x>"),
    r("/any/<any(about, help, 'a,b'):x>"),
    r("/path/<path:x>"),
    r("/paths/<path:x>/edit"),
    r("/int/<int:x>"),
    r("/fixed/<int(fixed_digits=3):x>"),
    r("/range/<int(min=2, max=5):x>"),
    r("/signed/<int(signed=True):x>"),
    r("/float/<float:x>"),
    r("/sfloat/<float(signed=True):x>"),
    r("/uuid/<uuid:x>"),
    r("/pair/<pair:x>"),
    r("/pairs/<pair('_', upper=True):x>"),
    r("/tail/<tail:x>"),
    r("/parts/<x>-<y>.<z>"),
    r("/v<int:x>/"),
]
METHODS = [
    r("/m", methods=["GET"], endpoint="get"),
    r("/m", methods=["POST"], endpoint="post"),
    r("/<x>", methods=["PUT"], endpoint="put"),
    r("/any", endpoint="any"),
]
SLASHES = [r("/strict/"), r("/leaf"), r("/lax/", strict_slashes=False), r("/laxleaf", strict_slashes=False)]
SLASHES += [r("/only-post/", methods=["POST"]), r("/<path:p>/end/"), r("/keep//it", merge_slashes=False)]
DEFAULTS = [
    r("/all/", defaults={"page": 1}, endpoint="all"),
    r("/all/page/<int:page>", endpoint="all"),
    r("/old", endpoint="new", alias=True),
    r("/new", endpoint="new"),
    r("/moved/<int:x>", redirect_to="int/<x>"),
    r("/root/<x>", redirect_to="/<x>/there"),
    r("/away", redirect_to="https://elsewhere.example/x"),
    r("/called/<x>", redirect_to=lambda urls, x: f"got/{x}"),
    r("/hidden/<x>", build_only=True),
]
WEIGHTS = [
    r("/w/<x>"), r("/w/<int:x>"), r("/w/<path:x>"), r("/w/fixed"), r("/w/a<x>"), r("/w/ab<x>"), r("/w/<x>-<y>"),
    r("/deep/<x>/b"), r("/deep/a/<y>"), r("/deep/a/<int:y>"),
]  # fmt: skip
U = "12345678-1234-5678-1234-567812345678"

# rules, path, method, and what is expected: endpoint and values, a redirect, methods, or None for a 404
ROWS: list[tuple[Any, str, str, Any]] = [
    (BLOG, "/", "GET", ("/", {})),
    (BLOG, "", "GET", "http://example.com/"),
    (BLOG, "/posts/", "GET", ("/posts/", {})),
    (BLOG, "/posts", "GET", "http://example.com/posts/"),
    (BLOG, "/posts", "POST", "http://example.com/posts/"),
    (BLOG, "/posts/42", "GET", ("/posts/<int:id>", {"id": 42})),
    (BLOG, "/posts/042", "GET", ("/posts/<int:id>", {"id": 42})),
    (BLOG, "/posts/٣", "GET", ("/posts/<int:id>", {"id": 3})),
    (BLOG, "/posts/²", "GET", None),
    (BLOG, "/posts/42/", "GET", None),
    (BLOG, "/posts/x", "GET", None),
    (BLOG, "/posts/42/edit", "GET", ("/posts/<int:id>/edit", {"id": 42})),
    (BLOG, "/posts/new", "GET", ("/posts/new", {})),
    (BLOG, "/grüße", "GET", ("/<slug>", {"slug": "grüße"})),
    (BLOG, "/a b%2Fc", "GET", ("/<slug>", {"slug": "a b%2Fc"})),
    (BLOG, "/a\nb", "GET", ("/<slug>", {"slug": "a\nb"})),
    (BLOG, "/a\x00b", "GET", ("/<slug>", {"slug": "a\x00b"})),
    (BLOG, "/..", "GET", ("/<slug>", {"slug": ".."})),
    (BLOG, "//posts/42", "GET", ("/posts/<int:id>", {"id": 42})),
    (BLOG, "///", "GET", ("/", {})),
    (BLOG, "posts/new", "GET", ("/posts/new", {})),
    (BLOG, "/posts//42", "GET", "http://example.com/posts/42"),
    (BLOG, "/posts//42//edit", "GET", "http://example.com/posts/42/edit"),
    (BLOG, "/posts///", "GET", "http://example.com/posts/"),
    (BLOG, "/posts//nothing", "GET", None),
    (BLOG, "/posts/42", "PROPFIND", ("/posts/<int:id>", {"id": 42})),
    (KINDS, "/s2/ab", "GET", ("/s2/<string(length=2):x>", {"x": "ab"})),
    (KINDS, "/s2/abc", "GET", None),
    (KINDS, "/s2/", "GET", None),
    (KINDS, "/s13/abc", "GET", ("/s13/<string(minlength=1, maxlength=3):x>", {"x": "abc"})),
    (KINDS, "/s13/abcd", "GET", None),
    (KINDS, "/any/help", "GET", ("/any/<any(about, help, 'a,b'):x>", {"x": "help"})),
    (KINDS, "/any/a,b", "GET", ("/any/<any(about, help, 'a,b'):x>", {"x": "a,b"})),
    (KINDS, "/any/other", "GET", None),
    (KINDS, "/path/a/b/", "GET", ("/path/<path:x>", {"x": "a/b/"})),
    (KINDS, "/path//a", "GET", "http://example.com/path/a"),
    (KINDS, "/path/a//b", "GET", ("/path/<path:x>", {"x": "a//b"})),
    (KINDS, "/path/a\nb", "GET", None),
    (KINDS, "/path/", "GET", None),
    (KINDS, "/paths/a/b/edit", "GET", ("/paths/<path:x>/edit", {"x": "a/b"})),
    (KINDS, "/paths/edit", "GET", None),
    (KINDS, "/int/-1", "GET", None),
    (KINDS, "/fixed/042", "GET", ("/fixed/<int(fixed_digits=3):x>", {"x": 42})),
    (KINDS, "/fixed/42", "GET", None),
    (KINDS, "/range/5", "GET", ("/range/<int(min=2, max=5):x>", {"x": 5})),
    (KINDS, "/range/6", "GET", None),
    (KINDS, "/signed/-7", "GET", ("/signed/<int(signed=True):x>", {"x": -7})),
    (KINDS, "/float/3.50", "GET", ("/float/<float:x>", {"x": 3.5})),
    (KINDS, "/float/3", "GET", None),
    (KINDS, "/sfloat/-0.5", "GET", ("/sfloat/<float(signed=True):x>", {"x": -0.5})),
    (KINDS, f"/uuid/{U}", "GET", ("/uuid/<uuid:x>", {"x": UUID(U)})),
    (KINDS, f"/uuid/{U}0", "GET", None),
    (KINDS, "/int/" + "9" * 5000, "GET", None),  # int() refuses so many digits
    (KINDS, "/pair/a-b", "GET", ("/pair/<pair:x>", {"x": ("a", "b")})),
    (KINDS, "/pairs/a_b", "GET", ("/pairs/<pair('_', upper=True):x>", {"x": ("A", "B")})),
    (KINDS, "/tail/a/b/c.txt", "GET", ("/tail/<tail:x>", {"x": "a/b/c.txt"})),
    (KINDS, "/tail/a/b", "GET", None),
    (KINDS, "/parts/a-b-c.d.e", "GET", ("/parts/<x>-<y>.<z>", {"x": "a-b", "y": "c.d", "z": "e"})),
    (KINDS, "/v3", "GET", "http://example.com/v3/"),
    (KINDS, "/v3/", "GET", ("/v<int:x>/", {"x": 3})),
    (METHODS, "/m", "GET", ("get", {})),
    (METHODS, "/m", "HEAD", ("get", {})),
    (METHODS, "/m", "POST", ("post", {})),
    (METHODS, "/m", "PUT", ("put", {"x": "m"})),
    (METHODS, "/m", "DELETE", {"GET", "HEAD", "POST", "PUT"}),
    (METHODS, "/n", "GET", {"PUT"}),
    (METHODS, "/any", "REPORT", ("any", {})),
    (SLASHES, "/strict", "GET", "http://example.com/strict/"),
    (SLASHES, "/leaf/", "GET", None),
    (SLASHES, "/lax", "GET", ("/lax/", {})),
    (SLASHES, "/laxleaf/", "GET", ("/laxleaf", {})),
    (SLASHES, "/laxleaf//", "GET", "http://example.com/laxleaf/"),
    (SLASHES, "/only-post", "GET", None),
    (SLASHES, "/only-post/", "GET", {"POST"}),
    (SLASHES, "/a/b/end", "GET", "http://example.com/a/b/end/"),
    (SLASHES, "/a/b/end/", "GET", ("/<path:p>/end/", {"p": "a/b"})),
    (SLASHES, "/keep//it", "GET", ("/keep//it", {})),
    (SLASHES, "/strict//", "GET", "http://example.com/strict/"),
    (SLASHES, "/ü x/end", "GET", "http://example.com/%C3%BC%20x/end/"),
    (DEFAULTS, "/all/", "GET", ("all", {"page": 1})),
    (DEFAULTS, "/all/page/1", "GET", "http://example.com/all/"),
    (DEFAULTS, "/all/page/2", "GET", ("all", {"page": 2})),
    (DEFAULTS, "/old", "GET", "http://example.com/new"),
    (DEFAULTS, "/moved/07", "GET", "http://example.com/int/7"),
    (DEFAULTS, "/root/a", "GET", "http://example.com/a/there"),
    (DEFAULTS, "/away", "GET", "https://elsewhere.example/x"),
    (DEFAULTS, "/called/a", "GET", "http://example.com/got/a"),
    (DEFAULTS, "/hidden/a", "GET", None),
    (WEIGHTS, "/w/fixed", "GET", ("/w/fixed", {})),
    (WEIGHTS, "/w/7", "GET", ("/w/<int:x>", {"x": 7})),
    (WEIGHTS, "/w/b", "GET", ("/w/<x>", {"x": "b"})),
    (WEIGHTS, "/w/b/c", "GET", ("/w/<path:x>", {"x": "b/c"})),
    (WEIGHTS, "/w/abc", "GET", ("/w/ab<x>", {"x": "c"})),
    (WEIGHTS, "/w/ac", "GET", ("/w/a<x>", {"x": "c"})),
    (WEIGHTS, "/w/b-c", "GET", ("/w/<x>-<y>", {"x": "b", "y": "c"})),
    (WEIGHTS, "/deep/a/b", "GET", ("/deep/a/<y>", {"y": "b"})),
    (WEIGHTS, "/deep/c/b", "GET", ("/deep/<x>/b", {"x": "c"})),
    (WEIGHTS, "/deep/a/1", "GET", ("/deep/a/<int:y>", {"y": 1})),
    (WEIGHTS, "/deep/c/d", "GET", None),
]


def ours(rules: Any, path: str, method: str) -> Any:
    table = RouteMap([Rule(text, **_named(options)) for text, options in rules], **OPTIONS)
    found = table.find(path, method, host="example.com")
    if isinstance(found, Match):
        return found.endpoint, found.values
    return found.location or set(found.methods) or None


def theirs(rules: Any, path: str, method: str) -> Any:
    table = wz.Map([wz.Rule(text, **_named(options)) for text, options in rules], **OPTIONS)
    try:
        return table.bind("example.com").match(path, method)
    except wz.RequestRedirect as error:
        return error.new_url
    except MethodNotAllowed as error:
        return set(error.valid_methods or ())
    except NotFound:
        return None


def _named(options: dict[str, Any]) -> dict[str, Any]:
    return dict(options)


@pytest.mark.parametrize(
    ("rules", "path", "method", "expected"), ROWS, ids=[f"{method} {path[:30]!r}" for _, path, method, _ in ROWS]
)
def test_a_path_leads_where_werkzeug_leads(rules: Any, path: str, method: str, expected: Any) -> None:
    assert ours(rules, path, method) == expected
    assert theirs(rules, path, method) == expected


@pytest.mark.parametrize(
    ("subdomain", "path", "expected"),
    [
        ("", "/", ("home", {})),
        ("api", "/", ("api", {})),
        ("alice", "/", ("user", {"user": "alice"})),
        ("x.y", "/", ("user", {"user": "x.y"})),
        ("v2-api", "/", ("versioned", {"version": 2})),
        ("alice", "/stats", "http://alice.example.com/stats/"),
        ("api", "/stats/", ("stats", {"user": "api"})),
        ("", "/stats/", None),
        ("", "/nothing", None),
    ],
)
def test_subdomains_match_as_in_werkzeug(subdomain: str, path: str, expected: Any) -> None:
    rules = [
        ("/", {"endpoint": "home"}),
        ("/", {"endpoint": "api", "subdomain": "api"}),
        ("/", {"endpoint": "user", "subdomain": "<user>"}),
        ("/", {"endpoint": "versioned", "subdomain": "v<int:version>-api"}),
        ("/stats/", {"endpoint": "stats", "subdomain": "<user>"}),
    ]
    table = RouteMap([Rule(text, **options) for text, options in rules], server_name="Example.com:80")
    found = table.find(path, host=f"{subdomain}.example.com" if subdomain else "EXAMPLE.com")
    assert ((found.endpoint, found.values) if isinstance(found, Match) else found.location or None) == expected
    adapter = wz.Map([wz.Rule(text, **options) for text, options in rules]).bind("example.com", subdomain=subdomain)
    try:
        other: Any = adapter.match(path)
    except wz.RequestRedirect as error:
        other = error.new_url
    except NotFound:
        other = None
    assert other == expected


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("one.example", "/", ("one", {})),
        ("two.example:8080", "/", ("two", {})),
        ("two.example", "/", None),
        ("acme.shop.example", "/", ("shop", {"tenant": "acme"})),
        ("acme.shop.example", "/cart", "http://acme.shop.example/cart/"),
        ("other.example", "/", None),
    ],
)
def test_hosts_match_as_in_werkzeug(host: str, path: str, expected: Any) -> None:
    rules = [
        ("/", {"endpoint": "one", "host": "one.example"}),
        ("/", {"endpoint": "two", "host": "two.example:8080"}),
        ("/", {"endpoint": "shop", "host": "<tenant>.shop.example"}),
        ("/cart/", {"endpoint": "cart", "host": "<tenant>.shop.example"}),
        ("/", {"endpoint": "nowhere"}),
    ]
    table = RouteMap([Rule(text, **options) for text, options in rules], host_matching=True)
    found = table.find(path, host=host)
    assert ((found.endpoint, found.values) if isinstance(found, Match) else found.location or None) == expected
    adapter = wz.Map([wz.Rule(text, **options) for text, options in rules], host_matching=True).bind(host)
    try:
        other: Any = adapter.match(path)
    except wz.RequestRedirect as error:
        other = error.new_url
    except NotFound:
        other = None
    assert other == expected


def test_a_redirect_keeps_script_name_and_query() -> None:
    table = RouteMap([Rule("/posts/", endpoint="posts")])
    found = table.find("/posts", host="example.com", script_name="/app", query="q=a%20b&q=", scheme="https")
    assert found.location == "https://example.com/app/posts/?q=a%20b&q="


def test_a_redirect_without_a_host_is_a_path() -> None:
    table = RouteMap([Rule("/posts/", endpoint="posts"), Rule("/old/<x>", redirect_to="new/<x>")])
    assert table.find("/posts", script_name="/app", query="q=1").location == "/app/posts/?q=1"
    assert table.find("/old/a", script_name="/app").location == "/app/new/a"


def test_a_match_has_a_dict_of_its_own() -> None:
    table = RouteMap([Rule("/a", endpoint="a"), Rule("/b", endpoint="b", defaults={"x": 1})])
    table.match("/a").values["changed"] = True
    table.match("/b").values["x"] = 2
    assert (table.match("/a").values, table.match("/b").values) == ({}, {"x": 1})
