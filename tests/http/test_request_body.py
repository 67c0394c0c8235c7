"""The body of a request: what one layer reads, the application behind reads again; and limits hold for every name."""

from __future__ import annotations

import io
import json

import pytest
import webob
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from wsgikit import ContextMiddleware, ErrorPagesMiddleware, Middleware, Router, build_stack, use
from wsgikit.http.input import LimitedInput, limit_input
from wsgikit.http.request import Request

URLENCODED = ("application/x-www-form-urlencoded", b"a=1&b=%C3%BC&a=2")
MULTIPART = (
    "multipart/form-data; boundary=XX",
    (
        b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
        b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n2\r\n'
        b'--XX\r\nContent-Disposition: form-data; name="b"\r\n\r\n\xc3\xbc\r\n--XX--\r\n'
    ),
)
KINDS = {"urlencoded": URLENCODED, "multipart": MULTIPART}
FIELDS = {"a": ["1", "2"], "b": ["ü"]}


def environ_of(kind, body, *, is_chunked=False):
    environ = webob.Request.blank("/x", method="POST").environ
    environ.update({"CONTENT_TYPE": kind, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))})
    if is_chunked:
        del environ["CONTENT_LENGTH"]
        environ.update({"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True})
    return environ


def answer(app, environ):
    return webob.Request(environ).get_response(app)


# ---------------------------------------------------------------------- applications behind


def bare():
    def app(environ, start_response):
        from urllib.parse import parse_qs

        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if environ["CONTENT_TYPE"].startswith("multipart"):
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(FIELDS if body == MULTIPART[1] else {"broken": len(body)}).encode()]
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(parse_qs(body.decode())).encode()]

    return app


def flask():
    from flask import Flask, request

    app = Flask("legacy")
    app.post("/x")(lambda: request.form.to_dict(flat=False))
    return app


def bottle():
    from bottle import Bottle, request

    app = Bottle()
    app.post("/x")(lambda: {name: request.forms.decode().getall(name) for name in FIELDS})
    return app


def falcon():
    from falcon import App

    class View:
        def on_post(self, request, response):
            if request.content_type.startswith("multipart"):
                found = {}
                for part in request.media:
                    found.setdefault(part.name, []).append(part.text)
                response.media = found
            else:
                response.media = {k: v if isinstance(v, list) else [v] for k, v in request.get_media().items()}

    app = App()
    app.add_route("/x", View())
    return app


def pyramid():
    from pyramid.config import Configurator

    with Configurator() as config:
        config.add_route("x", "/x")
        config.add_view(lambda request: request.POST.dict_of_lists(), route_name="x", renderer="json")
        return config.make_wsgi_app()


def django():
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIRequest

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="for tests", ROOT_URLCONF=(), MIDDLEWARE=[])

    def app(environ, start_response):
        fields = dict(WSGIRequest(environ).POST.lists())
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(fields).encode()]

    return app


def router():
    from wsgikit import request

    app = Router("x")
    app.add_url_rule("/x", "x", lambda: request.form.to_dict(flat=False), methods=["POST"])
    return app


APPS = [bare, flask, bottle, falcon, pyramid, django, router]


def tried(read):
    def attempt(request):
        try:
            read(request)
        except BadRequest:
            pass

    return attempt


READS = {
    "form": lambda r: r.form,
    "files": lambda r: r.files,
    "values": lambda r: r.values,
    "POST": lambda r: r.POST["a"],
    "params": lambda r: r.params["a"],
    "POST then form": lambda r: (r.POST, r.form),
    "form then POST": lambda r: (r.form, r.POST),
    "body": lambda r: r.body,
    "text": lambda r: r.text,
    "data": lambda r: r.data,
    "get_data": lambda r: r.get_data(parse_form_data=True),
    "json": tried(lambda r: r.get_json(force=True)),
    "json_body": tried(lambda r: r.json_body),
    "body_file": lambda r: r.body_file.read(3),
    "body_file_seekable": lambda r: r.body_file_seekable.seek(0),
    "make_body_seekable": lambda r: r.make_body_seekable(),
    "copy_body": lambda r: r.copy_body(),
    "copy": lambda r: r.copy().POST,
    "decode": lambda r: r.decode("latin-1").POST,
    "as_bytes": lambda r: r.as_bytes(),
    "str": str,
    "is_body_readable": lambda r: r.is_body_readable,
}


