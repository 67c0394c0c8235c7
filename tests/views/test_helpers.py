"""abort, redirect, jsonify, flash, make_response, send_file, url_for: Flask's helpers on the current request."""

from __future__ import annotations

import io

import pytest
from webtest import TestApp
from werkzeug.exceptions import HTTPException
from werkzeug.routing import BuildError

import wsgikit
from wsgikit.context.middleware import ContextMiddleware
from wsgikit.exceptions import ApplicationError, OutsideRequestError
from wsgikit.http.request import Response
from wsgikit.onion.stack import build_stack, use
from wsgikit.routing.router import Router
from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.views import (
    MethodView,
    UnsafeRedirect,
    View,
    abort,
    flash,
    get_flashed_messages,
    jsonify,
    make_response,
    redirect,
    secure_filename,
    send_file,
    send_from_directory,
    url_for,
)


def answered(view, path="/", *layers, rule="/", **options):
    router = Router("x")
    router.add_url_rule(rule, "view", view)
    app = TestApp(build_stack(router, use(ContextMiddleware), *layers), lint=True)
    return app.get(path, expect_errors=True, **options)


# ---------------------------------------------------------------------- redirect

SAFE = {
    "a path": "/next?a=1#b",
    "a relative path": "next",
    "this host": "http://localhost/next",
    "this host with its default port": "http://localhost:80/next",
    "this host in other letters": "http://LOCALHOST/next",
    "this host with the dot of the root": "http://localhost./next",
    "a query": "?page=2",
    "other letters": "/grüße",
    "a colon in the query": "/login?next=http://evil.example/",
}
UNSAFE = {
    "another host": "http://evil.example/",
    "another scheme": "https://evil.example/",
    "no scheme": "//evil.example/",
    "three slashes": "///evil.example/",
    "backslashes": "\\\\evil.example",
    "a slash and a backslash": "/\\evil.example",
    "white space before": " //evil.example",
    "a tab inside": "/\t/evil.example",
    "a script": "javascript:alert(1)",
    "data": "data:text/html,x",
    "user info": "http://localhost@evil.example/",
    "user info with this host": "http://evil.example\\@localhost/",
    "another port": "http://localhost:8000/",
    "port zero": "http://localhost:0/",
    "a host that only Python reads as this one": "http://ⓛocalhost/",
    "a suffix of the host": "http://localhost.evil.example/",
    "a scheme without host": "http:evil.example",
    "one slash": "http:/evil.example",
    "a broken address": "http://[::1",
    "a newline": "/a\r\nSet-Cookie: x=1",
    "mail": "mailto:x@example.org",
}


@pytest.mark.parametrize("location", SAFE.values(), ids=SAFE.keys())
def test_a_redirect_inside_the_site_is_sent(location):
    response = answered(lambda: redirect(location))
    assert response.status_int == 302
    assert response.headers["Location"].replace("gr%C3%BC%C3%9Fe", "grüße") == location


@pytest.mark.parametrize("location", UNSAFE.values(), ids=UNSAFE.keys())
def test_a_redirect_out_of_the_site_is_a_400_with_the_reason_in_the_log(location, caplog):
    assert answered(lambda: redirect(location)).status_int == 400
    [record] = caplog.records
    assert (record.levelname, record.name) == ("WARNING", "wsgikit")
    assert record.getMessage().startswith("redirect: location: expected an address")
    assert "\n" not in record.getMessage()


def test_the_error_of_a_redirect_says_what_allows_it():
    with pytest.raises(UnsafeRedirect, match=r"location: expected an address of this site.*Pass external=True or"):
        redirect("https://example.org/")


@pytest.mark.parametrize(
    "options", [{"external": True}, {"allowed_hosts": ["example.org"]}], ids=["external", "allowed_hosts"]
)
def test_a_redirect_leaves_the_site_where_it_is_told_that_it_may(options):
    response = answered(lambda: redirect("https://example.org/x", 303, **options))
    assert (response.status_int, response.headers["Location"]) == (303, "https://example.org/x")


