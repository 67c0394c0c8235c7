"""How long a request waits for its database, and what happens when its deadline has passed."""

from __future__ import annotations

import socket
import threading
import time

import pytest
import sqlalchemy as sa

from wsgikit.database.exceptions import DatabaseUnreachableError, DeadlineExceededError
from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.error_pages.middleware import ErrorPagesMiddleware
from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.deadline import DeadlineMiddleware
from wsgikit.onion.stack import build_stack, use

LIMIT = {
    "postgresql": "SELECT setting::int / 1000.0 FROM pg_settings WHERE name = 'statement_timeout'",
    "mariadb": "SELECT @@SESSION.max_statement_time",
}
SLOW = {"postgresql": "SELECT pg_sleep(30)", "mariadb": "SELECT SLEEP(30)"}
DRIVERS = [
    ("postgresql+psycopg://u@h/d", 5.0, {"connect_timeout": 5}),
    ("postgresql+psycopg://u@h/d", 0.2, {"connect_timeout": 1}),
    ("postgresql+psycopg://u@h/d?connect_timeout=9", 5.0, {"connect_timeout": "9"}),
    ("mysql+pymysql://u@h/d", 2.5, {"connect_timeout": 3, "read_timeout": 2.5}),
    ("postgresql+psycopg://u@h/d", None, {}),
    ("sqlite:///x.db", 5.0, {}),
]


@pytest.fixture
def silent():
    """The port of a server that takes connections and never answers, as one that is frozen does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield listener.getsockname()[1]


def reading(environ, start_response):
    environ["wsgikit.db"].execute(sa.text("SELECT 1"))
    start_response("200 OK", [])
    return [b""]


@pytest.mark.parametrize(("url", "seconds", "expected"), DRIVERS)
def test_the_driver_gets_the_timeout_in_its_own_words(wrap, monkeypatch, url, seconds, expected):
    layer = wrap(reading, url=url, connect_timeout_seconds=seconds)
    seen = {}

    def refuse(*args, **options):
        seen.update(options)
        raise ZeroDivisionError

    monkeypatch.setattr(layer.engine.dialect, "connect", refuse)
    with pytest.raises(ZeroDivisionError):
        layer.engine.connect()
    assert {key: value for key, value in seen.items() if "timeout" in key} == expected


@pytest.mark.parametrize("driver", ["postgresql+psycopg", "mysql+pymysql"])
def test_a_server_that_never_answers_is_given_up(wrap, call, silent, driver):
    layer = wrap(reading, url=f"{driver}://shop@127.0.0.1:{silent}/shop", connect_timeout_seconds=1)
    with pytest.raises(DatabaseUnreachableError):
        call(layer)


class Freezing(threading.Thread):
    """A proxy in front of a server that can stop passing answers on."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.target = (url.host, url.port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.is_frozen = threading.Event()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            for source, target, holds in ((client, server, False), (server, client, True)):
                threading.Thread(target=self.pump, args=(source, target, holds), daemon=True).start()

    def pump(self, source, target, holds):
        with source, target:
            while data := source.recv(65536):
                if holds and self.is_frozen.is_set():
                    return
                if not self.is_frozen.is_set():
                    target.sendall(data)


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_a_pooled_connection_to_a_frozen_server_is_given_up(wrap, call, database_of, name):
    """Its ping has no answer. Without a limit every thread would wait for it."""
    database = database_of(name)
    proxy = Freezing(database.engine.url)
    proxy.start()
    url = database.engine.url.set(host="127.0.0.1", port=proxy.port)
    layer = wrap(reading, url=url, connect_timeout_seconds=1, pool_size=1, max_overflow=0)
    assert [call(layer).code for _ in range(2)] == [200, 200]
    proxy.is_frozen.set()
    with pytest.raises(DatabaseUnreachableError):
        call(layer)
    proxy.listener.close()


KILL = {
    "postgresql": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({}, 5000)"),
    "mariadb": ("SELECT CONNECTION_ID()", "KILL {}"),
}


@pytest.mark.parametrize("name", KILL)
def test_a_pooled_connection_that_was_closed_by_the_server_is_replaced(wrap, call, database_of, name):
    """The ping of ours notices it as SQLAlchemy's does."""
    ask, kill = KILL[name]
    database = database_of(name)
    ids = []

    def app(environ, start_response):
        ids.append(environ["wsgikit.db"].scalar(sa.text(ask)))
        start_response("200 OK", [])
        return [b""]

    layer = wrap(app, url=database.url, pool_size=1, max_overflow=0)
    for _ in range(2):
        call(layer)
    database.run(kill.format(ids[0]))
    assert call(layer).code == 200
    assert ids[0] == ids[1] != ids[2]