@pytest.mark.parametrize("is_chunked", [False, True], ids=["a length", "chunked"])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("make", APPS, ids=lambda make: make.__name__)
def test_what_a_layer_reads_the_application_behind_reads_again(make, kind, read, is_chunked):
    class Reading(Middleware):
        def before_request(self, exchange):
            read(exchange.request)

    if is_chunked and read is READS["is_body_readable"] and make in (bare, bottle, django, falcon):
        pytest.skip("reads no chunked body by itself")
    stack = build_stack(make(), use(ContextMiddleware), use(Reading))
    response = answer(stack, environ_of(*kind, is_chunked=is_chunked))
    assert (response.status_int, response.json) == (200, FIELDS)


@pytest.mark.parametrize("read", ["form", "POST"])
@pytest.mark.parametrize("kind", ["Multipart/Form-Data; boundary=XX", "MULTIPART/FORM-DATA; Boundary=XX"])
def test_a_multipart_form_in_any_case_is_a_form(kind, read):
    assert getattr(Request(environ_of(kind, MULTIPART[1])), read)["b"] == "ü"


@pytest.mark.parametrize("read", ["form", "POST"])
@pytest.mark.parametrize("kind", ["Application/X-WWW-Form-Urlencoded", "APPLICATION/X-WWW-FORM-URLENCODED; charset=x"])
def test_an_urlencoded_form_in_any_case_is_a_form(kind, read):
    assert getattr(Request(environ_of(kind, URLENCODED[1])), read)["b"] == "ü"


# ---------------------------------------------------------------------- limits

LIMITED = {
    **READS,
    "json": lambda r: r.get_json(force=True),
    "json_body": lambda r: r.json_body,
    "body_file": lambda r: r.body_file.read(),
    "body_file_raw": lambda r: r.body_file_raw.read(),
    "stream": lambda r: r.stream.read(),
    "input": lambda r: r.environ["wsgi.input"].read(),
    "input by size": lambda r: [r.environ["wsgi.input"].read(40) for _ in range(10)],
    "input by lines": lambda r: list(r.environ["wsgi.input"]),
    "input by readlines": lambda r: r.environ["wsgi.input"].readlines(),
    "input by readline": lambda r: [r.environ["wsgi.input"].readline(30) for _ in range(10)],
}
del LIMITED["is_body_readable"]


@pytest.mark.parametrize("is_chunked", [False, True], ids=["a length", "chunked"])
@pytest.mark.parametrize("read", LIMITED.values(), ids=LIMITED)
def test_a_limit_of_a_router_holds_for_every_name(read, is_chunked):
    app = Router("x", max_content_length=100)

    @app.post("/x")
    def view(request: Request):
        read(request)
        return "read"

    body = b"a=" + b"x" * 200
    environ = environ_of(URLENCODED[0], body, is_chunked=is_chunked)
    assert answer(build_stack(app, use(ErrorPagesMiddleware)), environ).status_int == 413
    environ = environ_of(URLENCODED[0], body[:100], is_chunked=is_chunked)
    assert answer(app, environ).status_int in (200, 400)  # 400: it is no JSON


@pytest.mark.parametrize("is_chunked", [False, True], ids=["a length", "chunked"])
@pytest.mark.parametrize("read", LIMITED.values(), ids=LIMITED)
def test_a_limit_on_one_request_holds_for_every_name(read, is_chunked):
    request = Request(environ_of(URLENCODED[0], b"a=" + b"x" * 200, is_chunked=is_chunked))
    request.max_content_length = 100
    with pytest.raises(RequestEntityTooLarge):
        read(request)


@pytest.mark.parametrize("name", ["form", "POST", "params", "files", "values"])
def test_limits_of_forms_hold_for_every_name(name):
    for limit, value in (("max_form_parts", 2), ("max_form_memory_size", 1)):
        request = Request(environ_of(*MULTIPART))
        setattr(request, limit, value)
        for one in (request, request.copy(), Request(request.environ)):
            with pytest.raises(RequestEntityTooLarge):
                dict(getattr(one, name))


@pytest.mark.parametrize("size", [99, 100, 101])
def test_a_chunked_body_may_have_as_many_bytes_as_the_limit(size):
    environ = environ_of("text/plain", b"x" * size, is_chunked=True)
    limit_input(environ, 100)
    if size > 100:
        with pytest.raises(RequestEntityTooLarge):
            environ["wsgi.input"].read()
    else:
        assert environ["wsgi.input"].read() == b"x" * size
        assert environ["wsgi.input"].read() == b""


