"""D15: several databases in one request."""

from __future__ import annotations

import logging

import pytest
import sqlalchemy as sa

from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.stack import build_stack, use


def insert(environ, text="row", key="wsgikit.db"):
    environ[key].execute(sa.text("INSERT INTO notes (text) VALUES (:text)"), {"text": text})


class Answers500(Middleware):
    """An error page, as short as can be."""

    def handle_exception(self, exchange, error):
        return exchange.reply(500, f"{type(error).__name__}")


def both(environ, start_response):
    insert(environ, "main")
    insert(environ, "report", "wsgikit.db.reports")
    environ["wsgikit.db"].on_commit(lambda: order.append("default"))
    environ["wsgikit.db.reports"].on_commit(lambda: order.append("reports"))
    start_response("200 OK", [])
    return [b"x"]


order: list[str] = []


def test_several_databases_commit_from_the_inside_out(layers, sqlite, postgresql, call):
    """D15"""
    order.clear()
    stack = build_stack(
        both,
        use(DatabaseMiddleware, url=sqlite.url),
        use(DatabaseMiddleware, url=postgresql.url, name="reports"),
    )
    layers.append(stack)
    call(stack)
    assert order == ["reports", "default"]
    assert (sqlite.texts(), postgresql.texts()) == (["main"], ["report"])


def test_a_second_commit_that_fails_is_reported_loudly(layers, sqlite, deferred, call, caplog):
    """D15"""

    def app(environ, start_response):
        environ["wsgikit.db"].execute(sa.text("INSERT INTO child VALUES (4711)"))
        insert(environ, "report", "wsgikit.db.reports")
        start_response("200 OK", [])
        return [b"x"]

    stack = build_stack(
        app,
        use(Answers500),
        use(DatabaseMiddleware, url=deferred.url),
        use(DatabaseMiddleware, url=sqlite.url, name="reports"),
    )
    layers.append(stack)
    assert call(stack).body == b"IntegrityError"
    critical = [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]
    assert len(critical) == 1
    assert "the commit on 'default' failed after 'reports' had been committed" in critical[0]
    assert (sqlite.texts(), deferred.texts()) == (["report"], [])


def test_the_flag_of_one_database_leaves_the_other_to_its_rule(layers, sqlite, postgresql, call):
    """D15"""
    order.clear()

    def app(environ, start_response):
        environ["wsgikit.db.reports.commit"] = False
        return both(environ, start_response)

    stack = build_stack(
        app,
        use(DatabaseMiddleware, url=sqlite.url),
        use(DatabaseMiddleware, url=postgresql.url, name="reports"),
    )
    layers.append(stack)
    call(stack)
    assert (sqlite.texts(), postgresql.texts()) == (["main"], [])


@pytest.mark.parametrize(
    ("flags", "rows"),
    [
        ({"wsgikit.db.commit": False}, ([], [])),
        ({"wsgikit.db.commit": False, "wsgikit.db.reports.commit": True}, ([], ["report"])),
        ({"wsgikit.db.commit": True}, (["main"], ["report"])),
    ],
    ids=["all undone", "the named one kept", "all kept"],
)
def test_the_flag_of_the_request_is_for_all_that_have_none_of_their_own(layers, sqlite, postgresql, call, flags, rows):
    """D15"""

    def app(environ, start_response):
        environ.update(flags)
        return both(environ, start_response)

    stack = build_stack(
        app,
        use(DatabaseMiddleware, url=sqlite.url),
        use(DatabaseMiddleware, url=postgresql.url, name="reports"),
    )
    layers.append(stack)
    call(stack)
    assert (sqlite.texts(), postgresql.texts()) == rows
