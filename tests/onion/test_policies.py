"""`@policy(…)`: what a view wants of the layers around it."""

from __future__ import annotations

from functools import partial

import pytest
from bottle import Bottle
from flask import Flask

from wsgikit import ContextMiddleware, Middleware, Router, RouterMiddleware, build_stack, policy, use
from wsgikit.exceptions import ApplicationError, ConfigurationError
from wsgikit.routing.method_view import MethodView
from wsgikit.testing import TestClient


class Obey(Middleware):
    """Says in a header what it saw of the policy, on both sides."""

    request_policy = ("csrf", "login", "rate_limit", "body_limit", "own_key")
    response_policy = ("cache", "compress", "csp")

    def before_view(self, exchange):
        exchange.environ["seen"] = dict(exchange.policy)

    def after_request(self, exchange):
        exchange.headers.add("On-The-Way-In", repr(exchange.environ.get("seen")))
        exchange.headers.add("On-The-Way-Out", repr(dict(exchange.policy)))


def seen(app, path="/", method="GET", **options):
    response = TestClient(app).request(path, method=method, **options)
    return response.headers["On-The-Way-In"], response.headers["On-The-Way-Out"]


def both(expected):
    return (repr(expected), repr(expected))


@pytest.mark.parametrize("place", ["above", "below"])
@pytest.mark.parametrize("way", ["application", "layer in front"])
def test_it_works_above_and_below_the_route_decorator(place, way):
    router = Router(name="site")

    def view():
        return "ok"

    if place == "below":
        router.get("/")(policy(csrf=False, cache=60)(view))
    else:
        policy(csrf=False, cache=60)(router.get("/")(view))
    stack = {
        "application": lambda: build_stack(router, use(Obey)),
        "layer in front": lambda: build_stack(lambda e, s: [], use(Obey), use(RouterMiddleware, router=router)),
    }[way]()
    assert seen(stack) == both({"csrf": False, "cache": 60})


def test_policies_of_one_view_add_up_and_the_outer_one_wins():
    router = Router(name="site")

    @router.get("/")
    @policy(cache=60, login=True)
    @policy(cache=5, csrf=False)
    def view():
        return "ok"

    assert seen(build_stack(router, use(Obey))) == both({"cache": 60, "csrf": False, "login": True})


def test_a_decorator_between_keeps_the_policy_and_runs():
    from functools import wraps

    def shout(function):
        @wraps(function)
        def shouting():
            return function().upper()

        return shouting

    router = Router(name="site")

    @router.get("/")
    @shout
    @policy(cache=60)
    def view():
        return "ok"

    client = TestClient(build_stack(router, use(Obey)))
    response = client.get("/")
    assert response.text == "OK"
    assert response.headers["On-The-Way-Out"] == "{'cache': 60}"


def test_a_method_wins_over_its_class_and_that_over_its_base():
    @policy(cache=1, login=True, compress=False)
    class Base(MethodView):
        pass

    @policy(cache=2)
    class Item(Base):
        def get(self):
            return "got"

        @policy(cache=3)
        def post(self):
            return "posted"

    router = Router(name="site")
    router.add_url_rule("/", view_func=Item.as_view("item"))
    stack = build_stack(router, use(Obey))
    base = {"cache": 2, "login": True, "compress": False}
    assert seen(stack) == both(base)
    assert seen(stack, method="HEAD") == both(base)
    assert seen(stack, method="POST") == both({**base, "cache": 3})


def test_methods_of_a_resource_have_policies():
    @policy(login=True)
    class Notes:
        def index(self):
            return []

        @policy(login=False, csrf=False)
        def create(self, text: str = ""):
            return {}

    router = Router(name="site")
    router.resource("/notes", Notes)
    stack = build_stack(router, use(Obey))
    assert seen(stack, "/notes") == both({"login": True})
    assert seen(stack, "/notes", method="POST") == both({"login": False, "csrf": False})


