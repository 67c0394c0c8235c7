"""Responses: nothing can split the head, and an attribute either works or is refused."""

from __future__ import annotations

import re

import pytest
import webob
import werkzeug.wrappers
from webtest import TestApp

from wsgikit import ErrorPagesMiddleware, build_stack, use
from wsgikit.exceptions import ApplicationError
from wsgikit.http.response import Response
from wsgikit.routing.router import Router


def head_of(response):
    heads = []
    response({"REQUEST_METHOD": "GET"}, lambda status, headers, exc_info=None: heads.append((status, headers)))
    return heads[0]


def at(response, what, value):
    """Set something in one of the ways that end in the head."""
    if what == "headerlist.append":
        response.headerlist.append(("X-A", value))
    elif what == "headerlist.append a name":
        response.headerlist.append((value, "x"))
    elif what == "headerlist=":
        response.headerlist = [("X-A", value)]
    elif what.startswith("headers."):
        getattr(response.headers, what[8:])("X-A", [value] if what == "headers.setlist" else value)
    else:
        setattr(response, what, value)
    return response


SET = [
    "status",
    "mimetype",
    "content_type",
    "headerlist=",
    "headerlist.append",
    "headerlist.append a name",
    "headers.add",
    "headers.set",
    "headers.setlist",
    "headers.setdefault",
    "location",
    "vary",
    "allow",
    "content_language",
    "content_security_policy",
    "access_control_allow_origin",
    "access_control_allow_headers",
    "cross_origin_opener_policy",
    "server",
    "etag",
    "content_encoding",
    "content_location",
    "www_authenticate",
    "cache_control",
]
MADE = {
    "mimetype": lambda value: Response("x", mimetype=value),
    "content_type": lambda value: Response("x", content_type=value),
    "content_type, bytes": lambda value: Response(b"x", content_type=value),
    "status": lambda value: Response("x", status=value),
    "headerlist": lambda value: Response("x", headerlist=[("X-A", value)]),
    "headers": lambda value: Response("x", headers={"X-A": value}),
    "a header's name": lambda value: Response("x", headers={value: "x"}),
}
EVIL = [f"200 a{end}X-Evil: 1" for end in ("\r\n", "\n", "\r", "\0")]


@pytest.mark.parametrize("value", EVIL, ids=ascii)
@pytest.mark.parametrize("what", SET)
def test_no_attribute_splits_the_head(what, value):
    with pytest.raises((ApplicationError, ValueError)):
        head_of(at(Response("x"), what, value))


@pytest.mark.parametrize("value", EVIL, ids=ascii)
@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_no_argument_splits_the_head(make, value):
    with pytest.raises(ApplicationError):
        make(value)


@pytest.mark.parametrize("what", ["mimetype", "content_type", "status", "location"])
def test_a_visitors_line_break_in_a_view_is_a_clean_500(what):
    router = Router("x")

    @router.get("/")
    def view():
        return at(Response("x"), what, "200 a\r\nX-Evil: 1")

    app = TestApp(build_stack(router, use(ErrorPagesMiddleware)), extra_environ={"x-wsgiorg.throw_errors": ""})
    response = app.get("/", expect_errors=True)
    assert response.status_int == 500
    assert "X-Evil" not in response.headers


# ---------------------------------------------------------------------- Flask's names

