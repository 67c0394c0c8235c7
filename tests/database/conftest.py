"""What the tests of the database layer share: databases, and a server of ten lines."""

from __future__ import annotations

import importlib.util
import io
import sys
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa


def _load(name):
    path = Path(__file__).with_name(f"{name}.py")
    full = f"wsgikit_tests_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, path)
        sys.modules[full] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[full]


databases = _load("databases")


@pytest.fixture(scope="session")
def database_of(require_service, tmp_path_factory):
    """A function that gives the database of a name, the same one all through the session."""
    made = {}
    drops = []

    def get(name):
        if name not in made:
            if name != "sqlite":
                require_service(name)
            made[name], drop = databases.make_database(name, tmp_path_factory.mktemp("database"))
            drops.append(drop)
        return made[name]

    yield get
    for drop in drops:
        drop()


@pytest.fixture(params=databases.NAMES)
def database(request, database_of):
    """Each of the three databases, with an empty table ``notes``."""
    one = database_of(request.param)
    one.clear()
    return one


@pytest.fixture
def sqlite(database_of):
    one = database_of("sqlite")
    one.clear()
    return one


@pytest.fixture
def postgresql(database_of):
    one = database_of("postgresql")
    one.clear()
    return one


@pytest.fixture
def mariadb(database_of):
    one = database_of("mariadb")
    one.clear()
    return one


@pytest.fixture
def deferred(postgresql):
    """A database with a constraint that fails at the commit and not before."""
    postgresql.run(
        "DROP TABLE IF EXISTS child",
        "CREATE TABLE child (parent int REFERENCES notes (id) DEFERRABLE INITIALLY DEFERRED)",
    )
    yield postgresql
    postgresql.run("DROP TABLE child")


class Answer:
    """What came back: ``status``, ``headers``, ``body``, and ``calls``, the order of what the server saw."""

    def __init__(self):
        self.status = None
        self.headers = []
        self.chunks = []

    @property
    def body(self):
        return b"".join(self.chunks)

    @property
    def code(self):
        return int(self.status[:3]) if self.status else None


def make_environ(path="/", method="GET", body=b"", **more):
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **more,
    }


def call_app(app, path="/", method="GET", body=b"", chunks=None, on_start=None, **environ):
    """Ask an application as a server does: take the body, or the first so many chunks of it, and close it."""
    answer = Answer()

    def start_response(status, headers, exc_info=None):
        if on_start is not None:
            on_start()
        answer.status, answer.headers = status, headers
        return answer.chunks.append

    result = app(make_environ(path, method, body, **environ), start_response)
    try:
        if chunks is None:
            answer.chunks.extend(result)
        else:
            iterator = iter(result)
            for _ in range(chunks):
                answer.chunks.append(next(iterator))
    finally:
        if hasattr(result, "close"):
            result.close()
    return answer


@pytest.fixture
def call():
    return call_app


@pytest.fixture
def environ_of():
    return make_environ


@pytest.fixture
def note():
    """The model of the table ``notes``."""
    return databases.Note


@pytest.fixture
def insert():
    """Add a note through what stands in environ."""

    def run(environ, text):
        environ["wsgikit.db"].execute(sa.text("INSERT INTO notes (text) VALUES (:text)"), {"text": text})

    return run


@pytest.fixture
def ok():
    """Answer with 200 and a text."""

    def answer(start_response, body=b"ok"):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body]

    return answer


@pytest.fixture
def counted():
    """Count what leaves the pool of a layer, ``out``, and what comes back, ``in``."""

    def count(layer):
        counts = Counter()
        sa.event.listen(layer.engine, "checkout", lambda *_: counts.update(out=1))
        sa.event.listen(layer.engine, "checkin", lambda *_: counts.update({"in": 1}))
        return counts

    return count


@pytest.fixture
def layers():
    """A list for the layers a test makes: their pools are closed at its end."""
    made = []
    yield made
    for layer in made:
        layer.close()


@pytest.fixture
def wrap(layers):
    """Put a DatabaseMiddleware around an application."""
    from wsgikit.database.middleware import DatabaseMiddleware

    def make(app, **options):
        layer = DatabaseMiddleware(app, **options)
        layers.append(layer)
        return layer

    return make
