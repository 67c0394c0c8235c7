"""`before_view`: right before the endpoint, once; `exchange.route`, `exchange.policy`, `exchange.layers`."""

from __future__ import annotations

import pytest

from wsgikit import ContextMiddleware, Router, RouterMiddleware, build_stack, use
from wsgikit.exceptions import ApplicationError
from wsgikit.onion.middleware import Middleware
from wsgikit.routing.method_view import MethodView
from wsgikit.wsgi import EXCHANGE


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"app"]


def policy(**keys):
    def mark(view):
        view.__wsgikit_policy__ = keys
        return view

    return mark


@pytest.fixture
def seen():
    """The routes that the hook saw."""
    return []


@pytest.fixture
def Look(seen):  # noqa: N802  # a class
    class Look(Middleware):
        def before_view(self, exchange):
            seen.append(exchange.route)
            if exchange.environ["PATH_INFO"] == "/refused":
                return exchange.reply(403, "refused")
            return None

    return Look


@pytest.fixture
def router():
    router = Router(__name__)

    @router.get("/users/<int:number>")
    def user(number):
        return f"user {number}"

    @router.get("/refused")
    def refused():
        pytest.fail("the view was called")

    @router.get("/slash/")
    def slash():
        return "slash"

    return router


def as_layer(router, *layers):
    return build_stack(app, *layers, use(RouterMiddleware, router=router))


def as_app(router, *layers):
    return build_stack(router, *layers)


BOTH = pytest.mark.parametrize("build", [as_layer, as_app])


@BOTH
@pytest.mark.parametrize("context", [(), (use(ContextMiddleware),)], ids=["no context", "context"])
def test_hook_sees_the_route_right_before_the_view_of_a_router(build, context, router, call, Look, seen):
    answer = call(build(router, use(Look), *context), PATH_INFO="/users/7").finish()
    assert answer.content == b"user 7"
    (route,) = seen
    assert (route.rule, route.endpoint, route.values) == ("/users/<int:number>", "user", {"number": 7})
    assert route.router is router
    assert route.policy == {}


@BOTH
def test_reply_of_the_hook_stands_in_place_of_the_view(build, router, call, Look, log, recording):
    answer = call(build(router, use(recording("outer")), use(Look)), PATH_INFO="/refused").finish()
    assert (answer.status, answer.content) == ("403 Forbidden", b"refused")
    assert log == ["outer before", "outer after", "outer teardown"]


@BOTH
@pytest.mark.parametrize(
    ("path", "method"),
    [("/slash", "GET"), ("/users/7", "POST"), ("/users/7", "OPTIONS")],
    ids=["redirect", "405", "automatic options"],
)
def test_hook_is_not_called_if_no_view_answers(build, router, call, Look, seen, path, method):
    call(build(router, use(Look)), PATH_INFO=path, REQUEST_METHOD=method).finish()
    assert seen == []


def test_hook_is_not_called_for_a_404_of_a_router_that_is_the_application(router, call, Look, seen):
    assert call(as_app(router, use(Look)), PATH_INFO="/nowhere").finish().code == 404
    assert seen == []


def test_route_is_none_for_the_application_behind_a_router(router, call, Look, seen):
    assert call(as_layer(router, use(Look)), PATH_INFO="/other").finish().content == b"app"
    assert seen == [None]


def test_hook_is_not_called_after_a_reply_of_before_request(call, Look, seen, recording, onion):
    reply = recording("reply", before=lambda exchange: exchange.reply(403))
    call(onion(app, Look, reply)).finish()
    assert seen == []


def test_hooks_run_outermost_first_and_a_reply_skips_the_rest(call, onion, log):
    def layer(name, reply=False):
        def before_view(self, exchange):
            log.append(name)
            return exchange.reply(403, name) if reply else None

        return type(name, (Middleware,), {"before_view": before_view})

    answer = call(onion(app, layer("one"), layer("two", True), layer("three"))).finish()
    assert answer.content == b"two"
    assert log == ["one", "two"]


def test_layers_inside_of_the_one_that_answered_are_not_asked(router, call, seen, Look):
    stack = build_stack(app, use(RouterMiddleware, router=router), use(Look))
    assert call(stack, PATH_INFO="/users/1").finish().content == b"user 1"
    assert seen == []


def test_error_in_the_hook_is_as_one_of_the_endpoint(router, call, recording):
    class Failing(Middleware):
        def before_view(self, exchange):
            raise ValueError("no")

    inner = recording("inner", handle=lambda exchange, error: exchange.reply(500, f"inner: {error}"))
    answer = call(as_app(router, use(Failing), use(inner)), PATH_INFO="/users/1").finish()
    assert answer.content == b"inner: no"


def test_result_that_is_no_application_is_refused(call, onion):
    class Wrong(Middleware):
        def before_view(self, exchange):
            return True

    error = call(onion(app, Wrong)).finish().error
    assert isinstance(error, ApplicationError)
    assert "Wrong.before_view: result: expected a WSGI application or None, got True" in str(error)


# ---------------------------------------------------------------------------------- mounts, stacks, others


@BOTH
@pytest.mark.parametrize("answered", ["/api/v1/users/7"])
def test_mounted_router_shows_its_rule_with_the_prefix_of_its_mounts(build, router, call, Look, seen, answered):
    middle, outer = Router("middle"), Router("outer")
    middle.mount("/v1", router)
    outer.mount("/api", middle)
    after = []

    class After(Middleware):
        def after_request(self, exchange):
            after.append(exchange.route)

    assert call(build(outer, use(After), use(Look)), PATH_INFO=answered).finish().content == b"user 7"
    assert [route.rule for route in seen] == ["/api/v1/users/<int:number>"]
    assert after[0].rule == "/api/v1/users/<int:number>"
    assert after[0].router is router


