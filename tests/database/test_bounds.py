"""The numbers from which on something is said, or left out."""

from __future__ import annotations

import pytest
import sqlalchemy as sa


@pytest.fixture
def statements():
    """Make an application that runs so many statements."""

    def make(number, text="SELECT 1"):
        def app(environ, start_response):
            for _ in range(number):
                environ["wsgikit.db"].execute(sa.text(text))
            start_response("200 OK", [])
            return [b"x"]

        return app

    return make


@pytest.mark.parametrize(
    ("number", "limit", "said"),
    [
        (4, 4, []),
        (4, 3, ["4 statements, max_queries=3; most often (4 times): SELECT 1"]),
        (5, 9, ["the same statement 5 times (N+1?): SELECT 1"]),
    ],
    ids=["as many as may be", "one too many", "five the same"],
)
def test_a_budget_ends_with_its_number_and_a_loop_begins_with_five(
    wrap, sqlite, call, statements, caplog, number, limit, said
):
    call(wrap(statements(number), url=sqlite.url, max_queries=limit))
    assert [record.getMessage().partition(" on 'default': ")[2] for record in caplog.records] == said


def test_a_long_statement_is_cut_in_the_log(wrap, sqlite, call, statements, caplog):
    call(wrap(statements(1, f"SELECT '{'x' * 1000}'"), url=sqlite.url, max_queries=0))
    (record,) = caplog.records
    statement = record.getMessage().partition("times): ")[2]
    assert (len(statement), statement[-2:]) == (500, "x…")


def test_twenty_holders_are_named_and_the_others_counted(wrap, sqlite, call):
    """D11: a log line bears no more."""
    from wsgikit.database.exceptions import PoolExhaustedError

    errors = []

    def app(environ, start_response):
        environ["wsgikit.db"].execute(sa.text("SELECT 1"))
        number = int(environ["PATH_INFO"][1:])
        if number < 23:
            try:
                call(layer, f"/{number + 1}")
            except PoolExhaustedError as error:
                errors.append(error)
        start_response("200 OK", [])
        return [b"x"]

    layer = wrap(app, url=sqlite.url, pool_size=22, max_overflow=0, pool_timeout=0.01)
    call(layer, "/1")
    (error,) = errors
    assert len(error.holders) == 22
    assert "GET /20 for " in str(error)
    assert "GET /21 for " not in str(error)
    assert "; and 2 more. Find what keeps them" in str(error)


def test_a_database_in_memory_is_never_replaced_for_its_age(wrap, call, monkeypatch):
    """B59: a new connection would be a new, empty database."""
    import time

    late = [0.0]
    monkeypatch.setattr("sqlalchemy.pool.base.time.time", lambda clock=time.time: clock() + late[0])

    def app(environ, start_response):
        db = environ["wsgikit.db"]
        if environ["PATH_INFO"] == "/make":
            db.execute(sa.text("CREATE TABLE notes (text)"))
        db.execute(sa.text("INSERT INTO notes VALUES ('a')"))
        start_response("200 OK", [])
        return [b"x"]

    layer = wrap(app, url="sqlite://", max_age_seconds=10)
    call(layer, "/make")
    late[0] = 100.0
    assert call(layer, "/").code == 200
