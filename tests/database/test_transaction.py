"""When a request's transaction is opened, committed, rolled back. Each test names the D and B points it holds."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.database.rules import commit_unless_vetoed
from wsgikit.exceptions import ApplicationError
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


class Answers500(Middleware):
    """An error page, as short as can be."""

    def handle_exception(self, exchange, error):
        return exchange.reply(500, f"{type(error).__name__}")


def count_checkouts(layer):
    counts = []
    sa.event.listen(layer.engine, "checkout", lambda *_: counts.append(1))
    return counts


# ---------------------------------------------------------------------- D7: opened on first use


@pytest.mark.parametrize("kind", ["session", "connection", "driver"])
def test_a_request_that_does_not_use_the_database_takes_no_connection(wrap, sqlite, call, kind):
    """D7: looking at environ, as a debugger does, is no use."""
    counts = []

    def app(environ, start_response):
        handle = dict(environ)["wsgikit.db"]
        assert repr(handle) == "<Handle of the database 'default', not open>"
        assert not hasattr(handle, "__deepcopy__")
        start_response("404 Not Found", [])
        return [b""]

    if kind == "driver":
        layer = wrap(app, connect=lambda: counts.append(1), pool_size=2)
    else:
        layer = wrap(app, url=sqlite.url, kind=kind)
        counts = count_checkouts(layer)
    for _ in range(3):
        call(layer)
    assert counts == []


def test_a_session_takes_its_connection_with_the_first_statement(wrap, sqlite, call):
    """D7"""

    def app(environ, start_response):
        session = environ["wsgikit.db"].__wsgikit_open__()
        assert counts == []
        session.execute(sa.text("SELECT 1"))
        session.execute(sa.text("SELECT 2"))
        start_response("200 OK", [])
        return [b""]

    layer = wrap(app, url=sqlite.url)
    counts = count_checkouts(layer)
    call(layer)
    assert counts == [1]


def test_isolation_level_autocommit_reads_outside_of_a_transaction(wrap, postgresql, call):
    """D7: the autocommit read mode, an engine option of SQLAlchemy's."""
    seen = []

    def app(environ, start_response):
        connection = environ["wsgikit.db"].__wsgikit_open__()
        connection.execute(sa.text("SELECT 1"))
        seen.append(connection.connection.dbapi_connection.info.transaction_status.name)
        start_response("200 OK", [])
        return [b""]

    call(wrap(app, url=postgresql.url, kind="connection", isolation_level="AUTOCOMMIT"))
    assert seen == ["IDLE"]


# ---------------------------------------------------------------------- D4, B50, B52: committed before the head leaves


@pytest.mark.parametrize("kind", ["session", "connection"])
def test_the_commit_comes_before_the_head(wrap, database, call, kind):
    """D4: a spy server sees the row when start_response reaches it."""
    seen = []
    layer = wrap(writing(), url=database.url, kind=kind)
    call(layer, on_start=lambda: seen.append(database.texts()))
    assert seen == [["row"]]


def test_the_commit_of_a_driver_connection_comes_before_the_head(wrap, database, call):
    """D4"""
    seen = []

    def app(environ, start_response):
        cursor = environ["wsgikit.db"].cursor()
        cursor.execute("INSERT INTO notes (text) VALUES ('row')")
        cursor.close()
        start_response("200 OK", [])
        return [b"x"]

    call(wrap(app, connect=database.connect), on_start=lambda: seen.append(database.texts()))
    assert seen == [["row"]]


@pytest.mark.parametrize("kind", ["session", "connection"])
def test_a_deferred_constraint_that_fails_at_commit_is_a_clean_error_page(deferred, layers, call, kind):
    """D4, B52: nothing of the page is sent; the next request works."""

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/bad":
            environ["wsgikit.db"].execute(sa.text("INSERT INTO child VALUES (4711)"))
        insert(environ)
        start_response("200 OK", [("X-Page", "yes")])
        return [b"saved"]

    stack = build_stack(app, use(Answers500), use(DatabaseMiddleware, url=deferred.url, kind=kind))
    layers.append(stack)
    answer = call(stack, "/bad")
    assert (answer.status, answer.body) == ("500 Internal Server Error", b"IntegrityError")
    assert ("X-Page", "yes") not in answer.headers
    assert deferred.texts() == []
    assert call(stack, "/good").code == 200
    assert deferred.texts() == ["row"]


def test_a_commit_that_fails_leaves_without_an_error_page_as_the_exception(deferred, wrap, call):
    """D4: start_response of the server is never called."""
    started = []

    def app(environ, start_response):
        environ["wsgikit.db"].execute(sa.text("INSERT INTO child VALUES (4711)"))
        start_response("200 OK", [])
        return [b"saved"]

    with pytest.raises(sa.exc.IntegrityError):
        call(wrap(app, url=deferred.url), on_start=lambda: started.append(1))
    assert started == []