@pytest.mark.parametrize(
    ("outer", "inner", "allowed", "expected"),
    [
        ({"login": True}, {}, (), {"login": True}),
        ({"login": True}, {"login": False}, (), {"login": True}),
        ({"csrf": True}, {"csrf": False}, (), {"csrf": True}),
        ({"csrf": True}, {"csrf": False}, ("csrf",), {"csrf": False}),
        ({"login": True}, {"login": None}, (), {"login": True}),
        ({"login": False}, {"login": True}, (), {"login": True}),
        ({"cache": 60}, {"cache": 5}, (), {"cache": 5}),
        ({"cache": 60}, {"compress": False}, (), {"cache": 60, "compress": False}),
    ],
)
def test_the_nearest_wins_but_an_inclusion_protects_its_views(outer, inner, allowed, expected):
    admin = Router(name="admin")

    @admin.get("/")
    @policy(**inner)
    def view():
        return "ok"

    site = Router(name="site")
    site.include(admin, "/admin", policy=outer, allow_policy=allowed)
    assert seen(build_stack(site, use(Obey)), "/admin/") == both(expected)


def test_an_inner_inclusion_cannot_loosen_an_outer_one():
    inner, middle, site = Router(name="inner"), Router(name="middle"), Router(name="site")

    @inner.get("/")
    def view():
        return "ok"

    middle.include(inner, "/in", policy={"login": False, "cache": 1})
    site.include(middle, "/mid", policy={"login": True, "cache": 2})
    assert seen(build_stack(site, use(Obey)), "/mid/in/") == both({"login": True, "cache": 1})


# ---------------------------------------------------------------------- a key that nobody obeys


def admin_router(**keys):
    router = Router(name="site")

    @router.get("/")
    @policy(**keys)
    def view():
        return "secret"

    return router


@pytest.mark.parametrize("layers", [(), (use(ContextMiddleware),)], ids=["bare", "with locals"])
def test_a_view_whose_login_no_layer_obeys_does_not_run(layers):
    client = TestClient(build_stack(admin_router(login=True), *layers))
    with pytest.raises(ApplicationError, match="policy: login: expected a layer that obeys it") as caught:
        client.get("/")
    assert "view 'view'" in str(caught.value)


def test_the_same_holds_for_a_router_served_by_itself():
    with pytest.raises(ApplicationError, match="policy: login"):
        TestClient(admin_router(login=True)).get("/")


class Hidden:
    @policy(login=True)
    def __call__(self):
        return "secret"


@policy(login=True)
def secret():
    return "secret"


@pytest.mark.parametrize(
    "view", [lambda: secret(), partial(secret), Hidden()], ids=["decorator without wraps", "partial", "object"]
)
@pytest.mark.parametrize("layers", [[use(Obey)], [use(ContextMiddleware), use(Obey)]], ids=["bare", "with locals"])
def test_a_policy_that_the_router_cannot_see_is_an_error(view, layers):
    router = Router(name="site")
    router.add_url_rule("/", "view", view)
    with pytest.raises(ApplicationError, match=r"login: expected a view of wsgikit's Router.*functools\.wraps"):
        TestClient(build_stack(router, *layers)).get("/")


def test_a_view_may_call_another_view_of_the_router():
    router = Router(name="site")

    @router.get("/other")
    @policy(login=True)
    def other():
        return "other"

    router.get("/")(lambda: other())
    assert TestClient(build_stack(router, use(ContextMiddleware), use(Obey))).get("/").text == "other"


@pytest.mark.parametrize("layers", [(), (use(Obey),)], ids=["bare", "with the layer"])
def test_automatic_options_needs_no_layer_that_obeys(layers):
    response = TestClient(build_stack(admin_router(login=True), *layers)).request("/", method="OPTIONS")
    assert {name.strip() for name in response.headers["Allow"].split(",")} == {"GET", "HEAD", "OPTIONS"}


def test_what_asks_for_nothing_needs_no_layer():
    assert TestClient(build_stack(admin_router(csrf=False, cache=60))).get("/").text == "secret"


def test_a_layer_of_an_inclusion_obeys_for_its_views():
    site = Router(name="site")
    site.include(admin_router(login=True), "/admin", layers=[use(Obey)])
    assert TestClient(site).get("/admin/").text == "secret"


