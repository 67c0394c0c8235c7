"""An application that counts its calls, a cache around it, and a clock."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from wsgiref.validate import validator

import pytest

from wsgikit import CacheMiddleware, build_stack, use
from wsgikit.http.headers import Headers


@dataclass
class Answer:
    status: str
    headers: Headers
    body: bytes
    written: list[bytes] = field(default_factory=list)

    @property
    def code(self) -> int:
        return int(self.status[:3])

    def __getitem__(self, name):
        return self.headers.get(name)


def make_environ(path="/", method="GET", **keys):
    path, _, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "example.com",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    import io

    environ["wsgi.input"] = io.BytesIO(keys.pop("body", b""))
    environ["wsgi.errors"] = io.StringIO()
    return environ | keys


def call(app, path="/", method="GET", *, checked=True, **keys):
    answer = Answer("", Headers(), b"")

    def start_response(status, headers, exc_info=None):
        answer.status, answer.headers = status, Headers(headers)
        return answer.written.append

    body = (validator(app) if checked else app)(make_environ(path, method, **keys), start_response)
    try:
        answer.body = b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    return answer


class Origin:
    """Answers with the number of the call; `headers`, `status` and `error` may be changed between calls."""

    def __init__(self):
        self.calls = 0
        self.status = "200 OK"
        self.headers = [("Cache-Control", "max-age=60")]
        self.body = None
        self.error = None
        self.seen = []

    def __call__(self, environ, start_response):
        self.calls += 1
        self.seen.append(dict(environ))
        if self.error is not None:
            raise self.error
        bodiless = self.status[:3] in ("204", "304")
        start_response(self.status, [*([] if bodiless else [("Content-Type", "text/plain")]), *self.headers])
        if environ["REQUEST_METHOD"] == "HEAD" or bodiless:
            return []
        return [b"%d" % self.calls] if self.body is None else self.body()


class Clock:
    def __init__(self, monkeypatch):
        self.now = time.time()
        monkeypatch.setattr(time, "time", lambda: self.now)

    def pass_seconds(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def origin():
    return Origin()


@pytest.fixture
def make(origin):
    """Build a cache around the origin: ``get = make(…)``; then ``get("/path", HTTP_X="…")``."""
    stacks = []

    def make(app=None, **options):
        stack = build_stack(app or origin, use(CacheMiddleware, **options))
        stacks.append(stack)

        def get(path="/", method="GET", **keys):
            return call(stack, path, method, **keys)

        get.stack = stack
        get.layer = stack.find(CacheMiddleware)
        return get

    yield make
    for stack in stacks:
        stack.close()