def test_a_serialization_failure_is_a_clean_error_page(postgresql, layers, call):
    """D4: two serializable transactions that read what the other writes; the second commit fails."""

    def app(environ, start_response):
        connection = environ["wsgikit.db"]
        total = connection.execute(sa.text("SELECT count(*) FROM notes")).scalar()
        insert(environ, f"saw {total}")
        if environ["PATH_INFO"] == "/outer":
            inner.append(call(stack, "/inner"))
        start_response("200 OK", [])
        return [b"saved"]

    inner = []
    options = {"url": postgresql.url, "kind": "connection", "isolation_level": "SERIALIZABLE"}
    stack = build_stack(app, use(Answers500), use(DatabaseMiddleware, **options))
    layers.append(stack)
    outer = call(stack, "/outer")
    assert (inner[0].code, outer.code, outer.body) == (200, 500, b"OperationalError")
    assert postgresql.texts() == ["saw 0"]


# ---------------------------------------------------------------------- D3, D5: what decides


@pytest.mark.parametrize(
    ("status", "rule", "flag", "is_kept"),
    [
        ("200 OK", "success", None, True),
        ("302 Found", "success", None, True),
        ("399 Odd", "success", None, True),
        ("400 Bad Request", "success", None, False),
        ("500 Oops", "success", None, False),
        ("200 OK", "success", False, False),
        ("500 Oops", "success", True, True),
        ("500 Oops", "no-exception", None, True),
        ("200 OK", "manual", None, False),
        ("200 OK", "manual", True, True),
        ("201 Created", lambda exchange: exchange.status_code == 201, None, True),
        ("200 OK", lambda exchange: exchange.status_code == 201, None, False),
    ],
)
def test_the_rule_and_the_flag_decide(wrap, sqlite, call, status, rule, flag, is_kept):
    """D3, D5: redirects commit; 400 and above roll back; ``environ["wsgikit.db.commit"]`` has the last word."""

    def app(environ, start_response):
        if flag is not None:
            environ["wsgikit.db.commit"] = flag
        return writing(status)(environ, start_response)

    call(wrap(app, url=sqlite.url, commit=rule))
    assert sqlite.texts() == (["row"] if is_kept else [])


@pytest.mark.parametrize("rule", ["success", "no-exception", "manual", lambda exchange: True])
def test_an_exception_that_escapes_rolls_back_by_every_rule(wrap, database, call, rule):
    """D3"""

    def app(environ, start_response):
        insert(environ)
        environ["wsgikit.db.commit"] = True
        raise LookupError("gone")

    with pytest.raises(LookupError):
        call(wrap(app, url=database.url, commit=rule))
    assert database.texts() == []


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_is_no_exception_rolls_back_too(wrap, sqlite, call, error):
    """B58"""

    def app(environ, start_response):
        insert(environ)
        raise error

    layer = wrap(app, url=sqlite.url)
    with pytest.raises(error):
        call(layer)
    assert sqlite.texts() == []
    assert layer.engine.pool.checkedout() == 0


def test_a_rule_that_fails_rolls_back(wrap, sqlite, call):
    def rule(exchange):
        raise LookupError("rule")

    with pytest.raises(LookupError, match="rule"):
        call(wrap(writing(), url=sqlite.url, commit=rule))
    assert sqlite.texts() == []


def test_manual_leaves_the_commit_to_the_application(wrap, database, call):
    def app(environ, start_response):
        insert(environ, "kept")
        environ["wsgikit.db"].commit()
        insert(environ, "dropped")
        start_response("200 OK", [])
        return [b""]

    call(wrap(app, url=database.url, commit="manual"))
    assert database.texts() == ["kept"]


@pytest.mark.parametrize(
    ("status", "headers", "is_kept"),
    [
        ("500 Oops", [("X-Tm", "commit")], True),
        ("200 OK", [("X-Tm", "abort")], False),
        ("200 OK", [("X-Tm-Abort", "1")], False),
        ("200 OK", [], True),
        ("404 Not Found", [], False),
    ],
    ids=str,
)
def test_the_veto_of_repoze_tm_is_a_rule_and_its_header_is_taken_off(wrap, sqlite, call, status, headers, is_kept):
    """B56"""
    answer = call(wrap(writing(status, headers=headers), url=sqlite.url, commit=commit_unless_vetoed))
    assert sqlite.texts() == (["row"] if is_kept else [])
    assert answer.headers == []


def test_a_request_that_only_reads_is_committed_without_being_told(wrap, database, call):
    """B53: raw SQL that writes needs no mark_changed(), and objects stay attached for late templates."""

    def app(environ, start_response):
        environ["wsgikit.db"].execute(sa.text("SELECT count(*) FROM notes"))
        if environ["REQUEST_METHOD"] == "POST":
            insert(environ)
        start_response("200 OK", [])
        return [b""]

    layer = wrap(app, url=database.url)
    call(layer)
    call(layer, method="POST")
    assert database.texts() == ["row"]


