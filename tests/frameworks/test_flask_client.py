"""Flask's own test client, in a `with` block, on an application whose `wsgi_app` has our layers around it."""

from __future__ import annotations

import flask
import pytest

from wsgikit import ContextMiddleware, ErrorPagesMiddleware, build_stack, has_request_context, use


@pytest.fixture(params=[1, 2], ids=["one stack", "a stack in a stack"])
def app(request):
    app = flask.Flask("inside")
    app.testing = True
    app.secret_key = "key"

    @app.get("/plain")
    def plain():
        flask.session["seen"] = True
        return flask.request.args["q"]

    @app.get("/stream")
    def stream():
        return flask.Response(flask.stream_with_context(iter([flask.request.args["q"], flask.request.args["q"]])))

    @app.get("/async")
    async def asynchronous():
        return flask.request.args["q"]

    for _ in range(request.param):
        app.wsgi_app = build_stack(app.wsgi_app, use(ErrorPagesMiddleware), use(ContextMiddleware))
    return app


@pytest.mark.parametrize(
    ("path", "text"), [("/plain", "x"), ("/stream", "xx"), ("/async", "x"), ("/missing", "Not Found")]
)
def test_flask_client_keeps_the_request_in_a_with_block(path, text, app):
    with app.test_client() as client:
        for _ in range(2):
            answer = client.get(f"{path}?q=x")
            assert text in answer.text
            assert flask.request.path == path
    assert not flask.has_request_context()
    assert not has_request_context()


def test_flask_client_reads_the_session_after_a_request(app):
    with app.test_client() as client:
        client.get("/plain?q=x")
        assert flask.session["seen"] is True


def test_locals_are_gone_if_a_request_raises(app):
    @app.get("/fail")
    def fail():
        raise ValueError

    stack = app.wsgi_app
    app.wsgi_app = lambda environ, start_response: stack({**environ, "x-wsgiorg.throw_errors": True}, start_response)
    with app.test_client() as client, pytest.raises(ValueError):
        client.get("/fail")
    assert not has_request_context()
