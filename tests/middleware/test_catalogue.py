"""Every public middleware at once: alone, with a scope, in an ini file, and around an application of each framework.

A new middleware needs one row in `ROWS`; a test says so if it is missing.
"""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest
from paste.deploy import loadapp

import wsgikit
from wsgikit import Calls, Router, build_stack, use
from wsgikit.ini import layer_names, load_app
from wsgikit.middleware.authentication import Basic
from wsgikit.onion.stack import Stack
from wsgikit.testing import assert_conforms

SECRET = "bcd4b7f9e6a0d1c2b3e4f5a9f2c1c5e3a8"
FOLDER = str(Path(__file__).parents[1] / "typing")  # any folder with few files

parts = types.ModuleType("catalogue_parts")
"""What dotted names in the ini files lead to."""
parts.router = Router("catalogue_parts")
parts.calls = Calls()
parts.scheme = Basic(verify=lambda user, password: None)


@dataclass(frozen=True)
class Row:
    """How a middleware is made, and in which way it is meant to change a response."""

    options: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    """The texts of options in an ini file that aren't what `text_of` makes."""
    changes: frozenset[str] = frozenset()
    """Scenarios of the conformance suite that fail because the middleware does what it is for."""
    extra: frozenset[str] = frozenset()
    """Headers that it adds to an ordinary page, in lower case."""


ROWS = {
    "access_list": Row({"deny": ["203.0.113.9"]}),
    "access_log": Row(),
    "authentication": Row({"schemes": [parts.scheme]}, {"schemes": "catalogue_parts:scheme"}),
    "body_limit": Row(),
    "cache": Row(extra=frozenset({"cache-status"})),
    "compression": Row(extra=frozenset({"vary"})),
    "conditional": Row(extra=frozenset({"etag"})),
    "context": Row(),
    "cookie_policy": Row(changes=frozenset({"repeated_headers_are_kept"})),
    "cors": Row({"origins": ["https://app.example"]}, extra=frozenset({"vary"})),
    "csrf": Row({"tokens": "never"}),
    "database": Row({"url": "sqlite://"}),
    "deadline": Row(),
    "error_pages": Row(),
    "fetch_policy": Row(),
    "health": Row(),
    "https": Row(),
    "idempotency": Row(),
    "inspector": Row(),
    "maintenance": Row({"flag": "/nowhere/flag"}),
    "method_override": Row(),
    "metrics": Row(),
    "page_calls": Row({"functions": parts.calls}, {"functions": "catalogue_parts:calls"}),
    "profiler": Row(),
    "proxy_headers": Row({"trusted_proxies": ["10.0.0.1"]}),
    "rate_limit": Row(
        {"limits": "1000000/second"},
        extra=frozenset(
            {
                *("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"),
                *("ratelimit-policy", "ratelimit"),
            }
        ),
    ),
    "request_id": Row(extra=frozenset({"x-request-id"})),
    "router": Row({"router": parts.router}, {"router": "catalogue_parts:router"}),
    "security_headers": Row(
        extra=frozenset(
            {
                *("content-security-policy", "cross-origin-opener-policy", "cross-origin-resource-policy"),
                *("origin-agent-cluster", "referrer-policy", "x-content-type-options", "x-dns-prefetch-control"),
                *("x-download-options", "x-frame-options", "x-permitted-cross-domain-policies", "x-xss-protection"),
            }
        )
    ),
    "sendfile": Row({"kind": "x-sendfile", "mappings": {"/srv/none": "/none/"}}),
    "server_timing": Row(extra=frozenset({"server-timing"})),
    "session": Row({"secret_key": SECRET}),
    "static": Row({"root": FOLDER}),
    "template": Row({"folders": [FOLDER]}),
    "tracing": Row(),
    "trusted_hosts": Row({"hosts": ["localhost", "example.com", "127.0.0.1"], "allow_ip": True}),
}


def layer_of(name: str) -> Any:
    return getattr(wsgikit, layer_names()[name])


def text_of(value: Any) -> str:
    """Return an option as an ini file writes it."""
    if isinstance(value, dict):
        return "".join(f"\n  {key} = {item}" for key, item in value.items())
    return ", ".join(value) if isinstance(value, list) else str(value)


@pytest.fixture(autouse=True)
def dotted_names(monkeypatch):
    monkeypatch.setitem(sys.modules, "catalogue_parts", parts)


def test_every_public_middleware_has_a_row():
    assert set(ROWS) == set(layer_names())


# ---------------------------------------------------------------------- alone


@pytest.mark.parametrize("name", ROWS)
def test_a_middleware_with_a_scope_conforms(name):
    """Alone it is held to the suite in its own test; here with ``unless=``, which no request of the suite matches."""
    row = ROWS[name]

    def make(app):
        return build_stack(app, use(layer_of(name), **row.options, unless="/never"))

    assert_conforms(make, expect=row.changes)


@pytest.mark.parametrize("name", ROWS)
def test_a_middleware_works_without_a_stack(name):
    seen = []
    layer = layer_of(name)(validator(page), **ROWS[name].options)
    assert send(validator(layer), seen) == b"Hello"
    assert seen[0][0] == "200 OK"
    layer.close()


# ---------------------------------------------------------------------- scope


