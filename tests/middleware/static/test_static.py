"""Static files: which paths are answered, by which headers, and what goes on to the application."""

from __future__ import annotations

import http.server
import os
import re
import threading
from wsgiref.validate import validator

import pytest
from werkzeug.test import Client as WerkzeugClient

from wsgikit import StaticMiddleware, build_stack, use
from wsgikit.exceptions import ConfigurationError
from wsgikit.http.manifests import is_fingerprinted
from wsgikit.middleware.static.index import choose_cache_control
from wsgikit.middleware.static.middleware import accepts_page, is_page_path
from wsgikit.testing import assert_conforms


class Client(WerkzeugClient):
    """Reads and closes each response at once."""

    def open(self, *args, **kwargs):
        return super().open(*args, buffered=True, **kwargs)


YEAR = "max-age=31536000, immutable"


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the application"]


@pytest.fixture
def folder(tmp_path):
    files = {
        "app.css": "a{}",
        "app.3f2a9c1b.js": "x",
        "docs/index.html": "<p>docs",
        "index.html": "<p>home",
        "ä b.txt": "name",
        ".env": "SECRET=1",
        ".well-known/security.txt": "Contact:",
        "video.mp4": "0123456789",
    }
    for name, text in files.items():
        path = tmp_path / "dist" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "dist" / "out.txt").symlink_to(tmp_path / "secret.txt")
    return tmp_path / "dist"


@pytest.fixture(params=[False, True], ids=["index", "autorefresh"])
def client(folder, request):
    def make(**options):
        layer = StaticMiddleware(validator(app), root=folder, autorefresh=request.param, **options)
        return Client(validator(layer))

    return make


def is_of_app(response):
    return response.text == "the application"


NAMES = {
    "app.3f2a9c1b.js": True,
    "app-3f2a9c1b.js": True,
    "css/app.3f2a9c1b4d5e6f708192.min.css": True,
    "3f2a9c1b4d.png": True,
    "app.js": False,
    "photo-20240131.jpg": False,
    "report.1700000000.csv": False,
    "app.3f2a9c1.js": False,
    "main.deadbeef.js": True,
    "main.12345678.js": True,
    "photo_20240131120000.jpg": False,
    "log-1700000000123.txt": False,
    "app.3F2A9C1B.js": False,
    "3f2a9c1b/app.js": False,
    "xyz3f2a9c1b.js": False,
}


@pytest.mark.parametrize(("name", "expected"), NAMES.items())
def test_a_hash_in_a_name_is_recognised(name, expected):
    assert is_fingerprinted(name) is expected


def test_the_cache_control_of_a_file():
    assert choose_cache_control(is_immutable=True, is_page=False, max_age_seconds=60) == YEAR
    assert choose_cache_control(is_immutable=True, is_page=True, max_age_seconds=60) == "no-cache"
    assert choose_cache_control(is_immutable=False, is_page=False, max_age_seconds=60) == "max-age=60"


ACCEPT = {
    "text/html,application/xhtml+xml,*/*;q=0.8": True,
    "TEXT/HTML": True,
    "*/*": False,
    "text/*": False,
    "application/json": False,
    "text/html;q=0": False,
    "": False,
    None: False,
}


@pytest.mark.parametrize(("accept", "expected"), ACCEPT.items(), ids=map(repr, ACCEPT))
def test_a_page_is_asked_for_by_name(accept, expected):
    assert accepts_page(accept) is expected


@pytest.mark.parametrize(("path", "expected"), {"/": True, "/a/b": True, "/a.b/c": True, "/a.js": False}.items())
def test_a_path_with_an_extension_is_no_page(path, expected):
    assert is_page_path(path) is expected


