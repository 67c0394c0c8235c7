"""Pools that run dry, limits on statements, budgets for development, replicas."""

from __future__ import annotations

import threading
import time

import pytest
import sqlalchemy as sa

from wsgikit.database.exceptions import PoolExhaustedError
from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.exceptions import ConfigurationError
from wsgikit.onion.stack import build_stack, use


def run(environ, statement, **values):
    return environ["wsgikit.db"].execute(sa.text(statement), values)


def answer(start_response, body=b"x"):
    start_response("200 OK", [])
    return [body]


# ---------------------------------------------------------------------- D11: who holds them


@pytest.mark.parametrize("option", ["url", "connect"])
def test_an_exhausted_pool_lists_who_holds_its_connections(wrap, sqlite, call, option):
    """D11: request path and age, the oldest first."""
    errors = []

    def app(environ, start_response):
        path = environ["PATH_INFO"]
        environ["wsgikit.db"].execute("SELECT 1" if option == "connect" else sa.text("SELECT 1"))
        if path == "/first":
            call(layer, "/second")
        if path == "/second":
            with pytest.raises(PoolExhaustedError) as caught:
                call(layer, "/third")
            errors.append(caught.value)
        return answer(start_response)

    pool = {"pool_size": 2, "pool_timeout": 0.05}
    if option == "url":
        layer = wrap(app, url=sqlite.url, max_overflow=0, **pool)
    else:
        layer = wrap(app, connect=sqlite.connect, **pool)
    call(layer, "/first")
    text = str(errors[0])
    assert "DatabaseMiddleware 'default': GET /third: connection: expected one to become free, got none in time" in text
    assert [holder for holder, age in errors[0].holders] == ["GET /first", "GET /second"]
    assert "Held by: GET /first for 0." in text
    assert call(layer, "/fine").code == 200


def test_a_slow_pool_does_not_starve_another(layers, sqlite, call):
    """D15: each database has its own pool."""

    def app(environ, start_response):
        environ["wsgikit.db.slow"].execute(sa.text("SELECT 1"))
        if environ["PATH_INFO"] == "/outer":
            seen.append(call(fast, "/").code)
        return answer(start_response)

    def fast_app(environ, start_response):
        run(environ, "SELECT 1")
        return answer(start_response)

    seen = []
    stack = build_stack(
        app, use(DatabaseMiddleware, url=sqlite.url, name="slow", pool_size=1, max_overflow=0, pool_timeout=0.05)
    )
    fast = build_stack(fast_app, use(DatabaseMiddleware, url=sqlite.url))
    layers += [stack, fast]
    call(stack, "/outer")
    assert seen == [200]


def test_a_small_pool_of_driver_connections_is_used_again_clean(wrap, postgresql, call):
    made = []

    def connect():
        made.append(1)
        return postgresql.connect()

    def app(environ, start_response):
        db = environ["wsgikit.db"]
        state = db.info.transaction_status.name
        db.execute("INSERT INTO notes (text) VALUES ('row')")
        start_response(environ["PATH_INFO"][1:] + " X", [])
        return [state.encode()]

    layer = wrap(app, connect=connect, pool_size=2)
    assert [call(layer, path).body for path in ("/200", "/500", "/200")] == [b"IDLE"] * 3
    assert made == [1]
    assert postgresql.texts() == ["row", "row"]


def test_a_factory_that_fails_does_not_use_up_the_pool(wrap, call):
    def connect():
        raise OSError("no such host")

    def app(environ, start_response):
        environ["wsgikit.db"].cursor()

    layer = wrap(app, connect=connect, pool_size=1, pool_timeout=0.01)
    for _ in range(3):
        with pytest.raises(OSError, match="no such host"):
            call(layer)


def test_a_driver_connection_without_a_pool_is_closed_after_each_request(wrap, sqlite, call):
    import sqlite3

    kept = []

    def app(environ, start_response):
        kept.append(environ["wsgikit.db"].__wsgikit_open__())
        return answer(start_response)

    call(wrap(app, connect=sqlite.connect))
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        kept[0].execute("SELECT 1")


def test_closing_the_layer_closes_the_connections_that_wait(wrap, postgresql, call):
    def app(environ, start_response):
        db = environ["wsgikit.db"].__wsgikit_open__()
        kept.append(db)
        return answer(start_response)

    kept = []
    layer = wrap(app, connect=postgresql.connect, pool_size=1)
    call(layer)
    assert not kept[0].closed
    assert not {"on_commit", "on_rollback"} & set(vars(kept[0]))  # those of the request are gone with it
    layer.close()
    assert kept[0].closed


# ---------------------------------------------------------------------- limits on the server


