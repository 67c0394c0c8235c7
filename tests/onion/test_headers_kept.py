"""Guarantee 8: headers never pass through a dict; untouched ones keep order, case and repetition."""

from __future__ import annotations

import pytest

from wsgikit.context.middleware import ContextMiddleware
from wsgikit.exceptions import ApplicationError
from wsgikit.http.headers import Headers
from wsgikit.onion.middleware import Middleware
from wsgikit.testing.probes import answering

ODD = [("x-lower", "1"), ("Set-Cookie", "a=1"), ("X-UPPER", "2"), ("set-cookie", "b=2"), ("Set-Cookie", "a=1")]


class Look(Middleware):
    def after_request(self, exchange):
        assert exchange.headers.get_all("SET-COOKIE") == ["a=1", "b=2", "a=1"]


class Add(Middleware):
    def after_request(self, exchange):
        exchange.headers.add("X-Layer", "1")


@pytest.mark.parametrize(
    "layers", [[Look], [Look, Look], [Look, ContextMiddleware, Look]], ids=["one", "two", "context"]
)
def test_untouched_headers_keep_order_case_and_repetition(layers, call, onion):
    assert call(onion(answering([b""], headers=ODD), *layers)).headers == ODD


def test_headers_that_nobody_looked_at_are_the_applications_own_list(environ, onion):
    given = []

    def app(environ, start_response):
        start_response("200 OK", ODD)
        return [b""]

    onion(app, type("Plain", (Middleware,), {}))(environ, lambda status, headers, exc_info=None: given.append(headers))
    assert given[0] is ODD


def test_a_header_that_a_layer_adds_goes_to_the_end(call, onion):
    assert call(onion(answering([b""], headers=ODD), Add)).headers == [*ODD, ("X-Layer", "1")]


def test_the_list_that_the_application_passed_is_not_changed(call, onion):
    """It may be one at module level, used by every response."""
    headers = list(ODD)

    def app(environ, start_response):
        start_response("200 OK", headers)
        return [b""]

    call(onion(app, Add, Add))
    assert headers == ODD


def test_the_server_gets_a_plain_list(environ, onion):
    given = []
    onion(answering([b""]), Add)(environ, lambda status, headers, exc_info=None: given.append(type(headers)))
    assert given == [list]


def test_a_value_that_would_split_the_response_is_refused(call, onion):
    class Split(Middleware):
        def after_request(self, exchange):
            exchange.headers.set("Location", "/\r\nSet-Cookie: stolen=1")

    error = call(onion(answering([b""]), Split)).error
    assert str(error) == (
        "headers: Location: expected a value without CR, LF or NUL, got 'a value with one'. Quote or remove it."
    )


def test_headers_can_be_replaced_as_a_whole(call, onion):
    class Replace(Middleware):
        def after_request(self, exchange):
            exchange.headers = (pair for pair in exchange.headers if pair[0].lower() == "set-cookie")

    class After(Middleware):
        def after_request(self, exchange):
            exchange.headers.remove(("set-cookie", "b=2"))

    headers = call(onion(answering([b""], headers=ODD), After, Replace)).headers
    assert headers == [("Set-Cookie", "a=1"), ("Set-Cookie", "a=1")]


@pytest.mark.parametrize("kind", [list, Headers], ids=["list", "Headers"])
def test_headers_that_a_layer_assigns_are_checked(kind, call):
    class Assign(Middleware):
        def after_request(self, exchange):
            with pytest.raises(ApplicationError, match="X-Split: expected a value without CR, LF or NUL"):
                exchange.headers = kind([("X-Split", "a\r\nX-Evil: b")])

    def app(environ, start_response):
        start_response("200 OK", [("X-App", "1")])
        return []

    answer = call(Assign(app)).finish()
    assert answer.heads == [("200 OK", [("X-App", "1")])]
