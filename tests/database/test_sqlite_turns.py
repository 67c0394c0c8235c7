"""Requests on SQLite: they take turns to write, none finds the database locked, and reading keeps nobody waiting."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.stack import build_stack, use
from wsgikit.testing import rolled_back

COUNT = sa.text("SELECT count(*) FROM notes")
INSERT = sa.text("INSERT INTO notes (text) VALUES ('row')")
MOMENT = 0.3  # seconds that a request waits for another that can't come


def begun(layer):
    """Return a list that fills with what begins the transactions of a layer's SQLite."""
    words = []

    @sa.event.listens_for(layer.engine, "connect", insert=True)
    def trace(connection, _record):
        connection.set_trace_callback(lambda text: words.append(text.strip()) if text.startswith("BEGIN") else None)

    return words


def reading(environ, start_response):
    environ["wsgikit.db"].execute(COUNT)
    start_response("200 OK", [])
    return [b""]


def writing(environ, start_response):
    environ["wsgikit.db"].execute(COUNT)
    environ["wsgikit.db"].execute(INSERT)
    start_response("200 OK", [])
    return [b""]


@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize("kind", ["session", "connection"])
@pytest.mark.parametrize(
    "statement", [COUNT, sa.select(sa.func.count()).select_from(sa.table("notes"))], ids=["text", "orm"]
)
def test_two_requests_that_read_and_then_write_take_turns(wrap, tmp_path, call, kind, statement, journal):
    has_read = [Event(), Event()]

    def app(environ, start_response):
        own = int(environ["PATH_INFO"][1:])
        environ["wsgikit.db"].execute(statement).all()
        has_read[own].set()
        has_read[1 - own].wait(MOMENT)
        environ["wsgikit.db"].execute(INSERT)
        start_response("200 OK", [])
        return [b""]

    layer = wrap(app, url=f"sqlite:///{tmp_path}/turns.db", kind=kind)
    with layer.engine.connect() as connection:
        connection.connection.dbapi_connection.execute(f"PRAGMA journal_mode={journal}")
    with layer.engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)"))
    with ThreadPoolExecutor(2) as threads:
        codes = [answer.code for answer in threads.map(lambda path: call(layer, path, "POST"), ("/0", "/1"))]
    with layer.engine.connect() as connection:
        assert (codes, connection.scalar(COUNT)) == ([200, 200], 2)


WORKER = """
import sys
from concurrent.futures import ThreadPoolExecutor
import sqlalchemy as sa
from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.onion.visit import make_environ

def app(environ, start_response):
    db = environ["wsgikit.db"]
    db.scalar(sa.text("SELECT count(*) FROM notes"))
    db.execute(sa.text("INSERT INTO notes (text) VALUES ('row')"))
    start_response("200 OK", [])
    return [b""]

layer = DatabaseMiddleware(app, url=sys.argv[1])
def post(_):
    for chunk in layer({**make_environ("/"), "REQUEST_METHOD": "POST"}, lambda *head: None):
        pass
with ThreadPoolExecutor(4) as threads:
    list(threads.map(post, range(40)))
layer.close()
"""


def test_workers_with_threads_that_read_and_then_write_lose_no_request(sqlite):
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, sqlite.url], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    errors = [worker.communicate(timeout=60)[1] for worker in workers]
    assert (errors, len(sqlite.texts())) == (["", ""], 80)


METHODS = ["GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["session", "connection"])
def test_a_request_that_only_reads_begins_no_transaction(wrap, sqlite, call, method, kind):
    layer = wrap(reading, url=sqlite.url, kind=kind)
    words = begun(layer)
    call(layer, method=method)
    assert words == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["session", "connection"])
def test_the_first_statement_that_writes_takes_the_lock(wrap, sqlite, call, method, kind):
    layer = wrap(writing, url=sqlite.url, kind=kind)
    words = begun(layer)
    call(layer, method=method)
    assert (words, sqlite.texts()) == (["BEGIN IMMEDIATE"], ["row"])


LOCKING = sa.select(sa.column("id")).select_from(sa.table("notes")).with_for_update()


@pytest.mark.parametrize("kind", ["session", "connection"])
def test_a_select_for_update_takes_the_lock(wrap, sqlite, call, kind):
    """SQLite has no FOR UPDATE. Who reads a value in order to change it asks for it as on other databases."""

    def app(environ, start_response):
        environ["wsgikit.db"].execute(LOCKING).all()
        return reading(environ, start_response)

    layer = wrap(app, url=sqlite.url, kind=kind)
    words = begun(layer)
    call(layer, method="POST")
    assert words == ["BEGIN IMMEDIATE"]


