"""What a pooled connection keeps from one request to the next: nothing of the driver's, and nothing with ``reset=``."""

from __future__ import annotations

import sqlite3

import pymysql
import pytest
import sqlalchemy as sa
from psycopg.rows import dict_row

from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.exceptions import ConfigurationError

POOL = {"pool_size": 1, "pool_timeout": 1}


def first_and_second(first, second):
    """An application whose first request does one thing with the connection, and fails; its second another."""

    def app(environ, start_response):
        connection = environ["wsgikit.db"].__wsgikit_open__()
        if environ["PATH_INFO"] == "/first":
            first(connection)
            start_response("500 Oops", [])
            return [b""]
        start_response("200 OK", [])
        return [str(second(connection)).encode()]

    return app


def run(connection, *statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def set_autocommit(connection):
    if callable(getattr(connection, "autocommit", None)):
        connection.autocommit(True)
    elif isinstance(connection, sqlite3.Connection):
        connection.isolation_level = None
    else:
        connection.autocommit = True


def insert(connection):
    cursor = connection.cursor()
    cursor.execute("INSERT INTO notes (text) VALUES ('second')")
    cursor.close()
    raise RuntimeError("rolled back")


def test_autocommit_of_one_request_is_off_in_the_next(wrap, database, call):
    """Else the rows of the next request stay, though it fails."""
    layer = wrap(first_and_second(set_autocommit, insert), connect=database.connect, **POOL)
    assert call(layer, "/first").code == 500
    with pytest.raises(RuntimeError, match="rolled back"):
        call(layer, "/second")
    assert database.texts() == []


def leave(name, value):
    return lambda connection: setattr(connection, name, value)


@pytest.mark.parametrize(
    ("database_name", "name", "value"),
    [
        ("postgresql", "isolation_level", 4),
        ("postgresql", "read_only", True),
        ("postgresql", "deferrable", True),
        ("postgresql", "row_factory", dict_row),
        ("postgresql", "prepare_threshold", None),
        ("mariadb", "cursorclass", pymysql.cursors.DictCursor),
        ("sqlite", "isolation_level", "EXCLUSIVE"),
        ("sqlite", "row_factory", sqlite3.Row),
        ("sqlite", "text_factory", bytes),
    ],
)
def test_a_setting_of_the_driver_is_that_of_a_new_connection(wrap, database_of, call, database_name, name, value):
    database = database_of(database_name)
    seen = []
    app = first_and_second(leave(name, value), lambda connection: seen.append((connection, getattr(connection, name))))
    layer = wrap(app, connect=database.connect, **POOL)
    call(layer, "/first")
    call(layer, "/second")
    call(layer, "/second")
    new = database.connect()
    assert [setting for _, setting in seen] == [getattr(new, name)] * 2
    assert seen[0][0] is seen[1][0]
    new.close()


def test_a_connection_whose_settings_cannot_be_put_back_is_closed(wrap, sqlite, call, caplog):
    class Stubborn(sqlite3.Connection):
        deferrable = property(lambda self: vars(self).setdefault("now", False), lambda self, value: 1 / 0)

    app = first_and_second(lambda connection: vars(connection).update(now=True), lambda connection: connection.now)
    path = sqlite.engine.url.database
    connect = lambda: sqlite3.connect(path, factory=Stubborn, check_same_thread=False)  # noqa: E731
    layer = wrap(app, connect=connect, **POOL)
    call(layer, "/first")
    assert layer.source.describe()["checkedin"] == 0
    assert "GET /first: putting a connection to 'default' back failed: ZeroDivisionError" in caplog.text
    assert call(layer, "/second").body == b"False"


ROLE = "SELECT current_setting('application_name')"


@pytest.mark.parametrize(
    "reset", ["DISCARD ALL", lambda connection: run(connection, "RESET ALL") or connection.commit()]
)
@pytest.mark.parametrize("times", [1, 12])
@pytest.mark.parametrize("kind", ["connect", "url"])
def test_reset_puts_back_what_the_server_keeps(wrap, postgresql, call, kind, reset, times):
    """Twelve times: the driver has prepared the statement by then, and knows that it is gone."""
    setting = "SET application_name = 'left behind'"
    if kind == "connect":
        first, second = (lambda c: (run(c, setting), c.commit())), (lambda c: run(c, ROLE))
        options = {"connect": postgresql.connect}
    else:
        first = lambda db: (db.execute(sa.text(setting)), db.commit())  # noqa: E731
        second = lambda db: db.scalar(sa.text(ROLE))  # noqa: E731
        options = {"url": postgresql.url, "max_overflow": 0}
    layer = wrap(first_and_second(first, second), reset=reset, **options, **POOL)
    for _ in range(times):
        call(layer, "/first")
        assert call(layer, "/second").body == b""
    if kind == "url":
        assert layer.engine.pool.checkedin() == 1


def test_without_reset_the_server_keeps_what_was_set(wrap, postgresql, call):
    """The guide says so, and what to do."""
    first = lambda c: (run(c, "SET application_name = 'left behind'"), c.commit())  # noqa: E731
    layer = wrap(first_and_second(first, lambda c: run(c, ROLE)), connect=postgresql.connect, **POOL)
    call(layer, "/first")
    assert call(layer, "/second").body == b"left behind"


def test_reset_keeps_the_statement_timeout_of_the_layer(wrap, postgresql, call):
    second = lambda db: db.scalar(sa.text("SHOW statement_timeout"))  # noqa: E731
    layer = wrap(
        first_and_second(second, second),
        url=postgresql.url,
        reset="DISCARD ALL",
        statement_timeout_seconds=7,
        max_overflow=0,
        **POOL,
    )
    call(layer, "/first")
    assert call(layer, "/second").body == b"7s"


@pytest.mark.parametrize("kind", ["connect", "url"])
def test_a_connection_whose_reset_fails_is_not_used_again(wrap, postgresql, call, kind):
    pid = "SELECT pg_backend_pid()"
    if kind == "connect":
        second, options = (lambda c: run(c, pid)), {"connect": postgresql.connect}
    else:
        second, options = (lambda db: db.scalar(sa.text(pid))), {"url": postgresql.url, "max_overflow": 0}
    layer = wrap(first_and_second(second, second), reset="NO SUCH STATEMENT", **options, **POOL)
    assert call(layer, "/second").body != call(layer, "/second").body


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "sqlite:///x", "reset": 3}, "reset: expected a statement such as 'DISCARD ALL', or a function of the"),
        (
            {"url": "sqlite:///x", "reset": " "},
            "reset: expected a statement such as 'DISCARD ALL', or a function of the",
        ),
        ({"engine": sa.create_engine("sqlite://"), "reset": "X"}, "reset: expected nothing beside engine=, got 'X'"),
        ({"connect": lambda: None, "reset": "X"}, "reset: expected pool_size= beside it, got 'X'. Leave it out"),
    ],
    ids=["a number", "an empty text", "with an engine", "without a pool"],
)
def test_a_reset_that_cannot_work_is_refused(ok, options, message):
    with pytest.raises(ConfigurationError, match=message):
        DatabaseMiddleware(ok, **options)
