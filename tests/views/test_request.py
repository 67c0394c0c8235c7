"""Request and Response: webob's, and Flask's names beside them with Werkzeug's limits."""

from __future__ import annotations

import io

import pytest
import webob
import werkzeug.test
import werkzeug.wrappers
from webtest import TestApp
from werkzeug.exceptions import BadRequest, ClientDisconnected, RequestEntityTooLarge, UnsupportedMediaType

from wsgikit.context.locals import request as request_local
from wsgikit.http.request import Request, Response
from wsgikit.routing.router import Router


def environ_of(path="/", **options):
    builder = werkzeug.test.EnvironBuilder(path, **options)
    return builder.get_environ()


def multipart(**fields):
    return environ_of(method="POST", data=fields)


SAME_AS_WERKZEUG = {
    "args": lambda r: r.args.to_dict(flat=False),
    "args.get with a type": lambda r: r.args.get("n", 7, type=int),
    "args of a name that isn't there": lambda r: r.args.get("no"),
    "values": lambda r: r.values.to_dict(flat=False),
    "form": lambda r: r.form.to_dict(flat=False),
    "files": lambda r: {name: (file.filename, file.read()) for name, file in r.files.items()},
    "mimetype": lambda r: r.mimetype,
    "mimetype_params": lambda r: sorted(r.mimetype_params),
    "is_json": lambda r: r.is_json,
    "is_secure": lambda r: r.is_secure,
    "base_url": lambda r: r.base_url,
    "url_root": lambda r: r.url_root,
    "host_url": lambda r: r.host_url.rstrip("/"),
    "access_route": lambda r: list(r.access_route),
    "method": lambda r: r.method,
    "accept_mimetypes": lambda r: r.accept_mimetypes.best_match(["text/html", "application/json"]),
    "remote_addr": lambda r: r.remote_addr,
    "cookies": lambda r: dict(r.cookies),
}
REQUESTS = {
    "a query": lambda: environ_of("/a?q=1&q=2&empty=&n=3&%C3%BC=%E6%97%A5&bad=%FF"),
    "a query that isn't encoded": lambda: {**environ_of("/a"), "QUERY_STRING": "q=\xc3\xbc;b"},
    "a form": lambda: environ_of("/a?q=1", method="POST", data={"a": ["1", "2"], "b": "ü"}),
    "a multipart form": lambda: multipart(a="1", f=(io.BytesIO(b"file"), "ä.txt")),
    "JSON": lambda: environ_of(method="POST", json={"a": 1}),
    "a prefix": lambda: environ_of("/a", base_url="https://example.org:444/base/"),
    "nothing": lambda: environ_of("/", environ_base={"REMOTE_ADDR": "1.2.3.4"}),
    "headers": lambda: environ_of(
        headers={"Accept": "application/json", "Cookie": "a=b", "X-Forwarded-For": "1.1.1.1, 2.2.2.2"}
    ),
}


@pytest.mark.parametrize("ask", SAME_AS_WERKZEUG.values(), ids=SAME_AS_WERKZEUG.keys())
@pytest.mark.parametrize("make", REQUESTS.values(), ids=REQUESTS.keys())
def test_a_name_of_flask_says_what_flask_says(make, ask):
    ours, theirs = Request(make()), werkzeug.wrappers.Request(make())
    assert ask(ours) == ask(theirs)
    for file in ours.files.values():  # a router does so when the request ends
        file.close()
    theirs.close()


JSON = {
    "JSON": (lambda: environ_of(method="POST", json={"a": 1}), {}),
    "JSON of a vendor": (lambda: environ_of(method="POST", data=b"[1]", content_type="application/x+json"), {}),
    "forced": (lambda: environ_of(method="POST", data=b"[1]", content_type="text/plain"), {"force": True}),
    "silent about the type": (lambda: environ_of(method="POST", data=b"[1]"), {"silent": True}),
    "silent about the text": (
        lambda: environ_of(method="POST", data=b"{", content_type="application/json"),
        {"silent": True},
    ),
}


@pytest.mark.parametrize(("make", "options"), JSON.values(), ids=JSON.keys())
def test_get_json_is_flasks(make, options):
    assert Request(make()).get_json(**options) == werkzeug.wrappers.Request(make()).get_json(**options)