# ---------------------------------------------------------------------- D14: paths without a database


def test_the_database_of_an_excluded_path_raises_when_it_is_used(wrap, sqlite, call):
    """D14"""
    layer = wrap(writing(), url=sqlite.url, exclude_paths=["/static/"])
    with pytest.raises(ApplicationError, match="expected a path with a database, got one that exclude_paths= names"):
        call(layer, "/static/x.css")
    assert call(layer, "/page").code == 200
    assert layer.engine.pool.checkedout() == 0


def test_the_database_of_a_request_that_has_ended_raises(wrap, sqlite, call):
    kept = []

    def app(environ, start_response):
        kept.append(environ["wsgikit.db"])
        kept.append(environ["wsgikit.db"].__wsgikit_open__())
        insert(environ)
        start_response("200 OK", [])
        return [b""]

    call(wrap(app, url=sqlite.url))
    for one in kept:
        with pytest.raises(ApplicationError, match="the request has ended"):
            one.execute(sa.text("SELECT 1"))
        with pytest.raises(ApplicationError, match="the request has ended"):
            one.on_commit(print)
        with pytest.raises(ApplicationError, match="the request has ended"):
            one.on_rollback(print)


# ---------------------------------------------------------------------- SQLite's transactions are real ones


def test_sqlite_reads_and_ddl_are_part_of_the_transaction(wrap, sqlite, call):
    def app(environ, start_response):
        db = environ["wsgikit.db"]
        db.execute(sa.text("CREATE TABLE made (x int)"))
        with db.begin_nested() as savepoint:
            insert(environ, "in the savepoint")
            savepoint.rollback()
        insert(environ)
        start_response(environ["PATH_INFO"][1:] + " X", [])
        return [b""]

    layer = wrap(app, url=sqlite.url)
    call(layer, "/500")
    assert sqlite.texts() == []
    assert "made" not in sa.inspect(sqlite.engine).get_table_names()
    call(layer, "/200")
    assert sqlite.texts() == ["row"]
    sqlite.run("DROP TABLE made")


def test_a_database_in_memory_is_the_same_for_all_threads(wrap, call):
    """B59"""
    import threading

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/make":
            environ["wsgikit.db"].execute(sa.text("CREATE TABLE notes (text)"))
        insert(environ)
        start_response("200 OK", [])
        return [b""]

    layer = wrap(app, url="sqlite://")
    call(layer, "/make")
    threads = [threading.Thread(target=call, args=(layer,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with layer.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM notes")) == 5


# ---------------------------------------------------------------------- keys, engines, commits of the application's


def test_the_key_can_be_renamed(wrap, sqlite, call):
    def app(environ, start_response):
        insert(environ, key="my.db")
        start_response("200 OK", [])
        return [b""]

    layer = wrap(app, url=sqlite.url, environ_key="my.db")
    assert layer.provides == ("my.db",)
    call(layer)
    assert sqlite.texts() == ["row"]


def test_an_engine_of_the_users_own_is_used_as_it_is(wrap, database, call):
    engine = sa.create_engine(database.url)
    layer = wrap(writing(), engine=engine)
    call(layer)
    assert database.texts() == ["row"]
    assert layer.engine is engine


@pytest.mark.parametrize("kind", ["session", "connection"])
@pytest.mark.parametrize(
    "statement", [sa.text, lambda words: sa.select(sa.literal_column("1"))], ids=["text", "select"]
)
def test_a_commit_of_the_applications_that_fails_can_be_rolled_back(wrap, sqlite, call, kind, statement):
    """D4: SQLite leaves the transaction of a COMMIT that failed open; the next one couldn't begin."""
    sqlite.run(
        "DROP TABLE IF EXISTS child", "CREATE TABLE child (n int REFERENCES notes (id) DEFERRABLE INITIALLY DEFERRED)"
    )

    def app(environ, start_response):
        handle = environ["wsgikit.db"]
        handle.execute(statement("SELECT 1"))
        handle.execute(sa.text("INSERT INTO child VALUES (99)"))
        with pytest.raises(sa.exc.IntegrityError):
            handle.commit()
        handle.rollback()
        handle.execute(sa.text("INSERT INTO notes (text) VALUES ('after')"))
        start_response("200 OK", [])
        return [b"saved"]

    layer = wrap(app, url=sqlite.url, kind=kind)
    sa.event.listen(layer.engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = ON"))
    try:
        call(layer)
        assert sqlite.texts() == ["after"]
    finally:
        layer.close()
        sqlite.run("DROP TABLE child")
