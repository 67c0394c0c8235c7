"""Mounted applications: by segment, environ restored, lazy bodies with their own view of it, URLs across."""

from __future__ import annotations

import re

import pytest

from wsgikit.context.locals import request
from wsgikit.context.middleware import ContextMiddleware
from wsgikit.ini.applications import PrefixMounts
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.stack import Stack, build_stack, use
from wsgikit.routing.middleware import RouterMiddleware
from wsgikit.routing.router import Router
from wsgikit.views import url_for


def where(environ, start_response):
    body = f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def streamed(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])

    def body():
        for _ in range(2):
            yield f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']};".encode()

    return body()


PATHS = {
    "/foo": "/foo|",
    "/foo/": "/foo|/",
    "/foo/bar": "/foo|/bar",
    "/foo//x": "/foo|//x",
    "/foobar": None,
    "/fo": None,
    "/": None,
    "//foo": None,
    "/x/foo": None,
}


@pytest.mark.parametrize(("path", "seen"), PATHS.items(), ids=PATHS.keys())
def test_a_prefix_is_matched_by_whole_segments(client, path, seen):
    router = Router("x")
    router.mount("/foo", where)
    response = client(router).get_any(path)
    assert (response.text if response.status_int == 200 else None) == seen


def test_an_empty_path_is_no_mount_but_the_root_one(client):
    router = Router("x")
    router.mount("/", where)
    router.mount("/foo", streamed)
    assert client(router).get("", extra_environ={"PATH_INFO": ""}).text in ("|", "|/")


def test_the_longest_prefix_wins(client):
    router = Router("x")
    router.mount("/a", where)
    router.mount("/a/b", streamed)
    assert client(router).get("/a/b/c").text == "/a/b|/c;/a/b|/c;"
    assert client(router).get("/a/bc").text == "/a|/bc"


def test_a_prefix_with_other_letters_than_ascii_is_matched_as_environ_has_it(client):
    router = Router("x")
    router.mount("/grüße", where)
    assert client(router).get("/gr%C3%BC%C3%9Fe/x").body.decode("utf-8") == "/grÃ¼Ã\x9fe|/x"


PRECEDENCE = {
    "/old/page": "rule",
    "/old/other": "/old|/other",
    "/old/files/a/b": "rule files",
    "/else/where": "rule all",
    "/old": "/old|",
}


@pytest.mark.parametrize(("path", "seen"), PRECEDENCE.items(), ids=PRECEDENCE.keys())
def test_between_a_rule_and_a_mount_the_longer_fixed_beginning_decides(client, path, seen):
    router = Router("x")
    router.mount("/old", where)
    router.add_url_rule("/old/page", "page", lambda: "rule")
    router.add_url_rule("/old/files/<path:p>", "files", lambda p: "rule files")
    router.add_url_rule("/<path:p>", "all", lambda p: "rule all")
    assert client(router).get(path).text == seen


def test_a_mount_may_be_a_regular_expression(client):
    router = Router("x")
    router.mount(re.compile(r"/v\d+"), where)
    assert client(router).get("/v12/x").text == "/v12|/x"
    assert client(router).get_any("/v12x").status_int == 404


def test_a_mount_may_be_for_one_host(client):
    router = Router("x")
    router.mount("/", where, host="api.example.org")
    app = client(router)
    assert app.get("/x", headers={"Host": "api.example.org:8080"}).text == "|/x"
    assert app.get_any("/x", headers={"Host": "www.example.org"}).status_int == 404


@pytest.mark.parametrize(
    ("mounted", "host", "expected"),
    [
        ("API.example.org", "api.EXAMPLE.org.", 200),
        ("api.example.org:8080", "api.example.org:8080", 200),
        ("api.example.org:8080", "api.example.org:81", 404),
        ("bücher.example", "xn--bcher-kva.example", 200),
        ("[::1]", "[0:0::1]:8080", 200),
        ("api.example.org", "api.example.org:x", 404),
        ("api.example.org", "api.example.org/", 404),
    ],
)
def test_a_mount_compares_hosts_as_browsers_do(client, mounted, host, expected):
    router = Router("x")
    router.mount("/", where, host=mounted)
    assert client(router).get_any("/x", headers={"Host": host}).status_int == expected


