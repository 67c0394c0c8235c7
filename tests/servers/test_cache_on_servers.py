"""The cache behind real servers: a client has the stale page before the refresh is over."""

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

from wsgikit import CacheMiddleware, build_stack, use

go_on = threading.Event()
calls = []


def app(environ, start_response):
    if environ["PATH_INFO"] == "/go":
        go_on.set()
        start_response("204 No Content", [])
        return []
    calls.append(1)
    number = len(calls)
    if number > 1 and not go_on.wait(20):
        number = 0
    body = b"%d" % number
    # Stale when it is stored, so that nobody has to wait for it.
    control = "max-age=60, stale-while-revalidate=600"
    headers = [("Content-Type", "text/plain"), ("Content-Length", "1"), ("Cache-Control", control), ("Age", "100")]
    start_response("200 OK", headers)
    return [body]


application = build_stack(app, use(CacheMiddleware))
"""
SERVERS = {
    "gunicorn gthread": ["-m", "gunicorn", "-k", "gthread", "--threads=4", "--bind=127.0.0.1:{port}", "cached"],
    "waitress": ["-m", "waitress", "--listen=127.0.0.1:{port}", "cached:application"],
}


@pytest.fixture(params=SERVERS.values(), ids=SERVERS.keys())
def port(request, tmp_path):
    (tmp_path / "cached.py").write_text(APP)
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
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", number), timeout=20):
                break
        yield number
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            process.kill()
            process.wait()


def get(port, path="/", method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.headers, response.read()
    finally:
        connection.close()


def test_the_stale_page_arrives_before_the_refresh_is_over(port):
    headers, body = get(port)
    assert (body, headers["Cache-Status"]) == (b"1", "wsgikit; fwd=uri-miss; stored")
    for _ in range(2):  # the first of these refreshes, and waits for /go
        headers, body = get(port)
        assert (body, headers["Cache-Status"]) == (b"1", "wsgikit; hit; fwd=stale")
        assert int(headers["Age"]) >= 100
    get(port, "/go", "POST")
    until = time.monotonic() + 20
    while get(port)[1] == b"1":
        assert time.monotonic() < until
    assert int(get(port)[1]) >= 2
