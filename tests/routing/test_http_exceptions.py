"""HTTP exceptions are answers, wherever in the application they are raised and whatever layers are around."""

from __future__ import annotations

import pytest
import webob.exc
import werkzeug.exceptions
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response as WerkzeugResponse

from wsgikit import (
    ContextMiddleware,
    ErrorPagesMiddleware,
    Router,
    RouterMiddleware,
    abort,
    after_this_request,
    build_stack,
    redirect,
    request,
    use,
)
from wsgikit.views import Problem


class AppError(Exception):
    pass


def raise_(error):
    raise error


RAISERS = {
    "abort": (lambda: abort(404), 404),
    "raise": (lambda: raise_(werkzeug.exceptions.Conflict("c")), 409),
    "abort of a response": (lambda: abort(WerkzeugResponse("custom", status=409)), 409),
    "abort of a redirect": (lambda: abort(redirect("/y")), 302),
    "RequestRedirect": (lambda: raise_(RequestRedirect("/login")), 308),
    "webob's error": (lambda: raise_(webob.exc.HTTPConflict("w")), 409),
    "webob's redirect": (lambda: raise_(webob.exc.HTTPFound(location="/y")), 302),
    "Problem": (lambda: raise_(Problem(409, "p")), 409),
    "a missing field": (lambda: request.form["missing"], 400),
    "no JSON": (lambda: request.get_json(), 415),
}


def make_router(raiser, handles_500=False) -> Router:
    router = Router("app")

    @router.get("/view")
    def view():
        raiser()

    @router.get("/handler")
    def handler():
        raise AppError

    @router.errorhandler(AppError)
    def on_app_error(error):
        raiser()

    @router.get("/code")
    def code():
        abort(410)

    @router.errorhandler(410)
    def on_gone(error):
        raiser()

    @router.get("/this")
    def this():
        after_this_request(lambda response: raiser())
        return "x"

    @router.get("/after")
    def after():
        return "x"

    @router.get("/before")
    def before():
        return "x"

    @router.before_request
    def before_request():
        if request.path == "/before":
            raiser()

    @router.after_request
    def after_request(response):
        if request.path == "/after":
            raiser()
        return response

    inner = Router("inner")
    inner.add_url_rule("/handler", "handler", handler)
    inner.register_error_handler(AppError, on_app_error)
    router.include(inner, "/inner")
    if handles_500:
        router.register_error_handler(500, lambda error: ("page of 500", 500))
    return router


STACKS = {
    "the router alone": lambda router: router,
    "with locals": lambda router: build_stack(router, use(ContextMiddleware)),
    "in front of an application": lambda router: build_stack(
        lambda environ, start_response: start_response("200 OK", []) and [],
        use(ContextMiddleware),
        use(RouterMiddleware, router=router),
    ),
    "with error pages": lambda router: build_stack(router, use(ErrorPagesMiddleware), use(ContextMiddleware)),
}
PATHS = ["/view", "/handler", "/code", "/this", "/after", "/before", "/inner/handler"]


@pytest.mark.parametrize("handles_500", [False, True], ids=["without a handler of 500", "with one"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("wrap", STACKS.values(), ids=STACKS.keys())
@pytest.mark.parametrize(("raiser", "status"), RAISERS.values(), ids=RAISERS.keys())
def test_an_http_exception_is_answered(client, raiser, status, wrap, path, handles_500):
    response = client(wrap(make_router(raiser, handles_500))).get_any(path, headers={"Content-Type": "text/plain"})
    assert response.status_int == status


@pytest.mark.parametrize("wrap", STACKS.values(), ids=STACKS.keys())
def test_a_handler_of_500_may_abort(client, wrap):
    router = Router("app")
    router.add_url_rule("/", "bug", lambda: 1 / 0)
    router.register_error_handler(500, lambda error: abort(503))
    assert client(wrap(router)).get_any("/").status_int == 503


@pytest.mark.parametrize("path", ["/handler", "/this", "/after"])
def test_a_bug_in_a_handler_or_hook_asks_the_handler_of_500(client, path):
    app = build_stack(make_router(lambda: 1 / 0, handles_500=True), use(ContextMiddleware))
    assert client(app).get_any(path).text == "page of 500"


def test_throw_errors_raises_bugs_and_answers_http_exceptions(client):
    router = Router("app")
    router.add_url_rule("/bug", "bug", lambda: 1 / 0)
    router.add_url_rule("/teapot", "teapot", lambda: abort(418))
    test_app = client(build_stack(router, use(ContextMiddleware)), **{"x-wsgiorg.throw_errors": True})
    assert test_app.get_any("/teapot").status_int == 418
    assert test_app.get_any("/nowhere").status_int == 404
    with pytest.raises(ZeroDivisionError):
        test_app.get_any("/bug")


def test_throw_errors_answers_http_exceptions_with_error_pages_too(client):
    router = Router("app")
    router.add_url_rule("/bug", "bug", lambda: 1 / 0)
    router.add_url_rule("/teapot", "teapot", lambda: abort(418))
    app = build_stack(router, use(ErrorPagesMiddleware), use(ContextMiddleware))
    test_app = client(app, **{"x-wsgiorg.throw_errors": True})
    assert test_app.get_any("/teapot").status_int == 418
    assert test_app.get_any("/nowhere").status_int == 404
    with pytest.raises(ZeroDivisionError):
        test_app.get_any("/bug")
