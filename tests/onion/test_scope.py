"""Layers that take part in some requests only: `use(X, only=…, unless=…)`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgikit import ContextMiddleware, Middleware, build_stack, has_request_context, use
from wsgikit.exceptions import ConfigurationError
from wsgikit.onion.scope import Scope, readings_of
from wsgikit.testing import TestClient


class Mark(Middleware):
    """Says in a header that it took part, and in `environ["steps"]` which of its hooks ran."""

    provides = ("mark",)

    def before_request(self, exchange):
        exchange.environ.setdefault("steps", []).append("before")
        exchange.environ["mark"] = True

    def after_request(self, exchange):
        exchange.headers.add("Mark", "yes")

    def handle_exception(self, exchange, error):
        return exchange.reply(500, "marked")

    def teardown_request(self, exchange):
        exchange.environ.setdefault("steps", []).append("teardown")


class AfterOnly(Middleware):
    def after_request(self, exchange):
        exchange.headers.add("Mark", "yes")


def app(environ, start_response):
    if environ["PATH_INFO"].endswith("/fails"):
        raise ValueError("fails")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]


def matches(path, method="GET", script_name="", **scope):
    environ = {"REQUEST_METHOD": method, "SCRIPT_NAME": script_name, "PATH_INFO": path}
    return Scope("test", scope.get("only"), scope.get("unless")).matches(environ)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/api/*", "/api/x", True),
        ("/api/*", "/api/x/y", True),
        ("/api/*", "/api/", True),
        ("/api/*", "/api", True),
        ("/api/*", "/apis", False),
        ("/api/*", "/API/x", False),
        ("/*", "/anything", True),
        ("/*", "/", True),
        ("*.map", "/static/a.map", True),
        ("*.map", "/a.mapx", False),
        ("/login", "/login", True),
        ("/login", "/login/", False),
        ("/login", "/", False),
        ("/", "/", True),
        ("/", "", True),
        ("/straße/*", "/straße/1".encode().decode("latin-1"), True),
        # Written otherwise, read as the same path by some application.
        ("/admin/*", "//admin/x", True),
        ("/admin/*", "/x/../admin/y", True),
        ("/admin/*", "/./admin/y", True),
        ("/admin/*", "/admin\\y", True),
        ("/admin/*", "/x\\..\\admin\\y", True),
        ("/admin/*", "/x%2F..%2Fadmin%2Fy", True),
        ("/admin/*", "/%61dmin/y", True),
        ("/admin/*", "/admin/../public", True),
        ("/admin/*", "/public//../admin/x", True),
        ("*.map", "/a%2Emap", True),
        ("/admin/*", "admin/x", True),  # waitress hands on "GET admin/x HTTP/1.1", and Werkzeug adds the slash
        ("/admin", "admin", True),
        ("/admin/*", "x/../admin", True),
    ],
)
def test_only_matches_a_path_in_any_reading(pattern, path, expected):
    assert matches(path, only=pattern) is expected


@pytest.mark.parametrize(
    ("pattern", "path", "spared"),
    [
        ("/public/*", "/public/x", True),
        ("/public/*", "/public", True),
        ("/public/*", "/publicx", False),
        ("/public/*", "/public/../admin", False),
        ("/public/*", "/public/%2e%2e/admin", False),
        ("/public/*", "/public/..%2Fadmin", False),
        ("/public/*", "/public\\..\\admin", False),
        ("/public/*", "/public//../admin", False),
        ("/public/*", "/public//x", True),
        ("/public/*", "//public/x", False),
        ("/public/*", "/public/a%20b", True),
        ("/public/*", "public/x", False),
    ],
)
def test_unless_spares_a_path_only_in_every_reading(pattern, path, spared):
    assert matches(path, unless=pattern) is not spared


@pytest.mark.parametrize(
    ("scope", "method", "path", "expected"),
    [
        ({"only": "POST"}, "POST", "/x", True),
        ({"only": "POST"}, "post", "/x", False),
        ({"only": "GET"}, "HEAD", "/x", False),
        ({"only": "POST /api/*"}, "POST", "/api/x", True),
        ({"only": "POST /api/*"}, "GET", "/api/x", False),
        ({"only": "POST /api/*"}, "POST", "/x", False),
        ({"only": ["/a", "/b"]}, "GET", "/b", True),
        ({"only": ["PUT", "GET /a"]}, "PUT", "/z", True),
        ({"only": "/api/*", "unless": "/api/open/*"}, "GET", "/api/x", True),
        ({"only": "/api/*", "unless": "/api/open/*"}, "GET", "/api/open/x", False),
        ({"only": "/api/*", "unless": "/api/open/*"}, "GET", "/x", False),
        ({"only": lambda environ: environ["PATH_INFO"] == "/mine"}, "GET", "/mine", True),
        ({"only": lambda environ: environ["PATH_INFO"] == "/mine"}, "GET", "/other", False),
        ({"unless": ["/a", lambda environ: environ["REQUEST_METHOD"] == "PUT"]}, "PUT", "/x", False),
    ],
)
def test_methods_lists_and_callables(scope, method, path, expected):
    assert matches(path, method, **scope) is expected


def test_a_path_without_its_slash_is_read_below_the_prefix_of_the_application():
    assert matches("admin/x", script_name="/app", only="/app/admin/*")
    assert matches("admin/x", script_name="/app", unless="/appadmin/*")


def test_the_prefix_that_the_application_is_mounted_at_counts():
    assert matches("/x", script_name="/api", only="/api/*")
    assert matches("", script_name="/api", only="/api/*")
    assert not matches("/api/x", script_name="/v1", only="/api/*")


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        ({"only": "/a/*/b"}, "only: expected a path such as '/api/*'"),
        ({"only": "/a*"}, "Write '*' only as the last segment"),
        ({"only": "*"}, "Write '*' only as the last segment"),
        ({"only": "**.map"}, "Write '*' only as the last segment"),
        ({"only": "api"}, "only: expected a path such as"),
        ({"only": "post /api"}, "Write the method in capitals"),
        ({"unless": ""}, "unless: expected a path such as"),
        ({"unless": []}, "Leave unless out"),
        ({"unless": [7]}, "unless: expected a path such as"),
    ],
)
def test_what_cannot_be_read_is_refused_while_building(scope, text):
    with pytest.raises(ConfigurationError, match="build_stack: Mark: ") as caught:
        build_stack(app, use(Mark, **scope))
    assert text in str(caught.value)


@given(st.text(alphabet="/.\\%2Fe5Cab", max_size=12))
def test_no_spelling_takes_a_layer_out_that_a_plain_reading_has_in(path):
    """Whatever is in `only` by its text, or leaves `unless` by one reading, is in."""
    path = "/" + path
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path}
    for reading in readings_of(path):
        plain = {"REQUEST_METHOD": "GET", "PATH_INFO": reading}
        only = Scope("test", "/a/*", None)
        if len(readings_of(reading)) == 1 and only.matches(plain):
            assert only.matches(environ)
        unless = Scope("test", None, "/a/*")
        if len(readings_of(reading)) == 1 and unless.matches(plain):
            assert unless.matches(environ)


# ---------------------------------------------------------------------- in a stack


@pytest.mark.parametrize("layer", [Mark, AfterOnly])
def test_no_hook_runs_outside_the_scope(layer):
    client = TestClient(build_stack(app, use(layer, only="/in/*")))
    assert client.get("/in/x").headers.get("Mark") == "yes"
    environ = {}
    outside = client.get("/out", extra_environ=environ)
    assert "Mark" not in outside.headers


def test_errors_outside_the_scope_are_not_handled():
    client = TestClient(build_stack(app, use(Mark, only="/in/*")))
    assert client.get("/in/fails", status=500).text == "marked"
    with pytest.raises(ValueError, match="fails"):
        client.get("/out/fails")


def test_every_hook_follows_the_decision_on_the_way_in():
    """An application that changes the path doesn't change who is torn down."""
    steps = []

    def moves(environ, start_response):
        environ["PATH_INFO"] = "/elsewhere"
        steps.append(environ["steps"])
        return app(environ, start_response)

    stack = build_stack(moves, use(Mark, only="/in/*"))
    response = TestClient(stack).get("/in/x")
    assert response.headers["Mark"] == "yes"
    assert steps == [["before", "teardown"]]


