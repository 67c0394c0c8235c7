"""What a view returns, and what is sent for it: beside Flask where Flask has it."""

from __future__ import annotations

import gzip
import io
import os
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from uuid import UUID

import flask
import pydantic
import pytest
import webob
import werkzeug.wrappers
from markupsafe import Markup
from webtest import TestApp

from wsgikit.context.locals import request
from wsgikit.context.middleware import ContextMiddleware
from wsgikit.exceptions import ApplicationError
from wsgikit.http.json_provider import JsonProvider
from wsgikit.http.request import Response
from wsgikit.onion.stack import build_stack, use
from wsgikit.routing.router import Router
from wsgikit.views import make_response


@dataclass
class Point:
    x: int
    y: float
    when: date | None = None


class Model(pydantic.BaseModel):
    name: str
    born: date


def wsgi_app(environ, start_response):
    start_response("202 Accepted", [("Content-Type", "text/plain"), ("X-App", "1")])
    return [b"from an app"]


def writes(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"written ")
    return [b"returned"]


def generator():
    yield "a"
    yield b"b"


SAME_AS_FLASK = {
    "str": lambda: "häß",
    "markup": lambda: Markup("<b>x</b>"),
    "bytes": lambda: b"\x00\xff",
    "empty str": lambda: "",
    "dict": lambda: {"b": 1, "a": [1, None, "ü"]},
    "list": lambda: [1, {"x": "y"}],
    "dict of special values": lambda: {
        "date": date(2030, 1, 2),
        "datetime": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
        "decimal": Decimal("1.50"),
        "uuid": UUID(int=7),
        "dataclass": Point(1, 2.0),
        "html": Markup("<b>"),
    },
    "list of dataclasses": lambda: [Point(1, 2.5)],
    "body and status": lambda: ("x", 404),
    "body and status in words": lambda: ("x", "404 Gone Fishing"),
    "body and HTTPStatus": lambda: ("x", HTTPStatus.CREATED),
    "body and status text of a number": lambda: ("x", "201"),
    "body and headers": lambda: ("x", {"X-A": "1"}),
    "body and pairs": lambda: ("x", [("X-A", "1"), ("X-A", "2")]),
    "body and a list as value": lambda: ("x", {"X-A": ["1", "2"]}),
    "body, status and headers": lambda: ("x", 201, {"Content-Type": "text/plain"}),
    "body, none and headers": lambda: ("x", None, {"X-A": "1"}),
    "dict and status": lambda: ({"a": 1}, 201),
    "generator": generator,
    "iterator": lambda: iter(["a", "b"]),
    "generator and status": lambda: (generator(), 203),
    "a werkzeug response": lambda: werkzeug.wrappers.Response("x", 201, {"X-A": "1"}),
    "a werkzeug response, status and headers": lambda: (
        werkzeug.wrappers.Response("x", headers={"X-A": "1"}),
        203,
        {"X-A": "2"},
    ),
    "a webob response": lambda: webob.Response("x", status=201),
    "a wsgi application": lambda: wsgi_app,
    "a wsgi application, status and headers": lambda: (wsgi_app, 203, {"X-App": "2", "X-B": "3"}),
    "an application that writes": lambda: writes,
    "text with a length too small": lambda: ("abcdef", 200, {"Content-Length": "3"}),
    "text with a length too large": lambda: ("abc", 200, [("Content-Length", "10")]),
    "bytes with a wrong length": lambda: (b"abc", {"content-length": "1"}),
}


def seen(response):
    headers = sorted((name.lower(), value) for name, value in response.headers.items())
    return response.status_int, [pair for pair in headers if pair[0] != "date"], response.body


def app_of(view, *, hooks=False, own=True):
    if own:
        router = Router("x")
        router.add_url_rule("/", "view", view)
        if hooks:
            router.after_request(lambda response: response)
        return TestApp(router, lint=True)
    app = flask.Flask("x")
    app.add_url_rule("/", "view", view)
    return TestApp(app, lint=True)


@pytest.mark.parametrize("hooks", [False, True], ids=["plain", "with an after_request hook"])
@pytest.mark.parametrize("view", SAME_AS_FLASK.values(), ids=SAME_AS_FLASK.keys())
def test_a_result_is_sent_as_flask_sends_it(view, hooks):
    ours = app_of(view, hooks=hooks).get("/", expect_errors=True)
    flasks = app_of(view, own=False).get("/", expect_errors=True)
    assert seen(ours) == seen(flasks)


