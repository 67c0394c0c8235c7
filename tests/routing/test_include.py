"""Routers in routers: names, prefixes, hosts, the order of filling; and paths as the server got them."""

from __future__ import annotations

import pytest

from wsgikit import ContextMiddleware, Router, build_stack, url_for, use
from wsgikit.exceptions import ConfigurationError


def leaf(name="leaf"):
    router = Router(name)
    router.add_url_rule("/", "index", lambda: f"{name} index")
    router.add_url_rule("/<int:number>", "show", lambda number: url_for(".show", number=number))
    return router


@pytest.mark.parametrize("order", ["outer first", "inner first", "filled last"])
def test_it_makes_no_difference_when_a_router_is_filled(client, order):
    site, middle = Router("site", static_folder=None), Router("middle")
    inner = Router("leaf") if order == "filled last" else leaf()
    if order == "outer first":
        site.include(middle, "/m")
        middle.include(inner, "/l")
    else:
        middle.include(inner, "/l")
        site.include(middle, "/m")
    if order == "filled last":
        inner.add_url_rule("/", "index", lambda: "leaf index")
        inner.add_url_rule("/<int:number>", "show", lambda number: url_for(".show", number=number))
    app = client(build_stack(site, use(ContextMiddleware)))
    assert app.get("/m/l/").text == "leaf index"
    assert app.get("/m/l/3").text == "/m/l/3"
    assert site.url_for("middle.leaf.show", number=4) == "/m/l/4"
    assert [rule.endpoint for rule in site.rules] == ["middle.leaf.index", "middle.leaf.show"]
    assert [router.name for router in site.iter_included()] == ["middle", "leaf"]


def test_a_router_may_be_included_twice_under_two_names(client):
    site, blog = Router("site"), leaf("blog")
    site.include(blog, "/blog")
    site.include(blog, "/news", name="news")
    app = client(build_stack(site, use(ContextMiddleware)))
    assert (app.get("/blog/1").text, app.get("/news/1").text) == ("/blog/1", "/news/1")


def test_an_included_router_can_be_served_by_itself_too(client):
    site, blog = Router("site"), leaf("blog")
    site.include(blog, "/blog")
    assert client(blog).get("/").text == "blog index"


def test_a_prefix_may_have_variables(client):
    site, blog = Router("site"), Router("blog")
    blog.add_url_rule("/about", "about", lambda user: f"about {user}")
    site.include(blog, "/user/<user>")
    assert client(site).get("/user/ann/about").text == "about ann"


def test_a_router_may_be_included_for_a_host(client):
    site = Router("site", host_matching=True)
    site.include(leaf("api"), host="api.example.org")
    site.include(leaf("www"), host="www.example.org")
    app = client(build_stack(site, use(ContextMiddleware)))
    assert app.get("/", headers={"Host": "api.example.org"}).text == "api index"
    assert app.get("/", headers={"Host": "www.example.org"}).text == "www index"
    assert app.get_any("/", headers={"Host": "other.example.org"}).status_int == 404
    with build_stack(site, use(ContextMiddleware)).request_context("/", HTTP_HOST="www.example.org"):
        assert url_for("api.index") == "http://api.example.org/"


def test_subdomains_are_matched_with_a_server_name(client):
    router = Router("x", server_name="example.org")
    router.add_url_rule("/", "user", lambda user: f"user {user}", subdomain="<user>")
    router.add_url_rule("/", "home", lambda: "home")
    app = client(router)
    assert app.get("/", headers={"Host": "ann.example.org"}).text == "user ann"
    assert app.get("/", headers={"Host": "example.org"}).text == "home"
    assert router.url_for("user", user="ben", _external=True) == "http://ben.example.org/"


def test_two_routers_with_one_rule_are_refused_when_they_meet():
    site = Router("site")
    site.include(leaf("one"))
    with pytest.raises(ConfigurationError):
        site.include(leaf("two"))


def test_an_endpoint_may_get_its_view_later(client):
    site, blog = Router("site", static_folder=None), Router("blog")
    blog.add_url_rule("/late", "late")
    site.include(blog, "/blog")

    @blog.endpoint("late")
    def late():
        return "now"

    assert client(site).get("/blog/late").text == "now"
    assert site.view_functions == {"blog.late": late}