@pytest.mark.parametrize("kind", ["session", "connection"])
def test_a_savepoint_is_part_of_the_transaction_of_the_request(wrap, sqlite, call, kind):
    """SQLite commits a savepoint that no transaction is around."""

    def app(environ, start_response):
        handle = environ["wsgikit.db"]
        handle.execute(COUNT)
        with handle.begin_nested():
            handle.execute(INSERT)
        start_response("500 Oops", [])
        return [b""]

    call(wrap(app, url=sqlite.url, kind=kind))
    assert sqlite.texts() == []


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize("kind", ["session", "connection"])
def test_an_application_can_write_by_itself_while_the_layer_only_read(wrap, tmp_path, call, kind, method, journal):
    """The wrapped application may have its own connection to the file, as a Django around it has."""
    path = tmp_path / "own.db"
    own = sqlite3.connect(path, timeout=0)
    own.execute(f"PRAGMA journal_mode={journal}")
    own.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")

    def app(environ, start_response):
        environ["wsgikit.db"].execute(COUNT).all()
        with own:
            own.execute("INSERT INTO notes (text) VALUES ('before')")
        start_response("200 OK", [])
        yield b"1"
        environ["wsgikit.db"].execute(COUNT).all()
        with own:
            own.execute("INSERT INTO notes (text) VALUES ('in the stream')")
        yield b"2"

    assert call(wrap(app, url=f"sqlite:///{path}", kind=kind), method=method).body == b"12"
    assert [text for (text,) in own.execute("SELECT text FROM notes")] == ["before", "in the stream"]
    own.close()


@pytest.mark.parametrize("is_made_by_layer", [True, False], ids=["the layer's engine", "an engine of the user's"])
def test_an_engine_can_be_shared_with_the_application(wrap, sqlite, call, is_made_by_layer):
    engine = sa.create_engine(sqlite.url, connect_args={"timeout": 0})

    def app(environ, start_response):
        environ["wsgikit.db"].execute(COUNT).all()
        with (layer.engine if is_made_by_layer else engine).begin() as connection:
            connection.execute(INSERT)
        return reading(environ, start_response)

    options = {"url": sqlite.url, "connect_args": {"timeout": 0}} if is_made_by_layer else {"engine": engine}
    layer = wrap(app, **options)
    assert (call(layer, method="POST").code, sqlite.texts()) == (200, ["row"])
    engine.dispose()


def test_a_lock_that_another_has_is_explained_at_the_error(wrap, sqlite, call):
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/outer":
            environ["wsgikit.db"].execute(INSERT)
            with pytest.raises(OperationalError, match="locked") as caught:
                call(layer, "/inner", method="POST")
            start_response("200 OK", [("X-Notes", "; ".join(caught.value.__notes__))])
            return [b""]
        return writing(environ, start_response)

    layer = wrap(app, url=sqlite.url, connect_args={"timeout": 0})
    ((_, note),) = call(layer, "/outer", method="POST").headers
    assert re.fullmatch(
        r"SQLite has one writer at a time\. Requests of this process that have written and not committed: POST /outer "
        r"for \d\.\d s\. If none of them is it, another process or connection is\.",
        note,
    )


def test_what_uses_the_engine_beside_requests_begins_as_ever(wrap, sqlite, call):
    """The pool gives the same connection to both."""
    layer = wrap(writing, url=sqlite.url, pool_size=1, max_overflow=0)
    words = begun(layer)
    call(layer, method="POST")
    with layer.engine.begin() as connection:
        connection.execute(COUNT)
    assert words == ["BEGIN IMMEDIATE", "BEGIN"]


def test_each_transaction_of_a_view_waits_for_its_turn(wrap, sqlite, call):
    def app(environ, start_response):
        writing(environ, lambda *_: None)
        environ["wsgikit.db"].commit()
        environ["wsgikit.db"].invalidate()  # the next is on another connection
        return writing(environ, start_response)

    layer = wrap(app, url=sqlite.url)
    words = begun(layer)
    assert call(layer, method="POST").code == 200
    assert words == ["BEGIN IMMEDIATE"] * 2


def test_a_stream_takes_the_lock_when_it_writes_and_not_when_it_reads(wrap, sqlite, call):
    """A slow client would keep all others from writing."""

    def app(environ, start_response):
        environ["wsgikit.db"].execute(INSERT)
        start_response("200 OK", [])
        return stream(environ)

    def stream(environ):
        environ["wsgikit.db"].execute(COUNT)
        yield b"one"
        sqlite.run("INSERT INTO notes (text) VALUES ('another')")
        yield b"two"

    layer = wrap(app, url=sqlite.url)
    with sqlite.engine.connect() as connection:
        connection.connection.dbapi_connection.execute("PRAGMA journal_mode=wal")
    try:
        words = begun(layer)
        assert call(layer, method="POST").body == b"onetwo"
    finally:
        layer.close()
        with sqlite.engine.connect() as connection:
            connection.connection.dbapi_connection.execute("PRAGMA journal_mode=delete")
    assert (words, sqlite.texts()) == (["BEGIN IMMEDIATE"], ["row", "another"])


