"""What stands in environ for a database, drivers of odd kinds, and what a debug page is told."""

from __future__ import annotations

import sqlite3
import threading

import pytest
import sqlalchemy as sa

from wsgikit import ContextMiddleware, DatabaseMiddleware, Middleware, build_stack, db, use
from wsgikit.exceptions import ConfigurationError

# ---------------------------------------------------------------------- the handle


def test_attributes_of_a_driver_connection_can_be_set_through_the_handle(wrap, sqlite, call, ok):
    """``row_factory`` is how sqlite3 gives rows with names."""

    def app(environ, start_response):
        environ["wsgikit.db"].row_factory = sqlite3.Row
        row = environ["wsgikit.db"].execute("SELECT 7 AS seven").fetchone()
        return ok(start_response, str(row["seven"]).encode())

    assert call(wrap(app, connect=sqlite.connect)).body == b"7"


def test_the_handle_stands_for_a_session_in_pythons_operators(wrap, sqlite, call, ok, note):
    """``one in db``, ``list(db)`` and ``with db:`` are of a session's interface."""

    def app(environ, start_response):
        handle = environ["wsgikit.db"]
        one = note(text="a")
        handle.add(one)
        handle.flush()
        assert one in handle
        assert list(handle) == [one]
        handle.info["x"] = 1
        handle.autoflush = False
        assert handle.__wsgikit_open__().autoflush is False
        with handle as session:
            assert session is handle.__wsgikit_open__()
        return ok(start_response)

    assert call(wrap(app, url=sqlite.url)).code == 200


# ---------------------------------------------------------------------- odd drivers


class OddConnection:
    """A driver that doesn't return whether a transaction is open, and accepts no new attributes."""

    __slots__ = ("log",)

    def __init__(self, log):
        self.log = log

    def cursor(self):
        raise NotImplementedError

    def write(self):
        self.log.append("write")

    def commit(self):
        self.log.append("commit")

    def rollback(self):
        self.log.append("rollback")

    def close(self):
        self.log.append("close")


def test_what_is_written_at_the_end_is_committed_where_the_driver_does_not_tell(wrap, call, ok):
    """A function of ``on_teardown`` is part of the request, whatever the driver is."""
    log = []

    def app(environ, start_response):
        environ["wsgikit.db"].write()
        environ["wsgikit.exchange"].on_teardown(environ["wsgikit.db"].write)
        return ok(start_response)

    call(wrap(app, connect=lambda: OddConnection(log)))
    assert log == ["write", "commit", "write", "commit", "close"]


def test_a_connection_that_could_not_be_rolled_back_does_not_go_to_the_next_request(wrap, call):
    """D1: though it says later that it can."""
    log = []
    failed = []

    class Stubborn(OddConnection):
        def rollback(self):
            super().rollback()
            if not failed:
                failed.append(1)
                raise RuntimeError("not now")

    def app(environ, start_response):
        environ["wsgikit.db"].write()
        start_response("500 Oops", [])
        return [b"x"]

    layer = wrap(app, connect=lambda: Stubborn(log), pool_size=1, pool_timeout=0.1, ping=False)
    call(layer)
    assert log[-1] == "close"
    log.clear()
    call(layer)
    assert "close" not in log


@pytest.mark.parametrize("leaves", [SystemExit, GeneratorExit, RuntimeError])
def test_a_connection_that_may_be_in_mid_statement_is_not_used_again(wrap, call, leaves):
    """B58: a greenlet that is killed leaves the driver in the middle of something; an exception doesn't."""
    log = []

    def app(environ, start_response):
        environ["wsgikit.db"].write()
        raise leaves

    layer = wrap(app, connect=lambda: OddConnection(log), pool_size=1, pool_timeout=0.1, ping=False)
    with pytest.raises(leaves):
        call(layer)
    assert ("close" in log) is (leaves is not RuntimeError)
    assert "commit" not in log
    assert layer.source.describe()["checkedin"] == (1 if leaves is RuntimeError else 0)


def test_a_pool_that_was_closed_keeps_no_connection_that_comes_back(wrap, call, ok):
    """Closing is for the shutdown: a request that still runs then should leave nothing open."""
    log = []

    def app(environ, start_response):
        environ["wsgikit.db"].write()
        layer.close()
        return ok(start_response)

    layer = wrap(app, connect=lambda: OddConnection(log), pool_size=1, pool_timeout=0.1, ping=False)
    call(layer)
    assert log[-1] == "close"
    call(layer)


def test_a_negative_pool_is_refused(ok):
    with pytest.raises(ConfigurationError, match="pool_size: expected 0 or more"):
        DatabaseMiddleware(ok, connect=lambda: None, pool_size=-1)