def test_a_mount_may_keep_the_path(client):
    router = Router("x")
    router.mount("/foo", where, keep_path=True)
    assert client(router).get("/foo/x").text == "|/foo/x"


def nested(app):
    inner, middle, outer = Router("inner"), Router("middle"), Router("outer")
    inner.mount("/c", app)
    middle.mount("/b", inner)
    outer.mount("/a", middle)
    return outer


class Recorder:
    """A server's environ, and what was in it whenever code outside the mounts ran."""

    def __init__(self, app, path):
        from wsgiref.util import setup_testing_defaults

        self.environ = {"SCRIPT_NAME": "/base", "PATH_INFO": path}
        setup_testing_defaults(self.environ)
        self.app = app
        self.seen = []

    def look(self):
        keys = ("SCRIPT_NAME", "PATH_INFO", "wsgikit.routing", "wsgiorg.routing_args")
        self.seen.append(tuple(self.environ.get(key) for key in keys))

    def run(self):
        chunks = []
        body = self.app(self.environ, lambda *head: None)
        self.look()
        for chunk in body:
            chunks.append(chunk)
            self.look()
        if hasattr(body, "close"):
            body.close()
        self.look()
        return b"".join(chunks).decode()


@pytest.mark.parametrize("app", [where, streamed], ids=["at rest", "lazy"])
def test_mounts_three_deep_leave_environ_as_it_was_after_each_step(app):
    recorder = Recorder(nested(app), "/a/b/c/d")
    assert recorder.run() in ("/base/a/b/c|/d", "/base/a/b/c|/d;" * 2)
    assert set(recorder.seen) == {("/base", "/a/b/c/d", None, None)}


def test_environ_is_restored_where_the_application_raises():
    def fails(environ, start_response):
        raise ValueError("inside")

    recorder = Recorder(nested(fails), "/a/b/c/d")
    with pytest.raises(ValueError, match="inside"):
        recorder.run()
    assert recorder.environ["PATH_INFO"] == "/a/b/c/d"
    assert recorder.environ["SCRIPT_NAME"] == "/base"


def test_what_a_mounted_application_leaves_in_environ_reaches_the_layers_outside(client):
    def app(environ, start_response):
        environ["wsgikit.db.commit"] = False
        return where(environ, start_response)

    router = Router("x")
    router.mount("/a", app)
    recorder = Recorder(router, "/a/b")
    recorder.run()
    assert recorder.environ["wsgikit.db.commit"] is False


def test_a_lazy_body_is_closed_in_the_environ_of_its_application():
    seen = []

    class Body:
        def __init__(self, environ):
            self.environ = environ

        def __iter__(self):
            seen.append(self.environ["PATH_INFO"])
            return iter([b"x"])

        def close(self):
            seen.append(self.environ["PATH_INFO"])

    def app(environ, start_response):
        start_response("200 OK", [])
        return Body(environ)

    Recorder(nested(app), "/a/b/c/d").run()
    assert seen == ["/d", "/d"]


def test_repeated_headers_of_a_mounted_application_are_kept(client):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        return [b""]

    router = Router("x")
    router.mount("/a", app)
    assert client(router).get("/a").headers.getall("Set-Cookie") == ["a=1", "b=2"]


def test_the_same_list_body_comes_back():
    body = [b"x"]

    def app(environ, start_response):
        start_response("200 OK", [])
        return body

    recorder = Recorder(nested(app), "/a/b/c/d")
    assert recorder.app(recorder.environ, lambda *head: None) is body


# ---------------------------------------------------------------------- foreign frameworks


def bottle_app():
    import bottle

    app = bottle.Bottle()

    @app.route("/gen")
    def gen():
        yield "a"
        yield "b"

    @app.route("/cookies")
    def cookies():
        bottle.response.set_cookie("a", "1")
        bottle.response.set_cookie("b", "2")
        return "ok"

    return app


def falcon_app():
    import falcon

    class Gen:
        def on_get(self, req, resp):
            resp.stream = iter([b"a", b"b"])

    class Cookies:
        def on_get(self, req, resp):
            resp.text = "ok"
            resp.set_cookie("a", "1")
            resp.set_cookie("b", "2")

    app = falcon.App()
    app.add_route("/gen", Gen())
    app.add_route("/cookies", Cookies())
    return app


