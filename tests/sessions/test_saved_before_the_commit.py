"""The session is saved before the database commits: an answer of 500 or above leaves no row behind."""

from __future__ import annotations

import itertools
import logging
import secrets

import pytest
import sqlalchemy as sa
from webtest import TestApp

from wsgikit import DatabaseMiddleware, ErrorPagesMiddleware, Middleware, SessionMiddleware, build_stack, use
from wsgikit.sessions.errors import StoreUnavailable
from wsgikit.sessions.stores.memory import MemoryStore

POSTGRESQL = "postgresql+psycopg://postgres@127.0.0.1:5432/test"
MARIADB = "mysql+pymysql://root@127.0.0.1:3306/test"
TABLE = "orders_of_sessions"


class Failing(MemoryStore):
    """A store that stops answering when it is told to."""

    is_down = False

    def load(self, key):
        self.check()
        return super().load(key)

    def save(self, key, record, expected=None):
        self.check()
        return super().save(key, record, expected)

    def delete(self, key):
        self.check()
        return super().delete(key)

    def touch(self, key, accessed, expires):
        self.check()
        return super().touch(key, accessed, expires)

    def check(self):
        if self.is_down:
            raise StoreUnavailable("store test://: expected an answer from the test, got none")


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def engine(request, tmp_path, require_service):
    if request.param != "sqlite":
        require_service(request.param)
    url = {"sqlite": f"sqlite:///{tmp_path}/rows.db", "postgresql": POSTGRESQL, "mariadb": MARIADB}[request.param]
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP TABLE IF EXISTS {TABLE}"))
        connection.execute(sa.text(f"CREATE TABLE {TABLE} (v INTEGER PRIMARY KEY)"))
    yield engine
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP TABLE {TABLE}"))
    engine.dispose()


def rows(engine):
    with engine.connect() as connection:
        return connection.execute(sa.text(f"SELECT count(*) FROM {TABLE}")).scalar_one()


def skip_a_second_writer(engine, order):
    if engine.dialect.name == "sqlite" and order == "database outside":
        pytest.skip("SQLite has one writer: a store in the same file belongs outside of the transaction")


def insert(environ):
    environ["wsgikit.db"].execute(sa.text(f"INSERT INTO {TABLE} VALUES (:v)"), {"v": secrets.randbits(30)})


@pytest.fixture
def client_of(secret):
    """Build a client of a view with a session and a database, in one order or the other."""
    stacks = []

    def build(view, engine, order, database=None, layers=(), **options):
        def app(environ, start_response):
            view(environ)
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"saved"]

        session = use(SessionMiddleware, secret_key=secret, **options)
        rows = use(DatabaseMiddleware, engine=engine, **(database or {}))
        inner = (session, *layers, rows) if order == "session outside" else (rows, *layers, session)
        stacks.append(build_stack(app, use(ErrorPagesMiddleware), *inner))
        return TestApp(stacks[-1])

    yield build
    for stack in stacks:
        stack.close()


ORDERS = ["session outside", "database outside"]
FAILURES = {"a value that can't be written": object(), "too large": "x" * 2_000_000, "store down": None}
STORES = ["cookie", "memory", "redis", "same database"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("failure", "store"),
    [
        pair
        for pair in itertools.product(FAILURES, STORES)
        # A store takes 2 MB, and a cookie is never down. One in the same database is down with it.
        if pair not in {("too large", store) for store in STORES[1:]}
        and pair not in {("store down", "cookie"), ("store down", "same database")}
    ],
)
def test_a_session_that_cannot_be_saved_leaves_no_row(
    client_of, engine, order, failure, store, require_service, caplog
):
    caplog.set_level(logging.CRITICAL, "wsgikit")
    url = engine.url.render_as_string(hide_password=False)
    kept = {"cookie": "cookie", "memory": Failing(), "redis": "redis://127.0.0.1:6379/9", "same database": url}[store]
    if store == "redis":
        require_service("redis")
        if failure == "store down":
            kept = "redis://127.0.0.1:1/0"
    if store == "same database":
        skip_a_second_writer(engine, order)

    def view(environ):
        insert(environ)
        session = environ["wsgikit.session"]
        session["value"] = FAILURES[failure]
        if failure == "store down" and store == "memory":
            kept.is_down = True

    client = client_of(view, engine, order, store=kept)
    for _ in range(2):
        response = client.post("/", status="*")
        assert response.status_int == (503 if failure == "store down" else 500)
        assert "Set-Cookie" not in response.headers
    assert rows(engine) == 0


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("action", ["change", "begin", "destroy", "rotate", "clear"])
def test_a_commit_that_fails_puts_the_session_back(client_of, tmp_path, order, action):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/rows.db")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE parents (id INTEGER PRIMARY KEY)"))
        reference = "REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED"
        connection.execute(sa.text(f"CREATE TABLE {TABLE} (v INTEGER {reference})"))

    @sa.event.listens_for(engine, "connect")
    def enforce(connection, _record):
        connection.execute("PRAGMA foreign_keys = ON")

    engine.dispose()
    store = MemoryStore()

    def view(environ):
        session = environ["wsgikit.session"]
        if environ["PATH_INFO"] == "/first":
            session["user"] = "ann"
            return
        if environ["PATH_INFO"] == "/look":
            environ["test.seen"].append(session.copy())
            return
        insert(environ)
        if action in ("change", "begin"):
            session["user"] = "bob"
        else:
            getattr(session, action)()

    client = client_of(view, engine, order, store=store)
    if action != "begin":
        client.get("/first")
    before = {key: store.load(key).data for key in store.keys()}
    response = client.post("/", status="*")
    assert response.status_int == 500, "the foreign key is checked by the commit"
    assert "Set-Cookie" not in response.headers
    assert rows(engine) == 0
    assert {key: store.load(key).data for key in store.keys()} == before
    seen = []
    client.get("/look", extra_environ={"test.seen": seen})
    assert seen == [{} if action == "begin" else {"user": "ann"}]
    engine.dispose()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("store", ["cookie", "memory://", "same database"])
