"""When a request's transaction is opened, committed, rolled back. Each test names the D and B points it holds."""

from __future__ import annotations

import logging

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


@pytest.fixture
def deferred(postgresql):
    postgresql.run(
        "DROP TABLE IF EXISTS child",
        "CREATE TABLE child (parent int REFERENCES notes (id) DEFERRABLE INITIALLY DEFERRED)",
    )
    yield postgresql
    postgresql.run("DROP TABLE child")


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


# ---------------------------------------------------------------------- B61: hooks


@pytest.mark.parametrize("kind", ["session", "connection"])
def test_hooks_of_the_commit_run_after_it_in_order_and_before_the_head(wrap, database, call, kind, caplog):
    """B61: one that fails is logged, the others run."""
    seen = []

    def app(environ, start_response):
        db = environ["wsgikit.db"]
        db.on_commit(lambda: seen.append(("first", database.texts())))
        db.on_commit(lambda: 1 / 0)
        insert(environ)
        db.__wsgikit_open__().on_commit(lambda: seen.append("second"))
        db.on_rollback(lambda: seen.append("rolled back"))
        start_response("200 OK", [])
        return [b""]

    call(wrap(app, url=database.url, kind=kind), on_start=lambda: seen.append("head"))
    assert seen == [("first", ["row"]), "second", "head"]
    assert "a function of on_commit() on 'default' failed" in caplog.text


def test_hooks_of_a_driver_connection_run_too(wrap, database, call):
    """B61"""
    seen = []

    def app(environ, start_response):
        environ["wsgikit.db"].on_commit(lambda: seen.append("committed"))
        environ["wsgikit.db"].cursor().close()
        start_response(environ["PATH_INFO"][1:] + " X", [])
        environ["wsgikit.db"].on_rollback(lambda: seen.append("rolled back"))
        return [b""]

    layer = wrap(app, connect=database.connect)
    call(layer, "/200")
    call(layer, "/500")
    assert seen == ["committed", "rolled back"]


def test_hooks_without_a_statement_follow_the_rule(wrap, sqlite, call):
    """B61"""
    seen = []

    def app(environ, start_response):
        environ["wsgikit.db"].on_commit(lambda: seen.append("committed"))
        environ["wsgikit.db"].on_rollback(lambda: seen.append("rolled back"))
        start_response(environ["PATH_INFO"][1:] + " X", [])
        return [b""]

    layer = wrap(app, url=sqlite.url)
    call(layer, "/200")
    call(layer, "/500")
    assert seen == ["committed", "rolled back"]
    assert layer.engine.pool.checkedin() == 0


def test_a_rollback_by_the_application_drops_what_waited_for_the_commit(wrap, sqlite, call):
    """B61"""
    seen = []

    def app(environ, start_response):
        db = environ["wsgikit.db"]
        db.on_commit(lambda: seen.append("mail for the lost row"))
        insert(environ, "lost")
        db.rollback()
        insert(environ, "kept")
        db.on_commit(lambda: seen.append("mail for the kept row"))
        start_response("200 OK", [])
        return [b""]

    call(wrap(app, url=sqlite.url))
    assert seen == ["mail for the kept row"]
    assert sqlite.texts() == ["kept"]


@pytest.mark.parametrize("kind", ["session", "connection", "driver"])
def test_a_commit_drops_what_waited_for_a_rollback(wrap, postgresql, call, kind):
    """B61: what a stream loses afterwards is another transaction."""
    seen = []

    def app(environ, start_response):
        db = environ["wsgikit.db"]
        db.execute("SELECT 1" if kind == "driver" else sa.text("SELECT 1"))
        db.on_rollback(lambda: seen.append("the head's"))
        db.on_commit(lambda: seen.append("committed"))
        start_response("200 OK", [])

        def stream():
            yield b"1"
            db.on_rollback(lambda: seen.append("the stream's"))
            raise RuntimeError("broke off")

        return stream()

    options = {"connect": postgresql.connect} if kind == "driver" else {"url": postgresql.url, "kind": kind}
    with pytest.raises(RuntimeError):
        call(wrap(app, **options))
    assert seen == ["committed", "the stream's"]