@pytest.mark.parametrize("make", [bottle_app, falcon_app], ids=["Bottle", "Falcon"])
def test_an_application_of_another_framework_works_under_a_prefix(client, make):
    router = Router("x")
    router.mount("/foreign", make())
    app = client(build_stack(router, use(ContextMiddleware)))
    assert app.get("/foreign/gen").text == "ab"
    assert len(app.get("/foreign/cookies").headers.getall("Set-Cookie")) == 2


# ---------------------------------------------------------------------- URLs


def blog_and_site():
    site, blog, comments = Router("site"), Router("blog"), Router("comments")

    @comments.get("/on/<int:post_id>")
    def on(post_id):
        return " ".join([url_for("on", post_id=post_id), url_for("show", post_id=2), url_for("home")])

    @blog.get("/post/<int:post_id>")
    def show(post_id):
        return " ".join([url_for("show", post_id=post_id), url_for("comments.on", post_id=1), url_for("home")])

    @blog.get("/lazy")
    def lazy():
        yield url_for("show", post_id=1)
        yield " " + request.script_name

    @site.get("/home")
    def home():
        return " ".join([url_for("blog.show", post_id=7), url_for("blog.comments.on", post_id=7), url_for("home")])

    blog.mount("/comments", comments)
    site.mount("/blog", blog)
    return site


URLS = {
    "/home": "{0}/blog/post/7 {0}/blog/comments/on/7 {0}/home",
    "/blog/post/3": "{0}/blog/post/3 {0}/blog/comments/on/1 {0}/home",
    "/blog/comments/on/3": "{0}/blog/comments/on/3 {0}/blog/post/2 {0}/home",
    "/blog/lazy": "{0}/blog/post/1 {0}/blog",
}


@pytest.mark.parametrize("script_name", ["", "/base"], ids=["at the root", "under a prefix"])
@pytest.mark.parametrize(("path", "urls"), URLS.items(), ids=URLS.keys())
def test_urls_are_built_across_mounts_in_every_direction(client, path, urls, script_name):
    app = client(build_stack(blog_and_site(), use(ContextMiddleware)), SCRIPT_NAME=script_name)
    assert app.get(path).text == urls.format(script_name)


def test_urls_lead_into_a_mounted_stack(client):
    inner = Router("inner")
    inner.add_url_rule("/x", "x", lambda: url_for("home"))
    outer = Router("outer")
    outer.add_url_rule("/home", "home", lambda: url_for("inner.x"))
    outer.mount("/in", build_stack(where, use(ContextMiddleware), use(RouterMiddleware, router=inner)))
    app = client(build_stack(outer, use(ContextMiddleware)))
    assert app.get("/home").text == "/in/x"
    assert app.get("/in/x").text == "/home"