OWN_LENGTHS = {
    "JSON": lambda: ({"a": 1}, {"Content-Length": "1"}),
    "a werkzeug response": lambda: (werkzeug.wrappers.Response("abc"), {"Content-Length": "9"}),
    "Response": lambda: Response("abc", headers={"Content-Length": "9"}),
    "make_response": lambda: make_response("abc", 200, {"Content-Length": "9"}),
    "Response, status and headers": lambda: (Response("abc"), 200, {"Content-Length": "9"}),
    "an empty Response": lambda: Response(b"", headers={"Content-Length": "9"}),
}


@pytest.mark.parametrize("hooks", [False, True], ids=["plain", "with an after_request hook"])
@pytest.mark.parametrize("view", OWN_LENGTHS.values(), ids=OWN_LENGTHS.keys())
def test_a_wrong_length_of_a_response_is_corrected(view, hooks):
    response = app_of(view, hooks=hooks).get("/")
    assert response.headers.getall("Content-Length") == [str(len(response.body))]


def test_a_hook_that_sets_a_wrong_length_is_corrected():
    def set_length(response):
        response.headers["Content-Length"] = "1"
        return response

    router = Router("x")
    router.add_url_rule("/", "view", lambda: "abc")
    router.after_request(set_length)
    assert TestApp(router, lint=True).get("/").headers["Content-Length"] == "3"


def test_an_error_handler_with_a_wrong_length_is_corrected():
    router = Router("x")
    router.register_error_handler(404, lambda error: ("nothing here", 404, {"Content-Length": "2"}))
    assert TestApp(router, lint=True).get("/", status=404).headers["Content-Length"] == "12"


def test_a_head_view_names_the_length_that_get_would_have():
    router = Router("x")
    router.add_url_rule("/", "view", lambda: Response(b"", headers={"Content-Length": "9"}), methods=["HEAD"])
    assert TestApp(router, lint=True).head("/").headers["Content-Length"] == "9"


OWN_HEAD = {name: view for name, view in SAME_AS_FLASK.items() if "application" not in name}  # they answer as they like


@pytest.mark.parametrize("view", OWN_HEAD.values(), ids=OWN_HEAD.keys())
def test_head_has_the_headers_of_get_and_no_body(view):
    app = app_of(view)
    head, get = app.head("/", expect_errors=True), app.get("/", expect_errors=True)
    assert head.body == b""
    # The client itself adds the length of a streamed body that it has read.
    assert set(head.headers.items()) <= set(get.headers.items())
    assert {*get.headers} - {*head.headers} <= {"Content-Length"}


OURS = {
    "a dataclass": (
        lambda: Point(1, 2.0, date(2030, 1, 2)),
        b'{"when":"Wed, 02 Jan 2030 00:00:00 GMT","x":1,"y":2.0}\n',
    ),
    "a pydantic model": (lambda: Model(name="Ann", born=date(2000, 1, 2)), b'{"name":"Ann","born":"2000-01-02"}\n'),
    "pydantic models in a list": (
        lambda: [Model(name="Ann", born=date(2000, 1, 2))],
        b'[{"born":"2000-01-02","name":"Ann"}]\n',
    ),
    "our response": (lambda: Response("x", mimetype="text/plain"), b"x"),
    "a bytearray": (lambda: bytearray(b"x"), b"x"),
    "a memoryview": (lambda: memoryview(b"x"), b"x"),
}


@pytest.mark.parametrize("hooks", [False, True], ids=["plain", "with an after_request hook"])
@pytest.mark.parametrize(("view", "body"), OURS.values(), ids=OURS.keys())
def test_a_result_that_flask_has_not_is_sent(view, body, hooks):
    assert app_of(view, hooks=hooks).get("/").body == body


