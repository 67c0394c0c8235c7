"""Who holds what while a slow client downloads: nobody holds anything once the last chunk is on its way.

Flask, Django, Pyramid, Bottle and Falcon return an iterator for an ordinary page, so its type tells nothing.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from werkzeug.test import create_environ

from wsgikit.context.middleware import ContextMiddleware
from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.onion.stack import build_stack, use


def _load(name):
    path = Path(__file__).parent.parent / "database" / f"{name}.py"
    full = f"wsgikit_tests_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, path)
        sys.modules[full] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[full]


databases = _load("databases")
LARGE = b"x" * 3_000_000
SELECT = sa.text("SELECT text FROM notes ORDER BY id")


@pytest.fixture(scope="module")
def database_of(require_service, tmp_path_factory):
    made, drops = {}, []

    def get(name):
        if name not in made:
            if name != "sqlite":
                require_service(name)
            made[name], drop = databases.make_database(name, tmp_path_factory.mktemp("release"))
            made[name].run(*(f"INSERT INTO notes (text) VALUES ('n{number}')" for number in range(9)))
            drops.append(drop)
        return made[name]

    yield get
    for drop in drops:
        drop()


def body_of(environ, view):
    """Return what a view answers: status, body, and whether it reads from a cursor."""
    handle = environ["wsgikit.db"]
    if view == "cursor":
        rows = handle.execute(SELECT, execution_options={"yield_per": 2})
        return 200, (text.encode() for (text,) in rows)
    handle.execute(SELECT).all()
    return {"plain": (200, b"hello"), "large": (200, LARGE), "304": (304, b"")}[view]


def flask_app():
    import flask

    app = flask.Flask("release")

    @app.route("/<view>", methods=["GET", "POST"])
    def answer(view):
        status, body = body_of(flask.request.environ, view)
        return flask.Response(body, status=status)

    return app


def bottle_app():
    import bottle

    app = bottle.Bottle()

    @app.route("/<view>", ["GET", "POST"])
    def answer(view):
        status, body = body_of(bottle.request.environ, view)
        bottle.response.status = status
        return body

    return app


def falcon_app():
    import falcon

    class Answer:
        def on_get(self, request, response, view):
            status, body = body_of(request.env, view)
            response.status = status
            if isinstance(body, bytes):
                response.data = body
            else:
                response.stream = body

        on_post = on_get

    app = falcon.App()
    app.add_route("/{view}", Answer())
    return app


def pyramid_app():
    from pyramid.config import Configurator
    from pyramid.response import Response

    def answer(request):
        status, body = body_of(request.environ, request.matchdict["view"])
        if isinstance(body, bytes):
            return Response(body, status=status)
        return Response(app_iter=body, status=status)

    with Configurator() as config:
        config.add_route("answer", "/{view}")
        config.add_view(answer, route_name="answer")
        return config.make_wsgi_app()


def router_app():
    from wsgikit import Response, Router, request

    router = Router("release")

    @router.route("/<view>", methods=["GET", "POST"])
    def answer(view):
        status, body = body_of(request.environ, view)
        return Response(body, status=status) if isinstance(body, bytes) else body

    return router


def django_app():
    import types

    from django.conf import settings

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="x" * 50, MIDDLEWARE=[], ROOT_URLCONF="release_urls")
        import django

        django.setup()
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse, StreamingHttpResponse
    from django.test.utils import override_settings
    from django.urls import path
    from django.views.decorators.csrf import csrf_exempt

    @csrf_exempt
    def answer(request, view):
        status, body = body_of(request.environ, view)
        return (HttpResponse if isinstance(body, bytes) else StreamingHttpResponse)(body, status=status)

    urls = types.ModuleType("release_urls")
    urls.urlpatterns = [path("<view>", answer)]
    sys.modules["release_urls"] = urls
    changed = {
        "ROOT_URLCONF": "release_urls",
        "ALLOWED_HOSTS": ["*"],
        "MIDDLEWARE": ["django.middleware.common.CommonMiddleware"],
    }
    with override_settings(**changed):
        handler = WSGIHandler()

    def app(environ, start_response):
        with override_settings(**changed):
            return handler(environ, start_response)

    return app


FRAMEWORKS = {
    "Flask": flask_app,
    "Django": django_app,
    "Pyramid": pyramid_app,
    "Bottle": bottle_app,
    "Falcon": falcon_app,
    "Router": router_app,
}
VIEWS = ["plain", "large", "HEAD", "304", "cursor"]


@pytest.fixture(scope="module", params=FRAMEWORKS)
def framework(request):
    return FRAMEWORKS[request.param]()


@pytest.mark.parametrize("name", databases.NAMES)
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_slow_client_holds_neither_transaction_nor_connection(framework, database_of, name, method, view):
    """The transaction has ended at the head, and the connection is back with the last chunk, before the body is closed.

    Only a stream that reads from a cursor keeps both to its end.
    """
    database = database_of(name)
    stack = build_stack(
        framework, use(ContextMiddleware), use(DatabaseMiddleware, url=database.url, pool_size=1, max_overflow=0)
    )
    layer = stack.find(DatabaseMiddleware)
    is_open = []
    path = "plain" if view == "HEAD" else view
    environ = create_environ(f"/{path}", method="HEAD" if view == "HEAD" else method)

    def start_response(status, headers, exc_info=None):
        exchange = environ["wsgikit.exchange"]
        own = layer.work_of(exchange)
        is_open.append(own.target is not None and bool(own.target.in_transaction()))
        return lambda data: None

    result = stack(environ, start_response)
    if view in ("plain", "large", "HEAD", "304"):
        assert is_open == [False]
    chunks = iter(result)
    if view in ("plain", "large"):
        assert next(chunks) == (LARGE if view == "large" else b"hello")
        assert layer.engine.pool.checkedout() == 0  # the server has the chunk, and sends it for as long as it takes
    elif view == "cursor":
        assert next(chunks) == b"n0"
        assert layer.engine.pool.checkedout() == 1
        assert b"".join(chunks) == b"n1n2n3n4n5n6n7n8"
        assert layer.engine.pool.checkedout() == 0
    else:
        assert b"".join(chunks) in (b"", b"hello")  # Django leaves it to the server to drop the body for HEAD
        assert layer.engine.pool.checkedout() == 0
    if hasattr(result, "close"):
        result.close()
    assert layer.engine.pool.checkedout() == 0
    stack.close()
