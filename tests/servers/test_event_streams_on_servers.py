"""Event streams and streamed calls through real servers: events arrive at once, and a client that leaves ends them."""

from __future__ import annotations

import contextlib
import http.client
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.server

ROOT = pathlib.Path(__file__).parents[2]
APP = """
import threading

from wsgikit import (
    Calls, CompressionMiddleware, ContextMiddleware, EventStream, PageCallsMiddleware, Router, build_stack, use,
)

router = Router("streamed")
calls = Calls()
ended = {"stream": threading.Event(), "silence": threading.Event(), "call": threading.Event()}


def events(name, first, rest):
    try:
        yield first
        while True:
            threading.Event().wait(0.02)
            yield rest
    finally:
        ended[name].set()


@router.get("/stream")
def stream():
    return EventStream(events("stream", "first", "x" * 1000), keepalive_seconds=None)


@router.get("/silence")
def silence():
    return EventStream(events("silence", "first", None), keepalive_seconds=0.05)


@router.get("/ended/<name>")
def has_ended(name):
    return "ended" if ended[name].wait(20) else "still there"


@calls.function
def call():
    yield from events("call", "first", "x" * 1000)


application = build_stack(
    router, ContextMiddleware, use(CompressionMiddleware, min_bytes=0), use(PageCallsMiddleware, functions=calls)
)
"""
SERVERS = {
    "gunicorn gthread": ["-m", "gunicorn", "-k", "gthread", "--threads=8", "--bind=127.0.0.1:{port}", "streamed"],
    "gunicorn gevent": ["-m", "gunicorn", "-k", "gevent", "--bind=127.0.0.1:{port}", "streamed"],
    "waitress": ["-m", "waitress", "--threads=8", "--listen=127.0.0.1:{port}", "streamed:application"],
}


@pytest.fixture(scope="module", params=SERVERS.values(), ids=SERVERS.keys())
def port(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("streamed")
    (folder / "streamed.py").write_text(APP)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    command = [sys.executable, *(part.replace("{port}", str(number)) for part in request.param)]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 30
        while True:
            assert process.poll() is None, "the server ended at once"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", number), 1):
                break
            assert time.monotonic() < until, "the server doesn't answer"
        yield number
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            process.kill()
            process.wait()


REQUESTS = {
    "stream": ("GET", "/stream", None, b"data: first\n\n"),
    "silence": ("GET", "/silence", None, b"data: first\n\n"),
    "call": ("POST", "/__calls__", '{"call": "call"}', b'data: {"value":"first","commands":[]}\n\n'),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_an_event_arrives_at_once_and_a_client_that_leaves_ends_the_stream(port, name):
    method, path, body, first = REQUESTS[name]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body, {"Content-Type": "application/json", "Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.getheader("Content-Type") == "text/event-stream"
    assert answer.getheader("Content-Encoding") is None
    received = b""
    while first not in received:
        received += answer.readline()
    if name == "silence":
        while not received.endswith(first + b":\n\n"):
            received += answer.readline()
    answer.close()
    connection.close()

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", f"/ended/{name}")
    assert connection.getresponse().read() == b"ended"
    connection.close()
