"""D4: an error that the application ignores may have ended its transaction. A page that says 'saved' would lie."""

from __future__ import annotations

import contextlib
import threading

import pytest
import sqlalchemy as sa

from wsgikit.database.exceptions import TransactionAbortedError

KINDS = ("session", "connection", "driver")


def options_of(database, kind):
    return {"connect": database.connect} if kind == "driver" else {"url": database.url, "kind": kind}


def run(environ, statement):
    handle = environ["wsgikit.db"]
    if not hasattr(handle, "cursor"):
        return handle.execute(sa.text(statement))
    cursor = handle.cursor()
    cursor.execute(statement)
    return cursor


def saved(start_response):
    start_response("200 OK", [])
    return [b"saved"]


@pytest.mark.parametrize("kind", KINDS)
def test_postgresql_would_lose_the_rows_silently_so_the_commit_is_an_error(wrap, postgresql, call, kind):
    """D4: PostgreSQL answers COMMIT with ROLLBACK after an error."""
    hooks = []

    def app(environ, start_response):
        environ["wsgikit.db"].on_commit(lambda: hooks.append("commit"))
        run(environ, "INSERT INTO notes (text) VALUES ('row')")
        with contextlib.suppress(Exception):
            run(environ, "SELECT * FROM no_such_table")
        return saved(start_response)

    with pytest.raises(TransactionAbortedError, match="expected a transaction that is alive"):
        call(wrap(app, **options_of(postgresql, kind)))
    assert (postgresql.texts(), hooks) == ([], [])


@pytest.mark.parametrize("commit", ["manual", "success"])
@pytest.mark.parametrize("way", ["session.commit", "connection.commit", "session.begin", "connection.begin"])
def test_a_commit_of_the_applications_own_is_an_error_too(wrap, postgresql, call, way, commit):
    """D4: nobody is told of a commit that wasn't one."""
    kind, _, word = way.partition(".")
    hooks = []

    def write(environ):
        run(environ, "INSERT INTO notes (text) VALUES ('row')")
        with contextlib.suppress(Exception):
            run(environ, "SELECT * FROM no_such_table")

    def app(environ, start_response):
        handle = environ["wsgikit.db"]
        handle.on_commit(lambda: hooks.append("commit"))
        if word == "begin":
            with handle.begin():
                write(environ)
        else:
            write(environ)
            handle.commit()
        return saved(start_response)

    layer = wrap(app, url=postgresql.url, kind=kind, commit=commit, pool_size=1, max_overflow=0, pool_timeout=1)
    for _ in range(2):
        with pytest.raises(TransactionAbortedError, match="expected a transaction that is alive"):
            call(layer)
    assert (postgresql.texts(), hooks) == ([], [])
    assert layer.engine.pool.checkedout() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_savepoint_around_what_may_fail_keeps_the_rest(wrap, postgresql, call, kind):
    def app(environ, start_response):
        run(environ, "INSERT INTO notes (text) VALUES ('row')")
        run(environ, "SAVEPOINT here")
        with contextlib.suppress(Exception):
            run(environ, "SELECT * FROM no_such_table")
        run(environ, "ROLLBACK TO SAVEPOINT here")
        return saved(start_response)

    call(wrap(app, **options_of(postgresql, kind)))
    assert postgresql.texts() == ["row"]


@pytest.fixture
def rival(mariadb):
    """A connection beside that of the request, which holds no lock when the test is over."""
    connection = mariadb.connect()
    yield connection
    connection.rollback()
    connection.close()


@pytest.mark.parametrize("who", ["the layer", "the application"])
@pytest.mark.parametrize("kind", ["session", "connection"])
def test_a_deadlock_that_is_ignored_on_mariadb_commits_no_half(wrap, mariadb, call, kind, rival, who):
    """D4: MariaDB has rolled back, and begins another transaction unasked: only the second half would be left."""
    mariadb.run("INSERT INTO notes (id, text) VALUES (-1, 'a')", "INSERT INTO notes (id, text) VALUES (-2, 'b')")
    cursor = rival.cursor()
    # Of two in each other's way the one with fewer changes is rolled back: that must be the request.
    cursor.execute("INSERT INTO notes (text) VALUES ('other'), ('other'), ('other')")
    cursor.execute("UPDATE notes SET text = 'other' WHERE id = -2")
    waits = threading.Thread(target=lambda: cursor.execute("UPDATE notes SET text = 'other' WHERE id = -1"))

    def app(environ, start_response):
        run(environ, "UPDATE notes SET text = 'first half' WHERE id = -1")
        waits.start()
        with contextlib.suppress(sa.exc.OperationalError):
            run(environ, "UPDATE notes SET text = 'mine' WHERE id = -2")
        run(environ, "INSERT INTO notes (text) VALUES ('second half')")
        if who == "the application":
            environ["wsgikit.db"].commit()
        return saved(start_response)

    try:
        with pytest.raises(TransactionAbortedError, match="the server rolled back after OperationalError"):
            call(wrap(app, url=mariadb.url, kind=kind))
    finally:
        waits.join(20)
    rival.rollback()
    assert mariadb.texts() == ["b", "a"]


def test_after_a_deadlock_the_application_may_roll_back_and_begin_anew(wrap, mariadb, call):
    """The error is over with the rollback of the application's own."""

    class Deadlock(Exception):
        pass

    Deadlock.__module__ = "pymysql.err"

    def app(environ, start_response):
        handle = environ["wsgikit.db"]
        run(environ, "INSERT INTO notes (text) VALUES ('lost')")
        handle._work().aborted_by = Deadlock(1213, "Deadlock found")
        handle.rollback()
        run(environ, "INSERT INTO notes (text) VALUES ('kept')")
        return saved(start_response)

    assert call(wrap(app, url=mariadb.url)).body == b"saved"
    assert mariadb.texts() == ["kept"]