def test_a_layer_inside_sees_the_method_that_a_layer_outside_set():
    class Override(Middleware):
        def before_request(self, exchange):
            exchange.environ["REQUEST_METHOD"] = "DELETE"

    client = TestClient(build_stack(app, use(Override), use(Mark, only="DELETE")))
    assert client.post("/x").headers["Mark"] == "yes"


def test_scoped_layers_stay_fused():
    stack = build_stack(app, use(Mark, only="/in/*"), use(AfterOnly))
    assert len(stack.layers[0]._onion.layers) == 2


def test_a_layer_of_others_is_passed_by():
    def shout(inner):
        def wrapped(environ, start_response):
            return [b"".join(inner(environ, start_response)).upper()]

        return wrapped

    client = TestClient(build_stack(app, use(shout, only="/in/*"), use(AfterOnly)))
    assert client.get("/in/x").text == "OK"
    assert client.get("/out").text == "ok"
    assert client.get("/out").headers["Mark"] == "yes"


def test_the_context_layer_gives_no_context_outside_its_scope():
    seen = []

    def look(environ, start_response):
        seen.append(has_request_context())
        return app(environ, start_response)

    stack = build_stack(look, use(AfterOnly), use(ContextMiddleware, only="/in/*"), use(Mark))
    client = TestClient(stack)
    assert client.get("/in").headers.getall("Mark") == ["yes", "yes"]
    assert client.get("/out").headers.getall("Mark") == ["yes", "yes"]
    assert seen == [True, False]
    assert [type(layer).__name__ for layer in stack.layers] == ["AfterOnly", "ContextMiddleware", "Mark"]


def test_a_made_up_request_respects_the_scope():
    stack = build_stack(app, use(ContextMiddleware), use(Mark, only="/in/*"))
    with stack.request_context("/in/x") as exchange:
        assert exchange.environ["mark"] is True
    with stack.request_context("/out") as exchange:
        assert "mark" not in exchange.environ


class Needs(Middleware):
    requires = ("mark",)


def test_a_scoped_provider_satisfies_only_layers_of_its_scope():
    build_stack(app, use(Mark, only="/in/*"), use(Needs, only=["/in/*"]))
    with pytest.raises(ConfigurationError, match=r"Needs: needs environ\['mark'\]"):
        build_stack(app, use(Mark, only="/in/*"), use(Needs))
    with pytest.raises(ConfigurationError, match=r"Needs: needs environ\['mark'\]"):
        build_stack(app, use(Mark, only="/in/*"), use(Needs, only="/other"))


def test_the_drawing_of_a_stack_shows_the_scope():
    stack = build_stack(app, use(Mark, only="/in/*", unless=["/in/x"]))
    assert "→ Mark  only='/in/*'  unless=['/in/x']" in stack.describe()
    assert repr(use(Mark, only="/in/*")) == "use(Mark, only='/in/*')"


def test_only_and_unless_are_never_passed_to_the_factory():
    class Greedy(Middleware):
        def __init__(self, app, *, only=None):
            super().__init__(app)
            assert only is None

    build_stack(app, use(Greedy, only="/in"))
