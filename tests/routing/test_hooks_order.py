"""Hooks run in Flask's order: the same application is written for both, and what each does is compared."""

from __future__ import annotations

import flask
import pytest
from webtest import TestApp
from werkzeug.exceptions import NotFound

from wsgikit.context.middleware import ContextMiddleware
from wsgikit.exceptions import ApplicationError
from wsgikit.onion.stack import build_stack, use
from wsgikit.routing.router import Router
from wsgikit.views import after_this_request

LEVELS = ("app", "outer", "inner")


class NearError(LookupError):
    pass


def scenario(events, scopes, after_this, *, answers="", fails="", handlers=(), mutes=()):
    """Hang the same functions on three scopes of Flask's or ours, and add a view to each.

    Args:
        answers: the hook that returns a response.
        fails: the hook or view that raises.
        handlers: pairs of a scope and what its error handler is for.
        mutes: kinds of hooks to leave out.
    """

    def note(name, result=None):
        events.append(name)
        if fails == name:
            raise NearError(name)
        if fails == f"{name}!":
            raise NotFound()
        return f"answer of {name}" if answers == name else result

    for level in LEVELS:
        scope = scopes[level]
        for number in (1, 2):
            tag = f"{level}{number}"
            if "values" not in mutes:
                scope.url_value_preprocessor(lambda endpoint, values, tag=tag: note(f"values {tag} {endpoint}"))
            scope.before_request(lambda tag=tag: note(f"before {tag}"))
            scope.after_request(lambda response, tag=tag: note(f"after {tag}", response))
            scope.teardown_request(
                lambda error, tag=tag: note(f"teardown {tag} {type(error).__name__ if error else 'clean'}")
            )

        def view(level=level):
            after_this(lambda response: note(f"this {level} 1", response))
            after_this(lambda response: note(f"this {level} 2", response))
            return note(f"view {level}", "page")

        scope.add_url_rule(f"/{level}", f"view_{level}", view, methods=["GET", "POST"])
        # One that hangs on an inner scope but is for the whole application.
    app_wide = scopes["inner"]
    app_wide.before_app_request(lambda: note("before app-wide"))
    app_wide.after_app_request(lambda response: note("after app-wide", response))
    app_wide.teardown_app_request(lambda error: events.append("teardown app-wide"))
    for level, kind in handlers:

        def handler(error, level=level, kind=kind):
            name = kind if isinstance(kind, int) else kind.__name__
            return note(f"handler {level} {name} {type(error).__name__}", f"handled by {level} {name}")

        scopes[level].register_error_handler(kind, handler)


def flask_client(events, **options):
    app = flask.Flask("x")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.logger.disabled = True
    outer, inner = flask.Blueprint("outer", "x"), flask.Blueprint("inner", "x")
    scenario(events, {"app": app, "outer": outer, "inner": inner}, flask.after_this_request, **options)
    outer.register_blueprint(inner, url_prefix="/in")
    app.register_blueprint(outer, url_prefix="/out")
    return TestApp(app)


def our_client(events, **options):
    app, outer, inner = Router("app"), Router("outer"), Router("inner")
    outer.include(inner, "/in")
    app.include(outer, "/out")
    scenario(events, {"app": app, "outer": outer, "inner": inner}, after_this_request, **options)
    return TestApp(build_stack(app, use(ContextMiddleware)), lint=True)


PATHS = {"app": "/app", "outer": "/out/outer", "inner": "/out/in/inner", "nowhere": "/nowhere"}
SCENARIOS = {
    "all goes well": {},
    "the application's hook answers": {"answers": "before app2"},
    "the outer blueprint's hook answers": {"answers": "before outer1"},
    "the inner blueprint's hook answers": {"answers": "before inner2"},
    "an application-wide hook of a blueprint answers": {"answers": "before app-wide"},
    "the view fails with an HTTP exception": {"fails": "view inner!"},
    "the view fails with an HTTP exception that the application handles": {
        "fails": "view inner!",
        "handlers": [("app", 404)],
    },
    "a blueprint's handler of a class, the application's of a code": {
        "fails": "view inner!",
        "handlers": [("inner", Exception), ("app", 404)],
    },
    "a blueprint's handler of a code comes first": {
        "fails": "view inner!",
        "handlers": [("app", 404), ("outer", 404)],
    },
    "the innermost handler comes first": {
        "fails": "view inner",
        "handlers": [("app", NearError), ("outer", LookupError), ("inner", Exception)],
    },
    "the nearest class comes first": {
        "fails": "view app",
        "handlers": [("app", Exception), ("app", LookupError)],
    },
    "a handler of an outer scope": {"fails": "view outer", "handlers": [("outer", LookupError), ("inner", Exception)]},
    "the view fails and there is a handler of 500": {"fails": "view inner", "handlers": [("app", 500)]},
    "the blueprint has the handler of 500": {"fails": "view inner", "handlers": [("app", 500), ("outer", 500)]},
    "a preprocessor fails and is handled": {"fails": "before outer2", "handlers": [("outer", LookupError)]},
    "an after hook fails and there is a handler of 500": {"fails": "after outer1", "handlers": [("app", 500)]},
    "a handler fails and there is a handler of 500": {
        "fails": "view inner",
        "handlers": [("inner", LookupError), ("app", 500)],
        "answers": "",
    },
    "without preprocessors": {"mutes": ("values",)},
}


