"""What a router accepts, and what it refuses while routes are added."""

from __future__ import annotations

import pytest

from wsgikit import ContextMiddleware, Router, build_stack, use
from wsgikit.exceptions import ApplicationError, ConfigurationError


def show(**values):
    return "shown"


class Pages:
    def index(self, name="home"):
        return name

    def other(self):
        return ""


# ---------------------------------------------------------------------- rules without a view, or without a path


def test_a_rule_without_a_view_gives_a_taken_path_a_second_name(client):
    """The last line of Flask's tutorial: `app.add_url_rule("/", endpoint="index")` beside the blueprint's own."""
    blog = Router("blog")
    blog.add_url_rule("/", "index", lambda: "the blog")
    site = Router("tutorial")
    site.include(blog)
    site.add_url_rule("/", endpoint="index")
    assert client(site).get("/").text == "the blog"
    assert site.url_for("index") == site.url_for("blog.index") == "/"
    site.check_views()


def test_a_rule_with_a_view_is_still_refused_beside_one_of_its_path():
    site = Router("tutorial")
    site.add_url_rule("/", "first", show)
    with pytest.raises(ConfigurationError, match=r"^Rule '/' of endpoint 'second': its path: .*endpoint 'first'"):
        site.add_url_rule("/", "second", Pages().other)


@pytest.mark.parametrize("filled", ["before", "after"])
def test_an_empty_rule_is_the_prefix_itself(client, filled):
    users, site = Router("users"), Router("tutorial")
    if filled == "after":
        site.include(users, "/users")
    users.add_url_rule("", "all", lambda: "all")
    users.add_url_rule("/<name>", "one", lambda name: name)
    if filled == "before":
        site.include(users, "/users")
    app = client(site)
    assert app.get("/users").text == "all"
    assert app.get("/users/ann").text == "ann"
    assert app.get_any("/users/").status_int == 404
    assert site.url_for("users.all") == "/users"


def test_an_empty_rule_without_a_prefix_is_refused_before_serving(client):
    users, site = Router("users"), Router("tutorial")
    users.add_url_rule("", "all", lambda: "all")
    site.include(users)
    with pytest.raises(ConfigurationError, match=r"^rule '': endpoint 'users.all': expected a prefix before it"):
        site.check_views()


# ---------------------------------------------------------------------- one view for several rules


def test_a_bound_method_may_be_the_view_of_two_rules(client):
    pages, router = Pages(), Router("pages")
    router.add_url_rule("/", "index", pages.index)
    router.add_url_rule("/<name>", "index", pages.index)
    assert client(router).get("/").text == "home"
    assert client(router).get("/about").text == "about"


def test_two_views_of_one_endpoint_are_refused_with_the_place_of_both():
    router = Router("pages")
    router.add_url_rule("/", "index", show)
    text = (
        r"^<Router 'pages'>: endpoint 'index': expected one view, got two: \S*\.show, \S*test_registration\.py:\d+, "
        r"and \S*\.Pages\.index, \S*test_registration\.py:\d+\. Give one of them another endpoint=\.$"
    )
    with pytest.raises(ConfigurationError, match=text):
        router.add_url_rule("/other", "index", Pages().index)


# ---------------------------------------------------------------------- decorators without parentheses

DECORATORS = ["get", "post", "put", "patch", "delete", "query", "route", "endpoint", "errorhandler", "app_errorhandler"]


@pytest.mark.parametrize("name", DECORATORS)
def test_a_decorator_without_parentheses_is_refused(name):
    decorator = getattr(Router("pages"), name)
    with pytest.raises(
        ConfigurationError, match=r"^\w+: \w+: expected .*, got \S*\.show, \S*:\d+\. Write .*@router\.\w+\("
    ):
        decorator(show)


@pytest.mark.parametrize("rule", [None, 7, ["/a"], show], ids=["None", "a number", "a list", "a function"])
def test_a_rule_that_is_no_text_is_refused(rule):
    with pytest.raises(ConfigurationError, match=r"^add_url_rule: rule: expected a path such as"):
        Router("pages").add_url_rule(rule, "x", show)


# ---------------------------------------------------------------------- messages


def test_a_view_whose_parameters_do_not_fit_is_named_with_both_lists():
    router = Router("pages")

    @router.get("/<int:a>")
    def page(b, c=1, *, d=2):
        return ""

    with pytest.raises(
        ConfigurationError,
        match=r"^rule '/<int:a>': view \S*page, \S*\.py:\d+: expected the parameters \(a\), got \(b, c, d\)\. ",
    ):
        router.check_views()


@pytest.mark.parametrize("hook", [False, True], ids=["plain", "with an after_request hook"])
def test_a_view_that_returns_none_is_named_with_file_and_line(hook):
    router = Router("pages")

    @router.get("/")
    def forgets():
        pass

    if hook:
        router.after_request(lambda response: response)
    app = build_stack(router, use(ContextMiddleware))
    line = forgets.__code__.co_firstlineno
    with pytest.raises(
        ApplicationError, match=rf"^view 'forgets' \(\S*forgets, {__file__}:{line}\): result: .*got None"
    ):
        list(app({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.url_scheme": "http"}, lambda *_: None))
