"""What a request held can be freed as soon as it has ended, without the garbage collector."""

from __future__ import annotations

import gc
import logging
import sys
import weakref

import pytest

from wsgikit.context.locals import g, request
from wsgikit.context.middleware import ContextMiddleware
from wsgikit.onion.middleware import Middleware
from wsgikit.wsgi import EXCHANGE


class Thing:
    """An object that an application keeps in environ, weakly referable."""


class Watch(Middleware):
    """Reads the body, as a layer that counts or changes it does."""

    def after_request(self, exchange):
        exchange.headers.add("X-Watch", "1")
        if exchange.is_streaming and exchange.body is not None:
            exchange.body = (chunk for chunk in exchange.body)


class Look(Middleware):
    def after_request(self, exchange):
        assert exchange.status


class Answer(Middleware):
    def handle_exception(self, exchange, error):
        return exchange.reply(500, str(error))


class AnswerLazily(Middleware):
    def handle_exception(self, exchange, error):
        return exchange.reply(500, (chunk for chunk in [b"lazy ", b"answer"]))


class FailAfter(Middleware):
    def after_request(self, exchange):
        raise ValueError("after")


class FailTeardown(Middleware):
    def teardown_request(self, exchange):
        raise ValueError("teardown")


class FailAll(Middleware):
    def after_request(self, exchange):
        raise ValueError("after")

    def handle_exception(self, exchange, error):
        raise KeyError("handle")

    def teardown_request(self, exchange):
        raise LookupError("teardown")


class Down(Middleware):
    def after_request(self, exchange):
        raise SystemExit("after")


class Register(Middleware):
    def before_request(self, exchange):
        exchange.on_teardown(lambda: exchange.environ["thing"])
        exchange.state[self] = exchange.environ


def lists(environ, start_response):
    start_response("200 OK", [])
    return [b"list"]


def generates(environ, start_response):
    start_response("200 OK", [])
    return (environ["PATH_INFO"].encode() for _ in range(3))


def generates_all(environ, start_response):
    start_response("200 OK", [])
    yield b"1"
    yield environ["PATH_INFO"].encode()


def fails(environ, start_response):
    raise ValueError("call")


def fails_first(environ, start_response):
    start_response("200 OK", [])

    def body():
        raise ValueError("first chunk")
        yield

    return body()


def fails_later(environ, start_response):
    start_response("200 OK", [])
    yield b"one"
    raise ValueError("second chunk")


def stops(environ, start_response):
    raise SystemExit(1)


def writes(environ, start_response):
    start_response("200 OK", [])(b"written")
    return []


def writes_and_fails(environ, start_response):
    start_response("200 OK", [])(b"written")
    raise ValueError("after write")


def replaces_head(environ, start_response):
    start_response("200 OK", [])
    try:
        raise ValueError("caught")
    except ValueError:
        start_response("500 Failed", [], sys.exc_info())
    return [b"sorry"]


def replaces_head_and_fails(environ, start_response):
    replaces_head(environ, start_response)
    raise ValueError("again")


class ClosingFails(list):
    def close(self):
        raise ValueError("close")


def close_fails(environ, start_response):
    start_response("200 OK", [])
    return ClosingFails([b"one"])


def uses_locals(environ, start_response):
    exchange = environ[EXCHANGE]
    exchange.request.path  # noqa: B018
    if EXCHANGE in environ and exchange._context is not None:
        g.thing = environ["thing"]
        g.path = request.path
    start_response("200 OK", [])
    return [b"locals"]


APPS = [lists, generates, generates_all, fails, fails_first, fails_later, stops, writes, writes_and_fails]
APPS += [replaces_head, replaces_head_and_fails, close_fails, uses_locals]
ONIONS = {
    "one": [Look],
    "wrapped": [Look, Watch],
    "answered": [Look, Answer, Watch],
    "answered lazily": [Watch, AnswerLazily, Watch, Look],
    "after fails": [Look, Answer, FailAfter],
    "after fails unanswered": [Look, FailAfter, Watch],
    "teardown fails": [FailTeardown],
    "all fail": [Look, FailAll, Watch],
    "stopped": [Look, Down, Watch],
    "registered": [Register, Look],
}


@pytest.fixture
def without_logs(monkeypatch):
    """What is logged is dropped at once: a record that a test keeps holds the error, and the error the frames."""
    monkeypatch.setattr(logging.getLogger("wsgikit"), "disabled", True)


def serve(app, environ, starts, closes):
    """Serve as a server does that survives its application; return nothing, keep nothing."""

    def start_response(status, headers, exc_info=None):
        del exc_info
        return lambda data: None

    body = None
    try:
        body = app(environ, start_response)
        try:
            if starts:
                for _ in body:
                    pass
        finally:
            if closes and hasattr(body, "close"):
                body.close()
    except (Exception, SystemExit):
        pass
    finally:
        del body  # an error leads to this frame


@pytest.mark.usefixtures("without_gc")
@pytest.mark.parametrize("context", ["none", "outermost", "innermost"])
@pytest.mark.parametrize("layers", ONIONS.values(), ids=ONIONS.keys())
@pytest.mark.parametrize("app", APPS, ids=lambda app: app.__name__)
def test_a_request_leaves_nothing_for_the_garbage_collector(app, layers, context, onion, environ, without_logs):
    where = {"none": [], "outermost": [ContextMiddleware], "innermost": []}[context]
    wrapped = onion(app, *where, *layers, *([ContextMiddleware] if context == "innermost" else []))
    ways = [(True, True), (False, True), (True, False), (False, False)]
    if app is fails_first and sys.version_info >= (3, 12):
        # The traceback of a generator holds the frames of its callers there, so an error of its first chunk leads to
        # the body that the server steps. A server that never closes it leaves that to the garbage collector.
        ways.remove((True, False))
    for starts, closes in ways:
        request_environ = dict(environ)
        thing = request_environ["thing"] = Thing()
        gone = weakref.ref(thing)
        exchanges = []
        request_environ["see"] = exchanges
        serve(wrapped, request_environ, starts, closes)
        assert EXCHANGE not in request_environ
        del request_environ, thing
        assert gone() is None, f"{starts=} {closes=}"


def test_ten_thousand_requests_leave_the_object_count_flat(environ, onion):
    wrapped = onion(uses_locals, Look, ContextMiddleware, Register, Watch)
    streamed = onion(generates, Look, ContextMiddleware, Register, Watch)

    def run(count):
        for _ in range(count):
            for app in (wrapped, streamed):
                serve(app, {**environ, "thing": Thing()}, True, True)

    run(100)
    gc.collect()
    before = len(gc.get_objects())
    run(5000)
    gc.collect()
    assert abs(len(gc.get_objects()) - before) < 50


def test_an_abandoned_stream_is_ended_when_its_last_reference_goes(environ, log, onion, recording, without_gc):
    body = onion(generates, ContextMiddleware, recording("layer"))(environ, lambda *head: None)
    next(body)
    assert log == ["layer before", "layer after"]
    del body
    assert log == ["layer before", "layer after", "layer teardown"]