def test_a_file_is_served_with_its_headers(client):
    response = client().get("/static/app.css")
    assert (response.status_code, response.text) == (200, "a{}")
    head = response.headers
    assert head["Content-Type"] == "text/css; charset=utf-8"
    assert head["Cache-Control"] == "max-age=3600"
    assert head["Accept-Ranges"] == "bytes"
    assert head["X-Content-Type-Options"] == "nosniff"
    assert not head["ETag"].startswith("W/")
    assert "Last-Modified" in head
    assert "Vary" not in head


def test_a_fingerprinted_file_is_kept_for_a_year(client):
    assert client().get("/static/app.3f2a9c1b.js").headers["Cache-Control"] == YEAR


GOES_ON = [
    *("/static/none.css", "/static/", "/static", "/other", "/static/.env", "/static/out.txt", "/static/docs"),
    *("/static/../secret.txt", "/static//app.css", "/static/app.css/", "/static/%00", "/static/a%00.css", "/"),
    *("/static/..%5csecret.txt", "/static/con", "/static/%2e%2e/secret.txt", "/static/" + "a" * 5000),
]


@pytest.mark.parametrize("path", GOES_ON, ids=lambda path: path[:30])
def test_what_is_no_public_file_goes_on_to_the_application(client, path):
    response = client().get(path)
    assert is_of_app(response)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_go_on_to_the_application(client, method):
    assert is_of_app(client().open("/static/app.css", method=method))


def test_names_in_other_scripts_and_well_known_files_are_served(client):
    assert client().get("/static/ä b.txt").text == "name"
    assert client().get("/static/.well-known/security.txt").text == "Contact:"


def test_head_has_the_head_of_get(client):
    get, head = client().get("/static/app.css"), client().head("/static/app.css")
    assert (head.status_code, head.data) == (200, b"")
    assert list(head.headers) == list(get.headers)


def test_conditions_and_ranges_are_obeyed(client):
    etag = client().get("/static/video.mp4").headers["ETag"]
    not_modified = client().get("/static/video.mp4", headers={"If-None-Match": f"W/{etag}"})
    assert (not_modified.status_code, not_modified.headers["ETag"]) == (304, etag)
    part = client().get("/static/video.mp4", headers={"Range": "bytes=-3", "If-Range": etag})
    assert (part.status_code, part.text, part.headers["Content-Range"]) == (206, "789", "bytes 7-9/10")
    assert client().get("/static/video.mp4", headers={"Range": "bytes=10-"}).status_code == 416
    assert client().get("/static/video.mp4", headers={"If-Match": '"x"'}).status_code == 412


def test_the_smallest_compressed_form_that_is_accepted_is_sent(client, folder):
    (folder / "app.css.gz").write_bytes(b"gzipped")
    (folder / "app.css.br").write_bytes(b"br")
    ask = client().get
    plain = ask("/static/app.css")
    assert (plain.text, plain.headers["Vary"]) == ("a{}", "Accept-Encoding")
    assert "Content-Encoding" not in plain.headers
    packed = ask("/static/app.css", headers={"Accept-Encoding": "gzip, br"})
    assert (packed.data, packed.headers["Content-Encoding"]) == (b"br", "br")
    assert packed.headers["Content-Type"] == "text/css; charset=utf-8"
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert ask("/static/app.css", headers={"Accept-Encoding": "gzip"}).data == b"gzipped"
    assert ask("/static/app.css", headers={"Accept-Encoding": "gzip;q=0"}).text == "a{}"
    part = ask("/static/app.css", headers={"Accept-Encoding": "gzip", "Range": "bytes=0-1"})
    assert (part.data, part.headers["Content-Encoding"]) == (b"gz", "gzip")


def test_compressed_forms_are_left_alone_if_they_are_not_wanted(client, folder):
    (folder / "app.css.gz").write_bytes(b"gzipped")
    response = client(precompressed=False).get("/static/app.css", headers={"Accept-Encoding": "gzip"})
    assert response.text == "a{}"