def test_a_session_that_is_saved_goes_with_its_row(client_of, engine, order, store):
    if store == "same database":
        skip_a_second_writer(engine, order)
        store = engine.url.render_as_string(hide_password=False)

    def view(environ):
        if environ["PATH_INFO"] == "/look":
            environ["test.seen"].append(environ["wsgikit.session"]["n"])
        else:
            insert(environ)
            environ["wsgikit.session"]["n"] = environ["wsgikit.session"].get("n", 0) + 1
            environ["wsgikit.session"].setdefault("list", []).append(1)

    client = client_of(view, engine, order, store=store)
    for _ in range(2):
        response = client.post("/")
        assert response.headers.getall("Vary") == ["Cookie"]
    seen = []
    client.get("/look", extra_environ={"test.seen": seen})
    assert seen == [2]
    assert rows(engine) == 2


@pytest.mark.parametrize("store", ["cookie", "memory"])
def test_a_refresh_of_a_store_that_went_down_leaves_no_row(client_of, tmp_path, store, clock):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/rows.db")
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE TABLE {TABLE} (v INTEGER)"))
    kept = Failing()

    def view(environ):
        if environ["PATH_INFO"] == "/first":
            environ["wsgikit.session"]["n"] = 1
            return
        environ["wsgikit.session"].get("n")
        insert(environ)
        kept.is_down = True

    options = {"store": kept} if store == "memory" else {}
    client = client_of(view, engine, "session outside", idle_timeout_seconds=1000, **options)
    client.get("/first")
    clock.move(500)
    response = client.post("/", status="*")
    assert (response.status_int, rows(engine)) == ((503, 0) if store == "memory" else (200, 1))
    engine.dispose()


@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_a_session_changed_after_the_commit_is_saved_too(client_of, engine, store):
    class Between(Middleware):
        def after_request(self, exchange):
            exchange.environ["wsgikit.session"]["between"] = True

    def view(environ):
        if environ["PATH_INFO"] == "/look":
            environ["test.seen"].append(environ["wsgikit.session"].copy())
        else:
            insert(environ)
            environ["wsgikit.session"]["inside"] = True

    client = client_of(view, engine, "session outside", layers=[use(Between)], store=store)
    assert len(client.post("/").headers.getall("Set-Cookie")) == 1
    seen = []
    client.get("/look", extra_environ={"test.seen": seen})
    assert seen == [{"inside": True, "between": True}]


class Deadlock(Exception):
    sqlstate = "40P01"


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("store", ["cookie", "memory://", "redis://127.0.0.1:6379/9"])
@pytest.mark.parametrize("first", [False, True], ids=["a known visitor", "a new visitor"])
def test_a_repeated_request_begins_with_the_session_as_it_was(
    client_of, tmp_path, order, store, first, require_service
):
    if store.startswith("redis"):
        require_service("redis")
    engine = sa.create_engine(f"sqlite:///{tmp_path}/rows.db")
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE TABLE {TABLE} (v INTEGER)"))

    def view(environ):
        session = environ["wsgikit.session"]
        if environ["PATH_INFO"] == "/first":
            session.update(n=1, list=[1])
        elif environ["PATH_INFO"] == "/look":
            environ["test.seen"].append((session["n"], session["list"], session.pop_flashes()))
        else:
            session["n"] = session.get("n", 0) + 1
            session.setdefault("list", []).append(2)
            session.flash("once")
            insert(environ)
            if environ["wsgikit.db.attempt"] < 3:
                raise Deadlock

    database = {"retries": 2, "retry_methods": ["POST"], "retry_backoff_seconds": 0}
    client = client_of(view, engine, order, database, store=store)
    if not first:
        client.get("/first")
    assert client.post("/").status_int == 200
    seen = []
    client.get("/look", extra_environ={"test.seen": seen})
    assert seen == [(1, [2], [("", "once")]) if first else (2, [1, 2], [("", "once")])]
    assert rows(engine) == 1
    engine.dispose()


