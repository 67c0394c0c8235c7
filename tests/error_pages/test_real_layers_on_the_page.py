"""The traceback page shows what the layers of this request have done: session keys and statements, no values."""

from __future__ import annotations

import logging

import pytest
import sqlalchemy as sa

from wsgikit import (
    ContextMiddleware,
    DatabaseMiddleware,
    ErrorPagesMiddleware,
    SessionMiddleware,
    build_stack,
    db,
    session,
    use,
)
from wsgikit.onion.visit import make_environ

PLANTED = "-".join(["planted", "value"])  # so that the source on the page doesn't have it


def failing(environ, start_response):
    if environ["PATH_INFO"] == "/touches":
        session["basket"] = PLANTED
        db.execute(sa.text("SELECT 41 + 1")).scalar()
    raise ValueError("broken")


def page_of(path):
    stack = build_stack(
        failing,
        use(ErrorPagesMiddleware, debug=True),
        use(ContextMiddleware),
        use(SessionMiddleware, secret_key="0123456789abcdef" * 4),
        use(DatabaseMiddleware, url="sqlite://"),
    )
    head: list[object] = []
    environ = {**make_environ(path), "HTTP_ACCEPT": "text/html"}
    body = b"".join(stack(environ, lambda *given: head.append(given)))
    stack.close()
    return head[0][0], dict(head[0][1]), body.decode()


def test_keys_of_the_session_and_statements_are_shown_and_no_value():
    status, _, page = page_of("/touches")
    assert status.startswith("500")
    facts = page.rpartition("</pre>")[2]  # after the last line of source
    assert "basket" in facts
    assert "SELECT 41 + 1" in facts
    assert PLANTED not in page


def test_a_session_that_nobody_read_stays_unread():
    _, headers, page = page_of("/leaves")
    assert "Cookie" not in headers.get("Vary", "")
    assert "basket" not in page.rpartition("</pre>")[2]


def test_an_error_in_an_attempt_is_said_to_be_the_applications(ask, records):
    stack = build_stack(failing, use(ErrorPagesMiddleware), use(DatabaseMiddleware, url="sqlite://", retries=2))
    assert ask(stack).status == "500 Internal Server Error"
    stack.close()
    (record,) = records(logging.ERROR)
    assert (record.layer, record.hook) == (None, None)
    assert "ValueError in the application: 500" in record.getMessage()


def fails_to_be_saved(environ, start_response):
    session["cart"] = {"not": object()}
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"never sent"]


def fails_to_be_committed(environ, start_response):
    for statement in (
        "PRAGMA defer_foreign_keys = on",
        "CREATE TABLE note (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES note (id) DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO note (parent) VALUES (7)",
    ):
        db.execute(sa.text(statement))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"never sent"]


@pytest.mark.parametrize(
    ("app", "layer", "hook", "error"),
    [
        (fails_to_be_saved, "SessionMiddleware", "before_commit", "SessionValueError"),
        (fails_to_be_committed, "DatabaseMiddleware", "after_request", "IntegrityError"),
    ],
    ids=["session", "database"],
)
def test_an_error_while_a_layer_saves_is_said_to_be_that_layers(ask, records, app, layer, hook, error):
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = on"))
    stack = build_stack(
        app,
        use(ErrorPagesMiddleware),
        use(ContextMiddleware),
        use(SessionMiddleware, secret_key="0123456789abcdef" * 4),
        use(DatabaseMiddleware, engine=engine),
    )
    assert ask(stack).status == "500 Internal Server Error"
    engine.dispose()
    (record,) = records(logging.ERROR)
    assert (record.layer, record.hook) == (layer, hook)
    assert f"{error} in {layer}.{hook}: 500" in record.getMessage()
