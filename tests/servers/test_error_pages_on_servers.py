"""Errors at every point of a response, through real servers: what goes over the wire, and what the log says."""

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
import logging, sys

from wsgikit import ContextMiddleware, ErrorPagesMiddleware, Middleware, build_stack, use

logging.basicConfig(stream=sys.stderr, format="LOG %(name)s %(levelname)s %(message)s")


class Closes:
    def __init__(self, chunks):
        self.chunks = iter(chunks)

    def __iter__(self):
        return self.chunks

    def close(self):
        raise ValueError("raised-in-close")


class Teardown(Middleware):
    def teardown_request(self, exchange):
        print("TEARDOWN", exchange.environ["PATH_INFO"], file=sys.stderr, flush=True)


def inner(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/before":
        raise ValueError("raised-before")
    if path == "/fine":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
        return [b"fine"]
    if path == "/after":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
        raise ValueError("raised-after")
    if path == "/first":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return stream([], "raised-first")
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return stream([b"one", b"two"], "raised-stream")
    if path == "/close":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
        return Closes([b"one", b"two"])


def stream(chunks, text):
    yield from chunks
    raise ValueError(text)


application = build_stack(inner, use(ErrorPagesMiddleware, debug=DEBUG), use(ContextMiddleware), use(Teardown))
"""
SERVERS = {
    "gunicorn sync": ["-m", "gunicorn", "-k", "sync", "--bind=127.0.0.1:{port}", "served"],
    "gunicorn gthread": [
        "-m",
        "gunicorn",
        "--worker-class=gthread",
        "--threads=4",
        "--bind=127.0.0.1:{port}",
        "served",
    ],
    "waitress": ["-m", "waitress", "--listen=127.0.0.1:{port}", "served:application"],
    "dev server": [
        "-c",
        "import werkzeug, served; werkzeug.run_simple('127.0.0.1', {port}, served.application, threaded=True)",
    ],
}


class Running:
    """A server and what it wrote."""

    def __init__(self, name, port, log):
        self.name = name
        self.port = port
        self.log = log
        self.read_from = 0

    def get(self, path, accept="text/html"):
        """Return status, content type, the body as far as it came, and whether it came whole."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers={"Accept": accept})
            response = connection.getresponse()
            try:
                return response.status, response.headers.get_all("Content-Type"), response.read().decode(), True
            except http.client.IncompleteRead as broken:
                return response.status, response.headers.get_all("Content-Type"), broken.partial.decode(), False
        finally:
            connection.close()

    def mark(self):
        """Have `wait_for` read what is logged from now on: tests share the server."""
        self.read_from = len(self.log.read_text("utf-8"))

    def wait_for(self, text):
        deadline = time.monotonic() + 10
        while text not in (written := self.log.read_text("utf-8")[self.read_from :]):
            assert time.monotonic() < deadline, f"{text!r} isn't in the log:\n{written}"
            time.sleep(0.02)  # another process writes it
        return written


def _start(name, folder, debug):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "served.py").write_text(APP.replace("DEBUG", str(debug)), "utf-8")
    command = [sys.executable, *(part.replace("{port}", str(port)) for part in SERVERS[name])]
    log = folder / "server.log"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "PYTHONUNBUFFERED": "1"}
    if name.startswith("gunicorn"):
        command.append("served:application")
        command.remove("served")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environ, stdout=output, stderr=output, start_new_session=True
        )
    return Running(name, port, log), process


@contextlib.contextmanager
def _running(name, folder, debug):
    server, process = _start(name, folder, debug)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, server.log.read_text("utf-8")
                assert time.monotonic() < deadline, server.log.read_text("utf-8")
                time.sleep(0.05)  # another process opens the port
        yield server
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory):
    with _running(request.param, tmp_path_factory.mktemp("served"), debug=False) as server:
        yield server


def records_of(written, text):
    """Return how many records the layer wrote of an error."""
    return sum(f"ValueError: {text}" in part for part in written.split("LOG wsgikit.errors ERROR ")[1:])


@pytest.mark.parametrize("path", ["/before", "/after", "/first"])
def test_an_error_before_the_first_chunk_is_a_whole_page_and_one_record(server, path):
    server.mark()
    status, content_types, body, is_whole = server.get(path)
    if path == "/first" and server.name.startswith("gunicorn"):
        # The head of the first start_response had been handed to the server. PEP 3333 has a second one with exc_info
        # take its place; gunicorn sends the headers of both.
        assert content_types.pop(0) == "text/plain"
    assert (status, content_types, is_whole) == (500, ["text/html; charset=utf-8"], True)
    assert "Something went wrong" in body
    assert "raised-" not in body
    server.wait_for(f"TEARDOWN {path}")
    written = server.wait_for(f"\nValueError: raised-{path[1:]}")  # the last line of the traceback
    assert records_of(written, f"raised-{path[1:]}") == 1
    error_id = body.partition("<dd><code>")[2].partition("</code>")[0]
    assert f"error_id={error_id} " in written
    assert server.get("/fine")[::2] == (200, "fine")


def test_the_page_is_a_problem_document_for_who_wants_one(server):
    status, content_types, body, _ = server.get("/before", accept="application/json")
    assert (status, content_types) == (500, ["application/problem+json"])
    assert '"status": 500' in body


def test_an_error_in_the_stream_appends_nothing_and_is_one_record(server):
    server.mark()
    with contextlib.suppress(ConnectionResetError):
        status, content_types, body, _ = server.get("/stream")
        assert (status, content_types) == (200, ["text/plain"])
        assert body in ("onetwo", "one"), "what was sent, and nothing after it"
    server.wait_for("TEARDOWN /stream")
    written = server.wait_for("\nValueError: raised-stream")
    assert records_of(written, "raised-stream") == 1
    assert "broke off after the head was sent" in written
    assert server.get("/fine")[::2] == (200, "fine")


def test_an_error_in_close_does_not_spoil_what_was_sent(server):
    status, _, body, is_whole = server.get("/close")
    assert (status, body, is_whole) == (200, "onetwo", True)
    server.wait_for("TEARDOWN /close")
    server.wait_for("\nValueError: raised-in-close")
    assert server.get("/fine")[::2] == (200, "fine")


def test_each_request_is_torn_down_once(server):
    before = server.log.read_text("utf-8").count("TEARDOWN /before")
    for _ in range(5):
        assert server.get("/before")[0] == 500
    deadline = time.monotonic() + 10
    while server.log.read_text("utf-8").count("TEARDOWN /before") < before + 5 and time.monotonic() < deadline:
        time.sleep(0.02)  # another process writes it
    assert server.log.read_text("utf-8").count("TEARDOWN /before") == before + 5


@pytest.mark.parametrize("name", [name for name in SERVERS if name != "waitress"])  # which may hide a proxy
def test_a_developer_at_the_machine_gets_the_traceback(name, tmp_path):
    with _running(name, tmp_path, debug=True) as server:
        status, _, body, _ = server.get("/before")
        assert status == 500
        assert "raised-before" in body
        assert "Copy as Markdown" in body
