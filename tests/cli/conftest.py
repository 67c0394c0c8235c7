"""Running the command line: in this process by click's runner, and servers as their own processes."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from wsgikit.cli import main

SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef"

MODULE = """
from wsgikit import Middleware, Router, build_stack, use, ErrorPagesMiddleware, ContextMiddleware, g

router = Router("cli_app")

@router.get("/")
def index():
    return "hello from cli_app"

@router.route("/posts/<int:post_id>", methods=["GET", "POST"])
def post(post_id):
    return f"post {post_id}"

@router.get("/broken")
def broken():
    raise ValueError("broken on purpose")

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello from app"]

def make_app():
    return app

class Signed(Middleware):
    def __init__(
        self, app, *, secret_key: str | list[str], cookie_samesite: str = "Lax", cookie_secure: bool | None = None
    ):
        super().__init__(app)

class Consoled(Middleware):
    def __init__(self, app, *, console: bool):
        super().__init__(app)

class Keyed(Middleware):
    def __init__(self, app, *, signing_key: bytes):
        super().__init__(app)

number = 5
onion = build_stack(app, use(ErrorPagesMiddleware), use(ContextMiddleware))
"""

INI = """[DEFAULT]
greeting = hello

[pipeline:main]
pipeline = errors context routes app

[filter:errors]
use = egg:wsgikit#error_pages
debug = no

[filter:context]
use = egg:wsgikit#context

[filter:routes]
use = egg:wsgikit#router
router = cli_app:router

[app:app]
use = egg:wsgikit#app
app = cli_app:app

[server:main]
use = egg:wsgikit#server
server = waitress
port = %(http_port)s
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with the module ``cli_app`` and ``app.ini``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cli_app.py").write_text(MODULE)
    (tmp_path / "app.ini").write_text(INI)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("cli_")]:
        del sys.modules[name]


@pytest.fixture
def run(folder):
    """A function that runs ``wsgikit …`` in this process and returns exit status, output and error output."""

    def run(*arguments: str, stdin: str | None = None) -> tuple[int, str, str]:
        result = CliRunner().invoke(main, arguments, input=stdin, prog_name="wsgikit")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


class Server:
    """A server in its own process."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def get(self, path: str = "/", wanted: str | None = None, seconds: float = 20) -> str:
        """Fetch a page, waiting until the server answers, and until the page has what is wanted."""
        end = time.monotonic() + seconds
        while True:
            try:
                text = self._fetch(path)
            except (OSError, http.client.HTTPException):  # not up yet, or just restarting in the middle of an answer
                text = None
            if text is not None and (wanted is None or wanted in text):
                return text
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"no answer: {text!r}\n{self.stop()}")
            time.sleep(0.05)  # between two attempts, never as a measure

    def _fetch(self, path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
                return response.read().decode()
        except urllib.error.HTTPError as error:
            return f"{error.code} {error.read().decode()}"

    def stop(self) -> str:
        """Stop the server and its workers; return what it printed."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            return self.process.communicate(timeout=10)[0]
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.communicate(timeout=10)[0]


@pytest.fixture
def serve(folder):
    """A function that starts a server: the name of a script, and its arguments; ``PORT`` is a free port."""
    started: list[Server] = []

    def start(script: str, *arguments: str) -> Server:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [str(Path(sys.executable).with_name(script)), *(a.replace("PORT", str(port)) for a in arguments)]
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder), "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that the reloader's and gunicorn's children are stopped with it
        )
        server = Server(process, port)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()
