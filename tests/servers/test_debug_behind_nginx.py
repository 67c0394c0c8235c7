"""Debug pages behind a real nginx: never for a visitor, whatever the server does with the headers of proxies."""

from __future__ import annotations

import contextlib
import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")  # not on every user's PATH
pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
]

ROOT = pathlib.Path(__file__).parents[2]
APP = """
from wsgikit import ErrorPagesMiddleware, build_stack, use

def fail(environ, start_response):
    raise ValueError("told to developers")

traceback = build_stack(fail, use(ErrorPagesMiddleware, debug=True))
console = build_stack(fail, use(ErrorPagesMiddleware, debug=True, console=True))

def application(environ, start_response):
    app = console if environ["PATH_INFO"] == "/console" else traceback
    return app(environ, start_response)
"""
SERVERS = {
    "gunicorn": ("gunicorn", "--bind=127.0.0.1:{port}", "served:application"),
    "waitress": ("waitress-serve", "--listen=127.0.0.1:{port}", "served:application"),
    "wsgikit serve": ("wsgikit", "serve", "served:application", "--port={port}", "--no-reload"),
    "wsgikit serve --debugger": (
        "wsgikit",
        "serve",
        "served:application",
        "--port={port}",
        "--no-reload",
        "--debugger",
    ),
    "wsgikit serve --server waitress": ("wsgikit", "serve", "served:application", "--port={port}", "--server=waitress"),
}
PROXIES = {
    "all headers": """
        proxy_set_header Host $host; proxy_set_header X-Forwarded-For 203.0.113.7;
        proxy_set_header Forwarded "for=203.0.113.7";
        proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;""",
    "proto only": "proxy_set_header X-Forwarded-Proto $scheme;",
    "proto only, HTTP/1.1": "proxy_http_version 1.1; proxy_set_header X-Forwarded-Proto $scheme;",
    "X-Real-IP, HTTP/1.1": "proxy_http_version 1.1; proxy_set_header X-Real-IP $remote_addr;",
    "nginx's defaults": "",
}
FORGED = {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1", "X-Real-IP": "127.0.0.1"}


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def wait_until_open(port, process, log):
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < deadline, log.read_text("utf-8")
            time.sleep(0.05)  # another process opens the port


@contextlib.contextmanager
def running(command, folder, port):
    log = folder / f"{pathlib.Path(command[0]).name}.log"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "HOME": str(folder)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environ, stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait_until_open(port, process, log)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def nginx_conf(folder, ports, behind):
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    servers = "".join(
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{behind}; {headers} }} }}\n"
        for port, headers in zip(ports, PROXIES.values(), strict=True)
    )
    return (
        f"pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1; daemon off;\n"
        f"events {{ worker_connections 64; }}\nhttp {{ access_log off; {temporary}\n{servers} }}\n"
    )


@pytest.fixture(scope="module", params=SERVERS)
def served(request, tmp_path_factory):
    """The name of a server, its own port, and those of the proxies in front of it."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "served.py").write_text(APP, "utf-8")
    port, *proxies = free_ports(1 + len(PROXIES))
    (folder / "nginx.conf").write_text(nginx_conf(folder, proxies, port), "utf-8")
    script, *arguments = SERVERS[request.param]
    command = [str(pathlib.Path(sys.executable).with_name(script)), *(part.format(port=port) for part in arguments)]
    nginx = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with running(command, folder, port), running(nginx, folder, proxies[0]):
        yield request.param, port, dict(zip(PROXIES, proxies, strict=True))


def get(port, path="/", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Accept": "text/html", **headers})
        response = connection.getresponse()
        assert response.status == 500
        return response.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/", "/console"])
@pytest.mark.parametrize("headers", [{}, FORGED, {"Host": "localhost"}], ids=["plain", "forged", "Host: localhost"])
@pytest.mark.parametrize("proxy", PROXIES)
def test_a_visitor_behind_a_proxy_never_sees_a_debug_page(served, proxy, headers, path):
    _, _, proxies = served
    page = get(proxies[proxy], path, **headers)
    assert "told to developers" not in page
    assert "SECRET" not in page
    assert "EVALEX" not in page


@pytest.mark.parametrize("path", ["/", "/console"])
@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"X-Forwarded-For": "127.0.0.1"}], ids=str)
def test_a_rebound_name_or_a_forged_header_shows_nothing(served, headers, path):
    _, port, _ = served
    page = get(port, path, **headers)
    assert "told to developers" not in page
    assert "SECRET" not in page


def test_a_developer_sees_the_traceback_unless_the_server_may_hide_a_proxy(served):
    name, port, _ = served
    assert ("told to developers" in get(port)) is ("waitress" not in name)