@pytest.mark.parametrize("host", ["localhost:80/x", "a b", "evil.example@localhost", ""])
def test_a_redirect_to_a_host_of_a_broken_host_header_is_refused(host):
    response = answered(lambda: redirect("http://localhost/"), extra_environ={"HTTP_HOST": host})
    assert response.status_int == 400


@pytest.mark.parametrize(
    ("name", "expected"),
    [  # the cases of Werkzeug's tests/test_utils.py
        ("My cool movie.mov", "My_cool_movie.mov"),
        ("../../../etc/passwd", "etc_passwd"),
        ("i contain cool \xfcml\xe4uts.txt", "i_contain_cool_umlauts.txt"),
        ("__filename__", "filename"),
        ("foo$&^*)bar", "foobar"),
        ("..", ""),
    ],
)
def test_a_secure_filename_has_no_folders(name, expected):
    assert wsgikit.secure_filename(name) == secure_filename(name) == expected


def test_a_redirect_from_https_to_http_leaves_the_site():
    response = answered(
        lambda: redirect("http://localhost/"), extra_environ={"wsgi.url_scheme": "https", "SERVER_PORT": "443"}
    )
    assert response.status_int == 400


def test_the_page_of_a_redirect_is_escaped():
    assert b"<script>" not in answered(lambda: redirect("/<script>")).body


def test_a_code_that_is_no_redirect_is_refused():
    with pytest.raises(ValueError, match="redirect: code: expected 301"):
        redirect("/", 200)


# ---------------------------------------------------------------------- abort, jsonify, make_response


def test_abort_raises_the_exception_of_a_code():
    with pytest.raises(HTTPException) as caught:
        abort(403, "Members only")
    assert (caught.value.code, caught.value.description) == (403, "Members only")


def test_abort_with_a_response_answers_with_it():
    assert answered(lambda: abort(Response("mine", 418))).text == "mine"


def test_abort_with_an_unknown_code_says_so():
    with pytest.raises(LookupError):
        abort(999)


JSON = {
    "keywords": (lambda: jsonify(a=1, b=[2]), {"a": 1, "b": [2]}),
    "one value": (lambda: jsonify([1]), [1]),
    "several values": (lambda: jsonify(1, 2), [1, 2]),
    "None": (lambda: jsonify(None), None),
    "nothing": (lambda: jsonify(), {}),
}


@pytest.mark.parametrize(("view", "value"), JSON.values(), ids=JSON.keys())
def test_jsonify_answers_with_json(view, value):
    response = answered(view)
    assert (response.json, response.content_type) == (value, "application/json")


def test_jsonify_refuses_values_and_keywords():
    with pytest.raises(TypeError, match="expected either args or kwargs, got both"):
        jsonify(1, a=2)


def test_make_response_takes_what_a_view_may_return():
    def view():
        response = make_response({"a": 1}, 201, {"X-A": "b"})
        response.set_cookie("c", "d")
        assert response.get_json() == {"a": 1}
        assert response.mimetype == "application/json"
        return response

    response = answered(view)
    assert (response.status_int, response.headers["X-A"], response.json) == (201, "b", {"a": 1})
    assert response.headers["Set-Cookie"].startswith("c=d")
    assert answered(lambda: make_response()).body == b""


# ---------------------------------------------------------------------- flash


def test_messages_are_shown_once_and_the_same_in_one_request():
    router = Router("x")

    @router.get("/put")
    def put():
        flash("one")
        flash("two", "error")
        return ""

    @router.get("/show")
    def show():
        return [
            get_flashed_messages(),
            get_flashed_messages(with_categories=True),
            get_flashed_messages(category_filter=["error"]),
        ]

    layers = use(ContextMiddleware), use(SessionMiddleware, secret_key="k0123456789abcde")
    app = TestApp(build_stack(router, *layers), lint=True)
    assert app.get("/show").json == [[], [], []]
    assert "Set-Cookie" not in app.get("/show").headers
    app.get("/put")
    assert app.get("/show").json == [["one", "two"], [["message", "one"], ["error", "two"]], ["two"]]
    assert app.get("/show").json == [[], [], []]


