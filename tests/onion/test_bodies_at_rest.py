"""Guarantee 5: a body that runs no code of the application's is handed on as it is, and teardown comes before it."""

from __future__ import annotations

import io
from wsgiref.util import FileWrapper

import pytest

from wsgikit.context.middleware import ContextMiddleware
from wsgikit.onion.middleware import Middleware
from wsgikit.testing.probes import Body, answering


class ServersOwn(FileWrapper):
    """As gunicorn's: a class that the server tells by `isinstance`."""


AT_REST = {
    "list": [b"a", b"b"],
    "tuple": (b"a", b"b"),
    "empty list": [],
    "file wrapper": FileWrapper(io.BytesIO(b"file")),
    "subclass of the file wrapper": ServersOwn(io.BytesIO(b"file")),
}


@pytest.mark.parametrize("context", [[], [ContextMiddleware]], ids=["bare", "context"])
@pytest.mark.parametrize("body", AT_REST.values(), ids=AT_REST.keys())
def test_a_body_at_rest_comes_back_as_the_same_object_with_teardown_before_the_return(
    body, context, environ, log, onion, recording
):
    app = onion(answering(body), recording("outer"), *context, recording("inner"))
    assert app(environ, lambda *head: None) is body
    assert log[-2:] == ["inner teardown", "outer teardown"]


def test_layers_that_change_only_the_head_leave_the_body_the_same_object(environ, onion):
    class Header(Middleware):
        def after_request(self, exchange):
            exchange.headers.set("X-Layer", "1")
            exchange.status = "202 Accepted"
            assert exchange.body is body
            assert not exchange.is_streaming

    body = FileWrapper(io.BytesIO(b"file"))
    assert onion(answering(body), *[Header] * 3)(environ, lambda *head: None) is body


def test_a_file_wrapper_is_the_servers_to_close(environ, onion, recording):
    file = io.BytesIO(b"file")
    wrapper = onion(answering(FileWrapper(file)), recording("layer"))(environ, lambda *head: None)
    assert not file.closed
    wrapper.close()
    assert file.closed


def test_a_file_wrapper_of_a_function_is_treated_as_lazy(call, log, onion, recording):
    """uWSGI has one: what it made can't be told from anything else."""
    app = onion(answering(Body(b"file")), recording("layer"))
    answer = call(app, **{"wsgi.file_wrapper": lambda file, block=8192: file})
    assert "layer teardown" not in log
    assert answer.finish().content == b"file"
    assert "layer teardown" in log


def test_a_file_wrapper_that_a_layer_replaces_is_closed(call, onion):
    class Replace(Middleware):
        def after_request(self, exchange):
            exchange.body = [b"instead"]

    file = io.BytesIO(b"file")
    assert call(onion(answering(FileWrapper(file)), Replace)).body == [b"instead"]
    assert file.closed


def test_a_file_wrapper_that_a_layer_puts_in_place_is_handed_on(environ, onion):
    class Replace(Middleware):
        def after_request(self, exchange):
            exchange.body = wrapper

    old, wrapper = Body(b"old"), FileWrapper(io.BytesIO(b"new"))
    assert onion(answering(old), Replace)(environ, lambda *head: None) is wrapper
    assert old.closes == 1


def test_a_file_wrapper_that_a_layer_reads_is_closed_at_the_end(call, onion):
    class Upper(Middleware):
        def after_request(self, exchange):
            exchange.body = (chunk.upper() for chunk in exchange.body)

    file = io.BytesIO(b"file")
    answer = call(onion(answering(FileWrapper(file)), Upper)).drain()
    assert (answer.content, file.closed) == (b"FILE", False)
    answer.close()
    assert file.closed


def test_a_file_wrapper_is_closed_when_a_layer_fails(call, onion):
    class Fail(Middleware):
        def after_request(self, exchange):
            raise OSError

    file = io.BytesIO(b"file")
    assert isinstance(call(onion(answering(FileWrapper(file)), Fail)).error, OSError)
    assert file.closed


def test_what_was_opened_for_the_request_is_given_back_before_the_first_byte_leaves(environ, onion):
    pool = ["connection"]

    class Connection(Middleware):
        def before_request(self, exchange):
            exchange.state[self] = pool.pop()

        def teardown_request(self, exchange):
            pool.append(exchange.state.pop(self))

    onion(answering([b"slow client"]), Connection)(environ, lambda *head: None)
    assert pool == ["connection"]


def test_a_list_of_another_class_is_lazy(call, log, onion, recording):
    """It may have an `__iter__` or its own `close`."""

    class Chunks(list):
        def close(self):
            log.append("closed")

    call(onion(answering(Chunks([b"a"])), recording("layer"))).finish()
    assert log[-2:] == ["closed", "layer teardown"]
