"""How the tests of the error pages ask: a request in, a whole answer out, under wsgiref's validator."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass, field
from wsgiref.validate import validator

import pytest

from wsgikit.http.headers import Headers

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@dataclass
class Got:
    status: str = ""
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self):
        import json

        return json.loads(self.body)


@pytest.fixture
def ask():
    """Ask an application once, as a server does: the whole body, then `close`."""

    def ask(app, path="/", accept=BROWSER, method="GET", **extra) -> Got:
        path, _, query = path.partition("?")
        environ = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path.encode().decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "localhost",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        if accept is not None:
            environ["HTTP_ACCEPT"] = accept
        environ |= extra
        environ = {key: value for key, value in environ.items() if value is not None}
        got = Got()

        def start_response(status, headers, exc_info=None):
            got.status, got.headers = status, Headers(headers)
            return lambda data: None

        body = validator(app)(environ, start_response)
        try:
            got.body = b"".join(body)
        finally:
            body.close()
        return got

    return ask


@pytest.fixture
def records(caplog):
    """The records of the logger of errors."""
    caplog.set_level(logging.DEBUG, "wsgikit")

    def records(level=logging.DEBUG):
        return [record for record in caplog.records if record.name.startswith("wsgikit") and record.levelno >= level]

    return records


@pytest.fixture
def failing():
    """Make an application that raises."""

    def failing(error):
        def app(environ, start_response):
            raise error

        return app

    return failing


@pytest.fixture
def answering():
    """Make an application that answers with a status, headers and chunks."""

    def answering(status, *chunks, headers=()):
        def app(environ, start_response):
            start_response(status, list(headers))
            return list(chunks)

        return app

    return answering