def test_json_of_another_type_is_a_415_and_malformed_json_a_400():
    with pytest.raises(UnsupportedMediaType):
        Request(environ_of(method="POST", data=b"[1]", content_type="text/plain")).json
    for body in (b"{", b"\xff"):
        with pytest.raises(BadRequest):
            Request(environ_of(method="POST", data=body, content_type="application/json")).json


def test_the_body_can_be_read_again_after_it_was_parsed():
    environ = environ_of(method="POST", data={"a": "1"})
    request = Request(environ)
    assert request.form["a"] == "1"
    assert environ["wsgi.input"].read() == b"a=1"
    assert Request(environ).form["a"] == "1"
    assert werkzeug.wrappers.Request(environ_of(method="POST", data={"a": "1"})).form["a"] == "1"
    assert request.POST["a"] == "1"
    assert (request.data, request.get_data(as_text=True)) == (b"a=1", "a=1")
    assert request.stream.read() == b"a=1"


def test_a_new_body_is_parsed_anew():
    request = Request(environ_of(method="POST", json={"a": 1}))
    assert request.json == {"a": 1}
    request.json = {"b": 2}
    assert request.json == {"b": 2}


LIMITS = {
    "the length of the body": ({"max_content_length": 10}, lambda: environ_of(method="POST", data={"a": "x" * 20})),
    "the length of a body read before": (
        {"max_content_length": 10},
        lambda: environ_of(method="POST", data={"a": "x" * 20}),
    ),
    "the memory of a field": ({"max_form_memory_size": 10}, lambda: multipart(a="x" * 20, f=(io.BytesIO(b""), "f"))),
    "the number of parts": ({"max_form_parts": 1}, lambda: multipart(a="1", b="2", f=(io.BytesIO(b""), "f"))),
}


@pytest.mark.parametrize(("limits", "make"), LIMITS.values(), ids=LIMITS.keys())
def test_a_limit_on_one_request_is_a_413(limits, make):
    request = Request(make())
    for name, value in limits.items():
        setattr(request, name, value)
        assert getattr(request, name) == value
    with pytest.raises(RequestEntityTooLarge):
        request.form


@pytest.mark.parametrize(("limits", "make"), LIMITS.values(), ids=LIMITS.keys())
def test_a_limit_on_a_router_is_a_clean_413(limits, make):
    router = Router("x", **limits)

    @router.post("/")
    def view(request: Request):
        return request.form["a"]

    assert webob.Request(make()).get_response(router).status_int == 413


def test_a_chunked_body_is_limited_while_it_is_read():
    environ = environ_of(method="POST", data=b"a=" + b"x" * 100, content_type="application/x-www-form-urlencoded")
    del environ["CONTENT_LENGTH"]
    environ["wsgi.input_terminated"] = True
    request = Request(environ)
    request.max_content_length = 50
    with pytest.raises(RequestEntityTooLarge):
        request.form


@pytest.mark.parametrize(
    "read",
    [lambda request: request.data, lambda request: request.form, lambda request: request.files, Request.get_json],
    ids=["data", "form", "files", "json"],
)
@pytest.mark.parametrize("is_terminated", [True, False])
def test_a_body_that_breaks_off_is_an_error_and_not_a_shorter_body(read, is_terminated):
    """gunicorn says of each body that it ends by itself, and takes the client's leaving for the end."""
    kind = "application/json" if read is Request.get_json else "application/x-www-form-urlencoded"
    environ = environ_of(method="POST", data=b"1" * 10, content_type=kind)
    environ["CONTENT_LENGTH"] = "1000"
    environ["wsgi.input_terminated"] = is_terminated
    request = Request(environ)
    with pytest.raises(ClientDisconnected):
        read(request)


def test_the_default_limits_are_werkzeugs():
    ours, theirs = Request(environ_of()), werkzeug.wrappers.Request(environ_of())
    for name in ("max_content_length", "max_form_memory_size", "max_form_parts"):
        assert getattr(ours, name) == getattr(theirs, name)


def test_a_large_body_is_kept_in_a_file_and_closed_with_the_request():
    kept = []
    router = Router("x")

    @router.post("/")
    def view(request: Request):
        file = request.files["f"]
        kept.extend([request.environ["wsgi.input"], file.stream])
        return str(len(file.read()))

    app = TestApp(router, lint=True)
    assert app.post("/", upload_files=[("f", "a.bin", b"x" * 600_000)]).text == "600000"
    assert all(file.closed for file in kept)


