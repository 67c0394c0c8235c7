"""Bodies that never end, through real servers: the client gets its answer and the worker is free again."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

pytestmark = pytest.mark.server

ROOT = pathlib.Path(__file__).parents[2]
APP = """
from wsgikit import BodyLimitMiddleware, build_stack, use
from wsgikit.middleware.body_limit import pace

pace.GRACE_SECONDS = 0.3


def app(environ, start_response):
    size = len(environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(str(size))))])
    return [str(size).encode()]


application = build_stack(app, use(BodyLimitMiddleware, max_body_bytes=100_000, min_bytes_per_second=4000))
"""
# One thread, so that a request is only answered if the one before has let it go.
SERVERS = {
    "gunicorn gthread": ["-m", "gunicorn", "-k", "gthread", "--threads=1", "--bind=127.0.0.1:{port}", "limited"],
    "gunicorn sync": ["-m", "gunicorn", "-k", "sync", "--bind=127.0.0.1:{port}", "limited"],
    "waitress": ["-m", "waitress", "--threads=1", "--listen=127.0.0.1:{port}", "limited:application"],
}


@pytest.fixture(params=SERVERS.values(), ids=SERVERS.keys())
def server(request, tmp_path):
    (tmp_path / "limited.py").write_text(APP)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    command = [sys.executable, *(part.replace("{port}", str(number)) for part in request.param)]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            assert process.poll() is None, "the server ended at once"
            with contextlib.suppress(OSError), connect(number):
                break
        yield number, request.param[1]
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            process.kill()
            process.wait()


def connect(port):
    return socket.create_connection(("127.0.0.1", port), 20)


def answer_of(connection):
    """Return the status of the response, as far as the client can read it."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while b"\r\n\r\n" not in data and (part := connection.recv(4096)):
            data += part
    return int(data.split(b" ", 2)[1])


def ask(port, body=b"x" * 5):
    with connect(port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        return answer_of(connection)


def trickle(connection, ended):
    """Send a byte every now and then, until the server has answered."""
    with contextlib.suppress(OSError):
        while not ended.wait(0.1):
            connection.sendall(b"x")


def test_a_slow_client_is_ended_and_its_worker_is_free_again(server):
    port, kind = server
    if kind == "waitress":
        pytest.skip("waitress reads the whole body before it calls the application: a slow client holds no worker")
    ended = threading.Event()
    with connect(port) as slow:
        slow.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx")
        sender = threading.Thread(target=trickle, args=(slow, ended))
        sender.start()
        try:
            assert answer_of(slow) == 408
            assert ask(port) == 200
        finally:
            ended.set()
            sender.join()


def test_a_slow_client_holds_no_worker_of_waitress(server):
    port, kind = server
    if kind != "waitress":
        pytest.skip("only waitress reads bodies ahead")
    with connect(port) as slow:
        slow.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx")
        assert ask(port) == 200


def test_a_chunked_body_without_end_is_ended_and_its_worker_is_free_again(server):
    port, kind = server
    chunk = b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
    with connect(port) as endless:
        endless.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        endless.sendall(chunk * 26)  # 106,496 bytes
        if kind == "waitress":  # reads to the end first, up to its own limit
            endless.sendall(b"0\r\n\r\n")
        assert answer_of(endless) == 413
        assert ask(port) == 200


def test_a_chunked_body_within_the_limit_passes(server):
    port, _ = server
    with connect(port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"5\r\nhello\r\n0\r\n\r\n")
        assert answer_of(connection) == 200


def test_a_length_that_is_too_large_is_refused_before_the_body_comes(server):
    port, kind = server
    with connect(port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100001\r\n\r\n")
        if kind == "waitress":
            connection.sendall(b"x" * 100_001)
        assert answer_of(connection) == 413
    assert ask(port) == 200