def test_an_endpoint_without_view_says_so(client):
    router = Router("x")
    router.add_url_rule("/late", "late")
    with pytest.raises(Exception, match=r"view: expected a function for the endpoint.*Add one with endpoint\(\)"):
        client(router).get("/late")


@pytest.mark.parametrize(("raw", "text"), [(True, "a/b"), (False, None)], ids=["raw_path", "decoded path"])
def test_an_encoded_slash_is_kept_apart_where_the_server_gives_the_raw_path(client, raw, text):
    router = Router("x", raw_path=raw)
    router.add_url_rule("/file/<name>", "file", lambda name: name)
    app = client(router, REQUEST_URI="/file/a%2Fb", RAW_URI="/file/a%2Fb")
    response = app.get_any("/file/a%2Fb")
    assert (response.text if response.status_int == 200 else None) == text


def test_other_letters_are_matched_and_built(client):
    router = Router("x")
    router.add_url_rule("/grüße/<name>", "greet", lambda name: name)
    assert client(router).get("/gr%C3%BC%C3%9Fe/%E6%97%A5").text == "日"
    assert router.url_for("greet", name="日") == "/gr%C3%BC%C3%9Fe/%E6%97%A5"


# ---------------------------------------------------------------------- what include adds to rules


def test_url_defaults_of_an_inclusion_reach_views_and_urls(client):
    blog = Router("blog")
    blog.add_url_rule("/", "index", lambda lang, theme: f"{lang} {theme} {url_for('.index')}")
    blog.add_url_rule("/dark", "dark", lambda lang, theme: f"{lang} {theme}", defaults={"theme": "dark"})
    site = Router("place")
    site.include(blog, "/en", name="en", url_defaults={"lang": "en", "theme": "light"})
    site.include(blog, "/de", name="de", url_defaults={"lang": "de", "theme": "light"})
    app = client(build_stack(site, use(ContextMiddleware)))
    assert app.get("/en/").text == "en light /en/"
    assert app.get("/de/dark").text == "de dark"


def test_url_defaults_of_nested_inclusions_are_joined_the_inner_ones_win(client):
    leaf_router, middle, site = Router("leaf"), Router("middle"), Router("place")
    leaf_router.add_url_rule("/", "index", lambda a, b, c: f"{a}{b}{c}")
    middle.include(leaf_router, url_defaults={"a": 1, "b": 1})
    site.include(middle, "/m", url_defaults={"b": 2, "c": 2})
    assert client(site).get("/m/").text == "112"


def test_a_subdomain_of_an_inclusion_is_that_of_its_rules(client):
    api, inner, site = Router("api"), Router("inner"), Router("place", server_name="example.org")
    api.add_url_rule("/", "index", lambda: "the api")
    api.add_url_rule("/own", "own", lambda: "own", subdomain="own")
    inner.add_url_rule("/", "index", lambda: "inner")
    api.include(inner, "/inner", subdomain="v1")
    site.add_url_rule("/", "index", lambda: "the site")
    site.include(api, subdomain="api")
    app = client(site)
    pages = {
        ("example.org", "/"): "the site",
        ("api.example.org", "/"): "the api",
        ("own.example.org", "/own"): "own",
        ("v1.api.example.org", "/inner/"): "inner",
    }
    for (host, path), text in pages.items():
        assert app.get(path, headers={"Host": host}).text == text
    assert site.url_for("api.index", _external=True) == "http://api.example.org/"


def test_a_mount_inside_a_subdomain_is_refused():
    api, site = Router("api"), Router("place", server_name="example.org")
    api.mount("/old", lambda environ, start_response: [])
    with pytest.raises(ConfigurationError, match=r"^mount: subdomain: expected none.*got 'api'"):
        site.include(api, subdomain="api")


def test_a_function_of_url_defaults_asks_which_endpoints_expect_a_value():
    router = Router("place")
    router.add_url_rule("/<lang>/", "index", lambda lang: lang)
    router.add_url_rule("/about", "about", lambda: "")

    @router.url_defaults
    def add_language(endpoint, values):
        if router.map.is_endpoint_expecting(endpoint, "lang"):
            values.setdefault("lang", "en")

    assert router.url_for("index") == "/en/"
    assert router.url_for("about") == "/about"