class ChangesOnTheWayIn(Middleware):
    """A layer between the session and the database, which changes the session before the commit is claimed."""

    def before_request(self, exchange):
        environ = exchange.environ
        if environ["PATH_INFO"] != "/look":
            environ["wsgikit.session"].setdefault("seen", []).append(environ.get("test.value", 1))


@pytest.mark.parametrize("store", ["cookie", "memory"])
def test_a_session_changed_on_the_way_in_is_saved_before_the_commit(client_of, engine, store, caplog):
    caplog.set_level(logging.CRITICAL, "wsgikit")
    kept = "cookie" if store == "cookie" else MemoryStore()
    client = client_of(insert, engine, "session outside", layers=[use(ChangesOnTheWayIn)], store=kept)
    response = client.post("/", status=500, extra_environ={"test.value": object()})
    assert "Set-Cookie" not in response.headers
    assert rows(engine) == 0
    assert len(client.post("/").headers.getall("Set-Cookie")) == 1
    assert rows(engine) == 1


def test_a_repeated_request_keeps_what_was_changed_on_the_way_in(client_of, tmp_path, caplog):
    caplog.set_level(logging.CRITICAL, "wsgikit")
    engine = sa.create_engine(f"sqlite:///{tmp_path}/rows.db")
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE TABLE {TABLE} (v INTEGER)"))
    seen = []

    def view(environ):
        session = environ["wsgikit.session"]
        if environ["PATH_INFO"] == "/look":
            seen.append(session.copy())
            return
        session["n"] = session.get("n", 0) + 1
        insert(environ)
        if environ["wsgikit.db.attempt"] < 3:
            raise Deadlock

    database = {"retries": 2, "retry_methods": ["POST"], "retry_backoff_seconds": 0}
    client = client_of(view, engine, "session outside", database, layers=[use(ChangesOnTheWayIn)], store=MemoryStore())
    client.post("/")
    client.get("/look")
    assert seen == [{"seen": [1], "n": 1}]
    assert client.post("/", status=500, extra_environ={"test.value": object()}).status_int == 500
    assert rows(engine) == 1
    engine.dispose()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("store", ["cookie", "memory"])
def test_a_session_is_saved_if_the_status_rolls_the_rows_back(secret, tmp_path, order, store):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/rows.db")
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE TABLE {TABLE} (v INTEGER)"))

    def app(environ, start_response):
        session = environ["wsgikit.session"]
        seen = session.copy()
        if environ["PATH_INFO"] == "/form":
            insert(environ)
            session["errors"] = ["too long"]
        start_response("200 OK" if seen else "422 Unprocessable Content", [("Content-Type", "text/plain")])
        return [str(seen).encode()]

    options = {} if store == "cookie" else {"store": MemoryStore()}
    layers = [use(SessionMiddleware, secret_key=secret, **options), use(DatabaseMiddleware, engine=engine)]
    stack = build_stack(app, *(layers if order == "session outside" else layers[::-1]))
    client = TestApp(stack)
    client.post("/form", status=422)
    assert rows(engine) == 0
    assert client.get("/look").text == "{'errors': ['too long']}"
    stack.close()
    engine.dispose()


def test_a_repeated_request_whose_session_cannot_be_saved_leaves_no_row(client_of, tmp_path, caplog):
    caplog.set_level(logging.CRITICAL, "wsgikit")
    engine = sa.create_engine(f"sqlite:///{tmp_path}/rows.db")
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE TABLE {TABLE} (v INTEGER)"))
    store = Failing()

    def view(environ):
        environ["wsgikit.session"]["n"] = 1
        insert(environ)
        if environ["wsgikit.db.attempt"] == 1:
            raise Deadlock
        store.is_down = True

    database = {"retries": 2, "retry_methods": ["POST"], "retry_backoff_seconds": 0}
    client = client_of(view, engine, "session outside", database, store=store)
    assert client.post("/", status="*").status_int == 503
    assert rows(engine) == 0
    engine.dispose()
