"""D6: what has the database after an error, while layers inside tear down, and without a request."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.onion.middleware import Middleware
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


@pytest.mark.parametrize(
    "options",
    [{}, {"kind": "connection"}, {"retries": 2}, {"manager": True}, {"release": "response"}],
    ids=["session", "connection", "retries", "manager", "given back at the head"],
)
def test_fifty_failing_requests_with_error_pages_that_read_pass_on_a_small_pool(layers, database, call, options):
    """D6: the page has a clean connection, and it is given back."""

    class Page(Middleware):
        def handle_exception(self, exchange, error):
            count = exchange.environ["wsgikit.db"].execute(sa.text("SELECT count(*) FROM notes")).scalar()
            return exchange.reply(500, f"{count} rows")

    def app(environ, start_response):
        insert(environ)
        environ["wsgikit.db"].execute(sa.text("SELECT * FROM no_such_table"))

    stack = build_stack(
        app,
        use(Page),
        use(DatabaseMiddleware, url=database.url, pool_size=5, max_overflow=0, pool_timeout=0.1, **options),
    )
    layers.append(stack)
    assert {call(stack).body for _ in range(50)} == {b"0 rows"}
    assert stack.layers[1].engine.pool.checkedout() == 0


def test_what_layers_inside_do_at_teardown_is_part_of_the_request(layers, database, call):
    """D1: a teardown hook inside the layer may still use the connection that the request has, and it is committed."""

    class Audits(Middleware):
        def teardown_request(self, exchange):
            insert(exchange.environ, "audit")

    stack = build_stack(writing(), use(DatabaseMiddleware, url=database.url), use(Audits))
    layers.append(stack)
    call(stack)
    assert database.texts() == ["row", "audit"]
    assert stack.layers[0].engine.pool.checkedout() == 0


@pytest.mark.parametrize("retries", [0, 2])
@pytest.mark.parametrize("enter", ["app_context", "request_context"])
def test_scripts_and_tests_have_it_without_a_request(layers, database, retries, enter):
    """Nothing is committed that wasn't committed explicitly."""
    from wsgikit.context.locals import db
    from wsgikit.context.middleware import ContextMiddleware

    stack = build_stack(writing(), use(ContextMiddleware), use(DatabaseMiddleware, url=database.url, retries=retries))
    layers.append(stack)
    with getattr(stack, enter)():
        db.execute(sa.text("INSERT INTO notes (text) VALUES ('kept')"))
        db.commit()
        db.execute(sa.text("INSERT INTO notes (text) VALUES ('dropped')"))
    assert database.texts() == ["kept"]
    assert stack.layers[1].engine.pool.checkedout() == 0


def test_work_in_the_background_has_a_connection_of_its_own(layers, postgresql, call):
    """D10, D12: a function through copy_current_context doesn't join the transaction of the request."""
    import threading

    from wsgikit.context.locals import copy_current_context, db
    from wsgikit.context.middleware import ContextMiddleware

    def app(environ, start_response):
        insert(environ, "request")

        @copy_current_context
        def background():
            insert({"wsgikit.db": db}, "background")
            db.commit()

        thread = threading.Thread(target=background)
        thread.start()
        thread.join()
        start_response("400 Bad Request", [])
        return [b""]

    stack = build_stack(app, use(ContextMiddleware), use(DatabaseMiddleware, url=postgresql.url))
    layers.append(stack)
    call(stack)
    assert postgresql.texts() == ["background"]
