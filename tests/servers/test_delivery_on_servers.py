"""Compressed streams through real servers: a client has the first event before the second exists."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import zlib

import brotli
import pytest

pytestmark = pytest.mark.server

ROOT = pathlib.Path(__file__).parents[2]
APP = """
import threading

from wsgikit import CompressionMiddleware, ConditionalMiddleware, build_stack, use

go_on = threading.Event()


def app(environ, start_response):
    if environ["PATH_INFO"] == "/go":
        go_on.set()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "0")])
        return []
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    return events()


def events():
    yield b"data: first\\n\\n"
    if not go_on.wait(20):
        yield b"data: nobody read the first\\n\\n"
    yield b"data: second\\n\\n"


application = build_stack(app, use(CompressionMiddleware), use(ConditionalMiddleware))
"""
SERVERS = {
    "gunicorn gthread": ["-m", "gunicorn", "-k", "gthread", "--threads=4", "--bind=127.0.0.1:{port}", "delivered"],
    "waitress": ["-m", "waitress", "--listen=127.0.0.1:{port}", "delivered:application"],
}


@pytest.fixture(params=SERVERS.values(), ids=SERVERS.keys())
def port(request, tmp_path):
    (tmp_path / "delivered.py").write_text(APP)
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
        yield number
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            process.kill()
            process.wait()


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def ask(connection, path, accept):
    head = f"GET {path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accept}\r\nConnection: close\r\n\r\n"
    connection.sendall(head.encode())


def chunks(file):
    """The chunks of a chunked body, as they come."""
    while size := int(file.readline(), 16):
        yield file.read(size)
        file.readline()


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_the_first_event_arrives_before_the_second_exists(port, coding):
    decode = zlib.decompressobj(31).decompress if coding == "gzip" else brotli.Decompressor().process
    with connect(port) as connection, connection.makefile("rb") as file:
        ask(connection, "/", coding)
        head = b"".join(iter(file.readline, b"\r\n")).decode().lower()
        assert f"content-encoding: {coding}" in head
        assert "transfer-encoding: chunked" in head
        stream = chunks(file)
        seen = b""
        while not seen:
            seen += decode(next(stream))
        assert seen == b"data: first\n\n"
        with connect(port) as other:
            ask(other, "/go", "")
            assert other.recv(100).startswith(b"HTTP/1.1 200")
        for chunk in stream:
            seen += decode(chunk)
    assert seen == b"data: first\n\ndata: second\n\n"
