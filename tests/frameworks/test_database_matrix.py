"""Six frameworks, eight ways to end a request, three databases: what is in the table afterwards.

The page docs/reference/database-matrix.md is printed from the same data::

    python tests/frameworks/test_database_matrix.py > docs/reference/database-matrix.md

D1, D3, D4, D5: a framework that turns an exception into a page, or a redirect into an exception, changes nothing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import sys
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa

from wsgikit.database.middleware import DatabaseMiddleware

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "database-matrix.md"


def load(name: str) -> ModuleType:
    full = f"wsgikit_tests_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, ROOT / "tests" / "database" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[full] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[full]


databases = load("databases")

# ---------------------------------------------------------------------- the data

# What a request does, and what is kept: of the row that the view wrote, and of the row that its stream wrote.
OUTCOMES = {
    "returns 200": ["view"],
    "returns 400": [],
    "raises": [],
    "raises its HTTP error": [],
    "returns a redirect": ["view"],
    "raises a redirect": ["view"],
    "streams, then raises": ["view"],
    "streams, client leaves": ["view"],
    "streams to the end": ["view", "stream"],
}
# What the client gets, if it isn't the same for all.
STATUS = {
    "returns 200": "200",
    "returns 400": "400",
    "raises": "500",
    "raises its HTTP error": "409",
    "returns a redirect": "302",
    "raises a redirect": "302",
    "streams, then raises": "200",
    "streams, client leaves": "200",
    "streams to the end": "200",
}
ESCAPES = "the exception"
NOT_THERE = "–"
EXCEPTIONS = {
    ("Pyramid", "raises"): ESCAPES,
    ("Router", "raises"): ESCAPES,
    # Django has no redirect that can be raised.
    ("Django", "raises a redirect"): NOT_THERE,
}
PATHS = {outcome: "/" + outcome.replace(" ", "-").replace(",", "") for outcome in OUTCOMES}


class ViewError(Exception):
    """What a view raises that is broken."""


def write(environ, text="view"):
    environ["wsgikit.db"].execute(sa.text("INSERT INTO notes (text) VALUES (:text)"), {"text": text})


def stream(environ, outcome):
    yield b"1"
    write(environ, "stream")
    yield b"2"
    if outcome == "streams, then raises":
        raise ViewError
    yield b"3"


# ---------------------------------------------------------------------- the frameworks


def flask_app():
    from flask import Flask, Response, abort, redirect, request

    app = Flask("matrix")

    def view(outcome):
        environ = request.environ
        write(environ)
        match outcome:
            case "returns 400":
                return "no", 400
            case "raises":
                raise ViewError
            case "raises its HTTP error":
                abort(409)
            case "returns a redirect":
                return redirect("/")
            case "raises a redirect":
                abort(redirect("/"))
            case "returns 200":
                return "yes"
        return Response(stream(environ, outcome))

    for outcome, path in PATHS.items():
        app.add_url_rule(path, path, lambda outcome=outcome: view(outcome))
    return app


def django_app():
    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
    from django.http import Http404, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
    from django.urls import path as route

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="for tests", ROOT_URLCONF=(), MIDDLEWARE=[])
        django.setup()

    def view(request, outcome):
        environ = request.environ
        write(environ)
        match outcome:
            case "returns 400":
                return HttpResponse("no", status=400)
            case "raises":
                raise ViewError
            case "raises its HTTP error":
                raise Http404
            case "returns a redirect":
                return HttpResponseRedirect("/")
            case "returns 200":
                return HttpResponse("yes")
        return StreamingHttpResponse(stream(environ, outcome))

    urls = tuple(route(path[1:], view, {"outcome": outcome}) for outcome, path in PATHS.items())

    # Other tests may have set Django up for themselves: the routes are put on the request.
    class Request(WSGIRequest):
        urlconf = urls

    class Handler(WSGIHandler):
        request_class = Request

    return Handler()


def pyramid_app():
    from pyramid.config import Configurator
    from pyramid.httpexceptions import HTTPConflict, HTTPFound
    from pyramid.response import Response

    def view(request):
        outcome = request.matched_route.name
        environ = request.environ
        write(environ)
        match outcome:
            case "returns 400":
                return Response("no", status=400)
            case "raises":
                raise ViewError
            case "raises its HTTP error":
                raise HTTPConflict
            case "returns a redirect":
                return HTTPFound("/")
            case "raises a redirect":
                raise HTTPFound("/")
            case "returns 200":
                return Response("yes")
        return Response(app_iter=stream(environ, outcome))

    with Configurator() as config:
        for outcome, path in PATHS.items():
            config.add_route(outcome, path)
            config.add_view(view, route_name=outcome)
        return config.make_wsgi_app()


def bottle_app():
    import bottle

    app = bottle.Bottle()

    def view(outcome):
        environ = bottle.request.environ
        write(environ)
        match outcome:
            case "returns 400":
                return bottle.HTTPResponse("no", 400)
            case "raises":
                raise ViewError
            case "raises its HTTP error":
                bottle.abort(409)
            case "returns a redirect":
                return bottle.HTTPResponse("", 302, Location="/")
            case "raises a redirect":
                bottle.redirect("/", 302)
            case "returns 200":
                return "yes"
        return stream(environ, outcome)

    for outcome, path in PATHS.items():
        app.route(path, callback=lambda outcome=outcome: view(outcome))
    return app


def falcon_app():
    import falcon

    app = falcon.App()

    class Resource:
        def __init__(self, outcome):
            self.outcome = outcome

        def on_get(self, request, response):
            write(request.env)
            match self.outcome:
                case "returns 200":
                    response.text = "yes"
                case "returns 400":
                    response.status = 400
                case "raises":
                    raise ViewError
                case "raises its HTTP error":
                    raise falcon.HTTPConflict
                case "returns a redirect":
                    response.status = 302
                    response.location = "/"
                case "raises a redirect":
                    raise falcon.HTTPFound("/")
                case _:
                    response.stream = stream(request.env, self.outcome)

    for outcome, path in PATHS.items():
        app.add_route(path, Resource(outcome))
    return app


def router_app():
    from wsgikit.http.request import Request, Response
    from wsgikit.routing.router import Router
    from wsgikit.views import abort, redirect

    app = Router(None)

    def make(outcome):
        def view(request: Request):
            environ = request.environ
            write(environ)
            match outcome:
                case "returns 400":
                    return "no", 400
                case "raises":
                    raise ViewError
                case "raises its HTTP error":
                    abort(409)
                case "returns a redirect":
                    return redirect("/")
                case "raises a redirect":
                    abort(redirect("/"))
                case "returns 200":
                    return "yes"
            return Response(app_iter=stream(environ, outcome))

        return view

    for outcome, path in PATHS.items():
        app.add_url_rule(path, path, make(outcome))
    return app


FRAMEWORKS = {
    "Flask": flask_app,
    "Django": django_app,
    "Pyramid": pyramid_app,
    "Bottle": bottle_app,
    "Falcon": falcon_app,
    "Router": router_app,
}
OWN_STATUS = {("Django", "raises its HTTP error"): "404"}


def expected_status(framework, outcome):
    cell = (framework, outcome)
    return EXCEPTIONS.get(cell) or OWN_STATUS.get(cell) or STATUS[outcome]


# ---------------------------------------------------------------------- the test


@pytest.fixture(scope="module", params=databases.NAMES)
def database(request, require_service, tmp_path_factory):
    if request.param != "sqlite":
        require_service(request.param)
    one, drop = databases.make_database(request.param, tmp_path_factory.mktemp("matrix"))
    yield one
    drop()


@pytest.fixture(scope="module", params=FRAMEWORKS)
def framework(request):
    return request.param, FRAMEWORKS[request.param]()


@pytest.fixture(scope="module")
def layer(framework, database):
    logging.getLogger("django.request").setLevel(logging.CRITICAL)
    layer = DatabaseMiddleware(framework[1], url=database.url, pool_size=1, max_overflow=0, pool_timeout=1)
    yield layer
    layer.close()


CELLS = [pytest.param(outcome, id=outcome) for outcome in OUTCOMES]


@pytest.mark.parametrize("outcome", CELLS)
def test_what_a_request_leaves_in_the_database(layer, framework, database, outcome):
    """D1, D3, D4, D5, B50: one cell of the matrix; the pool of one shows that nothing is leaked."""
    name = framework[0]
    wanted = expected_status(name, outcome)
    if wanted == NOT_THERE:
        pytest.skip(f"{name} has no such thing")
    database.clear()
    seen = []

    def start_response(status, headers, exc_info=None):
        seen.append((status[:3], database.texts()))
        return lambda data: None

    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": PATHS[outcome],
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    with pytest.raises(ViewError) if wanted == ESCAPES else contextlib.nullcontext():
        serve(layer(environ, start_response), outcome)
    if wanted != ESCAPES:
        # Committed before the head: when start_response is called, the view's row is there for all to see.
        assert seen == [(wanted, [text for text in OUTCOMES[outcome] if text == "view"])]
    assert database.texts() == OUTCOMES[outcome]
    assert layer.engine.pool.checkedout() == 0


def serve(body, outcome):
    """Send a body as a server does."""
    try:
        if outcome == "streams, client leaves":
            iterator = iter(body)
            assert [next(iterator), next(iterator)] == [b"1", b"2"]
        else:
            with contextlib.suppress(ViewError) if outcome == "streams, then raises" else contextlib.nullcontext():
                for _ in body:
                    pass
    finally:
        if hasattr(body, "close"):
            body.close()


# ---------------------------------------------------------------------- the page


HEAD = """\
# What a request leaves in the database

