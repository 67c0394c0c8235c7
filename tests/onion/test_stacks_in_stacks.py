"""Onions in onions, layers of others between, and requests within a request."""

from __future__ import annotations

import functools
from wsgiref.util import FileWrapper

import pytest

from wsgikit.context.locals import current_app, g
from wsgikit.context.middleware import ContextMiddleware
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.stack import build_stack, use
from wsgikit.testing.probes import Body, answering
from wsgikit.wsgi import EXCHANGE


def others(app):
    """A layer of somebody else's: it splits the fusion."""

    def layer(environ, start_response):
        return app(environ, start_response)

    return layer


def copying(app):
    """A layer that gives the application its own environ."""
    return lambda environ, start_response: app(dict(environ), start_response)


@pytest.mark.parametrize("between", [others, copying])
@pytest.mark.parametrize("body", [[b"list"], Body(b"lazy")], ids=["list", "lazy"])
def test_hooks_go_through_a_layer_of_others_in_order(body, between, call, log, onion, recording):
    call(onion(answering(body), recording("outer"), between, recording("inner"))).finish()
    hooks = ["outer before", "inner before", "inner after", "outer after"]
    assert [entry for entry in log if "teardown" not in entry] == hooks
    assert log.index("inner teardown") < log.index("outer teardown")


def test_the_teardown_of_the_inner_onion_runs_with_that_of_the_outer_one(call, log, onion, recording):
    """Fused or not, teardown comes after all after hooks."""
    call(onion(answering([b""]), recording("outer"), others, recording("inner"))).finish()
    assert log[-3:] == ["outer after", "inner teardown", "outer teardown"]


def test_a_body_at_rest_goes_through_stacks_and_layers_of_others_as_the_same_object(environ, onion, recording):
    import io

    body = FileWrapper(io.BytesIO(b"file"))
    app = onion(answering(body), recording("a"), others, recording("b"), ContextMiddleware, others, recording("c"))
    assert app(environ, lambda *head: None) is body


def test_a_layer_of_others_that_forgets_close_leaves_nothing_open(call, log, onion, recording):
    def forgetful(app):
        def layer(environ, start_response):
            for chunk in app(environ, start_response):
                yield chunk.upper()

        return layer

    body = Body(b"a", b"b")
    answer = call(onion(answering(body), recording("outer"), forgetful, recording("inner"))).take(1).close()
    assert (answer.received, body.closes) == ([b"A"], 1)
    assert log[-2:] == ["inner teardown", "outer teardown"]


def test_a_layer_of_others_that_joins_the_body_still_lets_it_close(call, log, onion, recording):
    def joining(app):
        def layer(environ, start_response):
            body = app(environ, start_response)
            try:
                return [b"".join(body)]
            finally:
                if hasattr(body, "close"):
                    body.close()

        return layer

    body = Body(b"a", b"b")
    answer = call(onion(answering(body), recording("outer"), joining, recording("inner"))).finish()
    assert (answer.received, body.closes) == ([b"ab"], 1)


def test_environ_leads_to_the_innermost_exchange_and_back(call, onion):
    seen = []

    class Look(Middleware):
        def before_request(self, exchange):
            assert exchange.environ[EXCHANGE] is exchange

        def teardown_request(self, exchange):
            seen.append(exchange.environ[EXCHANGE] is exchange)

    environ = call(onion(answering([b""]), Look, others, Look)).environ
    assert seen == [True, True]
    assert EXCHANGE not in environ


def test_on_teardown_of_the_inner_onion_runs_with_the_outer_one(call, log, onion, recording):
    inner = recording("inner", before=lambda exchange: exchange.on_teardown(lambda: log.append("callback")))
    call(onion(answering([b""]), recording("outer"), others, inner)).finish()
    assert log[-3:] == ["callback", "inner teardown", "outer teardown"]


def test_two_contexts_nested_have_two_g(call, onion):
    seen = []

    class Set(Middleware):
        def before_request(self, exchange):
            seen.append("user" in g)
            g.user = "ann"

        def after_request(self, exchange):
            seen.append(g.user)
            g.user = "changed"

    call(onion(answering([b""]), ContextMiddleware, Set, ContextMiddleware, Set))
    assert seen == [False, False, "ann", "ann"]


@pytest.mark.parametrize("between", [others, copying])
def test_each_stack_is_current_app_for_its_own_code(between, call):
    seen = {}

    class Note(Middleware):
        def __init__(self, app, *, label):
            super().__init__(app)
            self.label = label

        def after_request(self, exchange):
            seen[self.label] = current_app._get_current_object()

    def app(environ, start_response):
        start_response("200 OK", [])

        def body():
            seen["stream"] = current_app._get_current_object()
            yield b""

        return body()

    inner = build_stack(app, use(ContextMiddleware), use(Note, label="inner"))
    outer = build_stack(between(inner), use(ContextMiddleware), use(Note, label="outer"))
    call(outer).finish()
    assert seen == {"inner": inner, "stream": inner, "outer": outer}


