"""D1: however a request ends, its connection is given back once and the next request is clean. [B51] [B58] [B60]"""

from __future__ import annotations

import contextlib
import gc
import io
import threading
from collections import Counter
from wsgiref.util import FileWrapper

import pytest
import sqlalchemy as sa


class OtherIterable:
    """An iterable that is not its own iterator."""

    def __iter__(self):
        return iter([b"a", b"b"])


class FailingClose:
    def __init__(self):
        self.chunks = iter([b"a", b"b"])

    def __iter__(self):
        return self.chunks

    def close(self):
        raise RuntimeError("close failed")


def stream():
    yield b"a"
    yield b"b"


def failing_stream():
    yield b"a"
    raise RuntimeError("stream failed")


def plain(body):
    def view(environ, start_response):
        start_response("200 OK", [])
        return body(environ)

    return view


def fails_before(environ, start_response):
    raise RuntimeError("failed before start_response")


def fails_after(environ, start_response):
    start_response("200 OK", [])
    raise RuntimeError("failed after start_response")


def exits(environ, start_response):
    raise SystemExit(3)


def whole(result):
    try:
        list(result)
    finally:
        close(result)


def close(result):
    if hasattr(result, "close"):
        result.close()


def first_chunk_only(result):
    next(iter(result))
    close(result)


def dropped(result):
    next(iter(result))
    del result
    gc.collect()


def dropped_unstarted(result):
    del result
    gc.collect()


def finished_on_another_thread(result):
    iterator = iter(result)
    next(iterator)
    errors = []

    def finish():
        try:
            list(iterator)
            close(result)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=finish)
    thread.start()
    thread.join()
    assert errors == []


# What the application does, what the server does, and whether what was written before the head stays.
OUTCOMES = {
    "list": (plain(lambda environ: [b"a", b"b"]), whole, True),
    "tuple": (plain(lambda environ: (b"a",)), whole, True),
    "generator": (plain(lambda environ: stream()), whole, True),
    "file wrapper": (plain(lambda environ: environ["wsgi.file_wrapper"](io.BytesIO(b"ab"))), whole, True),
    "iterator is not the iterable": (plain(lambda environ: OtherIterable()), whole, True),
    "raises before start_response": (fails_before, whole, False),
    "raises after start_response": (fails_after, whole, False),
    "raises in the stream": (plain(lambda environ: failing_stream()), whole, True),
    "raises in close": (plain(lambda environ: FailingClose()), whole, True),
    "HEAD": (plain(lambda environ: stream()), close, True),
    "early close": (plain(lambda environ: stream()), first_chunk_only, True),
    "never started": (plain(lambda environ: stream()), close, True),
    "never closed, then collected": (plain(lambda environ: stream()), dropped, True),
    "never started nor closed, then collected": (plain(lambda environ: stream()), dropped_unstarted, True),
    "closed on another thread": (plain(lambda environ: stream()), finished_on_another_thread, True),
    "exits": (exits, whole, False),
}
# The options are those of a layer with a session.
KINDS = {
    "session": {},
    "connection": {"kind": "connection"},
    "driver": None,
    "driver with a pool": None,
    "given back at the head": {"release": "response"},
    "with retries": {"retries": 1},
    "under a manager": {"manager": True},
    "recorded": {"record_queries": True},
}


class Counted:
    """A connection of a driver that counts how often it was opened and closed."""

    def __init__(self, connection, counts):
        self._connection = connection
        self._counts = counts
        counts["out"] += 1

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def close(self):
        self._counts["in"] += 1
        self._connection.close()


def make_layer(wrap, database, kind, app):
    """Make a layer and what counts its checkouts and check-ins."""
    counts = Counter()
    if kind == "driver":
        return wrap(app, connect=lambda: Counted(database.connect(), counts)), counts
    if kind == "driver with a pool":
        layer = wrap(app, connect=database.connect, pool_size=2)
        source = layer.source
        take, release = source.open, source.release
        source.open = lambda work: (counts.update(out=1), take(work))[1]
        source.release = lambda work, target: (counts.update({"in": 1}), release(work, target))[1]
        return layer, counts
    layer = wrap(app, url=database.url, pool_size=2, max_overflow=0, pool_timeout=1, **KINDS[kind])
    sa.event.listen(layer.engine, "checkout", lambda *_: counts.update(out=1))
    sa.event.listen(layer.engine, "checkin", lambda *_: counts.update({"in": 1}))
    return layer, counts


def insert(environ, text):
    handle = environ["wsgikit.db"]
    if hasattr(handle, "cursor"):
        cursor = handle.cursor()
        cursor.execute(f"INSERT INTO notes (text) VALUES ('{text}')")
        cursor.close()
    else:
        handle.execute(sa.text(f"INSERT INTO notes (text) VALUES ('{text}')"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_connection_is_given_back_once_however_the_request_ends(
    outcome, kind, database, wrap, environ_of, caplog, call
):
    """D1 on each database: ``out`` and ``in`` of the pool are equal, and so is what the next request sees."""
    view, serve, is_kept = OUTCOMES[outcome]

    def app(environ, start_response):
        insert(environ, environ["PATH_INFO"][1:])
        return (view if environ["PATH_INFO"] == "/first" else OUTCOMES["list"][0])(environ, start_response)

    layer, counts = make_layer(wrap, database, kind, app)
    environ = environ_of("/first", "HEAD" if outcome == "HEAD" else "GET", **{"wsgi.file_wrapper": FileWrapper})
    with contextlib.suppress(RuntimeError, SystemExit):
        serve(layer(environ, lambda status, headers, exc_info=None: None))
    del environ
    assert (counts["out"], counts["in"]) == (1, 1)
    assert layer.source.describe()["holders"] == []
    call(layer, "/second")
    assert database.texts() == [*(["first"] if is_kept else []), "second"]
    assert (counts["out"], counts["in"]) == (2, 2)
