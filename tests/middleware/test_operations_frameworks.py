"""Health, inspector, maintenance and deadline around applications of each framework, all at once and unmodified."""

from __future__ import annotations

import json
from wsgiref.validate import validator

import pytest

from wsgikit import (
    ContextMiddleware,
    DeadlineMiddleware,
    ErrorPagesMiddleware,
    HealthMiddleware,
    InspectorMiddleware,
    MaintenanceMiddleware,
    build_stack,
    use,
)


def text_of(environ):
    return "in time" if environ["wsgikit.deadline"] > 0 else "late"


def flask_app():
    from flask import Flask, request

    app = Flask("operated")
    app.add_url_rule("/page", view_func=lambda: text_of(request.environ), endpoint="page")
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

    class Request(WSGIRequest):
        urlconf = (path("page", lambda request: HttpResponse(text_of(request.environ))),)

    class Handler(WSGIHandler):
        request_class = Request

    return Handler()


def pyramid_app():
    from pyramid.config import Configurator
    from pyramid.response import Response

    with Configurator() as config:
        config.add_route("page", "/page")
        config.add_view(lambda request: Response(text_of(request.environ)), route_name="page")
        return config.make_wsgi_app()


def bottle_app():
    import bottle

    app = bottle.Bottle()
    app.route("/page", callback=lambda: text_of(bottle.request.environ))
    return app


def falcon_app():
    import falcon

    class Page:
        def on_get(self, request, response):
            response.text = text_of(request.env)

    app = falcon.App()
    app.add_route("/page", Page())
    return app


def bare_app():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [text_of(environ).encode()]

    return app


FRAMEWORKS = {
    "Flask": flask_app,
    "Django": django_app,
    "Pyramid": pyramid_app,
    "Bottle": bottle_app,
    "Falcon": falcon_app,
    "bare": bare_app,
}


@pytest.mark.parametrize("make", FRAMEWORKS.values(), ids=FRAMEWORKS)
def test_the_layers_work_around_an_application_of_each_framework(ask, make, tmp_path):
    flag = tmp_path / "flag"
    stack = build_stack(
        validator(make()),
        use(HealthMiddleware, checks=()),
        use(InspectorMiddleware),
        use(ContextMiddleware),
        use(ErrorPagesMiddleware),
        use(MaintenanceMiddleware, flag=str(flag)),
        use(DeadlineMiddleware),
    )

    def get(path):
        return ask(lambda app: stack, path=path, HTTP_HOST="localhost")

    with stack:
        assert get("/page").body == b"in time"
        assert json.loads(get("/livez").body) == {"status": "ok"}
        (seen,) = json.loads(get("/__onion__/requests.json").body)
        known = {"path": "/page", "status": 200, "outcome": "complete", "answered_by": "application"}
        assert {name: seen[name] for name in known} == known
        flag.touch()
        stack.find(MaintenanceMiddleware)._flag.expires = 0  # a second has passed
        assert get("/page").code == 503
        assert get("/livez").code == 200
        assert json.loads(get("/__onion__/requests.json").body)[0]["status"] == 503
        assert stack.drain(0) is True
        assert get("/readyz").code == 503


@pytest.mark.slow
def test_memory_stays_bounded_over_many_requests_and_paths(tmp_path):
    """After 20,000 requests with as many paths, the layers hold what they held after 2,000."""
    import tracemalloc

    app = bare_app()
    layers = (
        use(HealthMiddleware, checks=()),
        use(InspectorMiddleware),
        use(MaintenanceMiddleware, flag=str(tmp_path / "flag")),
        use(DeadlineMiddleware),
    )
    with build_stack(app, *layers) as stack:

        def run(start, count):
            for number in range(start, start + count):
                environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": f"/{number}", "QUERY_STRING": "a=b"}
                for _ in stack(environ, lambda status, headers: None):
                    pass

        run(0, 2_000)
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        run(2_000, 18_000)
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    # The 100 requests that the inspector keeps were made again, under tracemalloc.
    assert after - before < 1_000_000
