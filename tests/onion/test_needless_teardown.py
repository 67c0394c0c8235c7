"""A layer may say that its teardown has nothing to do in a request that used no state."""

from __future__ import annotations

import pytest

from wsgikit.context.middleware import ContextMiddleware
from wsgikit.onion.middleware import Middleware


class Lazy(Middleware):
    teardown_needs_state = True

    def __init__(self, app, *, log, uses=False, always=False):
        super().__init__(app)
        self.log, self.uses = log, uses

    def before_request(self, exchange):
        if self.uses:
            exchange.state[self] = True

    def teardown_request(self, exchange):
        self.log.append("torn down")


class Eager(Lazy):
    teardown_needs_state = False


def hello(environ, start_response):
    start_response("200 OK", [])
    return [b"hello"]


def request(app):
    assert app({"REQUEST_METHOD": "GET"}, lambda status, headers: None) == [b"hello"]


class Overriding(Lazy):
    def teardown_request(self, exchange):
        super().teardown_request(exchange)


class OnTheInstance(Middleware):
    def __init__(self, app, *, log, uses=False):
        super().__init__(app)
        self.teardown_request = lambda exchange: log.append("torn down")


class OnTheInstanceOfALazyOne(Lazy):
    def __init__(self, app, *, log, uses=False):
        super().__init__(app, log=log, uses=uses)
        self.teardown_request = lambda exchange: log.append("torn down")


@pytest.mark.parametrize(
    ("kind", "uses", "times"),
    [
        (Lazy, False, 0),
        (Lazy, True, 1),
        (Eager, False, 1),
        (Overriding, False, 1),
        (OnTheInstance, False, 1),
        (OnTheInstanceOfALazyOne, False, 1),
    ],
)
def test_a_teardown_that_needs_state_is_spared_where_none_was_used(kind, uses, times):
    log: list[str] = []
    request(ContextMiddleware(kind(hello, log=log, uses=uses)))
    assert log == ["torn down"] * times


def test_all_teardowns_run_where_one_layer_has_not_said_so():
    log: list[str] = []
    request(ContextMiddleware(Lazy(Eager(hello, log=log), log=log)))
    assert log == ["torn down", "torn down"]