def test_the_application_behind_a_layer_can_build_urls(client):
    router = Router("x")
    router.add_url_rule("/home", "home", lambda: "")

    def behind(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [url_for("home").encode()]

    app = client(build_stack(behind, use(ContextMiddleware), use(RouterMiddleware, router=router)))
    assert app.get("/other").text == "/home"


def test_an_included_router_brings_its_mounts(client):
    router, blog = Router("x"), Router("blog")
    blog.mount("/app", where)
    router.include(blog, "/blog")
    assert client(router).get("/blog/app/y").text == "/blog/app|/y"


# ---------------------------------------------------------------------- the end of the process


class Pool(Middleware):
    """A layer that has something to give back."""

    def __init__(self, app, *, closed, name, fails=False):
        super().__init__(app)
        self.closed, self.name, self.fails = closed, name, fails

    def close(self):
        self.closed.append(self.name)
        if self.fails:
            raise OSError(f"{self.name} can't be closed")


def test_closing_a_stack_closes_what_its_router_mounts_before_the_layers_around():
    closed = []
    router = Router("x")
    router.mount("/built", build_stack(where, use(Pool, closed=closed, name="built")))
    router.mount("/nested", Pool(Pool(where, closed=closed, name="inner"), closed=closed, name="outer"))
    build_stack(router, use(Pool, closed=closed, name="around")).close()
    assert closed == ["built", "inner", "outer", "around"]


def test_closing_a_stack_closes_what_the_router_of_a_layer_mounts():
    closed = []
    router = Router("x")
    router.mount("/new", build_stack(where, use(Pool, closed=closed, name="mounted")))
    build_stack(
        build_stack(where, use(Pool, closed=closed, name="behind")), use(RouterMiddleware, router=router)
    ).close()
    assert closed == ["behind", "mounted"]


def test_what_included_and_mounted_routers_mount_is_closed():
    closed = []
    part, inner, router = Router("part"), Router("inner"), Router("x")
    part.mount("/a", build_stack(where, use(Pool, closed=closed, name="in a part")))
    inner.mount("/b", build_stack(where, use(Pool, closed=closed, name="in a mount")))
    router.include(part, "/part")
    router.mount("/inner", inner)
    router.close()
    assert closed == ["in a part", "in a mount"]


def test_what_is_mounted_twice_is_closed_once_each_time():
    closed = []
    stack = build_stack(where, use(Pool, closed=closed, name="pool"))
    router = Router("x")
    router.mount("/a", stack)
    router.mount("/b", stack)
    router.mount("/", stack, host="example.org")
    router.close()
    assert closed == ["pool"]
    router.close()
    assert closed == ["pool", "pool"]


def test_a_mount_that_fails_to_close_does_not_keep_the_others_from_it():
    closed = []
    router = Router("x")
    for name, fails in (("first", True), ("second", True), ("third", False)):
        router.mount(f"/{name}", build_stack(where, use(Pool, closed=closed, name=name, fails=fails)))
    stack = build_stack(router, use(Pool, closed=closed, name="around"))
    with pytest.raises(OSError, match="first can't be closed"):
        stack.close()
    assert closed == ["first", "second", "third", "around"]


def test_a_router_that_is_mounted_in_itself_is_closed():
    closed = []
    router = Router("x")
    router.mount("/pool", Pool(where, closed=closed, name="pool"))
    router.mount("/again", build_stack(router, use(Pool, closed=closed, name="around")))
    router.close()
    assert closed == ["pool", "around"]


def test_an_application_of_others_that_has_itself_inside_is_left_alone():
    class Odd:
        def __init__(self):
            self.app = self

        def __call__(self, environ, start_response):
            return where(environ, start_response)

        def close(self):
            closed.append(self)

    closed = []
    router = Router("x")
    router.mount("/odd", Odd())
    router.close()
    assert closed == []


def test_a_stack_in_a_composite_or_in_a_layer_closes_what_its_router_mounts_once():
    closed = []
    router = Router("x")
    router.mount("/a", build_stack(where, use(Pool, closed=closed, name="mounted")))
    stack = build_stack(router, use(Pool, closed=closed, name="around"))
    Stack.around(Pool(stack, closed=closed, name="by hand")).close()
    PrefixMounts({"/b": stack}).__wsgikit_close__()
    assert closed == ["mounted", "around", "by hand", "mounted", "around"]


# ---------------------------------------------------------------------- a prefix that ends in a slash

PREFIXES = {"": "", "/": "", "/app": "/app", "/app/": "/app", "/app//": "/app"}


@pytest.mark.parametrize(("script_name", "root"), PREFIXES.items(), ids=repr)
def test_a_mount_under_a_prefix_that_ends_in_a_slash(script_name, root):
    inner = Router("inner")
    inner.add_url_rule("/", "home", lambda: f"{request.environ['SCRIPT_NAME']} {url_for('.folder')} {url_for('top')}")
    inner.add_url_rule("/folder/", "folder", lambda: "folder")
    outer = Router("outer")
    outer.add_url_rule("/top", "top", lambda: url_for("inner.folder"))
    outer.mount("/in", inner)
    app = build_stack(outer, use(ContextMiddleware))

    def get(path):
        heads = []
        environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": script_name, "PATH_INFO": path, "HTTP_HOST": "example.org"}
        environ |= {"SERVER_NAME": "example.org", "SERVER_PORT": "80", "wsgi.url_scheme": "http"}
        body = b"".join(app(environ, lambda status, headers, exc_info=None: heads.append(dict(headers))))
        assert environ["SCRIPT_NAME"] == script_name
        return heads[-1].get("Location"), body.decode()

    assert get("/in/")[1] == f"{root}/in {root}/in/folder/ {root}/top"
    assert get("/top")[1] == f"{root}/in/folder/"
    assert get("/in/folder")[0] == f"{root}/in/folder/"
