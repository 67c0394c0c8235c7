"""Guarantee 1: in what order hooks run, and which are skipped."""

from __future__ import annotations

import pytest

from wsgikit.onion.middleware import Middleware
from wsgikit.testing.probes import answering


@pytest.fixture
def app(log):
    def app(environ, start_response):
        log.append("app")
        start_response("200 OK", [])
        return [b"app"]

    return app


def test_hooks_go_in_from_the_outside_and_out_from_the_inside(app, call, log, onion, recording):
    call(onion(app, recording("outer"), recording("middle"), recording("inner"))).finish()
    assert log == [
        "outer before",
        "middle before",
        "inner before",
        "app",
        "inner after",
        "middle after",
        "outer after",
        "inner teardown",
        "middle teardown",
        "outer teardown",
    ]


def test_a_reply_skips_what_is_inside_and_the_layers_entered_get_the_rest(app, call, log, onion, recording):
    replier = recording("replier", before=lambda exchange: exchange.reply(403, "No."))
    answer = call(onion(app, recording("outer"), replier, recording("inner"))).finish()
    assert (answer.status, answer.content) == ("403 Forbidden", b"No.")
    assert log == [
        "outer before",
        "replier before",
        "replier after",
        "outer after",
        "replier teardown",
        "outer teardown",
    ]


def test_any_wsgi_application_can_be_the_reply(app, call, onion, recording):
    other = answering([b"another app"], "203 Non-Authoritative Information")
    answer = call(onion(app, recording("replier", before=lambda exchange: other))).finish()
    assert (answer.code, answer.content) == (203, b"another app")


def test_a_reply_can_be_the_application_that_is_wrapped(app, call, log, onion, recording):
    """Then the layers between are passed by."""
    call(onion(app, recording("outer", before=lambda exchange: app), recording("skipped"))).finish()
    assert log == ["outer before", "app", "outer after", "outer teardown"]


def test_only_the_layers_entered_are_told_of_an_error_on_the_way_in(app, call, log, onion, recording):
    def fail(exchange):
        raise ValueError("on the way in")

    answer = call(onion(app, recording("outer"), recording("failing", before=fail), recording("inner")))
    assert isinstance(answer.error, ValueError)
    assert log == [
        "outer before",
        "failing before",
        "failing handle",
        "outer handle",
        "failing teardown",
        "outer teardown",
    ]


def test_hooks_that_are_not_overridden_cost_nothing_and_change_nothing(call, onion):
    class Empty(Middleware):
        pass

    body = [b"untouched"]
    app = onion(answering(body), *[Empty] * 10)
    assert app._onion.outside.before == app._onion.outside.after == ()
    assert call(app).body is body


@pytest.mark.parametrize("kind", [staticmethod, classmethod], ids=["static", "class"])
def test_a_hook_can_be_a_static_or_a_class_method(kind, call, log, onion):
    class Layer(Middleware):
        if kind is staticmethod:

            @staticmethod
            def after_request(exchange):
                exchange.headers.add("X-Hook", "ran")
        else:

            @classmethod
            def after_request(cls, exchange):
                exchange.headers.add("X-Hook", "ran")

    assert ("X-Hook", "ran") in call(onion(answering([b""]), Layer)).headers


def test_a_hook_can_be_set_on_the_instance_in_init(call):
    class Layer(Middleware):
        def __init__(self, app, value):
            super().__init__(app)
            self.after_request = lambda exchange: exchange.headers.add("X-Hook", value)

    assert ("X-Hook", "one") in call(Layer(answering([b""]), "one")).headers


def test_hooks_are_inherited(call, log, onion, recording):
    class Derived(recording("base")):
        def before_request(self, exchange):
            super().before_request(exchange)
            log.append("derived before")

    call(onion(answering([b""]), Derived)).finish()
    assert log == ["base before", "derived before", "base after", "base teardown"]


@pytest.mark.parametrize("result", [404, "text", {"a": 1}, [b"body"]], ids=["int", "str", "dict", "list"])
def test_a_hook_that_returns_what_is_no_application_is_told_so(result, app, call, onion, recording):
    answer = call(onion(app, recording("replier", before=lambda exchange: result)))
    assert str(answer.error) == (
        f"replier.run: result: expected a WSGI application or None, got {result!r}. Use exchange.reply(…)."
    )
