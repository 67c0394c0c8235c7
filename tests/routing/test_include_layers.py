"""`router.include(other, layers=[…])`: layers around the views of an included router."""

from __future__ import annotations

import pytest

from wsgikit import ContextMiddleware, Exchange, Middleware, Router, RouterMiddleware, build_stack, current_app, use
from wsgikit.exceptions import ConfigurationError
from wsgikit.testing import TestClient


class Tag(Middleware):
    def __init__(self, app, *, text="tag"):
        super().__init__(app)
        self.text = text
        self.closed = []

    def before_request(self, exchange):
        exchange.environ.setdefault("tags", []).append(self.text)

    def after_request(self, exchange):
        exchange.headers.add("X-Tag", self.text)

    def close(self):
        self.closed.append(self.text)


class Gate(Middleware):
    def before_request(self, exchange):
        if "HTTP_X_KEY" not in exchange.environ:
            return exchange.reply(401, "closed")
        return None


def make_routers():
    """An outer router that includes `admin`, which includes `users`."""
    users = Router(name="users")
    admin = Router(name="admin")

    @admin.get("/")
    def home():
        return "home"

    @users.get("/all", endpoint="all")
    def every():
        return "all"

    outer = Router(name="outer")

    @outer.get("/")
    def index():
        return "index"

    return outer, admin, users


def tags(response):
    return response.headers.getall("X-Tag")


@pytest.fixture
def routers():
    return make_routers()


@pytest.mark.parametrize("way", ["router alone", "application of a stack", "layer in front"])
def test_layers_see_only_the_views_of_their_router(routers, way):
    outer, admin, _ = routers
    outer.include(admin, "/admin", layers=[use(Tag, text="admin")])

    def nothing(environ, start_response):
        start_response("404 Not Found", [("Content-Length", "0"), ("Content-Type", "text/plain")])
        return []

    app = {
        "router alone": outer,
        "application of a stack": build_stack(outer, use(Tag, text="outside")),
        "layer in front": build_stack(nothing, use(RouterMiddleware, router=outer)),
    }[way]
    client = TestClient(app)
    outside = ["outside"] if way == "application of a stack" else []
    assert tags(client.get("/admin/")) == ["admin", *outside]
    assert tags(client.get("/")) == outside
    assert tags(client.get("/admin/nothing", status=404)) == outside


def test_layers_of_nested_inclusions_run_from_the_outside_in(routers):
    outer, admin, users = routers
    admin.include(users, "/users", layers=[use(Tag, text="users")])
    outer.include(admin, "/admin", layers=[use(Tag, text="a"), use(Tag, text="b", name="second")])
    client = TestClient(outer)
    assert tags(client.get("/admin/users/all")) == ["users", "b", "a"]
    assert tags(client.get("/admin/")) == ["b", "a"]


def test_one_instance_serves_all_views_of_the_router(routers):
    outer, admin, users = routers
    seen = []

    class Count(Middleware):
        def before_request(self, exchange):
            seen.append(id(self))

    admin.include(users, "/users")
    outer.include(admin, "/admin", layers=[use(Count)])
    client = TestClient(outer)
    client.get("/admin/users/all")
    client.get("/admin/")
    assert len(seen) == 2
    assert len(set(seen)) == 1


def test_a_layer_can_answer_in_place_of_the_view(routers):
    outer, admin, _ = routers
    outer.include(admin, "/admin", layers=[use(Gate)])
    client = TestClient(outer)
    assert client.get("/admin/", status=401).text == "closed"
    assert client.get("/admin/", headers={"X-Key": "1"}).text == "home"
    assert client.get("/").text == "index"


def test_a_rule_added_later_is_inside_the_layers_too(routers):
    outer, admin, _ = routers
    outer.include(admin, "/admin", layers=[use(Tag, text="admin")])

    @admin.get("/later")
    def later():
        return "later"

    assert tags(TestClient(outer).get("/admin/later")) == ["admin"]


def test_hooks_of_the_router_run_inside_the_layers(routers):
    outer, admin, _ = routers
    seen = []
    outer.include(admin, "/admin", layers=[use(Tag, text="admin")])

    @admin.before_request
    def look(exchange: Exchange):
        seen.append(list(exchange.environ["tags"]))

    TestClient(outer).get("/admin/")
    assert seen == [["admin"]]


def test_current_app_stays_the_stack_around(routers):
    outer, admin, _ = routers
    seen = []

    @admin.get("/app")
    def app():
        seen.append(current_app._get_current_object())
        return "ok"

    outer.include(admin, "/admin", layers=[use(Tag)])
    stack = build_stack(outer, use(ContextMiddleware))
    TestClient(stack).get("/admin/app")
    assert seen == [stack]


def test_an_error_in_a_view_passes_the_layers():
    seen = []

    class See(Middleware):
        def handle_exception(self, exchange, error):
            seen.append(str(error))
            return exchange.reply(500, "seen")

    admin = Router(name="admin")

    @admin.get("/fails")
    def fails():
        raise ValueError("fails")

    outer = Router(name="outer")
    outer.include(admin, "/admin", layers=[use(See)])
    assert TestClient(outer).get("/admin/fails", status=500).text == "seen"
    assert seen == ["fails"]


def test_closing_the_router_closes_the_layers(routers):
    outer, admin, _ = routers
    outer.include(admin, "/admin", layers=[use(Tag, text="admin")])
    (tag,) = outer._inclusions[0].stack.layers
    with build_stack(outer):
        pass
    assert tag.closed == ["admin"]


def test_a_mistake_in_a_layer_is_found_when_the_router_is_included(routers):
    outer, admin, _ = routers
    with pytest.raises(ConfigurationError, match="Tag: unknown option: expected a known one, got 'txet'"):
        outer.include(admin, "/admin", layers=[use(Tag, txet="x")])
    assert TestClient(outer).get("/admin/", status=404)