def test_a_function_of_the_commit_may_write_in_a_transaction_of_its_own(wrap, database, call):
    """B61: as with Django's, what it does is committed, too."""

    def app(environ, start_response):
        insert(environ, "first")
        environ["wsgikit.db"].on_commit(lambda: insert(environ, f"after {database.texts()}"))
        start_response("200 OK", [])
        return [b""]

    layer = wrap(app, url=database.url)
    call(layer)
    assert database.texts() == ["first", "after ['first']"]
    assert layer.engine.pool.checkedout() == 0


# ---------------------------------------------------------------------- B50, D2: streams


def rows_around(environ, start_response):
    """A row before the head and one in the stream, which may break off."""
    insert(environ, "head")
    start_response("200 OK", [])

    def stream():
        yield b"1"
        insert(environ, "stream")
        yield b"2"
        if environ["PATH_INFO"] == "/breaks":
            raise RuntimeError("broke off")

    return stream()


@pytest.mark.parametrize(
    ("path", "chunks", "texts"),
    [("/", None, ["head", "stream"]), ("/breaks", None, ["head"]), ("/", 2, ["head"]), ("/", 1, ["head"])],
    ids=["to its end", "raises", "client leaves after the second row", "client leaves before it"],
)
@pytest.mark.parametrize("release", ["close", "response"])
def test_what_a_stream_writes_is_a_transaction_of_its_own(wrap, database, call, path, chunks, texts, release):
    """B50, Q2"""
    layer = wrap(rows_around, url=database.url, release=release)
    seen = []
    try:
        call(layer, path, chunks=chunks, on_start=lambda: seen.append(database.texts()))
    except RuntimeError:
        assert path == "/breaks"
    assert seen == [["head"]]
    assert database.texts() == texts
    assert layer.engine.pool.checkedout() == 0


def test_a_stream_that_raises_before_its_first_chunk_keeps_what_the_head_committed(layers, database, call):
    """The hooks of after_request run a second time, on the error page."""

    def app(environ, start_response):
        insert(environ, "head")
        start_response("200 OK", [])

        def stream():
            insert(environ, "stream")
            raise RuntimeError("broke off")
            yield b""

        return stream()

    stack = build_stack(app, use(Answers500), use(DatabaseMiddleware, url=database.url))
    layers.append(stack)
    assert call(stack).body == b"RuntimeError"
    assert database.texts() == ["head"]


@pytest.mark.parametrize("release", ["close", "response"])
def test_a_connection_stays_with_the_stream_or_is_given_back_at_the_head(wrap, sqlite, call, release):
    """D2, Q1"""
    held = []

    def app(environ, start_response):
        insert(environ)
        start_response("200 OK", [])

        def stream():
            held.append(layer.engine.pool.checkedout())
            yield b"1"

        return stream()

    layer = wrap(app, url=sqlite.url, release=release)
    call(layer)
    assert held == [1 if release == "close" else 0]


def test_a_stream_uses_one_connection_from_beginning_to_end(wrap, database, call):
    """B51: not one before the body and another in it."""
    layer = wrap(rows_around, url=database.url)
    counts = count_checkouts(layer)
    call(layer)
    assert counts == [1]


