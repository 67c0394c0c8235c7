"""What the tests of the onion share: layers that note what is asked of them, and a server of single steps."""

from __future__ import annotations

import gc
import io
from wsgiref.util import FileWrapper

import pytest

from wsgikit.onion.middleware import Middleware
from wsgikit.testing.server import Call


@pytest.fixture
def log():
    """What happened, in order."""
    return []


@pytest.fixture
def recording(log):
    """A function that makes a layer class which notes each of its hooks in `log`, and then does what it was given.

    ``recording("outer", before=lambda exchange: …)``
    """

    def make(name, **acts):
        def hook(stage):
            act = acts.pop(stage, None)

            def run(self, exchange, *error):
                log.append(f"{name} {stage}")
                return act(exchange, *error) if act is not None else None

            return run

        hooks = {
            "before_request": hook("before"),
            "after_request": hook("after"),
            "handle_exception": hook("handle"),
            "teardown_request": hook("teardown"),
        }
        return type(name, (Middleware,), {**hooks, **acts})

    return make


@pytest.fixture
def onion():
    """A function that puts layer classes around an application, outermost first."""

    def wrap(app, *layers):
        for layer in reversed(layers):
            app = layer(app)
        return app

    return wrap


def make_environ(**keys):
    """Make the environ of a request, as a server with a file wrapper makes it."""
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        **keys,
    }


@pytest.fixture
def environ():
    """The environ of a GET request."""
    return make_environ()


@pytest.fixture
def call():
    """A function that calls an application and leaves the body to the test: `step`, `drain`, `close`, `finish`."""

    def start(app, **keys):
        return Call(app, make_environ(**keys)).start()

    return start


@pytest.fixture
def without_gc():
    """The garbage collector is off: what has gone when the test looks was freed by reference counts alone."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