# ---------------------------------------------------------------------- files


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.txt").write_text("0123456789")
    (tmp_path.parent / "outside.txt").write_text("secret")
    return tmp_path


def test_send_file_sends_a_download_with_a_name_and_age(folder):
    response = answered(lambda: send_file(folder / "a.txt", as_attachment=True, download_name="ä.txt", max_age=60))
    assert response.text == "0123456789"
    assert "filename*=UTF-8''%C3%A4.txt" in response.headers["Content-Disposition"]
    assert "max-age=60" in response.headers["Cache-Control"]


def test_send_file_answers_ranges_and_can_be_changed(folder):
    def view():
        response = send_file(folder / "a.txt")
        response.headers["X-A"] = "b"
        return response

    response = answered(view, headers={"Range": "bytes=-3"})
    assert (response.status_int, response.body, response.headers["X-A"]) == (206, b"789", "b")


def test_send_file_sends_what_is_in_memory():
    response = answered(lambda: send_file(io.BytesIO(b"x"), mimetype="image/png"))
    assert (response.body, response.content_type) == (b"x", "image/png")


@pytest.mark.parametrize("path", ["a.txt"])
def test_a_file_of_a_folder_is_sent(folder, path):
    assert answered(lambda: send_from_directory(folder, path)).text == "0123456789"


@pytest.mark.parametrize("path", ["../outside.txt", "/etc/passwd", "none", "a\0.txt", "..", ""], ids=repr)
def test_a_path_that_leads_out_of_the_folder_is_a_404(folder, path):
    assert answered(lambda: send_from_directory(folder, path)).status_int == 404


# ---------------------------------------------------------------------- url_for

URLS = {
    "a rule": (lambda: url_for("view", name="a b"), "/base/v/a%20b"),
    "a slash in a value": (lambda: url_for("view", name="a/b"), "/base/v/a/b"),
    "unknown values": (lambda: url_for("view", name="a", q="ü", tag=[1, 2]), "/base/v/a?q=%C3%BC&tag=1&tag=2"),
    "None is left out": (lambda: url_for("view", name="a", q=None), "/base/v/a"),
    "an anchor": (lambda: url_for("view", name="a", _anchor="x y"), "/base/v/a#x%20y"),
    "external": (lambda: url_for("view", name="a", _external=True), "http://localhost/base/v/a"),
    "another scheme": (lambda: url_for("view", name="a", _scheme="https"), "https://localhost/base/v/a"),
    "a scheme, external": (
        lambda: url_for("view", name="a", _scheme="https", _external=True),
        "https://localhost/base/v/a",
    ),
}


@pytest.mark.parametrize(("view", "url"), URLS.values(), ids=URLS.keys())
def test_url_for_builds_what_flask_builds(view, url):
    import flask

    options = {"extra_environ": {"SCRIPT_NAME": "/base", "HTTP_HOST": "localhost:80"}}
    ours = answered(lambda name: view(), "/v/x", rule="/v/<name>", **options).text
    app = flask.Flask("x")
    app.add_url_rule("/v/<name>", "view", lambda name: "")
    with app.test_request_context("/v/x", base_url="http://localhost:80/base"):
        values = {"url_for": flask.url_for}
        theirs = type(view)(view.__code__, values)()
    assert ours == url
    assert theirs == url


def test_a_scheme_of_a_url_that_is_not_external_is_an_error():
    with pytest.raises(ValueError, match=r"_scheme: expected with _external=True"):
        answered(lambda: url_for("view", _scheme="https", _external=False))


def test_a_url_that_cannot_be_built_says_what_is_near():
    with pytest.raises(BuildError, match="Did you mean 'view'"):
        answered(lambda: url_for("wiew"))


