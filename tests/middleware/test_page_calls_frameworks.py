"""Page calls around applications of each framework: calls are answered, everything else passes untouched."""

from __future__ import annotations

import json

import pytest

from wsgikit import Calls, ContextMiddleware, PageCallsMiddleware, PageReply, build_stack, request, use
from wsgikit.testing import TestClient

# Each application answers GET /page with the address of the client module and POST /page with the JSON that it got.


def flask_app():
    from flask import Flask, request

    app = Flask("called")

    @app.get("/page")
    def page():
        return request.environ["wsgikit.page_calls"]

    @app.post("/page")
    def post():
        return request.get_json()

    return app


def django_app():
    import json

    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
    from django.http import HttpResponse, JsonResponse
    from django.urls import path

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="for tests", ROOT_URLCONF=(), MIDDLEWARE=[])
        django.setup()

    def page(request):
        if request.method == "POST":
            return JsonResponse(json.loads(request.body))
        return HttpResponse(request.environ["wsgikit.page_calls"])

    class Request(WSGIRequest):
        urlconf = (path("page", page),)

    class Handler(WSGIHandler):
        request_class = Request

    return Handler()


def pyramid_app():
    from pyramid.config import Configurator
    from pyramid.response import Response

    def page(request):
        if request.method == "POST":
            return Response(json=request.json_body)
        return Response(request.environ["wsgikit.page_calls"])

    with Configurator() as config:
        config.add_route("page", "/page")
        config.add_view(page, route_name="page")
        return config.make_wsgi_app()


def bottle_app():
    import bottle

    app = bottle.Bottle()
    app.route("/page", "GET", lambda: bottle.request.environ["wsgikit.page_calls"])
    app.route("/page", "POST", lambda: bottle.request.json)
    return app


def falcon_app():
    import falcon

    class Page:
        def on_get(self, request, response):
            response.text = request.env["wsgikit.page_calls"]

        def on_post(self, request, response):
            response.media = request.get_media()

    app = falcon.App()
    app.add_route("/page", Page())
    return app


def bare_app():
    def app(environ, start_response):
        if environ["PATH_INFO"] != "/page":
            start_response("404 Not Found", [("Content-Length", "0")])
            return []
        start_response("200 OK", [("Content-Type", "text/plain")])
        if environ["REQUEST_METHOD"] == "POST":
            return [environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))]
        return [environ["wsgikit.page_calls"].encode()]

    return app


FRAMEWORKS = {
    "Flask": flask_app,
    "Django": django_app,
    "Pyramid": pyramid_app,
    "Bottle": bottle_app,
    "Falcon": falcon_app,
    "bare": bare_app,
}


@pytest.fixture(params=FRAMEWORKS)
def client(request):
    calls = Calls()
    calls.add("where", where)
    stack = build_stack(FRAMEWORKS[request.param](), ContextMiddleware, use(PageCallsMiddleware, functions=calls))
    return TestClient(stack)


def where(name: str):
    return PageReply(request.path).html("#name", name)


def test_a_call_is_answered_in_front_of_each_framework(client):
    answer = client.post_json("/__calls__", {"call": "where", "args": {"name": "Ann"}})
    assert answer.json == {"value": "/__calls__", "commands": [["html", "#name", "Ann"]]}


def test_other_requests_pass_untouched(client):
    address = client.get("/page").text
    assert client.get(address).headers["Content-Type"] == "text/javascript; charset=utf-8"
    message = {"call": "where", "args": {"name": "Ann"}}
    assert json.loads(client.post_json("/page", message).body) == message
    assert client.get("/__calls__/nothing", status="*").status_int == 404