@pytest.mark.parametrize(
    ("name", "statement"), [("postgresql", "SELECT pg_sleep(30)"), ("mariadb", "SELECT sleep(30) FROM notes")]
)
def test_a_statement_that_takes_too_long_is_given_up_by_the_server(wrap, database_of, call, name, statement):
    database = database_of(name)
    database.clear()
    database.run("INSERT INTO notes (text) VALUES ('a')")

    def app(environ, start_response):
        run(environ, statement if environ["PATH_INFO"] == "/slow" else "SELECT 1")
        return answer(start_response)

    layer = wrap(app, url=database.url, statement_timeout_seconds=0.2)
    started = time.perf_counter()
    with pytest.raises(sa.exc.OperationalError):
        call(layer, "/slow")
    assert time.perf_counter() - started < 10
    assert call(layer, "/fine").code == 200


# ---------------------------------------------------------------------- budgets


def looped(environ, start_response):
    for number in range(6):
        run(environ, "SELECT text FROM notes WHERE id = :id", id=number)
    run(environ, "SELECT count(*)\n  FROM notes")
    return answer(start_response)


@pytest.fixture
def routed(layers, sqlite):
    """The same as a view of a router."""
    from wsgikit.routing.router import Router

    router = Router(None)
    router.add_url_rule("/notes/<int:page>", "notes", lambda page: looped)

    def make(**options):
        stack = build_stack(router, use(DatabaseMiddleware, url=sqlite.url, **options))
        layers.append(stack)
        return stack

    return make


@pytest.mark.parametrize("retries", [0, 1])
def test_too_many_statements_and_a_loop_of_them_are_warnings(routed, call, caplog, retries):
    """They name the rule, the request and the statement."""
    call(routed(max_queries=5, retries=retries), "/notes/3")
    statement = "SELECT text FROM notes WHERE id = ?"
    where = "GET /notes/3 (/notes/<int:page>) on 'default': "
    assert [record.getMessage() for record in caplog.records] == [
        where + "7 statements, max_queries=5; most often (6 times): " + statement,
        where + "the same statement 6 times (N+1?): " + statement,
    ]


@pytest.mark.parametrize(
    ("mark", "name"),
    [
        ({}, "no route"),
        ({"wsgiorg.routing_args": ((), {"controller": "notes"})}, "notes"),
    ],
    ids=["none", "of another router"],
)
def test_the_route_of_other_routers_is_named_where_they_say_it(wrap, sqlite, call, caplog, mark, name):
    def app(environ, start_response):
        environ.update(mark)
        return looped(environ, start_response)

    call(wrap(app, url=sqlite.url, max_queries=6), "/notes")
    assert f"GET /notes ({name}) on 'default': 7 statements" in caplog.text


def test_slow_statements_are_warnings(wrap, sqlite, call, caplog):
    call(wrap(looped, url=sqlite.url, slow_query_seconds=0.0), "/notes")
    messages = [record.getMessage() for record in caplog.records]
    assert len([text for text in messages if "slow_query_seconds=0.0" in text]) == 7
    assert any(text.endswith("SELECT count(*) FROM notes") for text in messages)


def test_a_request_within_its_budget_logs_nothing(wrap, sqlite, call, caplog):
    call(wrap(looped, url=sqlite.url, max_queries=100, slow_query_seconds=10), "/")
    assert [record.getMessage() for record in caplog.records if "N+1" not in record.getMessage()] == []


@pytest.mark.parametrize("retries", [0, 1])
def test_counts_are_on_the_exchange_for_other_layers(layers, sqlite, call, retries):
    """With ``retries`` too, where each attempt has its own exchange."""
    from wsgikit.onion.middleware import Middleware

    class Shows(Middleware):
        def after_request(self, exchange):
            queries = exchange.state["wsgikit.db.queries"]
            exchange.headers.set("X-Queries", str(queries.count))

    stack = build_stack(
        looped, use(Shows), use(DatabaseMiddleware, url=sqlite.url, retries=retries), use(type("Inside", (Shows,), {}))
    )
    layers.append(stack)
    assert ("X-Queries", "7") in call(stack).headers


def test_statements_of_the_orm_are_counted(wrap, sqlite, call, note):
    counts = []

    def app(environ, start_response):
        session = environ["wsgikit.db"]
        session.add(note(text="a"))
        session.flush()
        one = session.scalars(sa.select(note)).one()
        session.expire(one)
        assert one.text == "a"
        counts.append(session.queries.count)
        return answer(start_response)

    call(wrap(app, url=sqlite.url))
    assert counts == [3]
    assert sqlite.texts() == ["a"]


def test_statements_in_the_drivers_own_words_are_counted_and_may_write(wrap, database, call):
    """B50: the first of them inserts; the stream that follows is left by the client."""
    counts = []

    def app(environ, start_response):
        connection = environ["wsgikit.db"]
        connection.exec_driver_sql("INSERT INTO notes (text) VALUES ('a')")
        connection.exec_driver_sql("SELECT 1")
        counts.append(connection.scalar(sa.text("SELECT count(*) FROM notes")))
        counts.append(environ["wsgikit.db"].__wsgikit_open__()._work.queries.count)
        start_response("200 OK", [])
        return iter([b"1", b"2"])

    call(wrap(app, url=database.url, kind="connection"), chunks=1)
    assert counts == [1, 3]
    assert database.texts() == ["a"]


