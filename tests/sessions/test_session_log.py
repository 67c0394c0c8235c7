"""What the log says of a session that couldn't be read or saved: which request, where, and why."""

import os
import socket
import sqlite3
import threading
import time

import pytest

from wsgikit.error_pages.middleware import ErrorPagesMiddleware
from wsgikit.onion.middleware import Middleware
from wsgikit.sessions.errors import StoreUnavailable
from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.sessions.stores import open_store
from wsgikit.sessions.stores.base import UNREADABLE, Record, store_key
from wsgikit.sessions.stores.memory import MemoryStore
from wsgikit.sessions.stores.outage import place_of
from wsgikit.sessions.stores.redis import RedisStore
from wsgikit.sessions.stores.sql import SqlStore

KEY = "9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def touch(session, environ):
    session["n"] = session.get("n", 0) + 1
    return session["n"]


class DownStore(MemoryStore):
    """A store that doesn't answer while it is told so."""

    is_down = False

    def load(self, key):
        if self.is_down:
            raise StoreUnavailable("store down://: expected an answer, got none")
        return super().load(key)

    def save(self, key, record, expected=None):
        if self.is_down:
            raise StoreUnavailable("store down://: expected an answer, got none")
        return super().save(key, record, expected)


# ---------------------------------------------------------------------- a store that doesn't answer


@pytest.mark.parametrize(
    ("url", "place", "cause"),
    [
        ("redis://u:s3cret@127.0.0.1:{}/0", "redis://127.0.0.1:{}/0", "ConnectionError: Error 111 connecting to "),
        ("memcached://127.0.0.1:{}", "memcached://127.0.0.1:{}", "ConnectionRefusedError: [Errno 111] Conn"),
        ("postgresql+psycopg://u:s3cret@127.0.0.1:{}/x", "postgresql+psycopg://u:***@127.0.0.1:{}/x", "OperationalErr"),
        ("sqlite:////no/where.db", "sqlite:////no/where.db", "OperationalError: unable to open database file"),
    ],
)
def test_s19_a_store_that_is_down_is_logged_with_request_address_and_cause(browse, caplog, url, place, cause):
    port = free_port()
    assert browse(touch, store=url.format(port)).send("/pay").status_int == 503
    (record,) = caplog.records
    text = record.getMessage()
    assert text.startswith(f"GET /pay: SessionMiddleware: store {place.format(port)}: expected an answer from ")
    assert f", got {cause}" in text
    assert "s3cret" not in text
    assert "\n" not in text


def test_a_redis_database_out_of_range_is_told(browse, caplog, redis_server):
    browse(touch, store=redis_server.url.replace("/0", "/99")).send()
    assert caplog.messages[0].endswith(
        "/99: expected an answer from Redis, got ResponseError: DB index is out of range"
    )


def test_a_file_that_cannot_be_written_is_told(browse, caplog, tmp_path):
    path = tmp_path / "s.db"
    SqlStore(f"sqlite:///{path}").create()
    browse(touch, store=f"sqlite:///file:{path}?mode=ro&uri=true").send()
    assert caplog.messages[0].endswith("got OperationalError: attempt to write a readonly database")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://:p@h:1/0", "redis://h:1/0"),
        ("redis://u:p/w@h:1/0", "redis://h:1/0"),
        ("redis://u:p?w@h:1/0", "redis://…"),
        ("redis://h/0?password=p", "redis://h/0"),
        ("unix://u:p@/run/r.sock?db=1", "unix:///run/r.sock"),
        ("memcached://a:1,b:2", "memcached://a:1,b:2"),
    ],
)
def test_an_address_is_shown_without_what_is_secret(url, place):
    assert place_of(url) == place


def test_a_client_that_is_given_is_told_by_its_address():
    redis = pytest.importorskip("redis")
    port = free_port()
    client = redis.Redis(host="127.0.0.1", port=port, db=3, password="s3cret")
    with pytest.raises(
        StoreUnavailable, match=f"^store redis://127.0.0.1:{port}/3: expected an answer from Redis, got"
    ):
        RedisStore(client).load("a")


def test_a_path_forges_no_line_of_the_log(browse, caplog):
    store = DownStore()
    store.is_down = True
    browse(touch, store=store).send("/a%0aERROR%20forged")
    assert caplog.messages == [
        "GET /a\\nERROR forged: SessionMiddleware: store down://: expected an answer, got none",
    ]


@pytest.mark.parametrize("outcome", ["handled", "other error", "stream"])
def test_a_failure_that_the_application_handles_is_logged_with_its_request(caplog, outcome):
    def app(environ, start_response):
        session = environ["wsgikit.session"]

        def ask():
            with pytest.raises(StoreUnavailable):
                session.get("n")

        def stream():
            yield b"x"
            ask()

        if outcome != "stream":
            ask()
        if outcome == "other error":
            raise KeyError
        start_response("200 OK", [])
        return stream() if outcome == "stream" else [b"x"]

    store = DownStore()
    layer = SessionMiddleware(app, secret_key=KEY, store=store)
    session = layer.open_session()
    session["n"] = 1
    cookie = layer.save_session(session)[0].partition(";")[0]
    store.is_down = True
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/a", "HTTP_COOKIE": cookie}
    try:
        body = layer(environ, lambda *a: None)
        list(body)
        getattr(body, "close", lambda: None)()
    except KeyError:
        assert outcome == "other error"
    assert caplog.messages == ["GET /a: SessionMiddleware: store down://: expected an answer, got none"]


# ---------------------------------------------------------------------- the page of a 503


