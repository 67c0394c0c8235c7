"""Flask's signals: the same ones in the same order as Flask sends them, and nothing if nobody is connected."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import weakref
from contextlib import ExitStack

import flask
import flask.signals
import pytest
from webtest import TestApp

import wsgikit
from wsgikit import signals
from wsgikit.exceptions import ConfigurationError
from wsgikit.onion.stack import build_stack, use

SECRET = "e7c1b94f02d8563aa1f4" + "90b6d2c87e35"
NAMES = sorted(signals._NAMES)


@pytest.fixture
def record():
    """Return a function that records what the signals of a module send."""
    with ExitStack() as connected:

        def start(module):
            sent = []
            for name in NAMES:

                def receive(sender, name=name, **values):
                    sent.append((name, sender, values))

                connected.enter_context(getattr(module, name).connected_to(receive))
            return sent

        yield start


def add_views(app, kit):
    """Add the same views and hooks to a Flask application or a router."""

    @app.get("/plain")
    def plain():
        return "plain"

    @app.get("/stream")
    def stream():
        return iter(["a", "b"])

    @app.get("/template")
    def template():
        return kit.render_template_string("{{ a }}", a=1)

    @app.get("/streamed-template")
    def streamed_template():
        return kit.stream_template_string("{{ a }}", a=1)

    @app.get("/flash")
    def flash():
        kit.flash("saved", "note")
        return "flashed"

    @app.get("/abort")
    def abort():
        kit.abort(403)

    @app.get("/handled")
    def handled():
        raise LookupError("handled")

    @app.get("/broken")
    def broken():
        raise ValueError("broken")

    @app.errorhandler(LookupError)
    def on_lookup(error):
        return "handled", 400

    @app.errorhandler(500)
    def on_failure(error):
        return "failed", 500


def flask_app():
    app = flask.Flask("shop")
    app.secret_key = SECRET
    add_views(app, flask)
    return app, app


def our_app():
    router = wsgikit.Router("shop")
    add_views(router, wsgikit)
    session = use(wsgikit.SessionMiddleware, secret_key=SECRET, cookie_secure=False)
    return router, build_stack(router, use(wsgikit.ContextMiddleware), session)


def comparable(sent):
    """Return the signals with what can be compared between Flask's objects and ours."""
    simple = []
    for name, _, values in sent:
        shown = {key: value for key, value in values.items() if key in ("message", "category")}
        if "response" in values:
            shown["status"] = values["response"].status_code
        for key in ("exception", "exc"):
            if key in values:
                shown[key] = repr(values[key])
        if "context" in values:
            shown["a"] = values["context"]["a"]
        simple.append((name, shown))
    return simple


@pytest.mark.parametrize(
    "path",
    ["/plain", "/template", "/flash", "/abort", "/handled", "/broken", "/missing", "/stream"],
)
def test_signals_and_their_order_are_those_of_flask(path, record):
    _, theirs = flask_app()
    router, ours = our_app()
    expected, sent = record(flask.signals), record(signals)
    TestApp(theirs).get(path, status="*")
    TestApp(ours).get(path, status="*")
    assert comparable(sent) == comparable(expected)
    assert {name for name, _ in comparable(sent)} >= {"request_started", "request_finished", "appcontext_popped"}
    assert {id(sender) for _, sender, _ in sent} == {id(router)}


def test_a_streamed_template_is_rendered_at_its_end_and_before_the_teardown(record):
    """Flask pushes a second context for the stream and sends its signals, too. Here one context lasts to the end."""
    _, stack = our_app()
    sent = record(signals)
    assert TestApp(stack).get("/streamed-template").text == "1"
    names = [name for name, *_ in sent]
    assert names[:4] == ["appcontext_pushed", "request_started", "before_render_template", "request_finished"]
    assert names[4:] == ["template_rendered", "request_tearing_down", "appcontext_tearing_down", "appcontext_popped"]


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "POST"])
def test_other_methods_send_the_signals_of_flask(method, record):
    _, theirs = flask_app()
    _, ours = our_app()
    expected, sent = record(flask.signals), record(signals)
    TestApp(theirs).request("/plain", method=method, status="*")
    TestApp(ours).request("/plain", method=method, status="*")
    assert comparable(sent) == comparable(expected) != []


@pytest.mark.parametrize("kind", ["app_context", "request_context"])
def test_contexts_without_a_request_send_those_of_flask(kind, record):
    app, _ = flask_app()
    _, stack = our_app()
    expected, sent = record(flask.signals), record(signals)
    with app.app_context() if kind == "app_context" else app.test_request_context("/plain"):
        pass
    with stack.app_context() if kind == "app_context" else stack.request_context("/plain"):
        pass
    assert comparable(sent) == comparable(expected) != []


