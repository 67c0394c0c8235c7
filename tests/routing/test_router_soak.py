"""A router leaves nothing behind: no garbage for the collector, nothing shared between threads."""

from __future__ import annotations

import gc
import io
from concurrent.futures import ThreadPoolExecutor

import pytest

from wsgikit import (
    ContextMiddleware,
    ErrorPagesMiddleware,
    Router,
    RouterMiddleware,
    abort,
    build_stack,
    g,
    request,
    url_for,
    use,
)
from wsgikit.routing.router import Router as RouterClass
from wsgikit.templating import TemplateMiddleware
from wsgikit.testing.conformance import assert_conforms


def environ_of(path):
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "HTTP_HOST": "localhost",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
    }


def serve(app, path):
    body = app(environ_of(path), lambda *head: None)
    text = b"".join(body)
    if hasattr(body, "close"):
        body.close()
    return text


def router_of(handlers, hooks):
    router = Router("x")
    router.add_url_rule("/ok", "ok", lambda: "x")
    router.add_url_rule("/missing", "missing", lambda: abort(404))
    router.add_url_rule("/fails", "fails", lambda: 1 / 0)
    router.add_url_rule("/stream", "stream", lambda: iter(["a", "b"]))
    if handlers:
        router.register_error_handler(404, lambda error: ("handled", 404))
        router.register_error_handler(500, lambda error: ("handled", 500))
    if hooks:
        router.before_request(lambda: None)
        router.after_request(lambda response: response)
        router.teardown_request(lambda error: None)
    return router


STACKS = {
    "by itself": lambda router: router,
    "with locals": lambda router: build_stack(router, use(ContextMiddleware)),
    "with error pages": lambda router: build_stack(router, use(ErrorPagesMiddleware), use(ContextMiddleware)),
}


@pytest.mark.parametrize("hooks", [False, True], ids=["no hooks", "hooks"])
@pytest.mark.parametrize("handlers", [False, True], ids=["no handlers", "handlers"])
@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS.keys())
def test_a_request_leaves_no_garbage_even_where_it_fails(stack, handlers, hooks, caplog):
    caplog.set_level("CRITICAL")
    app = stack(router_of(handlers, hooks))

    def ask(path):
        try:
            serve(app, path)
        except ZeroDivisionError:
            pass

    paths = ("/ok", "/missing", "/fails", "/stream", "/nowhere")
    for path in paths:
        ask(path)
    gc.collect()
    gc.disable()
    try:
        for path in paths:
            for _ in range(20):
                ask(path)
        caplog.clear()
        assert gc.collect() < 20, "less than one object a request: no cycle"
    finally:
        gc.enable()


def test_threads_at_once_see_their_own_request():
    router = Router("x")

    @router.before_request
    def load():
        g.name = request.view_args["name"] if request.view_args else None

    @router.get("/<name>/<int:number>")
    def show(name, number):
        yield f"{name} {g.name} "
        yield url_for("show", name=name, number=number)

    app = build_stack(Router("nothing"), use(ContextMiddleware), use(RouterMiddleware, router=router))

    def ask(number):
        return (
            serve(app, f"/user{number % 7}/{number}")
            == f"user{number % 7} user{number % 7} /user{number % 7}/{number}".encode()
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(2000)))


@pytest.mark.parametrize(
    "factory",
    [
        lambda app: RouterMiddleware(app, router=Router("nothing")),
        lambda app: TemplateMiddleware(app, folders=[]),
        lambda app: _mounting(app),
    ],
    ids=["RouterMiddleware", "TemplateMiddleware", "mount"],
)
def test_layers_conform_to_the_protocol(factory):
    assert_conforms(factory)


def _mounting(app):
    router = RouterClass("x")
    router.mount("/", app)
    return router