@BOTH
@pytest.mark.parametrize("wrap", [lambda app: app, lambda app: build_stack(app)], ids=["application", "stack"])
def test_mounted_application_is_an_endpoint_without_a_route(build, wrap, call, Look, seen):
    outer = Router("outer")
    outer.mount("/old", wrap(app))
    assert call(build(outer, use(Look)), PATH_INFO="/old/page").finish().content == b"app"
    assert seen == [None]


def test_mounted_stack_has_its_own_hooks_and_is_no_route_outside(router, call, Look, seen):
    outer = Router("outer")
    outer.mount("/in", build_stack(router, use(Look)))
    call(as_app(outer, use(Look)), PATH_INFO="/in/users/7").finish()
    assert [route and route.rule for route in seen] == [None, "/in/users/<int:number>"]


def test_reply_for_a_mounted_application_leaves_environ_as_it_was(call):
    paths = []

    class Refuse(Middleware):
        def before_view(self, exchange):
            return exchange.reply(403)

        def after_request(self, exchange):
            paths.append((exchange.environ["SCRIPT_NAME"], exchange.environ["PATH_INFO"]))

    outer = Router("outer")
    outer.mount("/old", app)
    assert call(as_app(outer, use(Refuse)), PATH_INFO="/old/x").finish().code == 403
    assert paths == [("", "/old/x")]


def test_middleware_of_others_is_an_endpoint_without_a_route(router, call, Look, seen):
    def others(inner):
        return lambda environ, start_response: inner(environ, start_response)

    call(build_stack(router, use(Look), others, use(Look, name="inner")), PATH_INFO="/users/7").finish()
    assert [route and route.rule for route in seen] == [None, "/users/<int:number>"]


def test_each_exchange_runs_its_hooks_once_if_middleware_calls_twice(call, Look, seen):
    def twice(inner):
        def call_twice(environ, start_response):
            list(inner(environ, lambda *_: None))
            return inner(environ, start_response)

        return call_twice

    call(build_stack(app, use(Look), twice, use(Look, name="inner"))).finish()
    assert seen == [None] * 3  # the outer one once, the inner one for each call


# ---------------------------------------------------------------------------------- policy


def test_policy_of_a_method_wins_over_its_class_and_base_class(call, Look, seen):
    @policy(a="base", b="base", c="base")
    class Base(MethodView):
        pass

    @policy(b="class", c="class")
    class View(Base):
        @policy(c="method")
        def get(self):
            return "get"

        def post(self):
            return "post"

    router = Router(__name__)
    router.add_url_rule("/", view_func=View.as_view("view"))
    stack = as_app(router, use(Look))
    for method in ("GET", "HEAD", "POST"):
        call(stack, REQUEST_METHOD=method).finish()
    assert [dict(route.policy) for route in seen] == [
        {"a": "base", "b": "class", "c": "method"},
        {"a": "base", "b": "class", "c": "method"},
        {"a": "base", "b": "class", "c": "class"},
    ]


@pytest.mark.parametrize(
    ("outer", "view", "allowed", "expected"),
    [
        ({"cache": 60}, {"cache": 5}, (), {"cache": 5}),
        ({"csrf": True}, {"csrf": False}, (), {"csrf": True}),
        ({"login": True}, {"login": False}, (), {"login": True}),
        ({"csrf": True}, {"csrf": False}, ("csrf",), {"csrf": False}),
        ({"csrf": False}, {"csrf": True}, (), {"csrf": True}),
        ({"login": True}, {"login": callable}, (), {"login": callable}),
        ({"login": callable}, {"login": True}, (), {"login": callable}),
    ],
)
def test_view_wins_over_its_inclusion_but_does_not_loosen_csrf_and_login(call, outer, view, allowed, expected):
    inner, router = Router("inner"), Router("outer")

    @inner.get("/")
    @policy(**view)
    def page():
        return "page"

    router.include(inner, "/admin", policy=outer, allow_policy=allowed)
    policies = []

    class Look(Middleware):
        def before_view(self, exchange):
            policies.append(dict(exchange.policy))

    call(as_app(router, use(Look)), PATH_INFO="/admin/").finish()
    assert policies == [expected]


def test_policy_is_empty_without_a_route_and_takes_what_a_view_adds(call, onion):
    policies = []

    class Look(Middleware):
        def before_view(self, exchange):
            policies.append(dict(exchange.policy))

        def after_request(self, exchange):
            policies.append(dict(exchange.policy))

    def view(environ, start_response):
        environ[EXCHANGE].add_policy({"compress": False})
        return app(environ, start_response)

    call(onion(view, Look)).finish()
    assert policies == [{}, {"compress": False}]


# ---------------------------------------------------------------------------------- layers


def test_layers_are_those_around_and_inside_outermost_first(call):
    seen = []

    class One(Middleware):
        pass

    class Two(Middleware):
        def before_view(self, exchange):
            seen.append([type(layer).__name__ for layer in exchange.layers])

    def others(inner):
        return lambda environ, start_response: inner(environ, start_response)

    call(build_stack(app, use(One), others, use(Two))).finish()
    assert seen == [["One", "Two"]]
