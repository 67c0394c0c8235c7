"""Real processes and real servers: forks, a database that is restarted, greenlets, many threads."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.request import urlopen

import pytest
import sqlalchemy as sa

# The full number of the soak is for a benchmark run; the suite's own shows the same in a few seconds.
SOAK_REQUESTS = int(os.environ.get("WSGIKIT_SOAK_REQUESTS", "1500"))
SOAK_THREADS = 16


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, seconds=20.0):
    """Poll a condition; a server of another program gives no other sign."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        threading.Event().wait(0.05)
    return False


# ---------------------------------------------------------------------- D8, B59: forks

FORKING_APP = """
    import json, os
    import sqlalchemy as sa
    from wsgikit.database.middleware import DatabaseMiddleware

    def app(environ, start_response):
        pid = environ["wsgikit.db"].execute(sa.text("SELECT pg_backend_pid()")).scalar()
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps([os.getpid(), pid]).encode()]

    layer = DatabaseMiddleware(app, url={url!r}, kind="connection")
    # The parent opens a connection before it forks.
    with layer.engine.connect() as connection:
        parents = connection.scalar(sa.text("SELECT pg_backend_pid()"))

    def application(environ, start_response):
        if environ["PATH_INFO"] == "/parent":
            start_response("200 OK", [])
            return [str(parents).encode()]
        return layer(environ, start_response)
"""


@pytest.mark.server
def test_forked_workers_of_gunicorn_open_connections_of_their_own(postgresql, tmp_path):
    """D8, B59: with ``--preload`` the parent has a connection; no worker uses it, and it goes on working."""
    (tmp_path / "forking.py").write_text(textwrap.dedent(FORKING_APP.format(url=postgresql.url)))
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "3", "--bind", f"127.0.0.1:{port}"]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([*command, "forking:application"], cwd=tmp_path, stdout=log, stderr=log)
    try:

        def get(path):
            with urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
                return response.read()

        def is_up():
            try:
                return bool(get("/parent"))
            except OSError:
                return server.poll() is not None

        assert wait_for(is_up), (tmp_path / "log").read_text()
        assert server.poll() is None, (tmp_path / "log").read_text()
        parents = int(get("/parent"))
        backends = {}
        assert wait_for(lambda: backends.update([tuple(json.loads(get("/")))]) or len(backends) >= 2)
        assert len(set(backends.values())) == len(backends)
        assert parents not in backends.values()
        with postgresql.engine.connect() as connection:
            alive = connection.scalar(
                sa.text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid"), {"pid": parents}
            )
        assert alive == 1
    finally:
        server.terminate()
        server.wait(20)


# ---------------------------------------------------------------------- D1: clients that leave

STREAMING_APP = """
    import json
    import sqlalchemy as sa
    from wsgikit.database.middleware import DatabaseMiddleware

    def app(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/pool":
            start_response("200 OK", [])
            return [str(layer.engine.pool.checkedout()).encode()]
        handle = environ["wsgikit.db"]

        def insert(text):
            handle.execute(sa.text("INSERT INTO notes (text) VALUES (:text)"), {{"text": path + text}})

        insert(" head")
        start_response("200 OK", [])

        def stream():
            yield b"x" * 1000
            insert(" stream")
            for _ in range(600):  # more than a server keeps in memory for a client that doesn't read
                yield b"y" * 100_000

        return stream()

    layer = DatabaseMiddleware(app, url={url!r}, pool_size=5, max_overflow=0)
"""
SERVERS = {
    "gunicorn": ["gunicorn", "--worker-class", "gthread", "--threads", "4", "--bind", "127.0.0.1:{port}"],
    "waitress": ["waitress", "--listen", "127.0.0.1:{port}"],
}