def test_signals_stand_outside_of_the_hooks_of_the_router(record):
    router, stack = our_app()
    sent = record(signals)
    seen = []
    router.before_request(lambda: seen.append(("before", [name for name, *_ in sent])))
    router.after_request(lambda response: seen.append(("after", [name for name, *_ in sent])) or response)
    router.teardown_request(lambda error: seen.append(("teardown", [name for name, *_ in sent][-1])))
    TestApp(stack).get("/plain")
    started = ["appcontext_pushed", "request_started"]
    assert seen == [("before", started), ("after", started), ("teardown", "request_finished")]


def test_a_receiver_may_change_the_response_and_the_context_of_a_template():
    _, stack = our_app()

    def mark(sender, response, **extra):
        response.headers["X-Marked"] = "yes"

    def change(sender, template, context, **extra):
        context["a"] = 2

    with signals.request_finished.connected_to(mark), signals.before_render_template.connected_to(change):
        response = TestApp(stack).get("/template")
    assert (response.text, response.headers["X-Marked"]) == ("2", "yes")


def test_a_receiver_of_another_router_is_not_called():
    router, stack = our_app()
    called = []

    def receive(sender, **extra):
        called.append(sender)

    with signals.request_started.connected_to(receive, sender=wsgikit.Router("other")):
        TestApp(stack).get("/plain")
    assert called == []
    with signals.request_started.connected_to(receive, sender=router):
        TestApp(stack).get("/plain")
    assert called == [router]


def test_a_mounted_router_is_its_own_sender(record):
    inner, _ = our_app()
    outer = wsgikit.Router("outer")
    outer.mount("/in", inner)
    sent = record(signals)
    TestApp(build_stack(outer, use(wsgikit.ContextMiddleware))).get("/in/plain")
    assert [sender for name, sender, _ in sent if name == "request_started"] == [inner]


def test_templates_without_a_router_are_sent_by_the_stack(record):
    templates = wsgikit.Templates()

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [templates.render_string("{{ a }}", a=1).encode()]

    stack = build_stack(app, use(wsgikit.ContextMiddleware))
    sent = record(signals)
    assert TestApp(stack).get("/").text == "1"
    assert [(name, sender) for name, sender, _ in sent] == [
        ("before_render_template", stack),
        ("template_rendered", stack),
    ]


def test_a_request_that_the_router_passes_on_sends_nothing(record):
    router, _ = our_app()

    def behind(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"behind"]

    stack = build_stack(behind, use(wsgikit.ContextMiddleware), use(wsgikit.RouterMiddleware, router=router))
    sent = record(signals)
    assert TestApp(stack).get("/elsewhere").text == "behind"
    assert sent == []


def test_a_coroutine_function_can_be_a_receiver():
    _, stack = our_app()
    called = []

    async def receive(sender, **extra):
        called.append(sender)

    with signals.request_started.connected_to(receive):
        TestApp(stack).get("/plain")
    assert len(called) == 1


def test_an_error_of_a_receiver_is_an_error_of_the_request():
    _, stack = our_app()

    def fail(sender, **extra):
        raise LookupError("from the receiver")

    with signals.request_started.connected_to(fail):
        assert TestApp(stack).get("/plain", status=400).text == "handled"


def test_the_error_is_let_go_when_the_request_has_ended(monkeypatch):
    class Broken(ValueError):
        """Unlike `ValueError` it can have weak references."""

    router, stack = our_app()
    monkeypatch.setattr(logging.getLogger("wsgikit"), "disabled", True)  # a log that is captured keeps the error
    errors = []

    @router.get("/own")
    def own():
        raise Broken

    def receive(sender, exception, **extra):
        errors.append(weakref.ref(exception))

    gc.disable()
    try:
        with signals.got_request_exception.connected_to(receive):
            TestApp(stack).get("/own", status=500)
        assert [error() for error in errors] == [None]
    finally:
        gc.enable()


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"module 'wsgikit.signals' has no attribute 'request_begun'"):
        signals.request_begun  # noqa: B018  # the access raises


_UNUSED = """
import sys
import wsgikit
from wsgikit.signals import RECEIVERS
router = wsgikit.Router("shop")
router.get("/")(lambda: "hello")
stack = wsgikit.build_stack(router, wsgikit.use(wsgikit.ContextMiddleware))
list(stack({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *args: None))
print("blinker" in sys.modules, RECEIVERS)
"""


def test_blinker_is_not_loaded_before_a_signal_is_imported():
    run = subprocess.run([sys.executable, "-c", _UNUSED], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == "False []\n"


def test_a_missing_blinker_is_named_when_a_signal_is_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "blinker", None)
    monkeypatch.setattr(signals, "_signals", {})
    with pytest.raises(ConfigurationError, match=r"blinker is missing. Install it: pip install 'wsgikit\[signals\]'"):
        signals.request_started  # noqa: B018  # the access raises
