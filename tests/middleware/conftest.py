"""How the tests of the catalogue ask: a request in, the answer and what the application saw out."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any
from wsgiref.validate import validator

import pytest

from wsgikit.http.headers import Headers


@dataclass
class Answer:
    status: str = ""
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    seen: dict[str, Any] | None = None
    """The environ that the application saw, as it was when it was called; None if it wasn't."""

    @property
    def code(self) -> int:
        return int(self.status[:3])

    def __getitem__(self, name: str) -> str | None:
        return self.headers.get(name)


def make_environ(method="GET", path="/", body=b"", **keys):
    """Make the environ of a request; a key of None is left out."""
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
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if body:
        environ["CONTENT_LENGTH"] = str(len(body))
    environ |= keys
    return {key: value for key, value in environ.items() if value is not None}


class App:
    """An application that notes the environ it saw and answers as it was told."""

    def __init__(self, status="200 OK", headers=(), body=b"Hello", reads=False):
        self.status = status
        self.headers = [("Content-Type", "text/plain"), *headers]
        self.body = [body]
        self.reads = reads
        self.seen = None
        self.read = None

    def __call__(self, environ, start_response):
        self.seen = dict(environ)
        if self.reads:
            length = environ.get("CONTENT_LENGTH")
            self.read = environ["wsgi.input"].read(int(length)) if length else environ["wsgi.input"].read(10_000_000)
        start_response(self.status, list(self.headers))
        return list(self.body)


@pytest.fixture
def ask():
    """Ask a layer around an `App` once, with wsgiref's validator on both sides.

    ``ask(lambda app: Layer(app), method="POST", app=App(), HTTP_ORIGIN="…")``
    """

    def ask(make, app=None, **request) -> Answer:
        app = app or App()
        app.seen = None
        answer = Answer()

        def start_response(status, headers, exc_info=None):
            answer.status, answer.headers = status, Headers(headers)
            return lambda data: None

        wrapped = validator(make(validator(app) if not app.reads else app))
        body = wrapped(make_environ(**request), start_response)
        try:
            answer.body = b"".join(body)
        finally:
            body.close()
        answer.seen = app.seen
        return answer

    return ask