@pytest.mark.server
@pytest.mark.parametrize("server", SERVERS)
def test_a_client_that_leaves_a_real_server_takes_no_connection_with_it(postgresql, tmp_path, server):
    """D1, B60: what was committed at the head stays, what the stream wrote doesn't, the pool is whole."""
    (tmp_path / "streaming.py").write_text(textwrap.dedent(STREAMING_APP.format(url=postgresql.url)))
    port = free_port()
    command = [sys.executable, "-m", *(word.format(port=port) for word in SERVERS[server]), "streaming:layer"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    try:

        def get(path):
            with urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as response:
                return response.read()

        def is_idle():
            try:
                return get("/pool") == b"0"
            except OSError:
                return False

        assert wait_for(is_idle), (tmp_path / "log").read_text()
        for number in range(6):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(f"GET /{number} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                assert client.recv(100).startswith(b"HTTP/1.1 200 OK")
        assert wait_for(is_idle), (tmp_path / "log").read_text()
        assert len(get("/whole")) == 60_001_000
        assert wait_for(is_idle), (tmp_path / "log").read_text()
        heads = {f"/{number} head" for number in range(6)}
        assert set(postgresql.texts()) == {*heads, "/whole head", "/whole stream"}
    finally:
        process.terminate()
        process.wait(20)


# ---------------------------------------------------------------------- D8: forks by hand


@pytest.mark.parametrize("option", ["url", "engine", "connect"])
def test_a_child_has_another_connection_and_the_parents_still_works(postgresql, wrap, call, option):
    """D8: by ``os.fork`` itself, with each way of getting a connection."""
    engine = sa.create_engine(postgresql.url)
    options = {
        "url": {"url": postgresql.url, "kind": "connection"},
        "engine": {"engine": engine, "kind": "connection"},
        "connect": {"connect": postgresql.connect, "pool_size": 2},
    }[option]

    def app(environ, start_response):
        cursor = environ["wsgikit.db"]
        if option == "connect":
            backend = cursor.execute("SELECT pg_backend_pid()").fetchone()[0]
        else:
            backend = cursor.execute(sa.text("SELECT pg_backend_pid()")).scalar()
        start_response("200 OK", [])
        return [str(backend).encode()]

    layer = wrap(app, **options)
    before = call(layer).body
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, call(layer).body + b" " + call(layer).body)
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read, "rb") as pipe:
        first, second = pipe.read().split()
    assert first == second != before
    assert call(layer).body == before
    engine.dispose()


@pytest.mark.parametrize("option", ["url", "connect"])
def test_a_child_does_not_count_the_requests_of_its_parent_as_holders(postgresql, wrap, call, option):
    """D8, D11: a fork in the middle of a request, which goes on in the parent."""
    options = {"url": postgresql.url} if option == "url" else {"connect": postgresql.connect, "pool_size": 2}
    read, write = os.pipe()

    def app(environ, start_response):
        environ["wsgikit.db"].execute("SELECT 1" if option == "connect" else sa.text("SELECT 1"))
        if environ["PATH_INFO"] == "/child":
            holders = [request for request, _ in layer.source.describe()["holders"]]
            os.write(write, json.dumps(holders).encode())
        elif os.fork() == 0:
            try:
                call(layer, "/child")
            finally:
                os._exit(0)
        else:
            os.wait()
        start_response("200 OK", [])
        return [b"x"]

    layer = wrap(app, **options)
    assert call(layer, "/parent").code == 200
    os.close(write)
    with os.fdopen(read) as pipe:
        assert json.load(pipe) == ["GET /child"]
    assert layer.source.describe()["checkedout"] == 0


# ---------------------------------------------------------------------- D9: connections that grow old


def test_a_connection_older_than_max_age_is_replaced(postgresql, wrap, call, monkeypatch):
    """D9, with SQLAlchemy's pool and with the small one."""
    from wsgikit.database import dbapi

    def app(environ, start_response):
        db = environ["wsgikit.db"]
        if hasattr(db, "autocommit"):
            backend = db.execute("SELECT pg_backend_pid()").fetchone()[0]
        else:
            backend = db.execute(sa.text("SELECT pg_backend_pid()")).scalar()
        start_response("200 OK", [])
        return [str(backend).encode()]

    late = [0.0]
    monkeypatch.setattr(dbapi.time, "monotonic", lambda clock=time.monotonic: clock() + late[0])
    monkeypatch.setattr("sqlalchemy.pool.base.time.time", lambda clock=time.time: clock() + late[0])
    for options in ({"url": postgresql.url, "kind": "connection"}, {"connect": postgresql.connect, "pool_size": 1}):
        layer = wrap(app, max_age_seconds=100, **options)
        late[0] = 0.0
        first = call(layer).body
        late[0] = 50.0
        assert call(layer).body == first
        late[0] = 300.0
        assert call(layer).body != first


