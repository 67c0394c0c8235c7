"""A server is ended under load: readiness turns to 503 first, and no request fails."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.server, pytest.mark.skipif(os.name == "nt", reason="there is no SIGTERM")]

MODULE = """
import time
from wsgikit import HealthMiddleware, build_stack, use

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/stream":
        return stream()
    return [b"x" * 1000]

def stream():
    for _ in range(20):
        time.sleep(0.1)  # a slow response, not a measure: it outlives the notice
        yield b"y" * 50

stack = build_stack(app, use(HealthMiddleware, checks=()))
"""

SERVERS = {
    "dev": ("wsgikit", "serve", "cli_drained:stack", "--no-reload"),
    "waitress": ("wsgikit", "serve", "cli_drained:stack", "--server", "waitress", "--threads", "12"),
    "gunicorn": ("wsgikit", "serve", "cli_drained:stack", "--server", "gunicorn", "--workers", "2", "--threads", "6"),
}


class LoadBalancer:
    """Sends requests in several threads, as long as the process says that it is ready."""

    def __init__(self, port: int, clients: int = 4) -> None:
        self.port = port
        self.answers: list[object] = []
        self.is_ready = True
        self.threads = [threading.Thread(target=self.send) for _ in range(clients)]
        self.threads.append(threading.Thread(target=self.watch))
        for thread in self.threads:
            thread.start()

    def get(self, path: str) -> tuple[int, int]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, len(response.read())
        finally:
            connection.close()

    def send(self) -> None:
        while self.is_ready:
            try:
                self.answers.append(self.get("/"))
            except (OSError, http.client.HTTPException) as error:
                self.answers.append(error)

    def watch(self) -> None:
        while self.is_ready:
            try:
                self.is_ready = self.get("/readyz")[0] == 200
            except OSError as error:
                self.answers.append(error)
                self.is_ready = False
            time.sleep(0.05)  # between two looks, never as a measure

    def join(self) -> None:
        for thread in self.threads:
            thread.join(30)


@pytest.fixture
def drained(folder):
    (folder / "cli_drained.py").write_text(MODULE)
    return folder


def check(server, balancer, ask_to_end):
    """End a server under load, with a slow response under way; no request may fail."""
    slow: list[object] = []
    slow_thread = threading.Thread(target=lambda: slow.append(balancer.get("/stream")))
    slow_thread.start()
    while len(balancer.answers) < 50:
        time.sleep(0.01)  # between two looks
    ask_to_end()
    balancer.join()
    assert server.process.poll() is None or not balancer.is_ready
    slow_thread.join(30)
    assert slow == [(200, 1000)]
    assert set(balancer.answers) == {(200, 1000)}


@pytest.mark.parametrize("arguments", SERVERS.values(), ids=SERVERS)
def test_sigterm_turns_readiness_to_503_and_no_request_fails(arguments, serve, drained):
    server = serve(*arguments, "--port", "PORT", "--notice", "1", "--access-log", "off")
    assert server.get("/readyz").startswith('{"status": "ok"')
    balancer = LoadBalancer(server.port)
    check(server, balancer, server.process.terminate)
    assert server.process.wait(timeout=20) == 0


def test_wsgikit_drain_before_sigterm_does_the_same_for_plain_gunicorn(serve, drained):
    server = serve("gunicorn", "cli_drained:stack", "-b", "127.0.0.1:PORT", "--workers", "2", "--threads", "6")
    assert server.get("/readyz").startswith('{"status": "ok"')
    balancer = LoadBalancer(server.port)

    def ask_to_end():
        script = Path(sys.executable).with_name("wsgikit")
        subprocess.run([script, "drain", "cli_drained:stack", "--wait", "0.5"], cwd=drained, check=True)
        balancer.join()
        server.process.terminate()

    check(server, balancer, ask_to_end)
    assert server.process.wait(timeout=20) == 0


@pytest.mark.parametrize("name", ["dev", "waitress"])
def test_a_second_sigterm_ends_at_once(serve, drained, name):
    server = serve(*SERVERS[name], "--port", "PORT", "--notice", "60")
    assert server.get("/readyz").startswith('{"status": "ok"')
    server.process.terminate()
    server.get("/readyz", wanted="503")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=20) == 0


def test_drain_writes_and_removes_the_file(run, drained):
    status, output, _ = run("drain", "cli_drained:stack")
    path = output.split(": written")[0]
    assert (status, Path(path).is_file()) == (0, True)
    assert run("drain", "--undo")[1] == f"{path}: removed.\n"
    assert run("drain", "--undo")[1] == f"{path}: there is no such file.\n"
    status, output, _ = run("drain", "--file", "mine", "--wait", "0.01")
    assert (status, (drained / "mine").is_file()) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("drain", "cli_app:app"), 1, "layers: expected a HealthMiddleware among them, got none"),
        (("drain", "cli_app:app", "--file", "x"), 2, "TARGET and --file name the same thing"),
        (("drain", "--file", "nowhere/x"), 1, "FileNotFoundError"),
        (("maintenance", "on", "cli_app:app"), 1, "expected a MaintenanceMiddleware among them"),
        (("maintenance", "on", "cli_closed:by_function"), 1, "flag: expected the path of a file, got a function"),
        (("maintenance", "bypass", "cli_closed:by_function"), 1, "secret_key: expected a secret to sign the cookie"),
    ],
)
def test_a_command_that_cannot_work_says_why(run, drained, arguments, status, text):
    (drained / "cli_closed.py").write_text(
        "from wsgikit import MaintenanceMiddleware, build_stack, use\n"
        "by_function = build_stack(print, use(MaintenanceMiddleware, flag=lambda: False))\n"
    )
    code, output, errors = run(*arguments)
    assert code == status
    assert text in output + errors


def test_maintenance_is_turned_on_and_off_and_bypassed(run, drained, monkeypatch):
    from werkzeug.test import Client

    (drained / "cli_closed.py").write_text(
        "from wsgikit import MaintenanceMiddleware, build_stack, use\n"
        "def app(environ, start):\n    start('200 OK', [])\n    return [b'in']\n"
        "def make():\n"
        "    return build_stack(app, use(MaintenanceMiddleware, flag='closed', secret_key='0123456789abcdef' * 2))\n"
    )
    assert run("maintenance", "on", "cli_closed:make()")[0] == 0
    assert (drained / "closed").is_file()
    import cli_closed

    assert Client(cli_closed.make()).get("/").status_code == 503
    status, cookie, instructions = run("maintenance", "bypass", "cli_closed:make()")
    assert status == 0
    assert f'document.cookie = "{cookie.strip()}; Path=/; Max-Age=28800' in instructions
    client = Client(cli_closed.make(), use_cookies=False)  # it would replace the header
    assert client.get("/", headers={"Cookie": cookie.strip()}).text == "in"
    assert run("maintenance", "off", "cli_closed:make()")[0] == 0
    assert run("maintenance", "off", "cli_closed:make()")[0] == 0
    assert Client(cli_closed.make()).get("/").text == "in"