@pytest.mark.parametrize("when", ["reading", "writing"])
@pytest.mark.parametrize("between", [False, True], ids=["fused", "another layer between"])
def test_a_503_gets_the_page_of_an_error_pages_layer_outside(new_browser, stack, when, between):
    store = DownStore()
    store.is_down = True
    layer = stack((lambda session, environ: session.get("n")) if when == "reading" else touch, store=store)
    app = (lambda environ, start_response: layer(environ, start_response)) if between else layer
    browser = new_browser(ErrorPagesMiddleware(app, pages={503: lambda page: "our own words"}))
    session = layer.open_session()
    store.is_down = False
    session["n"] = 1
    browser.cookie = layer.save_session(session)[0].partition(";")[0].partition("=")[2]
    store.is_down = True
    response = browser.send(headers={"Accept": "text/html"})
    assert (response.status_int, response.text) == (503, "our own words")
    assert response.headers["Retry-After"] == "5"
    assert response.headers["Cache-Control"] == "no-store"


def test_a_503_is_plain_text_where_no_layer_outside_has_a_page(new_browser, stack):
    store = DownStore()
    store.is_down = True
    layer = stack(touch, store=store)
    for app in (
        Middleware(layer),
        ErrorPagesMiddleware(layer, replace_empty=False),
        stack(touch, store=store).__class__(ErrorPagesMiddleware(layer.app), secret_key=KEY, store=store),
    ):
        response = new_browser(app).send()
        assert (response.status_int, response.content_type) == (503, "text/plain")
        assert "try again" in response.text


# ---------------------------------------------------------------------- several processes


@pytest.mark.parametrize(
    ("url", "is_shared"), [("sqlite://", False), ("sqlite:///:memory:", False), ("sqlite:////tmp/x.db", True)]
)
def test_a_database_in_memory_is_not_shared(url, is_shared):
    import sqlalchemy as sa

    assert SqlStore(url).is_shared is is_shared
    engine = sa.create_engine(url)
    assert SqlStore(engine).is_shared is is_shared
    engine.dispose()


def test_a_database_in_memory_under_several_processes_is_warned_of(browse, caplog):
    browse(touch, store="sqlite://", environ={"wsgi.multiprocess": True}).send()
    assert "expected one that all processes share, got SqlStore" in caplog.text


# ---------------------------------------------------------------------- a Redis that hangs


def test_s19_a_redis_that_hangs_is_asked_once():
    """It accepts and says nothing: each connection is a try."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        store = RedisStore(f"redis://127.0.0.1:{listener.getsockname()[1]}/0", timeout_seconds=0.2)
        with pytest.raises(StoreUnavailable, match="got TimeoutError: Timeout reading from"):
            store.load("a")
        listener.settimeout(0.2)
        listener.accept()[0].close()
        with pytest.raises(TimeoutError):
            listener.accept()
        store.close()


def test_s19_a_connection_that_redis_dropped_is_made_anew():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            listener.accept()[0].close()
            connection = listener.accept()[0]
            with connection:
                while connection.recv(1000):
                    connection.sendall(b"$-1\r\n")

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        store = RedisStore(f"redis://127.0.0.1:{listener.getsockname()[1]}/0?protocol=2", timeout_seconds=2)
        assert store.load("a") is None
        store.close()
        server.join(5)


# ---------------------------------------------------------------------- what can't be read


def spoil_redis(store, key):
    store._clients.get().set(f"wsgikit:session:{key}", "nonsense")


def spoil_sqlite(column):
    def spoil(store, key):
        with sqlite3.connect(store._engines.get().url.database) as connection:
            connection.execute(f"UPDATE wsgikit_sessions SET {column} = 'nonsense' WHERE id_hash = ?", [key])
        connection.close()

    return spoil


def spoil_data(store, key):
    store.delete(key)
    store.save(key, Record(b"nonsense", time.time(), time.time() + 100))


@pytest.mark.parametrize(
    ("url", "spoil"),
    [
        ("redis", spoil_redis),
        ("redis", spoil_data),
        *(("sqlite", spoil_sqlite(column)) for column in ("data", "version", "accessed", "expires")),
        ("sqlite", spoil_data),
        ("memory://", spoil_data),
    ],
    ids=["redis", "redis data", "data", "version", "accessed", "expires", "sqlite data", "memory"],
)
def test_s10_a_record_that_cannot_be_read_counts_as_expired_and_is_logged(
    browse, caplog, redis_server, tmp_path, url, spoil
):
    url = {"redis": redis_server.url, "sqlite": f"sqlite:///{tmp_path}/s.db"}.get(url, url)
    store = open_store("test", url)
    browser = browse(touch, store=store)
    assert browser.send().text == "1"
    key = store_key(browser.cookie.partition(".")[0])
    spoil(store, key)
    assert browser.send("/pay").text == "1"
    text = f"GET /pay: SessionMiddleware: record {key[:16]}…: expected a session, got something that can't be read. "
    assert caplog.messages == [text + "It counts as expired."]
    assert browser.send("/pay").text == "2", "the visitor has another session by now"
    assert len(caplog.messages) == 1
    store.close()


def test_what_no_store_wrote_is_not_in_the_way_in_memcached():
    pytest.importorskip("pymemcache")
    from wsgikit.sessions.stores.memcached import MemcachedStore, _is_alive

    class Client:
        value = b"nonsense"

        def gets(self, key):
            return self.value, b"1"

        def add(self, *args, **kwargs):
            return False

        def cas(self, key, value, version, **kwargs):
            self.value = value
            return True

    store = MemcachedStore(Client())
    assert store.load("a") is UNREADABLE
    assert not store.touch("a", 0, time.time() + 9)
    assert store.save("a", Record(b"x", time.time(), time.time() + 9)) == b"1"
    assert store.load("a").data == b"x"
    assert not _is_alive(None)
    assert not _is_alive(os.urandom(3))