SNIPPETS = """
r.headers.set("X", "1"); r.headers.set("X", "2")
r.headers.add("X", "1"); r.headers.add("X", "2")
r.headers.add("Content-Disposition", "attachment", filename="a.txt")
r.headers.add("Content-Disposition", "attachment", filename="ü.txt")
r.headers.setlist("X", ["1", "2"])
r.headers.remove("Content-Type")
r.headers.remove("X-None")
r.headers.extend({"X": "1", "Y": ["a", "b"]})
r.headers["X"] = ",".join(r.headers.getlist("Content-Type"))
r.headers["X"] = str(r.headers.get("Content-Length", type=int)); r.headers["X"] = str(r.headers.get("no", 7, type=int))
r.vary.add("Cookie"); r.vary.add("Accept"); r.vary.add("cookie")
r.vary.update(["Cookie", "Accept"])
r.vary = "Cookie"
r.vary = ["Cookie", "Accept"]
r.vary = "a"; r.vary.discard("a")
r.vary = None
r.allow.add("GET")
r.allow = ["GET", "POST"]
r.content_language.add("de")
r.content_language = "de"
r.response = [b"abc"]; r.headers.remove("Content-Length")
r.data = "new"
r.cache_control.immutable = True
r.cache_control.max_age = 300
r.access_control_allow_origin = "*"
r.access_control_allow_methods = ["GET", "PUT"]
r.access_control_allow_headers = ["X-A"]
r.access_control_expose_headers = ["X-A"]
r.access_control_allow_credentials = True
r.access_control_allow_credentials = False
r.access_control_max_age = 5
r.mimetype = "Text/CSV"; r.headers["X"] = r.mimetype
""".strip().split("\n")


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_name_of_flask_sets_what_flask_sets(snippet):
    sent = []
    for response in (Response("body"), werkzeug.wrappers.Response("body", mimetype="text/html")):
        exec(snippet, {"r": response})  # noqa: S102  # a line of the table above
        pairs = response.headers.items()
        body = response.get_data()
        sent.append((sorted((k.lower(), v.lower()) for k, v in pairs if k.lower() != "content-length"), body))
    assert sent[0] == sent[1]


def test_a_policy_and_an_opener_policy_are_sent():
    response = Response("x")
    response.content_security_policy = "default-src 'self'"
    response.content_security_policy_report_only = "img-src 'self'"
    response.cross_origin_opener_policy = "same-origin"
    response.cross_origin_embedder_policy = "require-corp"
    headers = response.headers
    assert headers["Content-Security-Policy"] == response.content_security_policy == "default-src 'self'"
    assert headers["Content-Security-Policy-Report-Only"] == "img-src 'self'"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    response.content_security_policy = None
    assert "Content-Security-Policy" not in headers


@pytest.mark.parametrize(
    "value", ["text", b"bytes", ["a", b"b"], iter(["a", "b"])], ids=["text", "bytes", "list", "lazy"]
)
def test_the_body_can_be_set_by_flasks_name(value):
    response = Response("old")
    response.response = value
    assert response.body in (b"text", b"bytes", b"ab")


def test_an_attribute_that_is_unknown_is_refused_with_a_suggestion():
    with pytest.raises(AttributeError, match=re.escape("no attribute 'contnt_type'. Did you mean 'content_type'?")):
        Response("x").contnt_type = "text/plain"
    with pytest.raises(AttributeError, match=r"Declare it in a subclass, or set headers\[…\]"):
        Response("x").zzz = 1


def test_a_subclass_declares_attributes():
    class Mine(Response):
        note = ""

    response = Mine("x")
    response.note = "kept"
    assert response.note == "kept"


def test_a_directive_that_is_unknown_is_refused():
    with pytest.raises(AttributeError, match=r"no directive 'maxage'. Did you mean '(s_)?max_?age'\?"):
        Response("x").cache_control.maxage = 5


def test_cache_control_can_be_set_and_deleted():
    response = Response("x")
    response.cache_control = "public, max-age=5"
    assert (response.cache_control.max_age, response.cache_control.public) == (5, True)
    response.cache_control.immutable = True
    assert response.headers["Cache-Control"] == "immutable, max-age=5, public"
    del response.cache_control
    assert "Cache-Control" not in response.headers


def test_a_head_of_others_is_sent_as_it_came():
    """An application's own head is its server's to judge; only control characters are refused."""
    response = Response.of_parts("200 OK", [("X odd", "1")], [b"x"])
    assert head_of(response) == ("200 OK", [("X odd", "1")])


@pytest.mark.parametrize("text", ["ü", b"x", "", b""])
@pytest.mark.parametrize("default", ["text/html", "text/plain", "image/png"])
def test_a_plain_response_is_what_webob_makes(default, text):
    made = []
    for base in (Response, webob.Response):
        kind = type("Mine", (base,), {"default_content_type": default, "default_charset": "utf-8"})
        try:
            response = kind(text)
        except TypeError as error:
            made.append(str(error))
        else:
            made.append((response.status, response.headerlist, response.app_iter, response.conditional_response))
    assert made[0] == made[1]