# ---------------------------------------------------------------------- the soak


class Soak:
    """An application that one request in five makes fail, in one of five ways, and that sees whom it shares with.

    A request writes its own number and reads it back. From its first statement to its last it is noted by the
    connection it works on, where no other may be noted.

    Attributes:
        wrong: what should not have been seen.
    """

    def __init__(self):
        self.wrong = []
        self._users = {}

    def __call__(self, environ, start_response):
        number = int(environ["PATH_INFO"][1:])
        handle = environ["wsgikit.db"]
        connection = id(_driver_connection(handle))
        self._check(connection, number)
        way = number % 25
        is_streaming = way in (15, 20)
        try:
            _run(handle, f"INSERT INTO notes (text) VALUES ('n{number}')")
            seen = " ".join(_run(handle, f"SELECT text FROM notes WHERE text = 'n{number}'")).encode()
            if way == 0:
                raise RuntimeError("before the head")
            start_response("500 Oops" if way == 5 else "200 OK", [])
            if way == 10:
                raise RuntimeError("after the head")
        finally:
            if not is_streaming:
                self._check(connection, number)
                del self._users[connection]
        return self._stream(connection, number, seen) if is_streaming else [seen]

    def _stream(self, connection, number, seen):
        try:
            yield seen
            if number % 25 == 15:
                raise RuntimeError("in the stream")
            yield b""
        finally:
            self._check(connection, number)
            del self._users[connection]

    def _check(self, connection, number):
        user = self._users.setdefault(connection, number)
        if user != number:
            self.wrong.append(f"{number} shares a connection with {user}")

    def run(self, call, layer, numbers):
        """Send the requests of these numbers."""
        for number in numbers:
            try:
                answer = call(layer, f"/{number}", chunks=1 if number % 25 == 20 else None)
            except RuntimeError:
                continue
            if answer.body != f"n{number}".encode():
                self.wrong.append((number, answer.body))


def _driver_connection(handle):
    if hasattr(handle, "cursor"):
        return handle.__wsgikit_open__()
    connection = handle.connection() if callable(handle.connection) else handle
    return connection.connection.dbapi_connection


def _run(handle, statement):
    if not hasattr(handle, "cursor"):
        result = handle.execute(sa.text(statement))
        return result.scalars().all() if result.returns_rows else []
    cursor = handle.cursor()
    cursor.execute(statement)
    rows = [row[0] for row in cursor.fetchall()] if cursor.description else []
    cursor.close()
    return rows


@pytest.mark.parametrize("kind", ["session", "connection", "driver"])
def test_many_requests_on_a_small_pool_leak_nothing_and_read_nothing_of_others(database, wrap, call, kind):
    """D1, D11: 16 threads on a pool of 5, one request in five fails: 0 leaked, 0 cross-reads, 0 rows too many."""
    if database.name == "sqlite":
        database.run("PRAGMA journal_mode = WAL")
    if kind == "driver":
        layer = wrap(soak := Soak(), connect=database.connect, pool_size=5)
    else:
        more = {"connect_args": {"timeout": 60}} if database.name == "sqlite" else {}
        layer = wrap(soak := Soak(), url=database.url, kind=kind, pool_size=5, max_overflow=0, **more)
    checked = Counter()
    if kind != "driver":
        sa.event.listen(layer.engine, "checkout", lambda *_: checked.update(out=1))
        sa.event.listen(layer.engine, "checkin", lambda *_: checked.update({"in": 1}))
    is_long = (database.name, kind) == ("postgresql", "session") or SOAK_REQUESTS > 5000
    numbers = range(1, (SOAK_REQUESTS if is_long else 300) + 1)
    threads = [
        threading.Thread(target=soak.run, args=(call, layer, numbers[start::SOAK_THREADS]))
        for start in range(SOAK_THREADS)
    ]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
    print(f"\n{len(numbers)} requests in {time.perf_counter() - started:.1f} s, {dict(checked)}")
    assert soak.wrong == []
    if kind != "driver":
        assert checked["out"] == checked["in"] == len(numbers)
    assert layer.source.describe()["checkedout"] == 0
    assert layer.source.describe()["holders"] == []
    # In the stream (15) and left by the client (20) come after the commit at the head.
    kept = sorted(f"n{number}" for number in numbers if number % 25 not in (0, 5, 10))
    assert sorted(database.texts()) == kept