def test_a_malformed_form_is_a_400():
    with pytest.raises(BadRequest):
        Request(environ_of(method="POST", data=b"x", content_type="multipart/form-data")).form


def test_webobs_meaning_stands_where_both_have_a_name():
    request = Request(environ_of("/a?q=1", base_url="http://localhost/base"))
    assert (request.path, request.path_info, request.script_root) == ("/base/a", "/a", "/base")
    assert request.full_path == "/a?q=1"
    assert request.query_string == "q=1"


def test_a_request_outside_a_router_has_no_route():
    request = Request(environ_of())
    assert (request.endpoint, request.url_rule, request.view_args, request.blueprint, request.blueprints) == (
        None,
        None,
        None,
        None,
        [],
    )


def test_a_request_knows_the_routers_that_its_route_is_in():
    inner, middle, outer = Router("inner"), Router("middle"), Router("outer")

    @inner.get("/<name>")
    def show(request: Request, name):
        return [request.endpoint, request.blueprint, request.blueprints, request.view_args, request.url_rule.rule]

    middle.include(inner, "/in")
    outer.include(middle, "/mid")
    assert TestApp(outer).get("/mid/in/x").json == [
        "middle.inner.show",
        "middle.inner",
        ["middle.inner", "middle"],
        {"name": "x"},
        "/mid/in/<name>",
    ]


# ---------------------------------------------------------------------- Response


def test_a_response_is_made_as_in_flask():
    response = Response("ü", 404, {"X-A": "b"}, mimetype="text/plain")
    assert (response.status, response.data, response.get_data(as_text=True)) == ("404 Not Found", "ü".encode(), "ü")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert (response.mimetype, response.is_json, response.is_streamed) == ("text/plain", False, False)
    response.data = "text"
    assert response.body == b"text"
    response.mimetype = "text/css"
    assert response.mimetype == "text/css"


def test_a_response_of_json_can_be_read():
    response = Response('{"a": 1}', mimetype="application/json")
    assert (response.is_json, response.get_json()) == (True, {"a": 1})
    assert Response("x").get_json() is None
    assert Response("{", mimetype="application/json").get_json(silent=True) is None
    with pytest.raises(ValueError, match="Expecting"):
        Response("{", mimetype="application/json").get_json()


@pytest.mark.parametrize(
    ("body", "sent"),
    [(iter(["a", b"b"]), b"ab"), (["a", b"b"], b"ab"), (bytearray(b"x"), b"x"), (None, b"")],
    ids=["iterator", "list", "bytearray", "nothing"],
)
def test_a_response_takes_a_body_of_any_kind(body, sent):
    assert Response(body).body == sent


def test_a_relative_location_stays_relative():
    response = Response(status=302, headers=[("Location", "/next")])
    heads = []
    response({"REQUEST_METHOD": "GET"}, lambda status, headers: heads.append(dict(headers)))
    assert heads[0]["Location"] == "/next"


def test_a_conditional_response_answers_304():
    response = Response("x", conditional_response=True)
    response.etag = "abc"
    app = TestApp(response)
    assert app.get("/", headers={"If-None-Match": '"abc"'}).status_int == 304


