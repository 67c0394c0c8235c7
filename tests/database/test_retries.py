"""D13, B54, B55: a request whose transaction lost against another is repeated. The conflicts are real ones."""

from __future__ import annotations

import io
import logging
import threading

import pytest
import sqlalchemy as sa

from wsgikit.database.conflicts import is_conflict
from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.exceptions import ConfigurationError
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.stack import build_stack, use

SERIALIZABLE = {"kind": "connection", "isolation_level": "SERIALIZABLE", "retry_backoff_seconds": 0}


def run(environ, statement, **values):
    return environ["wsgikit.db"].execute(sa.text(statement), values)


class Counter:
    """Counts the notes and adds one; its first attempt is overtaken by another transaction that does the same."""

    def __init__(self, database, times=1):
        self.database = database
        self.times = times
        self.attempts = []
        self.seen = []

    def __call__(self, environ, start_response):
        self.attempts.append((environ.get("wsgikit.db.attempt"), environ.get("wsgikit.db.attempts")))
        self.seen.append((environ["PATH_INFO"], environ["wsgi.input"].read(), environ.get("app.key")))
        environ["PATH_INFO"], environ["app.key"] = "/moved", "left over"
        count = run(environ, "SELECT count(*) FROM notes").scalar()
        if len(self.attempts) <= self.times:
            self.overtake()
        run(environ, "INSERT INTO notes (text) VALUES (:text)", text=f"saw {count}")
        start_response("200 OK", [])
        return [b"saved"]

    def overtake(self):
        engine = sa.create_engine(self.database.url, isolation_level="SERIALIZABLE", poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.execute(sa.text("SELECT count(*) FROM notes")).scalar()
            connection.execute(sa.text("INSERT INTO notes (text) VALUES ('other')"))


def test_a_serialization_failure_at_commit_is_repeated(wrap, postgresql, call, caplog):
    """D13: SQLSTATE 40001, from two transactions that conflict on PostgreSQL."""
    caplog.set_level(logging.INFO, "wsgikit.database")
    app = Counter(postgresql)
    assert call(wrap(app, url=postgresql.url, retries=2, **SERIALIZABLE), "/count").status == "200 OK"
    assert app.attempts == [(1, 3), (2, 3)]
    assert postgresql.texts() == ["other", "saw 1"]
    assert "GET /moved: attempt 1 of 3" in caplog.text


def test_each_attempt_gets_environ_and_body_as_they_came(wrap, postgresql, call):
    """B54: what the application wrote into environ is gone, the body can be read again."""
    app = Counter(postgresql)
    call(wrap(app, url=postgresql.url, retries=1, **SERIALIZABLE), "/count", method="PUT", body=b"a body")
    assert app.seen == [("/count", b"a body", None)] * 2


def test_a_large_body_and_one_of_unknown_length_are_repeated_too(wrap, postgresql, call):
    """B54: repoze.retry drops a chunked body."""
    for body, more in ((b"x" * 700_000, {}), (b"chunked", {"CONTENT_LENGTH": "", "wsgi.input_terminated": True})):
        postgresql.clear()
        app = Counter(postgresql)
        call(wrap(app, url=postgresql.url, retries=1, **SERIALIZABLE), method="PUT", body=body, **more)
        assert [seen[1] for seen in app.seen] == [body, body]


def test_a_body_without_a_length_is_not_waited_for(wrap, postgresql, call):
    """PEP 3333: without CONTENT_LENGTH a read could hang for ever."""

    class Hangs(io.BytesIO):
        def read(self, *args):
            raise AssertionError("read without a length")

    def app(environ, start_response):
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    answer = call(
        wrap(app, url=postgresql.url, retries=1), method="PUT", **{"wsgi.input": Hangs(), "CONTENT_LENGTH": ""}
    )
    assert answer.body == b""


def test_after_the_last_attempt_the_error_passes(wrap, postgresql, call):
    app = Counter(postgresql, times=9)
    with pytest.raises(sa.exc.OperationalError):
        call(wrap(app, url=postgresql.url, retries=2, **SERIALIZABLE))
    assert app.attempts == [(1, 3), (2, 3), (3, 3)]
    assert postgresql.texts() == ["other"] * 3


def test_a_method_that_is_not_named_is_not_repeated(wrap, postgresql, call):
    """B55: POST isn't idempotent, unless you say so."""
    app = Counter(postgresql)
    with pytest.raises(sa.exc.OperationalError):
        call(wrap(app, url=postgresql.url, retries=2, **SERIALIZABLE), method="POST")
    assert app.attempts == [(None, None)]
    postgresql.clear()
    app = Counter(postgresql)
    layer = wrap(app, url=postgresql.url, retries=2, retry_methods=["post"], **SERIALIZABLE)
    assert call(layer, method="POST").code == 200
    assert len(app.attempts) == 2


def test_an_error_that_is_no_conflict_is_not_repeated(wrap, sqlite, call):
    """B55"""
    attempts = []

    def app(environ, start_response):
        attempts.append(1)
        run(environ, "SELECT * FROM no_such_table")

    with pytest.raises(sa.exc.OperationalError):
        call(wrap(app, url=sqlite.url, retries=3))
    assert attempts == [1]


def test_a_conflict_that_the_framework_made_a_page_of_is_repeated(layers, postgresql, call):
    """D3 and D13: the framework swallowed the error; the last attempt's page is shown."""

    class Framework(Middleware):
        def handle_exception(self, exchange, error):
            return exchange.reply(500, "framework's page")

    def app(environ, start_response):
        run(environ, "SELECT count(*) FROM notes")
        if environ.get("wsgikit.db.attempt") == 1 or environ["PATH_INFO"] == "/always":
            Counter(postgresql).overtake()
            with sa.create_engine(postgresql.url, poolclass=sa.NullPool).begin() as other:
                other.execute(sa.text("UPDATE notes SET text = 'changed'"))
        run(environ, "UPDATE notes SET text = 'mine'")
        start_response("200 OK", [])
        return [b"saved"]

    postgresql.run("INSERT INTO notes (text) VALUES ('first')")
    options = {**SERIALIZABLE, "isolation_level": "REPEATABLE READ"}
    stack = build_stack(app, use(DatabaseMiddleware, url=postgresql.url, retries=1, **options), use(Framework))
    layers.append(stack)
    assert call(stack).body == b"saved"
    assert set(postgresql.texts()) == {"mine"}
    assert call(stack, "/always").body == b"framework's page"


@pytest.mark.parametrize("pool_size", [0, 1])
def test_a_conflict_on_a_connection_of_the_drivers_own_is_repeated(wrap, postgresql, call, pool_size):
    """D13: with ``connect=`` too, whether it is raised by a statement or by the commit."""
    import psycopg

    def connect():
        connection = postgresql.connect()
        connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        return connection

    attempts = []

    def app(environ, start_response):
        attempts.append(environ["wsgikit.db.attempt"])
        handle = environ["wsgikit.db"]
        count = handle.execute("SELECT count(*) FROM notes").fetchone()[0]
        if len(attempts) == 1:
            Counter(postgresql).overtake()
        handle.execute("INSERT INTO notes (text) VALUES (%s)", (f"saw {count}",))
        start_response("200 OK", [])
        return [b"saved"]

    options = {"connect": connect, "pool_size": pool_size, "pool_timeout": 1, "retry_backoff_seconds": 0}
    assert call(wrap(app, retries=1, **options)).code == 200
    assert (attempts, postgresql.texts()) == ([1, 2], ["other", "saw 1"])


def test_an_application_that_is_a_generator_is_repeated(wrap, postgresql, call):
    """B54: repoze.retry doesn't repeat what a lazy body raises. Here its head waits for the first chunk."""
    counter = Counter(postgresql)

    def app(environ, start_response):
        yield from counter(environ, start_response)

    assert call(wrap(app, url=postgresql.url, retries=1, **SERIALIZABLE), "/count").body == b"saved"
    assert counter.attempts == [(1, 2), (2, 2)]
    assert postgresql.texts() == ["other", "saw 1"]


def test_a_stream_whose_commit_at_the_head_loses_is_repeated(wrap, postgresql, call):
    """B54: the commit comes before the head, and so does the repetition."""
    counter = Counter(postgresql)

    def app(environ, start_response):
        (body,) = counter(environ, start_response)

        def stream():
            yield body
            yield b"!"

        return stream()

    assert call(wrap(app, url=postgresql.url, retries=1, **SERIALIZABLE)).body == b"saved!"
    assert postgresql.texts() == ["other", "saw 1"]


@pytest.mark.parametrize("outcome", ["goes through", "fails", "streams"])
def test_the_count_of_attempts_is_gone_when_the_request_has_ended(wrap, sqlite, environ_of, outcome):
    """B54: an environ that is used again isn't in the middle of something."""
    seen = []

    def app(environ, start_response):
        if outcome == "fails":
            raise LookupError("view")
        start_response("200 OK", [])

        def stream():
            seen.append(environ["wsgikit.db.attempt"])
            yield b"x"

        return stream() if outcome == "streams" else [b"x"]

    layer = wrap(app, url=sqlite.url, retries=1)
    environ = environ_of()
    try:
        body = layer(environ, lambda *_: None)
        list(body)
        if hasattr(body, "close"):
            body.close()
    except LookupError:
        assert outcome == "fails"
    assert seen == ([1] if outcome == "streams" else [])
    assert not [key for key in environ if key.startswith("wsgikit.db.attempt")]


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_a_deadlock_is_repeated(wrap, database_of, call, name):
    """SQLSTATE 40P01 on PostgreSQL, error 1213 on MariaDB: two requests that lock two rows crosswise."""
    database = database_of(name)
    database.clear()
    # By primary key: without an index MariaDB locks every row it looks at.
    database.run("INSERT INTO notes (id, text) VALUES (-1, 'a')", "INSERT INTO notes (id, text) VALUES (-2, 'b')")
    if name == "postgresql":
        database.run("ALTER DATABASE " + database.engine.url.database + " SET deadlock_timeout = '50ms'")
    meet = threading.Barrier(2, timeout=20)
    attempts = []

    def app(environ, start_response):
        attempts.append(environ["wsgikit.db.attempt"])
        first, second = (-1, -2) if environ["PATH_INFO"] == "/ab" else (-2, -1)
        run(environ, "UPDATE notes SET text = concat(text, 'x') WHERE id = :id", id=first)
        if environ["wsgikit.db.attempt"] == 1:
            meet.wait()
        run(environ, "UPDATE notes SET text = concat(text, 'x') WHERE id = :id", id=second)
        start_response("200 OK", [])
        return [b"saved"]

    layer = wrap(app, url=database.url, retries=3, kind="connection", retry_backoff_seconds=0.001)
    codes = []
    threads = [threading.Thread(target=lambda p=path: codes.append(call(layer, p).code)) for path in ("/ab", "/ba")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert codes == [200, 200]
    assert sorted(attempts)[:3] == [1, 1, 2]
    assert len(attempts) == 3
    assert database.texts() == ["bxx", "axx"]


def test_a_lock_wait_timeout_of_mariadb_is_repeated(wrap, mariadb, call):
    """Error 1205."""
    mariadb.run("INSERT INTO notes (text) VALUES ('a')")
    other = mariadb.connect()
    other.cursor().execute("UPDATE notes SET text = 'other'")
    attempts = []

    def app(environ, start_response):
        attempts.append(1)
        if len(attempts) == 2:
            other.commit()
        run(environ, "SET SESSION innodb_lock_wait_timeout = 1")
        run(environ, "UPDATE notes SET text = 'mine'")
        start_response("200 OK", [])
        return [b"saved"]

    assert call(wrap(app, url=mariadb.url, retries=1, retry_backoff_seconds=0)).code == 200
    other.close()
    assert (attempts, mariadb.texts()) == ([1, 1], ["mine"])


def test_a_busy_sqlite_is_repeated(wrap, sqlite, call):
    other = sqlite.connect()
    other.execute("BEGIN IMMEDIATE")
    attempts = []

    def app(environ, start_response):
        attempts.append(1)
        if len(attempts) == 2:
            other.rollback()
        run(environ, "INSERT INTO notes (text) VALUES ('mine')")
        start_response("200 OK", [])
        return [b"saved"]

    layer = wrap(app, url=sqlite.url, retries=1, retry_backoff_seconds=0, connect_args={"timeout": 0})
    assert call(layer).code == 200
    other.close()
    assert (attempts, sqlite.texts()) == ([1, 1], ["mine"])


def test_nothing_is_repeated_after_the_head_has_left(wrap, postgresql, call):
    """B55: the first transaction is committed; what fails later is an error."""
    attempts = []

    def app(environ, start_response):
        attempts.append(1)
        run(environ, "INSERT INTO notes (text) VALUES ('head')")
        start_response("200 OK", [])

        def stream():
            yield b"1"
            run(environ, "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$")

        return stream()

    with pytest.raises(sa.exc.OperationalError):
        call(wrap(app, url=postgresql.url, retries=3))
    assert attempts == [1]
    assert postgresql.texts() == ["head"]


def test_nothing_is_repeated_after_a_write(wrap, postgresql, call):
    """B55: ``write()`` sends the head; the view that conflicts after it has an error, and the client half a page."""
    attempts = []

    def app(environ, start_response):
        attempts.append(1)
        write = start_response("200 OK", [])
        write(b"half")
        run(environ, "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$")
        return []

    with pytest.raises(sa.exc.OperationalError):
        call(wrap(app, url=postgresql.url, retries=3, retry_backoff_seconds=0))
    assert attempts == [1]


@pytest.mark.parametrize("way", ["execute", "exec_driver_sql", "scalar"])
def test_a_conflict_that_the_application_answers_itself_is_repeated(wrap, postgresql, call, way):
    """D3 and D13: however the statement was sent."""
    attempts = []
    raising = "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$"

    def app(environ, start_response):
        attempts.append(1)
        try:
            getattr(environ["wsgikit.db"], way)(raising if way == "exec_driver_sql" else sa.text(raising))
        except sa.exc.OperationalError:
            start_response("409 Conflict", [])
            return [b"try again"]

    layer = wrap(app, url=postgresql.url, kind="connection", retries=1, retry_backoff_seconds=0)
    assert call(layer).body == b"try again"
    assert attempts == [1, 1]


def test_every_attempt_gives_its_connection_back_before_the_next(wrap, postgresql, call):
    """D1 and D13: four attempts on a pool of one."""
    app = Counter(postgresql, times=3)
    layer = wrap(app, url=postgresql.url, retries=3, pool_size=1, max_overflow=0, pool_timeout=0.1, **SERIALIZABLE)
    assert call(layer).code == 200
    assert (len(app.attempts), layer.engine.pool.checkedout()) == (4, 0)


def test_the_locals_are_those_of_the_attempt(layers, postgresql, call):
    from wsgikit.context.locals import db, g, request
    from wsgikit.context.middleware import ContextMiddleware

    seen = []
    counter = Counter(postgresql)

    def app(environ, start_response):
        seen.append((request.path, request.method, g.get("left"), db.execute(sa.text("SELECT 1")).scalar()))
        g.left = "over"
        return counter(environ, start_response)

    stack = build_stack(
        app, use(ContextMiddleware), use(DatabaseMiddleware, url=postgresql.url, retries=1, **SERIALIZABLE)
    )
    layers.append(stack)
    assert call(stack, "/here").code == 200
    assert seen == [("/here", "GET", None, 1)] * 2


def test_hooks_of_a_lost_attempt_are_not_called(wrap, postgresql, call):
    seen = []
    counter = Counter(postgresql)

    def app(environ, start_response):
        attempt = environ["wsgikit.db.attempt"]
        environ["wsgikit.db"].on_commit(lambda: seen.append(f"committed {attempt}"))
        environ["wsgikit.db"].on_rollback(lambda: seen.append(f"rolled back {attempt}"))
        return counter(environ, start_response)

    call(wrap(app, url=postgresql.url, retries=1, **SERIALIZABLE))
    assert seen == ["rolled back 1", "committed 2"]


def test_the_wait_is_doubled_and_has_jitter(wrap, postgresql, call, monkeypatch):
    waits = []
    monkeypatch.setattr("wsgikit.database.retries.time.sleep", waits.append)
    options = {**SERIALIZABLE, "retry_backoff_seconds": 1.0}
    call(wrap(Counter(postgresql, times=3), url=postgresql.url, retries=3, **options))
    assert len(waits) == 3
    assert all(0.5 * 2**n <= wait <= 2**n for n, wait in enumerate(waits))
    assert len({wait / 2**n for n, wait in enumerate(waits)}) == 3


def test_the_layers_inside_run_again_and_those_outside_run_once(layers, postgresql, call):
    seen = []

    def recorder(name):
        class Recorder(Middleware):
            def before_request(self, exchange):
                seen.append(f"{name} in")

            def teardown_request(self, exchange):
                seen.append(f"{name} out")

        Recorder.__name__ = name.title()
        return Recorder

    stack = build_stack(
        Counter(postgresql),
        use(recorder("outside")),
        use(DatabaseMiddleware, url=postgresql.url, retries=1, **SERIALIZABLE),
        use(recorder("inside")),
    )
    layers.append(stack)
    call(stack)
    assert seen == ["outside in", "inside in", "inside out", "inside in", "inside out", "outside out"]


def test_layers_outside_keep_the_exchange_of_the_request(layers, postgresql, call):
    """Each attempt has one of its own; what stands in environ afterwards is that of the request."""
    seen = []

    class Outside(Middleware):
        def after_request(self, exchange):
            seen.append(exchange.environ["wsgikit.exchange"] is exchange)

    options = {"url": postgresql.url, "retries": 1, **SERIALIZABLE}
    stack = build_stack(Counter(postgresql), use(Outside), use(DatabaseMiddleware, **options))
    layers.append(stack)
    assert call(stack).code == 200
    assert seen == [True]


def test_a_page_can_take_the_place_of_a_head_that_was_handed_over(layers, sqlite, call):
    """PEP 3333 "exc_info": a stream inside that fails before its first chunk, and an error page inside."""

    class Page(Middleware):
        def handle_exception(self, exchange, error):
            return exchange.reply(500, "the page")

    def app(environ, start_response):
        start_response("200 OK", [])

        def stream():
            raise LookupError
            yield b""

        return stream()

    stack = build_stack(app, use(DatabaseMiddleware, url=sqlite.url, retries=1), use(Page))
    layers.append(stack)
    answer = call(stack)
    assert (answer.status, answer.body) == ("500 Internal Server Error", b"the page")


def test_a_subclass_may_set_what_its_hooks_need_after_the_layers_own(layers, sqlite, call, ok):
    """An attempt is made by a copy of the layer, which has to have it too."""

    class Marking(DatabaseMiddleware):
        def __init__(self, app, *, mark, **options):
            super().__init__(app, **options)
            self.mark = mark

        def after_request(self, exchange):
            super().after_request(exchange)
            exchange.headers.set("X-Mark", self.mark)

    layer = Marking(lambda environ, start_response: ok(start_response), mark="mine", url=sqlite.url, retries=1)
    layers.append(layer)
    assert ("X-Mark", "mine") in call(layer).headers


def test_a_negative_number_of_retries_is_refused():
    with pytest.raises(ConfigurationError, match="retries: expected 0 or more, got -1"):
        DatabaseMiddleware(Counter(None), url="sqlite://", retries=-1)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (type("E", (Exception,), {"sqlstate": "40001"})(), True),
        (type("E", (Exception,), {"pgcode": "40P01"})(), True),
        (type("E", (Exception,), {"sqlstate": "23505"})(), False),
        (type("E", (Exception,), {"__module__": "pymysql.err"})(1213, "Deadlock"), True),
        (type("E", (Exception,), {"__module__": "pymysql.err"})(1205, "Lock wait"), True),
        (type("E", (Exception,), {"__module__": "pymysql.err"})(1062, "Duplicate"), False),
        (KeyError(1213), False),
        (type("E", (Exception,), {"sqlite_errorcode": 517})(), True),
        (type("E", (Exception,), {"sqlite_errorcode": 19})(), False),
    ],
    ids=repr,
)
def test_conflicts_are_told_by_the_codes_of_the_driver(error, expected):
    assert is_conflict(error) is expected
    wrapped = RuntimeError("by an application")
    wrapped.__cause__ = error
    assert is_conflict(wrapped) is expected
