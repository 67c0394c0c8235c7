"""``wsgiref.validate`` and WebTest's lint find nothing to say, on either side of the layers."""

from __future__ import annotations

from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
from webtest.lint import middleware as lint

from wsgikit.context.middleware import ContextMiddleware
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.stack import build_stack, use
from wsgikit.testing.conformance import assert_conforms

TEXT = [("Content-Type", "text/plain; charset=utf-8")]


class Change(Middleware):
    def before_request(self, exchange):
        if exchange.environ["PATH_INFO"] == "/reply":
            return exchange.reply(403, "No.")
        return None

    def after_request(self, exchange):
        exchange.status = "202 Accepted"
        exchange.headers.add("X-Layer", "1")
        if exchange.environ["PATH_INFO"] == "/wrapped" and exchange.body is not None:
            exchange.body = (chunk.upper() for chunk in exchange.body)
        if exchange.environ["PATH_INFO"] == "/replaced":
            exchange.body = [b"replaced"]


class Page(Middleware):
    def handle_exception(self, exchange, error):
        return exchange.reply(500, "Sorry.")


def generates(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"a"
    yield b""
    yield b"b"


def lists(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"a", b"b"]


def streams(environ, start_response):
    start_response("200 OK", TEXT)
    return (chunk for chunk in [b"a", b"b"])


def writes(environ, start_response):
    start_response("200 OK", TEXT)(b"a")
    return [b"b"]


def fails(environ, start_response):
    raise ValueError


def fails_in_stream(environ, start_response):
    start_response("200 OK", TEXT)

    def body():
        raise ValueError
        yield

    return body()


def serves_a_file(environ, start_response):
    import io

    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](io.BytesIO(b"ab"), 1)


APPS = [generates, lists, streams, writes, fails, fails_in_stream, serves_a_file]
VALIDATORS = {"wsgiref": validator, "webtest": lint}


@pytest.mark.parametrize("path", ["/", "/reply", "/wrapped", "/replaced"])
@pytest.mark.parametrize("app", APPS, ids=lambda app: app.__name__)
@pytest.mark.parametrize("check", VALIDATORS.values(), ids=VALIDATORS.keys())
@pytest.mark.parametrize("context", [[], [ContextMiddleware]], ids=["bare", "context"])
def test_a_validator_on_each_side_finds_nothing_to_say(context, check, app, path, environ, onion):
    wrapped = check(onion(check(app), Page, *context, Change, check, Change))
    given = []

    def start_response(status, headers, exc_info=None):
        given[:] = [status[:3]]
        return given.append

    body = wrapped({**environ, "PATH_INFO": path}, start_response)
    try:
        given.extend(body)
    finally:
        body.close()
    assert given[0] in ("202", "500")
    if path == "/" and app not in (fails, fails_in_stream):
        assert b"".join(given[1:]) == b"ab"


class Look(Middleware):
    """Does nothing but to look at everything."""

    def before_request(self, exchange):
        assert exchange.status is None

    def after_request(self, exchange):
        assert exchange.status
        assert exchange.body is None or exchange.headers is not None

    def teardown_request(self, exchange):
        assert exchange.environ


@pytest.mark.parametrize("context", [None, use(ContextMiddleware)], ids=["bare", "context"])
def test_a_stack_passes_the_conformance_suite(context):
    assert_conforms(lambda app: build_stack(app, use(Look), context, use(Look, name="inner")))


def test_the_servers_file_wrapper_is_what_the_application_gets(environ, onion):
    assert isinstance(onion(serves_a_file, Page)(environ, lambda *head: None), FileWrapper)