def outcome(client, path, method):
    response = client.request(path, method=method, expect_errors=True)
    return response.status_int, response.text if response.status_int < 400 or "handled" in response.text else None


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "DELETE"])
@pytest.mark.parametrize("place", PATHS)
@pytest.mark.parametrize("options", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_hooks_run_in_the_order_that_flask_runs_them(options, place, method):
    flasks, ours = [], []
    theirs = outcome(flask_client(flasks, **options), PATHS[place], method)
    mine = outcome(our_client(ours, **options), PATHS[place], method)
    assert ours == flasks
    assert mine == theirs


def test_a_hook_of_a_blueprint_does_not_run_for_others():
    events = []
    our_client(events).get("/app")
    assert not [event for event in events if "outer" in event or "inner" in event]


def test_an_after_request_hook_that_returns_nothing_is_named():
    router = Router("x")
    router.add_url_rule("/", "view", lambda: "x")

    @router.after_request
    def forgets(response):
        response.headers["X-A"] = "1"

    with pytest.raises(
        ApplicationError,
        match=r"after_request \(.*forgets, .*test_hooks_order.py:\d+\): result: expected the response, got None",
    ):
        TestApp(router).get("/")


def test_after_this_request_outside_a_router_says_so():
    def app(environ, start_response):
        after_this_request(lambda response: response)

    with pytest.raises(ApplicationError, match="expected one that a Router answers"):
        TestApp(build_stack(app, use(ContextMiddleware))).get("/")


def test_a_hook_may_put_another_response_in_the_place_and_the_first_is_closed():
    closed = []

    def view():
        try:
            yield "a"
        finally:
            closed.append(True)

    router = Router("x")

    class Body:
        def __iter__(self):
            return iter(["a"])

        def __next__(self):
            raise StopIteration

        def close(self):
            closed.append(True)

    router.add_url_rule("/", "view", lambda: Body())
    router.after_request(lambda response: ("another", 201))
    response = TestApp(router, lint=True).get("/")
    assert (response.status_int, response.text, closed) == (201, "another", [True])


def test_every_teardown_runs_and_the_first_error_is_raised(caplog):
    events = []
    router = Router("x")
    router.add_url_rule("/", "view", lambda: "x")

    def fails(text):
        def teardown(error):
            events.append(text)
            raise ValueError(text)

        return teardown

    router.teardown_request(fails("second"))
    router.teardown_request(fails("first"))
    with pytest.raises(ValueError, match="first"):
        TestApp(router).get("/")
    assert events == ["first", "second"]
    assert "second" in caplog.text


def test_teardown_learns_of_an_error_in_the_stream():
    seen = []

    def view():
        yield "a"
        raise ValueError("in the stream")

    router = Router("x")
    router.add_url_rule("/", "view", view)
    router.teardown_request(seen.append)
    with pytest.raises(ValueError, match="in the stream"):
        TestApp(router).get("/")
    assert str(seen[0]) == "in the stream"


def test_url_values_can_be_taken_away_before_the_view():
    router, blog = Router("x"), Router("blog")

    @blog.url_value_preprocessor
    def pull(endpoint, values):
        blog.language = values.pop("language")

    @blog.url_defaults
    def put(endpoint, values):
        values.setdefault("language", "de")

    @blog.get("/about")
    def about():
        return f"{blog.language} {router.url_for('blog.about')}"

    router.include(blog, "/<language>")
    assert TestApp(router).get("/fr/about").text == "fr /de/about"