WRONG = {
    "None": (lambda: None, r"view 'view' \(.*\): result: expected a str.*got None. Return a response, for it ended"),
    "a number": (lambda: 42, r"view 'view'.*got 42"),
    "a class": (lambda: Response, r"Return an instance, not the class"),
    "a set": (lambda: {1}, r"got \{1\}"),
    "a tuple of one": (lambda: ("x",), r"expected \(body, status, headers\), \(body, status\) or \(body, headers\)"),
    "a tuple of four": (lambda: ("x", 1, {}, 4), r"expected \(body, status, headers\)"),
    "None in a tuple": (lambda: (None, 404), r"got None"),
    "a status that isn't one": (lambda: ("x", "teapot"), r"status: expected a code such as 404, .*got 'teapot'"),
    "a header that is no latin-1": (
        lambda: ("x", {"Content-Disposition": 'attachment; filename="€.txt"'}),
        r"header Content-Disposition: expected latin-1 text \(PEP 3333\), got 'other letters'. Percent-encode it",
    ),
    "a status with a line break": (lambda: ("x", "200 OK\r\nX-More: 1"), r"status: expected a code such as 404"),
    "a status that is no latin-1": (lambda: ("x", "404 見つかりません"), r"status: expected a code such as 404"),
    "a status that is a switch": (lambda: ("x", True), r"status: expected a code such as 404, .*got True"),
    "a status of two digits": (lambda: ("x", 20), r"status: expected a code such as 404, .*got 20"),
    "headers that aren't pairs": (
        lambda: ("x", 200, ["X-A"]),
        r"expected a dict or pairs of name and value, got 'X-A'",
    ),
    "a header that splits the response": (lambda: ("x", {"X-A": "a\r\nSet-Cookie: b=1"}), r"without CR, LF or NUL"),
    "JSON that isn't": (lambda: {"x": object()}, r"Object of type object is not JSON serializable"),
}