def test_a_layer_around_the_mount_obeys_for_views_of_a_mounted_router():
    site = Router(name="site")
    site.mount("/admin", admin_router(login=True))
    assert seen(build_stack(site, use(Obey)), "/admin/") == both({"login": True})


def test_a_layer_around_a_mounted_stack_ran_too_early_to_obey():
    site = Router(name="site")
    site.mount("/admin", build_stack(admin_router(login=True), use(ContextMiddleware)))
    with pytest.raises(ApplicationError, match="policy: login"):
        TestClient(build_stack(site, use(Obey))).get("/admin/")


def test_a_layer_around_a_middleware_of_others_ran_too_early_to_obey():
    stack = build_stack(admin_router(login=True), use(Obey), lambda app: lambda environ, start: app(environ, start))
    with pytest.raises(ApplicationError, match="policy: login"):
        TestClient(stack).get("/")


def test_a_layer_whose_scope_leaves_the_request_out_does_not_obey():
    stack = build_stack(admin_router(login=True), use(Obey, unless="/"))
    with pytest.raises(ApplicationError, match="policy: login"):
        TestClient(stack).get("/")


# ---------------------------------------------------------------------- views of other frameworks


def flask_app(view):
    app = Flask(__name__)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.route("/")(view)
    return app


def bottle_app(view):
    app = Bottle()
    app.config["catchall"] = False
    app.route("/")(view)
    return app


@pytest.mark.parametrize("make", [flask_app, bottle_app])
def test_the_response_side_is_obeyed_in_views_of_other_frameworks(make):
    @policy(cache=60)
    def view():
        return "ok"

    stack = build_stack(make(view), use(ContextMiddleware), use(Obey))
    assert seen(stack) == ("{}", "{'cache': 60}")


@pytest.mark.parametrize("make", [flask_app, bottle_app])
@pytest.mark.parametrize("layers", [(), (use(ContextMiddleware),)], ids=["bare", "with locals"])
def test_the_request_side_is_an_error_in_views_of_other_frameworks(make, layers):
    @policy(login=True)
    def view():
        return "secret"

    client = TestClient(build_stack(make(view), *layers, use(Obey)))
    with pytest.raises(ApplicationError, match="login: expected a view of wsgikit's Router") as caught:
        client.get("/")
    assert "use(…, unless=…)" in str(caught.value)


def test_a_coroutine_view_stays_one():
    import inspect

    @policy(cache=60)
    async def view():
        return "ok"

    assert inspect.iscoroutinefunction(view)
    router = Router(name="site")
    router.get("/")(view)
    stack = build_stack(router, use(ContextMiddleware), use(Obey))
    assert TestClient(stack).get("/").text == "ok"


# ---------------------------------------------------------------------- keys


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"crsf": False}, "Did you mean 'csrf'?"),
        ({"unheard_of": 1}, "declares its keys in request_policy or response_policy"),
        ({"cache": "soon", "compress": 1}, "compress: expected True or False, got 1"),
        ({"cache": True}, "cache: expected seconds such as 60, or False, got True"),
        ({"csp": "default-src"}, "csp: expected a mapping"),
        ({"rate_limit": 5}, "rate_limit: expected a limit such as '5/minute'"),
        ({"login": "yes"}, "login: expected True, False or a function of the user"),
    ],
)
def test_mistakes_are_found_when_the_decorator_runs(keys, text):
    with pytest.raises(ConfigurationError) as caught:
        policy(**keys)
    assert text in str(caught.value)
    with pytest.raises(ConfigurationError):
        Router(name="site").include(Router(name="admin"), "/admin", policy=keys)


def test_a_layer_of_your_own_declares_its_keys():
    router = Router(name="site")

    @router.get("/")
    @policy(own_key="value")
    def view():
        return "ok"

    assert seen(build_stack(router, use(Obey))) == both({"own_key": "value"})


def test_only_the_protected_keys_can_be_allowed():
    with pytest.raises(ConfigurationError, match="include: allow_policy: expected 'csrf' or 'login'"):
        Router(name="site").include(Router(name="admin"), "/admin", allow_policy=("cache",))