def test_twenty_threads_of_a_request_have_connections_of_their_own(layers, postgresql, call, ok, counted):
    """D11: `copy_current_context` on a pool of five: all get a turn, all are given back."""
    from wsgikit import copy_current_context

    seen = []

    def work():
        seen.append(db.execute(sa.text("SELECT pg_backend_pid()")).scalar())

    def app(environ, start_response):
        threads = [threading.Thread(target=copy_current_context(work)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return ok(start_response)

    options = {"pool_size": 5, "max_overflow": 0, "pool_timeout": 20}
    stack = build_stack(app, ContextMiddleware, use(DatabaseMiddleware, url=postgresql.url, **options))
    layers.append(stack)
    counts = counted(stack.find(DatabaseMiddleware))
    call(stack)
    assert len(seen) == 20
    assert len(set(seen)) <= 5
    assert counts == {"out": 20, "in": 20}


def test_an_isolation_level_of_one_request_is_not_that_of_the_next(wrap, postgresql, call, ok):
    """D1: the connection goes back as it was."""
    seen = []

    def app(environ, start_response):
        handle = environ["wsgikit.db"]
        if environ["PATH_INFO"] == "/strict":
            handle.connection(execution_options={"isolation_level": "SERIALIZABLE"})
        seen.append(handle.execute(sa.text("SHOW transaction_isolation")).scalar())
        return ok(start_response)

    layer = wrap(app, url=postgresql.url, pool_size=1, max_overflow=0)
    call(layer, "/strict")
    call(layer, "/")
    assert seen == ["serializable", "read committed"]


def test_the_password_of_a_url_is_in_no_description(wrap, ok):
    secret = "s3cr3t"
    for url in (
        f"postgresql+psycopg://u:{secret}@127.0.0.1:1/x",
        f"postgresql+psycopg://127.0.0.1:1/x?password={secret}",
    ):
        layer = wrap(ok, url=url)
        assert secret not in str(layer.source.describe())
        assert secret not in build_stack(ok, use(DatabaseMiddleware, url=url)).describe()
        assert secret not in repr(layer)


# ---------------------------------------------------------------------- what a debug page shows


def test_statements_are_on_the_exchange_for_a_debug_page(layers, sqlite, postgresql, call):
    """Those of all databases in one list, in order; the one that failed too."""
    seen = []

    class Page(Middleware):
        def handle_exception(self, exchange, error):
            seen.extend(exchange.state["wsgikit.sql"])
            return exchange.reply(500, "broken")

    def app(environ, start_response):
        environ["wsgikit.db"].execute(sa.text("SELECT 1")).scalar()
        environ["wsgikit.db.other"].execute(sa.text("SELECT 2")).scalar()
        environ["wsgikit.db"].execute(sa.text("SELECT * FROM nothing"))

    stack = build_stack(
        app,
        Page,
        use(DatabaseMiddleware, url=postgresql.url, record_queries=True),
        use(DatabaseMiddleware, url=sqlite.url, name="other", slow_query_seconds=1),
    )
    layers.append(stack)
    assert call(stack).code == 500
    assert [statement for statement, _ in seen] == ["SELECT 1", "SELECT 2", "SELECT * FROM nothing"]
    assert all(seconds > 0 for _, seconds in seen)


@pytest.mark.parametrize("is_asked", [True, False], ids=["asked for", "not asked for"])
def test_a_layer_outside_asks_for_statements_with_a_list(layers, sqlite, call, is_asked, ok):
    """Nothing is recorded if nobody asks."""
    seen = []

    class Asks(Middleware):
        def before_request(self, exchange):
            if is_asked:
                exchange.state["wsgikit.sql"] = seen

    def app(environ, start_response):
        environ["wsgikit.db"].execute(sa.text("SELECT 1")).scalar()
        assert ("wsgikit.sql" in environ["wsgikit.exchange"].state) is is_asked
        return ok(start_response)

    stack = build_stack(app, Asks, use(DatabaseMiddleware, url=sqlite.url))
    layers.append(stack)
    assert call(stack).code == 200
    assert [statement for statement, _ in seen] == (["SELECT 1"] if is_asked else [])


def test_a_layer_outside_gets_the_statements_of_all_attempts(layers, sqlite, call):
    """D13: what it asked for is not lost with the first attempt."""
    seen = []

    class Asks(Middleware):
        def before_request(self, exchange):
            exchange.state["wsgikit.sql"] = seen

    class Lost(Exception):
        sqlstate = "40001"

    def app(environ, start_response):
        environ["wsgikit.db"].execute(sa.text(f"SELECT {environ['wsgikit.db.attempt']}")).scalar()
        raise Lost

    stack = build_stack(app, Asks, use(DatabaseMiddleware, url=sqlite.url, retries=2, retry_backoff_seconds=0))
    layers.append(stack)
    with pytest.raises(Lost):
        call(stack)
    assert [statement for statement, _ in seen] == ["SELECT 1", "SELECT 2", "SELECT 3"]


def test_a_long_request_keeps_the_last_thousand_statements(wrap, sqlite, call, ok):
    def app(environ, start_response):
        handle = environ["wsgikit.db"]
        for _ in range(1010):
            handle.execute(sa.text("SELECT 1")).scalar()
        handle.execute(sa.text("SELECT 'last'")).scalar()
        recorded = environ["wsgikit.exchange"].state["wsgikit.sql"]
        return ok(start_response, f"{len(recorded)} {recorded[-1][0]} {handle.queries.count}".encode())

    assert call(wrap(app, url=sqlite.url, record_queries=True)).body == b"1000 SELECT 'last' 1011"
