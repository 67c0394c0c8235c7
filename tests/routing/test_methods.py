"""Methods are case-sensitive (RFC 9110 §9.1): `post` is another method than POST, everywhere."""

from __future__ import annotations

import pytest

from wsgikit import ContextMiddleware, ErrorPagesMiddleware, Router, RouterMiddleware, build_stack, request, use
from wsgikit.exceptions import ConfigurationError
from wsgikit.http.request import Request
from wsgikit.routing.matcher import RouteMap
from wsgikit.routing.rules import Rule
from wsgikit.views import MethodView


class View(MethodView):
    def get(self):
        return "got"

    def post(self):
        return "posted"

    def helper(self):
        return "never"


class Posts:
    def create(self, body):
        return {"made": True}


def make_router() -> Router:
    router = Router("methods")
    router.add_url_rule("/post", "post", lambda: "posted", methods=["POST"])
    router.add_url_rule("/form", "form", lambda: request.method, methods=["GET", "POST"])
    router.add_url_rule("/item/<int:item_id>", "item", lambda item_id: "item", methods=["POST"])
    router.add_url_rule("/view", view_func=View.as_view("view"))
    router.resource("/posts", Posts)
    return router


def call(app, method, path, **environ):
    """Call without a linter, which refuses such methods."""
    heads = []
    environ = {
        "PATH_INFO": path,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        **environ,
    }
    if method is not None:
        environ["REQUEST_METHOD"] = method
    body = app(environ, lambda status, headers, exc_info=None: heads.append((status, headers)))
    try:
        text = b"".join(body)
    finally:
        getattr(body, "close", lambda: None)()
    return heads[-1][0][:3], dict(heads[-1][1]), text


APPS = {
    "the router alone": lambda: make_router(),
    "in a stack": lambda: build_stack(make_router(), use(ErrorPagesMiddleware), use(ContextMiddleware)),
    "in front of an application": lambda: build_stack(
        lambda environ, start_response: start_response("404 Not Found", []) and [],
        use(ContextMiddleware),
        use(RouterMiddleware, router=make_router()),
    ),
}


@pytest.mark.parametrize("make", APPS.values(), ids=APPS.keys())
@pytest.mark.parametrize("path", ["/post", "/form", "/item/7", "/view", "/posts"])
@pytest.mark.parametrize("method", ["post", "Post", "pOST", "options", "head", "POST\t"])
def test_a_method_in_another_case_is_405(make, path, method):
    status, headers, _ = call(make(), method, path)
    assert status == "405"
    assert "POST" in headers["Allow"]


@pytest.mark.parametrize("path", ["/post", "/form", "/view"])
def test_the_method_itself_reaches_the_view(path):
    status, _, body = call(make_router(), "POST", path, CONTENT_LENGTH="0")
    assert status == "200"
    assert body in (b"posted", b"POST")


def test_the_map_compares_methods_as_they_are():
    table = RouteMap([Rule("/a", endpoint="a", methods=["POST"]), Rule("/<b>", endpoint="b", methods=["PUT"])])
    assert table.find("/a", "POST").endpoint == "a"
    assert table.find("/a", "post").kind == "method_not_allowed"
    assert table.find("/x", "put").kind == "method_not_allowed"


def test_the_request_has_the_method_as_it_was_sent():
    assert Request({"REQUEST_METHOD": "post", "wsgi.url_scheme": "http"}).method == "post"


@pytest.mark.parametrize("make", APPS.values(), ids=APPS.keys())
@pytest.mark.parametrize(
    ("path", "status"), [("/form", "200"), ("/view", "200"), ("/post", "405"), ("/nowhere", "404"), ("/item/7", "405")]
)
def test_an_environ_without_a_method_is_a_get(make, path, status):
    assert call(make(), None, path)[0] == status


# ---------------------------------------------------------------------- views as classes


class Propfind(MethodView):
    methods = ("GET", "PROPFIND")


class Folder(Propfind):
    def get(self):
        return "got"

    def propfind(self):
        return "found"


def test_methods_of_a_base_class_reach_the_view():
    router = Router("dav")
    router.add_url_rule("/", view_func=Folder.as_view("folder"))
    assert call(router, "PROPFIND", "/")[2] == b"found"
    assert call(router, "propfind", "/")[0] == "405"


def test_a_method_that_the_class_does_not_name_reaches_no_attribute():
    router = Router("views")
    router.add_url_rule("/", view_func=View.as_view("view"), methods=["GET", "HELPER"])
    assert call(router, "HELPER", "/")[0] == "405"


# ---------------------------------------------------------------------- QUERY


def test_query_registers_a_view_for_query():
    router = Router("queries")

    @router.query("/search")
    def search():
        return request.get_data(as_text=True)

    import io

    body = {"wsgi.input": io.BytesIO(b"q=1"), "CONTENT_LENGTH": "3"}
    assert call(router, "QUERY", "/search", **body)[2] == b"q=1"
    status, headers, _ = call(router, "GET", "/search")
    assert (status, headers["Allow"]) == ("405", "OPTIONS, QUERY")


def test_query_refuses_methods():
    with pytest.raises(ConfigurationError, match=r"^query: methods: expected no such option"):
        Router("queries").query("/search", methods=["GET"])


def test_a_view_class_may_have_query():
    class Search(MethodView):
        def query(self):
            return "queried"

    router = Router("queries")
    router.add_url_rule("/", view_func=Search.as_view("search"))
    assert call(router, "QUERY", "/")[2] == b"queried"