def test_an_error_page_that_reads_does_not_wait_for_a_lock(layers, sqlite, call):
    class Reads(Middleware):
        def handle_exception(self, exchange, error):
            count = exchange.environ["wsgikit.db"].scalar(COUNT)
            return exchange.reply(500, f"{count} notes")

    stack = build_stack(writing, use(Reads), use(DatabaseMiddleware, url=sqlite.url, connect_args={"timeout": 0}))
    layers.append(stack.find(DatabaseMiddleware))
    other = sqlite.connect()
    other.execute("BEGIN IMMEDIATE")
    try:
        assert call(stack, method="POST").body == b"0 notes"
    finally:
        other.close()


@pytest.mark.parametrize(
    "statement", [COUNT, sa.select(sa.func.count()).select_from(sa.table("notes"))], ids=["text", "orm"]
)
def test_a_turn_that_does_not_come_is_repeated_where_a_page_was_made_of_it(wrap, sqlite, call, statement):
    other = sqlite.connect()
    other.execute("BEGIN IMMEDIATE")
    attempts = []

    def app(environ, start_response):
        attempts.append(1)
        if len(attempts) == 2:
            other.rollback()
        try:
            environ["wsgikit.db"].execute(statement)
        except OperationalError:
            start_response("500 Internal Server Error", [])
            return [b""]
        return writing(environ, start_response)

    options = {"retries": 1, "retry_backoff_seconds": 0, "retry_methods": ["POST"], "connect_args": {"timeout": 0}}
    assert call(wrap(app, url=sqlite.url, **options), method="POST").code == 200
    other.close()
    assert (len(attempts), sqlite.texts()) == (2, ["row"])


def test_a_database_in_memory_works_as_before(wrap, call):
    def app(environ, start_response):
        environ["wsgikit.db"].execute(sa.text("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)"))
        return writing(environ, start_response)

    layer = wrap(app, url="sqlite://")
    with ThreadPoolExecutor(4) as threads:
        assert {answer.code for answer in threads.map(lambda _: call(layer, method="POST"), range(20))} == {200}
    with layer.engine.connect() as connection:
        assert connection.scalar(COUNT) == 20


def test_a_file_that_can_only_be_read_can_be_read(wrap, sqlite, call):
    path = sqlite.url.removeprefix("sqlite:///")
    assert call(wrap(reading, url=f"sqlite:///file:{path}?mode=ro&uri=true"), method="POST").code == 200


def test_an_engine_of_the_users_own_begins_as_it_does(wrap, sqlite, call):
    engine = sa.create_engine(sqlite.url)
    layer = wrap(writing, engine=engine)
    words = begun(layer)
    call(layer, method="POST")
    assert words == ["BEGIN"]
    engine.dispose()


def test_an_isolation_level_leaves_transactions_to_the_driver(wrap, sqlite, call):
    layer = wrap(reading, url=sqlite.url, isolation_level="SERIALIZABLE")
    words = begun(layer)
    call(layer, method="POST")
    assert words == []


@pytest.mark.parametrize("method", ["GET", "TRACE"])
def test_a_replica_is_read_without_the_lock(wrap, sqlite, call, method):
    layer = wrap(reading, url=sqlite.url, replica_url=sqlite.url, secret_key="0f7c0c3f2e9b4d1aa6e5d0b8c7f61234")
    assert call(layer, method=method).code == 200
    assert "wsgikit_begin" not in layer.replica.engine.get_execution_options()
    layer.replica.close()


def test_tests_that_roll_back_begin_nothing_of_their_own(wrap, sqlite, call):
    layer = wrap(writing, url=sqlite.url)
    with rolled_back(layer):
        assert [call(layer, method="POST").code for _ in range(2)] == [200, 200]
        with layer.engine.connect() as connection:
            assert connection.scalar(COUNT) == 2
    assert sqlite.texts() == []


@pytest.mark.parametrize("kind", ["session", "connection"])
def test_a_commit_of_the_views_own_that_meets_a_reader_is_repeated_where_a_page_was_made_of_it(
    wrap, sqlite, call, kind
):
    other = sqlite.connect()
    other.execute("BEGIN")
    other.execute("SELECT * FROM notes").fetchall()
    attempts = []

    def app(environ, start_response):
        attempts.append(1)
        if len(attempts) == 2:
            other.rollback()
        environ["wsgikit.db"].execute(INSERT)
        try:
            environ["wsgikit.db"].commit()
        except OperationalError:
            start_response("500 Internal Server Error", [])
            return [b""]
        start_response("200 OK", [])
        return [b""]

    options = {"retries": 1, "retry_backoff_seconds": 0, "connect_args": {"timeout": 0}}
    assert call(wrap(app, url=sqlite.url, kind=kind, **options)).code == 200
    other.close()
    assert (len(attempts), sqlite.texts()) == (2, ["row"])
