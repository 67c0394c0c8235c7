"""A browser, a frozen clock, a store that counts, a Redis that can be stopped: what the tests of sessions share."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from wsgiref.validate import validator

import pytest
from webtest import TestApp

from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.sessions.stores.memory import MemoryStore

SECRET = "9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a"


class Browser:
    """Sends requests to a `SessionMiddleware` around a view, and keeps one cookie as a browser does."""

    def __init__(self, app, cookie_name="session", environ=None):
        self.app = app
        self.name = cookie_name
        self.cookie = None
        self.http = TestApp(validator(app), extra_environ=environ or {})
        self.http.cookiejar.clear()

    def send(self, path="/", headers=(), **kwargs):
        head = dict(headers)
        if self.cookie is not None and "Cookie" not in head:
            head["Cookie"] = f"{self.name}={self.cookie}"
        self.http.reset()
        response = self.http.get(path, headers=head, expect_errors=True, **kwargs)
        for line in response.headers.getall("Set-Cookie"):
            match = re.match(rf"{re.escape(self.name)}=([^;]*)", line)
            if match:
                self.cookie = match[1] or None
        return response


@pytest.fixture
def secret():
    return SECRET


@pytest.fixture
def stack():
    """Build a `SessionMiddleware` around ``view(session, environ)``; what the view returns becomes the body."""

    def build(view=lambda session, environ: None, *, status="200 OK", headers=(), **options):
        key = options.get("environ_key", "wsgikit.session")

        def app(environ, start_response):
            body = view(environ[key], environ)
            code = environ.get("test.status", status)
            start_response(code, [("Content-Type", "text/plain"), *headers])
            return [b"" if body is None else str(body).encode()]

        return SessionMiddleware(validator(app), **{"secret_key": SECRET, **options})

    return build


@pytest.fixture
def browse(stack):
    """Build a browser in front of such a stack."""

    def build(view=lambda session, environ: None, *, environ=None, **options):
        layer = stack(view, **options)
        return Browser(layer, options.get("cookie_name", "session"), environ)

    return build


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only when told to."""

    class Clock:
        def __init__(self):
            self.now = 1_800_000_000.0

        def __call__(self):
            return self.now

        def move(self, seconds):
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


class SpyStore(MemoryStore):
    """A store that remembers how it was called."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def load(self, key):
        self.calls.append("load")
        return super().load(key)

    def save(self, key, record, expected=None):
        self.calls.append("save")
        return super().save(key, record, expected)

    def delete(self, key):
        self.calls.append("delete")
        return super().delete(key)

    def touch(self, key, accessed, expires):
        self.calls.append("touch")
        return super().touch(key, accessed, expires)


@pytest.fixture
def spy():
    return SpyStore()


@pytest.fixture
def claims(monkeypatch):
    """What the contract suite of stores has claimed in this test; a claim that doesn't hold raises by itself."""
    from wsgikit.testing import stores

    tried = []
    genuine = stores.claim

    def claim(holds, *texts):
        tried.append(bool(holds))
        genuine(holds, *texts)

    monkeypatch.setattr(stores, "claim", claim)
    return tried


@pytest.fixture
def new_browser():
    return Browser


class RedisServer:
    """A Redis on a free port that can be stopped and started again with its data."""

    def __init__(self, program, folder):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
        self.command = [
            program,
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(folder),
            "--appendonly",
            "yes",
            "--save",
            "",
        ]
        self.process = None
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(100).startswith(b"+PONG"):
                        return
            except OSError:
                pass
            time.sleep(0.02)
        pytest.fail("redis-server did not start")

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    program = shutil.which("redis-server")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("redis-server is not installed")
        pytest.skip("redis-server is not installed")
    server = RedisServer(program, tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()