GEVENT = """
    from gevent import monkey
    monkey.patch_all()
    import importlib.util, json, sys
    import gevent.pool

    def load(name, path):
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    folder = {folder!r}
    conftest = load("soak_conftest", folder + "/conftest.py")
    servers = load("soak_servers", folder + "/test_servers.py")
    from wsgikit.database.middleware import DatabaseMiddleware

    soak = servers.Soak()
    layer = DatabaseMiddleware(soak, url={url!r}, pool_size=5, max_overflow=0)
    numbers = range(1, {requests} + 1)
    crowd = gevent.pool.Pool(16)
    for start in range(16):
        crowd.spawn(soak.run, conftest.call_app, layer, numbers[start::16])
    crowd.join(timeout=300, raise_error=True)
    with layer.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT count(*) FROM notes").scalar()
    # A greenlet that is killed in the middle of a statement gives its connection back too.
    def sleeper(environ, start_response):
        import sqlalchemy as sa
        environ["wsgikit.db"].execute(sa.text("SELECT pg_sleep(60)"))

    slow = DatabaseMiddleware(sleeper, engine=layer.engine)
    victims = [gevent.spawn(conftest.call_app, slow) for _ in range(5)]
    gevent.sleep(0.3)
    held = layer.engine.pool.checkedout()
    gevent.killall(victims, timeout=20)
    after = conftest.call_app(layer, "/1")
    out = layer.engine.pool.checkedout()
    print(json.dumps({{"wrong": soak.wrong, "rows": rows, "held": held, "out": out, "after": after.code}}))
"""


def test_greenlets_share_a_pool_without_sharing_connections(postgresql):
    """D10, B58: the same under gevent, in its own process; then five greenlets are killed in mid-statement."""
    requests = SOAK_REQUESTS if SOAK_REQUESTS > 5000 else 500
    code = textwrap.dedent(GEVENT.format(folder=str(Path(__file__).parent), url=postgresql.url, requests=requests))
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    seen = json.loads(result.stdout.splitlines()[-1])
    kept = len([number for number in range(1, requests + 1) if number % 25 not in (0, 5, 10)])
    assert seen == {"wrong": [], "rows": kept, "held": 5, "out": 0, "after": 200}


# ---------------------------------------------------------------------- D10: threads


def test_sqlite_connections_that_keep_to_their_thread_are_reported_clearly(sqlite, wrap, call, caplog):
    """D10: a stream that is closed on another thread, with ``check_same_thread`` left as it is."""
    import sqlite3

    def app(environ, start_response):
        environ["wsgikit.db"].execute("SELECT 1")
        start_response("200 OK", [])
        yield b"1"
        yield b"2"

    layer = wrap(app, connect=lambda: sqlite3.connect(sqlite.engine.url.database), pool_size=1, pool_timeout=0.1)

    def take(body):
        list(body)
        body.close()

    for _ in range(2):  # the second time shows that the place in the pool is free again
        from_conftest = sys.modules[call.__module__]
        body = layer(from_conftest.make_environ(), lambda *_: None)
        next(body)
        thread = threading.Thread(target=take, args=(body,))
        thread.start()
        thread.join()
    assert "Pass check_same_thread=False to sqlite3.connect" in caplog.text


def test_a_request_that_goes_on_in_another_thread_uses_the_same_connection(postgresql, wrap, call):
    """D10: the connection belongs to the request, not to a thread."""
    seen = []

    def app(environ, start_response):
        def ask():
            seen.append(environ["wsgikit.db"].execute(sa.text("SELECT pg_backend_pid()")).scalar())

        for work in (ask, ask):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        ask()
        start_response("200 OK", [])
        return [b""]

    call(wrap(app, url=postgresql.url))
    assert len(set(seen)) == 1