def test_a_handler_of_build_errors_may_answer():
    router = Router("x")
    router.url_build_error_handlers.append(lambda error, endpoint, values: f"/cdn/{endpoint}")
    assert router.url_for("logo") == "/cdn/logo"


def test_url_for_chooses_the_rule_of_a_method():
    router = Router("x")
    router.add_url_rule("/get", "view", lambda: "", methods=["GET"])
    router.add_url_rule("/post", "view", methods=["POST"])
    assert router.url_for("view", _method="POST") == "/post"


def test_outside_a_request_the_function_says_so_and_the_router_builds():
    router = Router("x", server_name="example.org")
    router.add_url_rule("/a", "a", lambda: "")
    with pytest.raises(OutsideRequestError):
        url_for("a")
    assert router.url_for("a") == "/a"
    assert router.url_for("a", _external=True) == "http://example.org/a"


def test_where_no_router_is_the_error_says_so():
    def app(environ, start_response):
        url_for("a")

    with pytest.raises(ApplicationError, match="expected a RouterMiddleware or Router around this request"):
        TestApp(build_stack(app, use(ContextMiddleware))).get("/")


def test_an_endpoint_with_a_dot_in_front_is_beside_the_current_one():
    inner, outer = Router("inner"), Router("outer")
    inner.add_url_rule("/here", "here", lambda: url_for(".there"))
    inner.add_url_rule("/there", "there", lambda: "")
    outer.add_url_rule("/there", "there", lambda: url_for(".there"))
    outer.include(inner, "/in")
    app = TestApp(build_stack(outer, use(ContextMiddleware)))
    assert app.get("/in/here").text == "/in/there"
    assert app.get("/there").text == "/there"


# ---------------------------------------------------------------------- views as classes


def test_a_view_class_dispatches_by_method():
    class Counter(MethodView):
        def __init__(self, start):
            self.start = start

        def get(self, name):
            return f"{name} {self.start} {self.exchange.environ['REQUEST_METHOD']}"

        async def post(self, name):
            return f"posted {name}", 201

    router = Router("x")
    router.add_url_rule("/<name>", view_func=Counter.as_view("counter", start=7))
    app = TestApp(router, lint=True)
    assert app.get("/a").text == "a 7 GET"
    assert app.post("/a").status_int == 201
    assert app.head("/a").status_int == 200
    assert app.options("/a").headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert app.put("/a", expect_errors=True).status_int == 405
    assert router.url_for("counter", name="b") == "/b"


def test_a_view_class_may_be_decorated_and_shared():
    seen = []

    def logged(function):
        def wrapper(**values):
            seen.append(sorted(values))
            return function(**values)

        return wrapper

    class Page(View):
        decorators = [logged]
        init_every_request = False
        methods = ["GET", "PUT"]

        def dispatch_request(self, name):
            return f"{name} {id(self)}"

    router = Router("x")
    router.add_url_rule("/<name>", view_func=Page.as_view("page"))
    app = TestApp(router)
    assert app.get("/a").text == app.put("/a").text
    assert seen == [["exchange", "name"]] * 2


def test_a_method_view_inherits_the_methods_of_its_bases():
    class Base(MethodView):
        def get(self):
            return "get"

    class Both(Base):
        def post(self):
            return "post"

    assert Both.methods == {"GET", "POST"}


def test_a_rule_with_a_method_that_the_class_has_not_is_a_405():
    class Page(MethodView):
        def get(self):
            return ""

    router = Router("x")
    router.add_url_rule("/", view_func=Page.as_view("page"), methods=["GET", "PUT"])
    assert TestApp(router).put("/", expect_errors=True).status_int == 405


def test_flasks_own_method_view_can_be_routed():
    import flask.views

    class Page(flask.views.View):
        def dispatch_request(self):
            return "from flask's"

    router = Router("x")
    view = Page.as_view("page")
    assert callable(view)
    router.add_url_rule("/", view_func=view)
    assert router.url_for("page") == "/"