Every view below writes a row. The streams write a second one after their first chunk. The table says what the client
gets, and which rows are there afterwards. It is the same on SQLite, PostgreSQL and MariaDB, with `DatabaseMiddleware`
as it is by default (`commit="success"`). This page is printed from the data of the test that runs each cell on all
three: `tests/frameworks/test_database_matrix.py`.
"""
FOOT = """\
- *the exception*: it leaves the framework, and becomes a page where `ErrorPagesMiddleware` is around it. The others
  answer with their own page, and no layer outside ever sees the exception. The page's status rolls back.
- The view's row is committed before the head of the response leaves. What a stream writes is a second transaction,
  committed at the end of the body, and rolled back if the stream raises or the client leaves.
- Raised redirects are redirects: they commit. Django has none that can be raised.

## Who holds what while a slow client downloads

It is the same in the six frameworks, for GET and POST, on the three databases
(`tests/frameworks/test_database_release.py`). Django's pages have a Content-Length if `CommonMiddleware` is on, as it
is in a new project.

| the response | its transaction ends | its connection goes back |
|---|---|---|
| a page, small or large | at the head | before its last chunk leaves |
| HEAD, 304 | at the head | when the body is read to its end, or closed |
| a stream that reads from an open cursor | at the end of the body | at the end of the body |
"""


def page():
    """Print the matrix as a page of the reference."""
    lines = [
        *HEAD.splitlines(),
        "",
        "| the view | " + " | ".join(FRAMEWORKS) + " | kept |",
        "|---|" + "---|" * (len(FRAMEWORKS) + 1),
    ]
    for outcome, kept in OUTCOMES.items():
        cells = [expected_status(name, outcome) for name in FRAMEWORKS]
        rows = {(): "nothing", ("view",): "the view's row", ("view", "stream"): "both rows"}[tuple(kept)]
        lines.append(f"| {outcome} | {' | '.join(cells)} | {rows} |")
    return "\n".join([*lines, "", FOOT])


def test_the_page_of_the_matrix_is_current():
    assert PAGE.read_text(encoding="utf-8") == page()


if __name__ == "__main__":
    print(page(), end="")