def test_a_tarball_keeps_its_compression(client, folder):
    (folder / "a.tar.gz").write_bytes(b"tar")
    head = client().get("/static/a.tar.gz").headers
    assert head["Content-Type"] == "application/gzip"
    assert "Content-Encoding" not in head


def test_the_page_of_a_folder_is_asked_for_each_time(client):
    ask = client(index="index.html").get
    assert ask("/static/docs/").text == "<p>docs"
    assert ask("/static/").text == "<p>home"
    assert ask("/static/docs/").headers["Cache-Control"] == "no-cache"
    redirect = ask("/static/docs?a=b")
    assert (redirect.status_code, redirect.headers["Location"]) == (302, "./docs/?a=b")


def test_a_folder_whose_name_looks_like_a_url_is_no_way_out(client, folder):
    (folder / "http:").mkdir()
    (folder / "http:" / "index.html").write_text("x")
    assert client(index="index.html").get("/static/http:").headers["Location"] == "./http%3A/"


HTML = {"Accept": "text/html,*/*;q=0.8"}


def test_a_page_without_a_file_is_the_one_of_the_single_page_app(client):
    ask = client(prefix="/", fallback="index.html")
    page = ask.get("/users/7", headers=HTML)
    assert (page.text, page.headers["Cache-Control"]) == ("<p>home", "no-cache")
    assert ask.head("/users/7", headers=HTML).headers["Content-Length"] == "7"
    assert ask.get("/app.css", headers=HTML).text == "a{}"
    etag = page.headers["ETag"]
    assert ask.get("/", headers={**HTML, "If-None-Match": etag}).status_code == 304


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/users/7", {"Accept": "application/json"}),
        ("GET", "/users/7", {"Accept": "*/*"}),
        ("GET", "/users/7", {}),
        ("GET", "/missing.js", HTML),
        ("POST", "/users/7", HTML),
        ("GET", "/.env", HTML),
    ],
    ids=["json", "any", "no Accept", "extension", "POST", "hidden"],
)
def test_other_requests_are_no_pages_of_the_single_page_app(client, method, path, headers):
    assert is_of_app(client(prefix="/", fallback="index.html").open(path, method=method, headers=headers))


def test_paths_outside_of_the_prefix_are_no_pages_of_the_single_page_app(client):
    assert is_of_app(client(prefix="/web/", fallback="index.html").get("/other", headers=HTML))


def test_further_headers_are_sent(client):
    response = client(headers={"Access-Control-Allow-Origin": "*", "cache-control": "no-store"}).get("/static/app.css")
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers.getlist("Cache-Control") == ["no-store"]
    by_path = client(headers=lambda path: {"X-Name": path}).get("/static/docs/index.html")
    assert by_path.headers["X-Name"] == "docs/index.html"


@pytest.mark.parametrize("immutable", [re.compile(r"\.css$"), lambda path: path == "app.css"], ids=["pattern", "call"])
def test_what_is_immutable_can_be_told(client, immutable):
    ask = client(immutable=immutable)
    assert ask.get("/static/app.css").headers["Cache-Control"] == YEAR
    assert ask.get("/static/app.3f2a9c1b.js").headers["Cache-Control"] == "max-age=3600"


def test_the_first_of_several_folders_serves_a_file(folder, tmp_path):
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "app.css").write_text("second")
    (tmp_path / "second" / "only.css").write_text("only")
    client = Client(StaticMiddleware(app, root=[folder, tmp_path / "second"], max_age_seconds=5))
    assert client.get("/static/app.css").text == "a{}"
    assert client.get("/static/only.css").headers["Cache-Control"] == "max-age=5"


def test_the_files_of_a_package_are_served():
    client = Client(StaticMiddleware(app, package=["django.contrib.admin", "wsgikit:error_pages"]))
    assert client.get("/static/admin/css/base.css").status_code == 200
    assert client.get("/static/__init__.py").status_code == 200