def test_a_limited_input_gives_lines_as_its_source_does():
    text = b"ab\ncd\n\nef"
    ours, source = LimitedInput(io.BytesIO(text), len(text)), io.BytesIO(text)
    assert (ours.readline(1), ours.readline(), list(ours), ours.read(1)) == (
        source.readline(1),
        source.readline(),
        list(source),
        source.read(1),
    )
    with pytest.raises(RequestEntityTooLarge):
        list(LimitedInput(io.BytesIO(text), len(text) - 1))


def test_a_body_within_the_limit_is_left_as_the_server_gave_it():
    environ = environ_of("text/plain", b"x")
    source = environ["wsgi.input"]
    limit_input(environ, 1)
    assert environ["wsgi.input"] is source


@pytest.mark.parametrize("length", ["", "x", "-1", "\u0661", None])
def test_a_length_that_cannot_be_read_is_an_empty_body(length):
    environ = environ_of("text/plain", b"body")
    environ["CONTENT_LENGTH"] = length
    assert Request(environ).data == b""


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_no_form_is_parsed_by_cgi_which_is_slow_for_large_ones(monkeypatch, kind):
    monkeypatch.setattr("webob.request.cgi_FieldStorage", None)
    request = Request(environ_of(*kind))
    assert request.POST.dict_of_lists() == request.params.dict_of_lists() == FIELDS


# ---------------------------------------------------------------------- POST as webob has it


def test_files_of_post_have_webobs_names_and_werkzeugs():
    body = (
        b'--XX\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n'
        b"Content-Type: text/plain\r\n\r\nfile\r\n"
        b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--XX--\r\n'
    )
    request = Request(environ_of(MULTIPART[0], body))
    file = request.POST["f"]
    assert (file.filename, file.value, file.type, file.file.read(), file.name) == (
        "a.txt",
        b"file",
        "text/plain",
        b"file",
        "f",
    )
    assert request.files["f"] is file
    assert list(request.POST) == ["a", "f"]
    file.close()


def test_body_file_goes_on_where_the_last_reading_ended():
    request = Request(environ_of("text/plain", b"one\ntwo\nthree"))
    assert request.body_file.readline() == b"one\n"
    assert request.body_file.read(3) == b"two"
    assert request.body == b"one\ntwo\nthree"
    assert request.stream.read() == b"one\ntwo\nthree"
    assert request.body_file.seek(-5, 2) == 8
    assert request.body_file_seekable.read() == b"three"
    assert request.environ["wsgi.input"].read() == b"one\ntwo\nthree"
    request.make_body_seekable()
    assert request.body_file.read() == b"one\ntwo\nthree"


def test_a_body_file_that_was_set_is_read():
    request = Request(environ_of("text/plain", b"old"))
    request.body_file = io.BytesIO(b"new")
    assert (request.body, request.body_file.read()) == (b"new", b"new")
    del request.body_file
    assert request.body == b""


def test_post_of_a_body_that_is_no_form_is_empty_as_in_webob():
    request = Request(environ_of("application/json", b'{"a": 1}'))
    assert dict(request.POST) == {}
    assert request.json == {"a": 1}


def test_post_is_parsed_again_after_the_body_was_set():
    request = Request(environ_of(*URLENCODED))
    assert request.POST["b"] == "ü"
    request.body = b"b=new"
    assert (request.POST["b"], request.form["b"]) == ("new", "new")


def test_decode_reads_a_form_in_another_charset():
    request = Request(environ_of(URLENCODED[0] + "; charset=latin-1", b"a=%FC"))
    assert request.decode("latin-1").POST["a"] == "ü"
    assert request.environ["wsgi.input"].read() == b"a=%FC"


@pytest.mark.parametrize(
    ("read", "kind"),
    [(lambda r: r.text, "text/plain"), (lambda r: r.json_body, "application/json")],
    ids=["text", "json_body"],
)
def test_a_body_that_is_no_utf_8_is_a_400(read, kind):
    with pytest.raises(BadRequest):
        read(Request(environ_of(kind, b"\xff")))


def test_a_copied_request_has_a_body_to_itself():
    request = Request(environ_of(*URLENCODED))
    copy = request.copy()
    assert copy.environ["wsgi.input"] is not request.environ["wsgi.input"]
    copy.body = b"other"
    assert request.body == URLENCODED[1]


@pytest.mark.parametrize("cache", [True, False])
def test_get_data_gives_what_flask_gives(cache):
    request = Request(environ_of(*URLENCODED))
    assert request.get_data(cache=cache, parse_form_data=True) == b""
    assert request.get_data(cache=cache, as_text=True) == URLENCODED[1].decode()
    assert Request(environ_of("text/plain", b"\xff")).get_data(as_text=True, parse_form_data=True) == "\ufffd"