@pytest.mark.parametrize("scope", [{"only": "/api/*"}, {"unless": "/page"}], ids=["only", "unless"])
@pytest.mark.parametrize("name", ROWS)
def test_a_middleware_does_nothing_out_of_its_scope(name, scope):
    body = [b"Hello"]
    headers = [("Content-Type", "text/html"), ("Set-Cookie", "a=1"), ("X-A", "b"), ("Set-Cookie", "b=2")]

    def app(environ, start_response):
        start_response("200 OK", headers)
        return body

    stack = build_stack(app, use(layer_of(name), **ROWS[name].options, **scope))
    seen = []
    given = environ_of("/page")
    keys = set(given)
    assert stack(given, lambda *args: seen.append(args[:2])) is body
    assert seen == [("200 OK", headers)]
    assert {key for key in given if key not in keys} <= {"wsgikit.stack", "wsgikit.exchange"}
    stack.close()


# ---------------------------------------------------------------------- ini


@pytest.mark.parametrize("loader", ["stock PasteDeploy", "our loader"])
@pytest.mark.parametrize("name", ROWS)
def test_a_middleware_can_be_named_in_an_ini_file(name, loader, tmp_path):
    row = ROWS[name]
    texts = {key: row.texts.get(key) or text_of(value) for key, value in row.options.items()}
    lines = "\n".join(f"{key} = {text}" for key, text in texts.items())
    parts.app = page
    (tmp_path / "app.ini").write_text(
        f"[pipeline:main]\npipeline = layer app\n[filter:layer]\nuse = egg:wsgikit#{name}\nonly = /page\n{lines}\n"
        "[app:app]\nuse = egg:wsgikit#app\napp = catalogue_parts:app\n"
    )
    path = str(tmp_path / "app.ini")
    with Stack.around(load_app(path) if loader == "our loader" else loadapp(f"config:{path}")) as stack:
        (layer,) = stack.layers
        assert isinstance(layer, layer_of(name))
        assert send(stack, []) == b"Hello"


# ---------------------------------------------------------------------- frameworks

PAGE = b"<h1>Hello</h1>"


def flask_app():
    from flask import Flask

    app = Flask("catalogue")
    app.add_url_rule("/page", "page", lambda: (PAGE, 200, {"X-Inside": "yes", "Set-Cookie": "inside=1"}))
    return app


def django_app():
    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
    from django.http import HttpResponse
    from django.urls import path

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="for tests", ROOT_URLCONF=(), MIDDLEWARE=[])
        django.setup()

    def page(request):
        response = HttpResponse(PAGE, headers={"X-Inside": "yes"})
        response.set_cookie("inside", "1")
        return response

    class Request(WSGIRequest):
        urlconf = (path("page", page),)

    class Handler(WSGIHandler):
        request_class = Request

    return Handler()


def pyramid_app():
    from pyramid.config import Configurator
    from pyramid.response import Response

    def page(request):
        response = Response(PAGE, headerlist=[("Content-Type", "text/html"), ("X-Inside", "yes")])
        response.set_cookie("inside", "1")
        return response

    with Configurator() as config:
        config.add_route("page", "/page")
        config.add_view(page, route_name="page")
        return config.make_wsgi_app()


def bottle_app():
    import bottle

    app = bottle.Bottle()

    @app.get("/page")
    def page():
        bottle.response.set_header("X-Inside", "yes")
        bottle.response.set_cookie("inside", "1")
        return PAGE

    return app


def falcon_app():
    import falcon

    class Page:
        def on_get(self, request, response):
            response.data = PAGE
            response.content_type = "text/html"
            response.set_header("X-Inside", "yes")
            response.set_cookie("inside", "1", secure=False, http_only=False)

    app = falcon.App()
    app.add_route("/page", Page())
    return app


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html"), ("X-Inside", "yes"), ("Set-Cookie", "inside=1")])
    return [b"Hello"] if environ["SERVER_NAME"] == "catalogue" else [PAGE]


FRAMEWORKS = {
    "Flask": flask_app,
    "Django": django_app,
    "Pyramid": pyramid_app,
    "Bottle": bottle_app,
    "Falcon": falcon_app,
    "bare": lambda: page,
}


@cache
def framework_app(name: str) -> Any:
    return FRAMEWORKS[name]()


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("name", ROWS)
def test_a_page_of_a_framework_passes_with_all_its_headers(name, framework):
    app = framework_app(framework)
    heads, inside = [], []

    def noting(environ, start_response):
        def note(status, headers, exc_info=None):
            inside.append((status, list(headers)))
            return start_response(status, headers, exc_info)

        return app(environ, note)

    stack = build_stack(noting, use(layer_of(name), **ROWS[name].options))
    assert send(stack, heads, SERVER_NAME="localhost") == PAGE
    (status, headers), (own_status, own_headers) = heads[0], inside[0]
    assert status == own_status == "200 OK"
    added = [(key, value) for key, value in headers if (key, value) not in own_headers]
    changed = {"set-cookie"} if name == "cookie_policy" else {"content-length"}
    assert {key.lower() for key, _ in added} <= ROWS[name].extra | changed
    kept = [each for each in headers if each not in added]
    assert [each for each in own_headers if each[0].lower() not in changed] == [
        each for each in kept if each[0].lower() not in changed
    ]
    stack.close()


# ---------------------------------------------------------------------- requests


def environ_of(path: str, **keys: Any) -> dict[str, Any]:
    import io

    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "catalogue",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **keys,
    }


def send(app: Any, heads: list[Any], **keys: Any) -> bytes:
    """Make one request for the page, note the head, and return the body."""

    def start_response(status, headers, exc_info=None):
        heads.append((status, list(headers)))
        return lambda data: None

    body = app(environ_of("/page", **keys), start_response)
    try:
        return b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()