def test_a_file_that_changed_is_sent_as_it_is_now(folder):
    client = Client(StaticMiddleware(app, root=folder))
    (folder / "app.css").write_text("longer than before")
    response = client.get("/static/app.css")
    assert (response.text, response.headers["Content-Length"]) == ("longer than before", "18")


def test_a_file_that_is_gone_is_a_404(folder):
    client = Client(StaticMiddleware(app, root=folder))
    (folder / "app.css").unlink()
    assert client.get("/static/app.css").status_code == 404


def test_a_new_file_is_found_with_autorefresh(folder):
    fixed, fresh = (Client(StaticMiddleware(app, root=folder, autorefresh=flag)) for flag in (False, True))
    (folder / "new.css").write_text("new")
    assert is_of_app(fixed.get("/static/new.css"))
    assert fresh.get("/static/new.css").text == "new"


def test_the_file_goes_out_by_the_file_wrapper_of_the_server(folder):
    class Wrapper:
        def __init__(self, file, size=8192):
            self.file = file

        def __iter__(self):
            return iter(lambda: self.file.read(4), b"")

        def close(self):
            self.file.close()

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/static/app.css", "wsgi.file_wrapper": Wrapper}
    body = StaticMiddleware(app, root=folder)(environ, lambda *head: None)
    assert type(body) is Wrapper
    assert os.fstat(body.file.fileno()).st_size == 3
    body.close()


MANIFESTS = {
    "Vite": (".vite/manifest.json", '{"src/main.ts": {"file": "app.css", "css": ["video.mp4"]}}', "src/main.ts"),
    "Vite 4": ("manifest.json", '{"src/main.ts": {"file": "app.css"}}', "src/main.ts"),
    "webpack": ("manifest.json", '{"main.css": "app.css"}', "main.css"),
    "Django": ("staticfiles.json", '{"version": "1.1", "paths": {"main.css": "app.css"}}', "main.css"),
}


@pytest.mark.parametrize(("name", "text", "source"), MANIFESTS.values(), ids=MANIFESTS.keys())
def test_the_names_of_a_manifest_are_used_and_kept_for_a_year(folder, name, text, source):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    layer = StaticMiddleware(app, root=folder)
    assert layer.url_for(source, v="auto") == "/static/app.css"
    assert Client(layer).get("/static/app.css").headers["Cache-Control"] == YEAR


NOT_MANIFESTS = {
    "web app manifest": '{"name": "App", "icons": [{"src": "a.png"}], "start_url": "/"}',
    "broken": "{",
    "a list": "[]",
    "numbers": '{"a": 1, "b": {"file": 2}}',
}


@pytest.mark.parametrize("text", NOT_MANIFESTS.values(), ids=NOT_MANIFESTS.keys())
def test_what_is_no_manifest_of_files_is_ignored(folder, text):
    (folder / "manifest.json").write_text(text)
    assert StaticMiddleware(app, root=folder).url_for("b", v="auto") == "/static/b"


def test_without_a_manifest_the_url_changes_with_the_content(folder):
    layer = StaticMiddleware(app, root=folder)
    first = layer.url_for("app.css", v="auto")
    (folder / "app.css").write_text("changed, and longer")
    second = layer.url_for("app.css", v="auto", script_name="/shop")
    assert re.fullmatch(r"/static/app\.css\?v=[0-9a-f]{10}", first)
    assert re.fullmatch(r"/shop/static/app\.css\?v=[0-9a-f]{10}", second)
    assert first.rpartition("=")[2] != second.rpartition("=")[2]
    assert layer.url_for("ä b.txt", v="1") == "/static/%C3%A4%20b.txt?v=1"


