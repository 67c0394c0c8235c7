"""Files that the server in front sends."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import shutil
import socket
import subprocess
import threading
import time
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.util import FileWrapper

import pytest
from werkzeug.test import Client as WerkzeugClient

from wsgikit import SendfileMiddleware, StaticMiddleware, build_stack, use
from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.sendfile import find_target
from wsgikit.testing import assert_conforms


class Client(WerkzeugClient):
    """Reads and closes each response at once."""

    def open(self, *args, **kwargs):
        return super().open(*args, buffered=True, **kwargs)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "files" / "in ner").mkdir(parents=True)
    (tmp_path / "files" / "a.txt").write_bytes(b"0123456789")
    (tmp_path / "files" / "in ner" / "ü?.txt").write_bytes(b"0123456789")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    (tmp_path / "files" / "out.txt").symlink_to(tmp_path / "secret.txt")
    with gzip.open(tmp_path / "files" / "a.gz", "wb") as packed:
        packed.write(b"0123456789")
    return tmp_path / "files"


def sender(open_file, status="200 OK"):
    def app(environ, start_response):
        start_response(status, [("Content-Type", "text/plain"), ("Content-Length", "10"), ("ETag", '"a"')])
        return environ["wsgi.file_wrapper"](open_file())

    return app


def ask(folder, app, kind="x-accel-redirect", **headers):
    layer = SendfileMiddleware(app, kind=kind, mappings={folder: "/protected"})
    return Client(layer).get("/", environ_overrides={"wsgi.file_wrapper": FileWrapper, **headers})


def test_a_file_becomes_a_header(folder):
    response = ask(folder, sender(lambda: (folder / "a.txt").open("rb")))
    assert (response.status_code, response.data) == (200, b"")
    assert response.headers["X-Accel-Redirect"] == "/protected/a.txt"
    assert response.headers["Content-Type"] == "text/plain"
    assert response.headers["Content-Length"] == "0"
    assert "ETag" not in response.headers


def test_the_file_is_closed_at_once(folder):
    file = (folder / "a.txt").open("rb")
    ask(folder, sender(lambda: file))
    assert file.closed


def test_the_path_is_percent_encoded(folder):
    response = ask(folder, sender(lambda: (folder / "in ner" / "ü?.txt").open("rb")), kind="x-sendfile")
    assert response.headers["X-Sendfile"] == "/protected/in%20ner/%C3%BC%3F.txt"


def at_three(path):
    file = path.open("rb")
    file.seek(3)
    return file


NOT_FOR_SERVER = {
    "outside": lambda folder: sender(lambda: (folder.parent / "secret.txt").open("rb")),
    "a symlink out": lambda folder: sender(lambda: (folder / "out.txt").open("rb")),
    "a file that makes its bytes": lambda folder: sender(lambda: gzip.open(folder / "a.gz")),
    "from the middle": lambda folder: sender(lambda: at_three(folder / "a.txt")),
    "an error": lambda folder: sender(lambda: (folder / "a.txt").open("rb"), "404 Not Found"),
}


@pytest.mark.parametrize("make", NOT_FOR_SERVER.values(), ids=NOT_FOR_SERVER.keys())
def test_other_bodies_pass(folder, make):
    app = make(folder)
    response = ask(folder, app)
    plain = Client(app).get("/", environ_overrides={"wsgi.file_wrapper": FileWrapper})
    assert (response.data, list(response.headers)) == (plain.data, list(plain.headers))


def test_headers_of_the_request_are_never_obeyed(folder):
    app = sender(lambda: (folder.parent / "secret.txt").open("rb"))
    mapping = {"HTTP_X_ACCEL_MAPPING": f"{folder.parent}=/open", "HTTP_X_SENDFILE_TYPE": "X-Sendfile"}
    assert ask(folder, app, **mapping).data == b"secret"
    inside = ask(folder, sender(lambda: (folder / "a.txt").open("rb")), **mapping)
    assert inside.headers["X-Accel-Redirect"] == "/protected/a.txt"
    assert "X-Sendfile" not in inside.headers


def test_static_files_and_their_ranges_are_handed_over(folder):
    inner = StaticMiddleware(lambda environ, start_response: [], root=folder)
    layer = SendfileMiddleware(inner, kind="x-accel-redirect", mappings={folder: "/protected/"})
    for headers in ({}, {"Range": "bytes=0-1"}, {"Range": "bytes=0-1,4-5"}):
        response = Client(layer).get("/static/a.txt", headers=headers)
        assert (response.status_code, response.data) == (200, b"")
        assert response.headers["X-Accel-Redirect"] == "/protected/a.txt"
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert "Content-Range" not in response.headers


def test_the_innermost_folder_decides():
    mappings = (("/srv/files/own/", "/own/"), ("/srv/files/", "/all/"))
    assert find_target("/srv/files/own/a", mappings) == "/own/a"
    assert find_target("/srv/files/other/a", mappings) == "/all/other/a"
    assert find_target("/srv/files2/a", mappings) is None


WRONG = {
    "kind": ({"kind": "x", "mappings": {"/a": "/b"}}, "kind: expected x-accel-redirect or x-sendfile, got 'x'"),
    "no mapping": ({"kind": "x-sendfile", "mappings": {}}, "mappings: expected a mapping"),
    "a list": ({"kind": "x-sendfile", "mappings": ["/a"]}, "mappings: expected a mapping"),
    "relative folder": ({"kind": "x-sendfile", "mappings": {"a": "/b"}}, "mappings: expected absolute folders"),
    "prefix": ({"kind": "x-sendfile", "mappings": {"/a": "b"}}, "mappings: expected prefixes that begin with a slash"),
}


@pytest.mark.parametrize(("options", "text"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_option_is_refused_while_building(options, text):
    with pytest.raises(ConfigurationError, match=text):
        build_stack(lambda environ, start_response: [], use(SendfileMiddleware, **options))


def test_the_layer_conforms():
    assert_conforms(lambda app: SendfileMiddleware(app, kind="x-sendfile", mappings={"/srv/none": "/srv/none"}))


# ---------------------------------------------------------------------- nginx

_NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 32; }}
http {{
    access_log off;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{behind}; }}
        location /protected/ {{ internal; alias {files}/; }}
    }}
}}
"""


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def nginx(folder, tmp_path_factory):
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    inner = StaticMiddleware(lambda environ, start_response: [], root=folder)
    layer = SendfileMiddleware(inner, kind="x-accel-redirect", mappings={folder: "/protected/"})
    sent = []

    def app(environ, start_response):
        body = layer(environ, start_response)
        sent.append(body)
        return body

    own = tmp_path_factory.mktemp("nginx")
    folder.parent.chmod(0o755)
    for above in (folder, *list(folder.parents)[:3]):
        above.chmod(0o755)
    server = make_server("127.0.0.1", 0, app, handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    port = free_port()
    (own / "nginx.conf").write_text(_NGINX.format(folder=own, port=port, behind=server.server_port, files=folder))
    process = subprocess.Popen([program, "-p", str(own), "-c", str(own / "nginx.conf")], stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield port, sent
    finally:
        process.terminate()
        process.wait(10)
        server.shutdown()
        server.server_close()
        thread.join()


def _wait_for(port, process):
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if process.poll() is not None:
            pytest.fail("nginx ended at once")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.05):
            return
    pytest.fail("nginx does not answer")


@pytest.mark.server
def test_nginx_sends_the_bytes_and_the_ranges(nginx):
    port, sent = nginx

    def fetch(**headers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/static/in%20ner/%C3%BC%3F.txt", headers=headers)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, body, response

    status, body, response = fetch()
    assert (status, body) == (200, b"0123456789")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["Cache-Control"] == "max-age=3600"
    assert "X-Accel-Redirect" not in response.headers
    assert fetch(Range="bytes=2-4")[:2] == (206, b"234")
    etag = response.headers["ETag"]
    assert fetch(**{"If-None-Match": etag})[0] == 304
    assert sent == [[], [], []]