@pytest.mark.parametrize("hooks", [False, True], ids=["plain", "with an after_request hook"])
@pytest.mark.parametrize(("view", "text"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_result_is_an_error_that_names_the_view(view, text, hooks):
    with pytest.raises((ApplicationError, TypeError), match=text):
        app_of(view, hooks=hooks).get("/")


def test_an_asynchronous_generator_is_refused_with_the_reason():
    async def view():
        yield "a"

    with pytest.raises(ApplicationError, match="WSGI has no asynchronous stream"):
        app_of(view).get("/")


@pytest.mark.parametrize("status", [204, 304], ids=str)
def test_a_status_without_body_has_none(status):
    response = app_of(lambda: ("", status)).get("/", expect_errors=True)
    assert response.body == b""
    assert "Content-Type" not in response.headers
    assert "Content-Length" not in response.headers


def test_a_stream_runs_with_the_context_alive_and_chunk_for_chunk():
    router = Router("x")

    @router.get("/<word>")
    def view(word):
        def body():
            yield request.path
            yield ""
            yield word

        return body()

    environ = {"PATH_INFO": "/abc", "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "SERVER_NAME": "x", "SERVER_PORT": "80"}
    environ |= {"wsgi.url_scheme": "http", "wsgi.input": io.BytesIO()}
    body = build_stack(router, use(ContextMiddleware))(environ, lambda *head: None)
    assert list(body) == [b"/abc", b"", b"abc"]
    body.close()


def test_the_generator_of_a_stream_is_closed_when_the_client_leaves():
    closed = []

    def view():
        try:
            yield "a"
            yield "b"
        finally:
            closed.append(True)

    router = Router("x")
    router.add_url_rule("/", "view", view)
    environ = {"PATH_INFO": "/", "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "wsgi.input": io.BytesIO()}
    body = router(environ, lambda *head: None)
    assert next(iter(body)) == b"a"
    body.close()
    assert closed == [True]


@pytest.mark.parametrize("make", [iter, Response], ids=["an iterator", "a response"])
def test_a_chunk_that_is_neither_text_nor_bytes_is_an_error(make):
    """bytes(3) would be three zeros."""
    with pytest.raises(
        ApplicationError, match=r"^body: chunk: expected text or bytes, got 3\. Convert it with str\(\)\.$"
    ):
        app_of(lambda: make(["a", 3])).get("/")


def test_chunks_may_be_any_kind_of_bytes():
    chunks = ["a", b"b", bytearray(b"c"), memoryview(b"d")]
    for body in (iter(chunks), Response(iter(chunks)), Response(chunks)):
        assert app_of(lambda body=body: body).get("/").body == b"abcd"


def test_head_closes_the_stream_it_does_not_send():
    class Stream:
        closed = False

        def __iter__(self):
            return self

        def __next__(self):
            return "x"

        def close(self):
            self.closed = True

    stream = Stream()
    app_of(lambda: stream).head("/")
    assert stream.closed


# ---------------------------------------------------------------------- files


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "page.txt"
    path.write_bytes(b"0123456789" * 10)
    return path


FILES = {
    "a path": lambda path: path,
    "an open file": lambda path: path.open("rb"),
    "an open text file": lambda path: path.open(encoding="utf-8"),
    "bytes in memory": lambda path: io.BytesIO(path.read_bytes()),
}


@pytest.mark.parametrize("make", FILES.values(), ids=FILES.keys())
def test_a_file_is_sent(file, make):
    response = app_of(lambda: make(file)).get("/")
    assert response.body == file.read_bytes()
    expected = "application/octet-stream" if make is FILES["bytes in memory"] else "text/plain"
    assert response.content_type == expected


def test_a_path_is_answered_conditionally_and_in_ranges(file):
    app = app_of(lambda: file)
    first = app.get("/")
    assert app.get("/", headers={"If-None-Match": first.headers["ETag"]}).status_int == 304
    assert app.get("/", headers={"If-Modified-Since": first.headers["Last-Modified"]}).status_int == 304
    part = app.get("/", headers={"Range": "bytes=2-4"})
    assert (part.status_int, part.body, part.headers["Content-Range"]) == (206, b"234", "bytes 2-4/100")
    assert app.get("/", headers={"Range": "bytes=500-"}, expect_errors=True).status_int == 416


def test_a_path_is_sent_by_the_file_wrapper_of_the_server(file):
    class Wrapper:
        def __init__(self, file, size=8192):
            self.file = file

        def __iter__(self):
            return iter([self.file.read()])

        def close(self):
            self.file.close()

    router = Router("x")
    router.add_url_rule("/", "view", lambda: file)
    environ = {"PATH_INFO": "/", "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "wsgi.file_wrapper": Wrapper}
    body = router({**environ, "wsgi.input": io.BytesIO()}, lambda *head: None)
    assert type(body) is Wrapper
    body.close()


def at(file, position):
    file.seek(position)
    return file


def read_first(file, count):
    assert file.read(count)
    return file


def temporary(path, make):
    file = make()
    file.write(path.read_bytes())
    return at(file, 10)


def text_after_a_line(path, encoding):
    path.write_text("ä\nü\n" * 10, encoding=encoding)
    file = path.open(encoding=encoding)
    file.readline()
    return file


def text_in_a_loop(path, encoding):
    path.write_text("ä\nü\n" * 10, encoding=encoding)
    file = path.open(encoding=encoding)
    next(file)
    return file


PARTS = {
    "from the beginning": lambda path: (path.open("rb"), 0),
    "from the middle": lambda path: (at(path.open("rb"), 30), 30),
    "from where a buffered read ended": lambda path: (read_first(path.open("rb"), 3), 3),
    "from the end": lambda path: (at(path.open("rb"), 100), 100),
    "from behind the end": lambda path: (at(path.open("rb"), 200), 100),
    "unbuffered": lambda path: (at(path.open("rb", buffering=0), 7), 7),
    "for reading and writing": lambda path: (at(path.open("r+b"), 7), 7),
    "a temporary file": lambda path: (temporary(path, tempfile.TemporaryFile), 10),
    "a temporary file with a name": lambda path: (temporary(path, tempfile.NamedTemporaryFile), 10),
    "bytes in memory": lambda path: (at(io.BytesIO(path.read_bytes()), 30), 30),
}


class SendsByDescriptor:
    """A server's file wrapper that takes what has a descriptor from where that stands, as gunicorn's does."""

    def __init__(self, file, size=8192):
        self.file = file

    def __iter__(self):
        try:
            descriptor = self.file.fileno()
            start = os.lseek(descriptor, 0, os.SEEK_CUR)
        except (AttributeError, OSError):
            yield from iter(lambda: self.file.read(10), b"")
        else:
            yield os.pread(descriptor, 10_000, start)

    def close(self):
        self.file.close()


def length_of(view, **environ):
    """What an application says its body's length is (a test client may work it out itself), and the body."""
    heads = []
    router = Router("x")
    router.add_url_rule("/", "view", view)

    def app(environ, start_response):
        def start(status, headers, *exc_info):
            heads.append(dict(headers))
            return start_response(status, headers, *exc_info)

        return router(environ, start)

    body = TestApp(app).get("/", extra_environ=environ).body
    return heads[-1].get("Content-Length"), body


WRAPPERS = {"no file wrapper": {}, "a server's file wrapper": {"wsgi.file_wrapper": SendsByDescriptor}}


@pytest.mark.parametrize("environ", WRAPPERS.values(), ids=WRAPPERS.keys())
@pytest.mark.parametrize("make", PARTS.values(), ids=PARTS.keys())
def test_an_open_file_is_sent_from_its_position_with_its_length(file, make, environ):
    content = file.read_bytes()
    sent, position = make(file)
    rest = content[position:]
    assert length_of(lambda: sent, **environ) == (str(len(rest)), rest)
    assert sent.closed


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
@pytest.mark.parametrize("make", [text_after_a_line, text_in_a_loop])
@pytest.mark.parametrize("environ", WRAPPERS.values(), ids=WRAPPERS.keys())
def test_an_open_text_file_is_sent_from_its_position_as_utf_8(file, encoding, make, environ):
    opened = make(file, encoding)
    length, body = length_of(lambda: opened, **environ)
    assert body.decode() == "ü\n" + "ä\nü\n" * 9
    assert length == str(len(body))


@pytest.mark.parametrize("environ", WRAPPERS.values(), ids=WRAPPERS.keys())
def test_a_file_that_makes_its_bytes_is_sent_without_a_length(tmp_path, environ):
    """It may have the descriptor of another file, as that of gzip has: its size isn't known."""
    path = tmp_path / "page"
    with gzip.open(path, "wb") as packed:
        packed.write(b"0123456789" * 10)
    assert length_of(lambda: gzip.open(path), **environ) == (None, b"0123456789" * 10)


@pytest.mark.parametrize("mode", ["rb", "r"])
def test_what_comes_out_of_a_pipe_is_sent_without_a_length(mode):
    read, write = os.pipe()
    os.write(write, b"piped")
    os.close(write)
    assert length_of(lambda: open(read, mode)) == (None, b"piped")


def test_a_head_request_closes_an_open_file_and_has_its_length(file):
    opened = file.open("rb")
    response = app_of(lambda: opened).head("/")
    assert (response.headers["Content-Length"], opened.closed) == ("100", True)


def test_an_open_file_keeps_its_length_through_a_hook(file):
    router = Router("x")
    router.after_request(lambda response: response)
    router.add_url_rule("/", "view", lambda: (file.open("rb"), {"X-Name": "value"}))
    response = TestApp(router).head("/")
    assert (response.headers["Content-Length"], response.headers["X-Name"]) == ("100", "value")


def test_a_closed_file_is_an_error_before_the_head_is_sent(file):
    opened = file.open("rb")
    opened.close()
    with pytest.raises(ValueError, match="closed file"):
        app_of(lambda: opened).get("/")


def test_a_path_without_a_file_is_a_404(tmp_path):
    assert app_of(lambda: tmp_path / "none").get("/", expect_errors=True).status_int == 404


def test_static_files_beside_the_module_are_served(tmp_path, monkeypatch):
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "a.css").write_text("b{}")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "static" / "link").symlink_to(tmp_path / "secret.txt")
    monkeypatch.delitem(sys.modules, "static_shop", raising=False)
    (tmp_path / "static_shop.py").write_text("from wsgikit.routing.router import Router\nrouter = Router(__name__)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import static_shop as shop

    app = TestApp(shop.router, lint=True)
    assert app.get("/static/a.css").text == "b{}"
    assert shop.router.url_for("static", filename="a.css") == "/static/a.css"
    for path in (
        "../secret.txt",
        "..%2Fsecret.txt",
        "a%00.css",
        "link",
        "",
        "none.css",
        "C:/x",
        "x" * 300,
        "x/" * 3000,
    ):
        assert app.get(f"/static/{path}", expect_errors=True).status_int in (404, 308)
    assert shop.router.root_path == Path(tmp_path).resolve()
    with shop.router.open_resource("static/a.css", "r") as resource:
        assert resource.read() == "b{}"


# ---------------------------------------------------------------------- JSON


def test_json_can_be_written_otherwise():
    router = Router("x", json=JsonProvider(dates="iso", sort_keys=False, ensure_ascii=False))
    router.add_url_rule("/", "view", lambda: {"b": "ü", "a": [date(2030, 1, 2), datetime(2030, 1, 2, tzinfo=UTC)]})
    assert TestApp(router).get("/").text == '{"b":"ü","a":["2030-01-02","2030-01-02T00:00:00Z"]}\n'


# ---------------------------------------------------------------------- numbers that JSON doesn't have


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")], ids=str)
def test_a_number_that_is_none_in_json_is_not_sent(number):
    provider = JsonProvider()
    with pytest.raises(ValueError, match="not JSON compliant"):
        provider.dumps({"a": [number]})


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "-1E400", '{"a": [NaN]}'])
def test_a_number_that_is_none_in_json_is_not_taken(text):
    with pytest.raises(ValueError, match="expected a finite one"):
        JsonProvider().loads(text)