# ---------------------------------------------------------------------- replicas


@pytest.fixture
def replica(tmp_path):
    """A second SQLite file that stands for a replica which lags behind for ever."""
    url = f"sqlite:///{tmp_path}/replica.db"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE notes (id integer primary key, text text)")
        connection.exec_driver_sql("INSERT INTO notes (text) VALUES ('old')")
    engine.dispose()
    return url


def replicated(environ, start_response):
    if environ["PATH_INFO"] == "/primary":
        environ["wsgikit.db.primary"] = True
    if environ["REQUEST_METHOD"] == "POST" or environ["PATH_INFO"] == "/write":
        run(environ, "INSERT INTO notes (text) VALUES ('new')")
    texts = run(environ, "SELECT text FROM notes").scalars().all()
    return answer(start_response, " ".join(texts).encode())


def test_a_reader_reads_from_the_replica_until_it_writes(wrap, sqlite, replica, call):
    layer = wrap(replicated, url=sqlite.url, replica_url=replica, secret_key="k0123456789abcde", sticky_seconds=60)
    assert call(layer).body == b"old"
    assert call(layer, "/primary").body == b""
    written = call(layer, method="POST")
    assert written.body == b"new"
    (cookie,) = [value for name, value in written.headers if name == "Set-Cookie"]
    assert cookie.endswith("; Max-Age=60; Path=/; HttpOnly; SameSite=Lax")
    pair = cookie.partition(";")[0]
    assert call(layer, HTTP_COOKIE=f"a=b; {pair}").body == b"new"
    assert call(layer).body == b"old"


def test_a_cookie_that_is_not_ours_or_too_old_is_not_believed(wrap, sqlite, replica, call, monkeypatch):
    layer = wrap(
        replicated,
        url=sqlite.url,
        replica_url=replica,
        secret_key=["n0123456789abcde", "o0123456789abcde"],
        sticky_seconds=60,
    )
    forged = wrap(replicated, url=sqlite.url, replica_url=replica, secret_key="f0123456789abcde")
    rotated = wrap(
        replicated,
        url=sqlite.url,
        replica_url=replica,
        secret_key=["m0123456789abcde", "n0123456789abcde"],
        sticky_seconds=60,
    )

    def cookie_of(one):
        written = call(one, method="POST")
        return dict(written.headers)["Set-Cookie"].partition(";")[0]

    assert call(layer, HTTP_COOKIE=cookie_of(forged)).body == b"old"
    mine = cookie_of(layer)
    assert call(rotated, HTTP_COOKIE=mine).body != b"old"
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda now=time.time(): now + 100)
    assert call(layer, HTTP_COOKIE=mine).body == b"old"


@pytest.mark.parametrize("name", ["sqlite", "postgresql", "mariadb"])
def test_writing_on_the_replica_is_refused_by_the_server(wrap, database_of, call, name):
    database = database_of(name)
    database.clear()
    layer = wrap(replicated, url=database.url, replica_url=database.url, secret_key="k0123456789abcde")
    with pytest.raises(sa.exc.DBAPIError):
        call(layer, "/write")
    assert call(layer, method="POST").code == 200
    assert database.texts() == ["new"]


def test_a_failed_write_makes_nobody_sticky(wrap, sqlite, replica, call):
    def app(environ, start_response):
        run(environ, "INSERT INTO notes (text) VALUES ('new')")
        start_response("400 Bad Request", [])
        return [b""]

    layer = wrap(app, url=sqlite.url, replica_url=replica, secret_key="k0123456789abcde")
    assert call(layer, method="POST").headers == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"url": "sqlite://", "replica_url": "sqlite://"}, "secret_key: expected one beside replica_url=, got none"),
        ({"connect": list, "replica_url": "sqlite://"}, "replica_url: expected url= beside it"),
    ],
    ids=["no key", "no url"],
)
def test_a_replica_needs_a_key_and_a_url(options, text):
    with pytest.raises(ConfigurationError, match=text):
        DatabaseMiddleware(replicated, **options)


# ---------------------------------------------------------------------- threads of one request


def test_threads_of_one_request_that_open_at_once_get_one_connection(wrap, postgresql, call):
    seen = []
    barrier = threading.Barrier(4)

    def app(environ, start_response):
        handle = environ["wsgikit.db"]

        def ask():
            barrier.wait(10)
            seen.append(handle.__wsgikit_open__())

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answer(start_response)

    layer = wrap(app, url=postgresql.url, kind="connection")
    call(layer)
    assert len({id(one) for one in seen}) == 1
    assert layer.engine.pool.checkedout() == 0