def test_objects_stay_attached_for_a_late_template(wrap, database, call, note):
    """B53: what is read lazily after the commit at the head is read, on the same connection."""

    def app(environ, start_response):
        session = environ["wsgikit.db"]
        late = note(text="late")
        session.add(late)
        start_response("200 OK", [])

        def stream():
            yield b"1"
            yield late.text.encode()  # the commit has expired it

        return stream()

    layer = wrap(app, url=database.url, pool_size=1, max_overflow=0, pool_timeout=1)
    counts = count_checkouts(layer)
    assert call(layer).body == b"1late"
    assert counts == [1]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_is_no_exception_rolls_a_stream_back_too(wrap, database, call, error):
    """B58"""

    def app(environ, start_response):
        insert(environ, "head")
        start_response("200 OK", [])

        def stream():
            yield b"1"
            insert(environ, "stream")
            raise error

        return stream()

    layer = wrap(app, url=database.url)
    with pytest.raises(error):
        call(layer)
    assert database.texts() == ["head"]
    assert layer.engine.pool.checkedout() == 0


def test_a_flag_that_a_stream_sets_decides_about_the_stream(wrap, sqlite, call):
    """B50"""

    def app(environ, start_response):
        insert(environ, "head")
        start_response("200 OK", [])

        def stream():
            yield b"1"
            insert(environ, "stream")
            environ["wsgikit.db.commit"] = False
            yield b"2"

        return stream()

    call(wrap(app, url=sqlite.url))
    assert sqlite.texts() == ["head"]


@pytest.mark.parametrize("kind", ["session", "connection"])
def test_a_cursor_on_the_server_survives_the_head(wrap, postgresql, call, kind):
    """B50: an export that only reads is not committed under its own feet."""
    postgresql.run("INSERT INTO notes (text) SELECT 'n' || i FROM generate_series(1, 50) i")

    def app(environ, start_response):
        start_response("200 OK", [])
        statement = sa.text("SELECT text FROM notes ORDER BY id")
        for (text,) in environ["wsgikit.db"].execute(statement, execution_options={"yield_per": 7}):
            yield text.encode()

    answer = call(wrap(app, url=postgresql.url, kind=kind))
    assert answer.chunks == [b"n%d" % i for i in range(1, 51)]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT replace(text, 'a', 'b') FROM notes WHERE text = 'for sale'", False),
        ("  with x as (select 1) select * from x", False),
        ("SHOW TABLES", False),
        ("PRAGMA table_info(notes)", False),
        ("SELECT 1 FROM notes FOR UPDATE", True),
        ("SELECT 1 FROM notes FOR SHARE", True),
        ("WITH x AS (DELETE FROM notes RETURNING id) SELECT * FROM x", True),
        ("SELECT 1 INTO other", True),
        ("EXPLAIN ANALYZE DELETE FROM notes", True),
        ("VACUUM", True),
        ("REPLACE INTO notes VALUES (1, 'a')", True),
        ("CALL do_it()", True),
    ],
)
def test_whether_a_statement_may_write_is_told_by_its_words(statement, expected):
    """B50: where it can't be told, it may."""
    from wsgikit.database.connections import may_write

    assert may_write(statement) is expected
    assert may_write(sa.text(statement)) is expected


def test_a_connection_held_long_by_a_stream_is_one_line_in_the_log(wrap, sqlite, call, caplog):
    """D2"""
    layer = wrap(rows_around, url=sqlite.url, held_warning_seconds=0)
    call(layer, "/events\n")
    assert [record.getMessage().split(" for ")[0] for record in caplog.records] == [
        "GET /events\\n: held a connection of 'default'"
    ]


def test_what_is_written_through_write_before_the_end_is_committed(wrap, sqlite, call):
    """The head leaves at the first write(); what comes later is the second transaction."""

    def app(environ, start_response):
        insert(environ, "head")
        write = start_response("200 OK", [])
        write(b"1")
        insert(environ, "later")
        return []

    seen = []
    assert call(wrap(app, url=sqlite.url), on_start=lambda: seen.append(sqlite.texts())).body == b"1"
    assert seen == [["head"]]
    assert sqlite.texts() == ["head", "later"]


# ---------------------------------------------------------------------- D6: error pages


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


# ---------------------------------------------------------------------- D12, B57: stacks in stacks


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


# ---------------------------------------------------------------------- D15: several databases


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