WRONG = {
    "no folder": ({}, r"StaticMiddleware: root: expected a folder, got \(\)"),
    "missing folder": ({"root": "/nowhere"}, "StaticMiddleware: root: expected a folder that exists, got '/nowhere'"),
    "number": ({"root": 7}, "root: expected a folder that exists"),
    "missing package": ({"package": "no_such_package"}, "package: expected a package with a folder 'static'"),
    "package without the folder": ({"package": "wsgikit"}, "package: expected a package with a folder 'static'"),
    "prefix without slash": ({"root": ".", "prefix": "static"}, "prefix: expected a path that begins and ends"),
    "negative age": ({"root": ".", "max_age_seconds": -1}, "max_age_seconds: expected a whole number"),
    "age of words": ({"root": ".", "max_age_seconds": "long"}, "max_age_seconds: expected a duration"),
    "immutable text": ({"root": ".", "immutable": "x"}, "immutable: expected a compiled pattern or a function"),
    "missing fallback": ({"root": ".", "fallback": "no.html"}, "fallback: expected a file in the folder"),
    "absolute fallback": ({"root": ".", "fallback": "/a.html"}, "fallback: expected the name of a page"),
    "index": ({"root": ".", "index": ""}, "index: expected the name of a page"),
    "headers": ({"root": ".", "headers": ["X-A"]}, "headers: expected a mapping"),
    "header with a line break": ({"root": ".", "headers": {"X-A": "a\r\nb"}}, "X-A: expected a value without CR"),
    "autorefresh": ({"root": ".", "autorefresh": "yes"}, "autorefresh: expected True or False"),
    "precompressed": ({"root": ".", "precompressed": None}, "precompressed: expected True or False"),
    "dev server": ({"dev_server": "127.0.0.1:5173"}, "dev_server: expected the URL of an http server"),
    "dev server's port": ({"dev_server": "http://a:99999"}, "dev_server: expected the URL of an http server"),
}


@pytest.mark.parametrize(("options", "text"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_option_is_refused_while_building(options, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=text):
        build_stack(app, use(StaticMiddleware, **options))


def test_a_duration_may_be_text(folder):
    layer = StaticMiddleware(app, root=folder, max_age_seconds="2m")
    assert Client(layer).get("/static/app.css").headers["Cache-Control"] == "max-age=120"


@pytest.mark.parametrize("options", [{}, {"autorefresh": True}, {"prefix": "/", "fallback": "index.html"}], ids=repr)
def test_the_layer_conforms(folder, options):
    assert_conforms(lambda app: StaticMiddleware(app, root=folder, **options))


# ---------------------------------------------------------------------- a development server


class Vite(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers)))
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"import.meta.hot")

    def log_message(self, *args):
        pass


@pytest.fixture
def vite():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Vite)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_development_server_answers_below_the_prefix(vite):
    url = f"http://127.0.0.1:{vite.server_port}"
    client = Client(validator(StaticMiddleware(app, dev_server=url)))
    response = client.get("/static/@vite/client?t=1", headers={"Cookie": "session=1", "Accept": "*/*"})
    assert (response.text, response.headers["Content-Type"]) == ("import.meta.hot", "text/javascript")
    assert "Connection" not in response.headers
    ((path, headers),) = vite.seen
    assert path == "/static/@vite/client?t=1"
    assert "Cookie" not in headers
    assert is_of_app(client.get("/page"))
    assert is_of_app(client.post("/static/x"))


def test_a_development_server_that_is_not_running_is_named(vite):
    url = f"http://127.0.0.1:{vite.server_port}"
    vite.server_close()
    response = Client(StaticMiddleware(app, dev_server=url)).get("/static/main.ts")
    assert response.status_code == 502
    assert "npm run dev" in response.text


def test_a_compressed_form_that_is_a_symlink_out_of_the_root_is_not_sent(folder, client):
    (folder / "app.css.gz").symlink_to(folder.parent / "secret.txt")
    os.utime(folder.parent / "secret.txt", (2_000_000_000, 2_000_000_000))
    response = client().get("/static/app.css", headers={"Accept-Encoding": "gzip"})
    assert (response.text, response.headers.get("Content-Encoding")) == ("a{}", None)