# ------------------------------------------------------------------------- requests within a request


class Pool(Middleware):
    """Takes a connection from a pool of two for each request."""

    def __init__(self, app, *, connections):
        super().__init__(app)
        self.connections = connections

    def before_request(self, exchange):
        exchange.state[self] = self.connections.pop()

    def teardown_request(self, exchange):
        connection = exchange.state.pop(self, None)
        if connection is not None:
            self.connections.append(connection)


def test_a_view_may_send_any_number_of_requests_through_its_own_stack(call):
    """Each gives back what it held when its body is closed, and not with the request that sent it."""
    connections = ["one", "two"]

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/batch":
            for number in range(10):
                part = {**environ, "PATH_INFO": f"/{number}"}
                body = stack(part, lambda status, headers, exc_info=None: None)
                parts.extend(body)
                getattr(body, "close", lambda: None)()
        start_response("200 OK", [])
        path = environ["PATH_INFO"]
        return Body(b"/5 lazily") if path == "/5" else [path.encode()]

    parts = []
    stack = build_stack(app, use(ContextMiddleware), use(Pool, connections=connections))
    call(stack, PATH_INFO="/batch").finish()
    assert parts[4:7] == [b"/4", b"/5 lazily", b"/6"]
    assert sorted(connections) == ["one", "two"]


def test_a_request_within_a_request_has_its_own_locals_and_leaves_those_outside_alone(call):
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/outer":
            g.user = "ann"
            inner = {**environ, "PATH_INFO": "/inner"}
            list(stack(inner, lambda status, headers, exc_info=None: None))
            seen.append(g.user)
        else:
            seen.append(g.get("user"))
            g.user = "bob"
        start_response("200 OK", [])
        return []

    seen = []
    stack = build_stack(app, use(ContextMiddleware))
    call(stack, PATH_INFO="/outer")
    assert seen == [None, "ann"]


class Retry:
    """A layer of others that calls its application again when it fails."""

    def __init__(self, app, times=3):
        self.app, self.times = app, times

    def __call__(self, environ, start_response):
        for _ in range(self.times - 1):
            try:
                return self.app(environ, start_response)
            except OSError:
                pass
        return self.app(environ, start_response)


def test_a_layer_that_calls_again_ends_the_first_attempt_before_the_second_begins(call, log, onion, recording):
    """What the first attempt held (a lock, a transaction) would make the second one wait for ever."""
    attempts = []

    def app(environ, start_response):
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError("serialization failure")
        start_response("200 OK", [])
        return [b"third time"]

    connections = ["the only one"]
    pool = functools.partial(Pool, connections=connections)
    answer = call(onion(app, recording("outer"), Retry, pool, recording("inner"))).finish()
    assert (answer.error, answer.content, connections) == (None, b"third time", ["the only one"])
    assert log == [
        "outer before",
        "inner before",
        "inner handle",
        "inner teardown",
        "inner before",
        "inner handle",
        "inner teardown",
        "inner before",
        "inner after",
        "outer after",
        "inner teardown",
        "outer teardown",
    ]


def test_an_error_in_a_request_within_a_request_is_logged_once(call, caplog):
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/inner":
            return answering(Body(b"a", ValueError("broke off")))(environ, start_response)
        return stack({**environ, "PATH_INFO": "/inner"}, start_response)

    stack = build_stack(app, use(ContextMiddleware))
    call(stack).finish()
    assert len(caplog.records) == 1


def test_one_environ_may_be_used_for_two_requests(call, environ, log, onion, recording):
    app = onion(answering([b"again"]), recording("layer"))
    for _ in range(2):
        assert app(environ, lambda *head: None) == [b"again"]
    assert log == ["layer before", "layer after", "layer teardown"] * 2


def test_two_stacks_in_one_process_share_nothing(call, log, onion, recording):
    first = build_stack(answering([b"first"]), use(ContextMiddleware), recording("a"))
    second = build_stack(answering([b"second"]), use(ContextMiddleware), recording("b"))
    streams = [call(first), call(second)]
    assert [stream.finish().content for stream in streams] == [b"first", b"second"]


def test_a_layer_that_overrides_call_may_call_super_as_often_as_it_likes(call, log, onion, recording):
    class Twice(Middleware):
        def __call__(self, environ, start_response):
            list(super().__call__(dict(environ), lambda *head: None))
            return super().__call__(environ, start_response)

        def before_request(self, exchange):
            log.append("own hook")

    answer = call(onion(answering([b"body"]), recording("outer"), Twice, recording("inner"))).finish()
    assert answer.content == b"body"
    assert log.count("own hook") == log.count("inner before") == log.count("inner teardown") == 2
    assert log.count("outer before") == 1
