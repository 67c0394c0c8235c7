"""D12, B57: stacks in stacks, and an environ that is used for more than one request."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.onion.stack import build_stack, use


def insert(environ, text="row", key="wsgikit.db"):
    environ[key].execute(sa.text("INSERT INTO notes (text) VALUES (:text)"), {"text": text})


def writing(status="200 OK", body=(b"x",), headers=()):
    """An application that writes a row and answers."""

    def app(environ, start_response):
        insert(environ)
        start_response(status, list(headers))
        return list(body)

    return app


def count_checkouts(layer):
    counts = []
    sa.event.listen(layer.engine, "checkout", lambda *_: counts.append(1))
    return counts


def test_a_mounted_stack_joins_the_transaction_around_it(layers, sqlite, call):
    """D12, B57: one transaction, concluded by the outer layer; the inner one closes nothing."""

    def inner_app(environ, start_response):
        insert(environ, "inner")
        start_response("200 OK", [])
        return [b"x"]

    inner = build_stack(inner_app, use(DatabaseMiddleware, url=sqlite.url))

    def outer_app(environ, start_response):
        insert(environ, "outer")
        body = inner(environ, start_response)
        insert(environ, "after")
        if environ["PATH_INFO"] == "/fails":
            raise LookupError("outer")
        return body

    outer = build_stack(outer_app, use(DatabaseMiddleware, url=sqlite.url))
    layers += [outer, inner]
    counts = [count_checkouts(stack.layers[0]) for stack in (outer, inner)]
    call(outer)
    assert sqlite.texts() == ["outer", "inner", "after"]
    assert counts == [[1], []]
    sqlite.clear()
    with pytest.raises(LookupError):
        call(outer, "/fails")
    assert sqlite.texts() == []


def test_a_stack_called_with_an_environ_of_its_own_is_a_request_of_its_own(layers, postgresql, call):
    """D12: a view that sends a request through a stack with a copy of environ waits for nothing and joins nothing."""

    def inner_app(environ, start_response):
        insert(environ, "inner")
        start_response("200 OK", [])
        return [b"x"]

    inner = build_stack(inner_app, use(DatabaseMiddleware, url=postgresql.url))

    def outer_app(environ, start_response):
        insert(environ, "outer")
        inner(dict(environ), lambda status, headers: None)
        raise LookupError("outer")

    outer = build_stack(outer_app, use(DatabaseMiddleware, url=postgresql.url))
    layers += [outer, inner]
    with pytest.raises(LookupError):
        call(outer)
    assert postgresql.texts() == ["inner"]


def test_a_mounted_stack_with_a_name_of_its_own_has_a_transaction_of_its_own(layers, postgresql, call):
    """D12"""

    def inner_app(environ, start_response):
        insert(environ, "inner", "wsgikit.db.audit")
        start_response("200 OK", [])
        return [b"x"]

    inner = build_stack(inner_app, use(DatabaseMiddleware, url=postgresql.url, name="audit"))

    def outer_app(environ, start_response):
        insert(environ, "outer")
        inner(environ, lambda status, headers, exc_info=None: None)
        raise LookupError("outer")

    outer = build_stack(outer_app, use(DatabaseMiddleware, url=postgresql.url))
    layers += [outer, inner]
    with pytest.raises(LookupError):
        call(outer)
    assert postgresql.texts() == ["inner"]


def test_an_environ_that_is_used_again_begins_anew(wrap, sqlite, environ_of):
    """D12: a test or a server that keeps its environ doesn't meet the database of the last request in it."""
    layer = wrap(writing(), url=sqlite.url)
    environ = environ_of()
    for _ in range(2):
        assert layer(environ, lambda *_: None) == [b"x"]
    assert sqlite.texts() == ["row", "row"]