def test_repeated_headers_of_a_response_are_kept():
    response = Response("x", headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    assert response.headers.getall("Set-Cookie") == ["a=1", "b=2"]


# ---------------------------------------------------------------------- what is no UTF-8


def of_bytes(path, script_name=""):
    return Request({**environ_of(), "PATH_INFO": path, "SCRIPT_NAME": script_name})


@pytest.mark.parametrize("name", ["path_info", "script_root", "full_path"])
@pytest.mark.parametrize("path", ["/a\xff/b", "/\xc0\x80", "/gr\xc3\xbcn", "/%FF"])
def test_a_path_that_is_no_utf_8_reads_as_werkzeugs(name, path):
    ours = of_bytes(path, script_name=path)
    theirs = werkzeug.wrappers.Request(ours.environ)
    werkzeugs = {"path_info": "path", "script_root": "root_path"}.get(name, name)
    assert getattr(ours, name) == getattr(theirs, werkzeugs)


def test_urls_of_a_path_that_is_no_utf_8_keep_its_bytes():
    request = of_bytes("/a\xff/b", "/s\xfe")
    assert request.path == "/s%FE/a%FF/b"
    assert request.url == request.base_url == request.path_url == "http://localhost/s%FE/a%FF/b"
    assert request.url_root == "http://localhost/s%FE/"
    assert request.path_qs == "/s%FE/a%FF/b"


def test_paths_may_be_left_out_of_environ():
    """PEP 3333 "environ Variables": one that is empty may be missing."""
    environ = environ_of()
    del environ["PATH_INFO"], environ["SCRIPT_NAME"]
    request = Request(environ)
    assert (request.path, request.path_info, request.script_name, request.url) == ("", "", "", "http://localhost/")


def test_a_path_that_an_application_left_as_text_can_be_read():
    """Bottle and Django put the decoded path into environ."""
    request = of_bytes("/日本")
    assert (request.path_info, request.path) == ("/日本", "/%E6%97%A5%E6%9C%AC")


def test_paths_can_be_set_as_text():
    request = of_bytes("/")
    request.path_info, request.script_name = "/ü", "/ß"
    assert (request.environ["PATH_INFO"], request.environ["SCRIPT_NAME"]) == ("/\xc3\xbc", "/\xc3\x9f")
    assert (request.path_info, request.script_name) == ("/ü", "/ß")
    assert (request.path_info_pop(), request.script_name, request.path_info) == ("ü", "/ß/ü", "")


@pytest.mark.parametrize("header", ["bad=\xff; good=1", 'bad="\\377"; good=1', "\xff=1; good=1"])
def test_a_cookie_that_is_no_utf_8_does_not_hide_the_others(header):
    request = Request({**environ_of(), "HTTP_COOKIE": header})
    assert request.cookies["good"] == "1"
    assert request.cookies.get("bad", "") in ("\ufffd", "")  # webob takes no raw byte above 127 in a value
    request.cookies["more"] = "2"
    assert request.cookies["more"] == "2"


def test_a_query_that_is_no_utf_8_is_a_bad_request_where_it_is_read_the_way_of_webob():
    request = Request(environ_of("/?a=1&bad=%FF"))
    for read in (lambda: request.GET, lambda: request.params["a"]):
        with pytest.raises(BadRequest, match=r"The query string is no UTF-8\."):
            read()
    assert request.args["a"] == "1"


MALFORMED = {
    "no boundary": ("multipart/form-data", b"--b--"),
    "a wrong boundary": ("multipart/form-data; boundary=\xff", b"--b--"),
    "a field without a name": ("multipart/form-data; boundary=b", b"--b\r\nX: y\r\n\r\nx\r\n--b--\r\n"),
    "another charset": ("application/x-www-form-urlencoded; charset=utf-7", b"a=1"),
    "no UTF-8": ("application/x-www-form-urlencoded", b"a=%FF\xff"),
}


@pytest.mark.parametrize(("content_type", "body"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_form_is_no_500_where_it_is_read_the_way_of_webob(content_type, body):
    router = Router("x")
    router.add_url_rule("/", "view", lambda: repr([*request_local.params.items()]), methods=["POST"])
    response = TestApp(router).post("/", body, {"Content-Type": content_type}, expect_errors=True)
    assert response.status_int in (200, 400)


def test_a_form_is_read_the_way_of_webob_and_of_flask():
    request = Request(environ_of("/?a=0", method="POST", data={"a": ["1", "2"], "b": "ü"}))
    assert request.POST.getall("a") == ["1", "2"]
    assert request.params.getall("a") == ["0", "1", "2"]
    assert request.form["b"] == request.POST["b"] == "ü"


def test_a_path_that_is_no_utf_8_is_a_400_that_hooks_and_handlers_can_read():
    router, seen = Router("x"), []
    router.before_request(lambda: seen.append(request_local.path))
    router.register_error_handler(400, lambda error: (request_local.path_info, 400))
    router.add_url_rule("/<path:p>", "all", lambda p: "")
    response = TestApp(router).get("/", extra_environ={"PATH_INFO": "/a\xff"}, expect_errors=True)
    assert (response.status_int, response.body.decode(), seen) == (400, "/a\ufffd", ["/a%FF"])
    mounting = Router("y")
    mounting.mount("/m", router)
    response = TestApp(mounting).get("/", extra_environ={"PATH_INFO": "/m/a\xff"}, expect_errors=True)
    assert (response.status_int, seen[1]) == (400, "/m/a%FF")