def test_a_statement_may_take_longer_than_a_connection(wrap, call, mariadb):
    """PyMySQL has one time-out for both."""

    def app(environ, start_response):
        environ["wsgikit.db"].execute(sa.text("SELECT SLEEP(0.3)"))
        start_response("200 OK", [])
        return [b""]

    layer = wrap(app, url=mariadb.url, connect_timeout_seconds=0.2)
    assert [call(layer).code for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("kind", ["session", "connection"])
@pytest.mark.parametrize("name", LIMIT)
@pytest.mark.parametrize(
    ("usual", "left", "expected"),
    [(None, 5, 5), (60, 5, 5), (3, 50, 3), (7, None, 7)],
    ids=["no usual", "lower", "higher", "none"],
)
def test_a_deadline_lowers_the_statement_timeout_of_its_request(
    wrap, database_of, call, kind, name, usual, left, expected
):
    seen = []

    def app(environ, start_response):
        handle = environ["wsgikit.db"]
        seen.append(float(handle.execute(sa.text(LIMIT[name])).scalar()))
        handle.commit()
        seen.append(float(handle.execute(sa.text(LIMIT[name])).scalar()))
        start_response("200 OK", [])
        return [b""]

    url = database_of(name).url
    layer = wrap(app, url=url, kind=kind, statement_timeout_seconds=usual, pool_size=1, max_overflow=0)
    call(layer, **({} if left is None else {"wsgikit.deadline": time.monotonic() + left}))
    assert seen == [pytest.approx(expected, abs=2), pytest.approx(expected, abs=2)]
    seen.clear()
    call(layer)
    assert seen == [usual or 0, usual or 0]


@pytest.mark.parametrize("kind", ["session", "connection"])
@pytest.mark.parametrize("name", SLOW)
def test_a_statement_that_runs_into_the_deadline_is_a_503(layers, database_of, call, kind, name):
    def app(environ, start_response):
        environ["wsgikit.db"].execute(sa.text("INSERT INTO notes (text) VALUES ('row')"))
        environ["wsgikit.db"].execute(sa.text(SLOW[name]))

    database = database_of(name)
    database.clear()
    stack = build_stack(app, use(ErrorPagesMiddleware), use(DatabaseMiddleware, url=database.url, kind=kind))
    layers.append(stack)
    answer = call(stack, method="POST", **{"wsgikit.deadline": time.monotonic() + 0.2})
    assert (answer.code, database.texts()) == (503, [])


@pytest.mark.parametrize("kind", ["session", "connection", "driver"])
def test_a_request_past_its_deadline_is_rolled_back(layers, database, call, kind):
    """The client has given it up, and would do it again."""

    def app(environ, start_response):
        if kind == "driver":
            environ["wsgikit.db"].cursor().execute("INSERT INTO notes (text) VALUES ('row')")
        else:
            environ["wsgikit.db"].execute(sa.text("INSERT INTO notes (text) VALUES ('row')"))
        environ["wsgikit.deadline"] = time.monotonic() - 0.1
        start_response("200 OK", [])
        return [b"saved"]

    options = {"connect": database.connect} if kind == "driver" else {"url": database.url, "kind": kind}
    stack = build_stack(app, use(ErrorPagesMiddleware), use(DatabaseMiddleware, **options))
    layers.append(stack)
    assert (call(stack, method="POST").code, database.texts()) == (503, [])


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_the_deadline_layer_ends_a_statement_and_the_log_shows_where_it_hung(layers, database_of, call, caplog, name):
    """The answer is a 503, the connection goes back clean, and the log has the view's line."""
    database = database_of(name)

    def sleepy_view(environ, start_response):
        environ["wsgikit.db"].execute(sa.text(SLOW[name]))

    stack = build_stack(
        sleepy_view, use(DeadlineMiddleware, seconds=0.3), use(DatabaseMiddleware, url=database.url, pool_size=1)
    )
    layers.append(stack)
    assert call(stack).code == 503
    assert "in sleepy_view" in caplog.text
    assert "error after the deadline" in caplog.text
    assert "DeadlineExceededError" in caplog.text
    assert stack.find(DatabaseMiddleware).source.ping() >= 0  # the one connection of the pool is free


def test_nothing_is_begun_past_the_deadline(wrap, sqlite, call):
    with pytest.raises(DeadlineExceededError, match=r"'default': GET /: expected to end before the deadline"):
        call(wrap(reading, url=sqlite.url), **{"wsgikit.deadline": time.monotonic() - 1})


def test_a_stream_goes_on_after_its_deadline(wrap, database, call, insert):
    """Once a commit began in time, the answer stands."""

    def app(environ, start_response):
        insert(environ, "head")
        start_response("200 OK", [])

        def stream():
            yield b"1"
            environ["wsgikit.deadline"] = time.monotonic() - 1
            insert(environ, "stream")
            yield b"2"

        return stream()

    environ = {"wsgikit.deadline": time.monotonic() + 60}
    assert call(wrap(app, url=database.url), **environ).body == b"12"
    assert database.texts() == ["head", "stream"]


@pytest.mark.parametrize("beside", ["engine", "connect"])
def test_a_connect_timeout_beside_connections_of_the_users_own_is_refused(ok, beside):
    value = sa.create_engine("sqlite://") if beside == "engine" else (lambda: None)
    with pytest.raises(ConfigurationError, match=f"connect_timeout_seconds: expected nothing beside {beside}=, got 3"):
        DatabaseMiddleware(ok, **{beside: value}, connect_timeout_seconds=3)
