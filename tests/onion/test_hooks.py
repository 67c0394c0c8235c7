"""What a hook has to be, and what is refused of a layer: its names, its arguments, its results, what it assigns."""

from __future__ import annotations

import http
import subprocess
import sys

import pytest

from wsgikit.exceptions import ApplicationError, ConfigurationError, ProtocolError
from wsgikit.onion.middleware import Middleware
from wsgikit.testing.probes import Body, answering


class ErrorPage(Middleware):
    def handle_exception(self, exchange, error):
        return exchange.reply(500, f"{type(error).__name__}: {error}")


# ---------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("befor_request", "before_request"),
        ("before_requests", "before_request"),
        ("beforeRequest", "before_request"),
        ("before_response", "before_request"),
        ("before_views", "before_view"),
        ("after_requests", "after_request"),
        ("after_response", "after_request"),
        ("handle_exeption", "handle_exception"),
        ("handle_exceptions", "handle_exception"),
        ("teardown", "teardown_request"),
        ("teardown_requests", "teardown_request"),
    ],
)
def test_a_method_that_looks_like_a_misspelled_hook_is_refused_with_its_class(name, meant):
    with pytest.raises(ConfigurationError) as caught:
        type("Layer", (Middleware,), {name: lambda self, exchange: None})
    assert str(caught.value) == (
        "Layer: hook: expected one of before_request, before_view, after_request, handle_exception, teardown_request, "
        f"got {name!r}. Did you mean {meant!r}? A method that is no hook needs a name less like one, or an "
        "underscore before it."
    )


@pytest.mark.parametrize(
    "namespace",
    [
        {"_befor_request": lambda self: None},
        {"teardown": 7},
        {"request": lambda self: None},
        {"handle": lambda self: None},
        {"handle_request": lambda self: None},
        {"handle_error": lambda self: None},
        {"after_commit": lambda self: None},
        {"close": lambda self: None},
    ],
    ids=lambda namespace: next(iter(namespace)),
)
def test_other_names_are_free(namespace, call):
    layer = type("Layer", (Middleware,), namespace)
    assert namespace.items() <= vars(layer).items()
    assert call(layer(answering([b"body"]))).finish().content == b"body"


def test_difflib_is_not_loaded_for_layers_of_the_package():
    names = (
        "ErrorPagesMiddleware, ContextMiddleware, SessionMiddleware, DatabaseMiddleware"  # werkzeug's routing has it
    )
    code = f"import sys; from wsgikit import {names}; print('difflib' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


# ---------------------------------------------------------------------- arguments


def nothing(self):
    pass


def one(self, exchange):
    pass


def two(self, exchange, error):
    pass


def keyword(self, exchange, *, error):
    pass


def optional(self, exchange, error=None, *, more=None):
    pass


def anything(*args, **options):
    pass


@pytest.mark.parametrize(
    ("name", "hook", "text"),
    [
        ("before_request", nothing, "expected the arguments (self, exchange), got '(self)'."),
        ("before_request", two, "expected the arguments (self, exchange), got '(self, exchange, error)'."),
        ("after_request", two, "expected the arguments (self, exchange), got '(self, exchange, error)'."),
        ("after_request", keyword, "expected the arguments (self, exchange), got '(self, exchange, error)'."),
        ("handle_exception", one, "expected the arguments (self, exchange, error), got '(self, exchange)'."),
        ("teardown_request", two, "expected the arguments (self, exchange), got '(self, exchange, error)'."),
        ("teardown_request", None, "expected a method, got None. Leave it out where there is nothing to do."),
        ("after_request", staticmethod(two), "expected the arguments (self, exchange), got '(exchange, error)'."),
    ],
)
def test_a_hook_that_can_not_take_its_arguments_is_refused_while_building(name, hook, text):
    if isinstance(hook, staticmethod):
        hook = staticmethod(lambda exchange, error: None)
    layer = type("Layer", (Middleware,), {name: hook})
    with pytest.raises(ConfigurationError) as caught:
        layer(answering([b""]))
    assert str(caught.value) == f"Layer: {name}: {text}"


async def asynchronous(self, exchange):
    pass


def generating(self, exchange):
    yield


@pytest.mark.parametrize("hook", [asynchronous, generating])
def test_a_hook_that_a_call_does_not_run_is_refused_while_building(hook):
    layer = type("Layer", (Middleware,), {"after_request": hook})
    with pytest.raises(ConfigurationError, match=r"Layer: after_request: expected a plain function, got <function "):
        layer(answering([b""]))


@pytest.mark.parametrize(
    "hook",
    [one, optional, anything, staticmethod(lambda exchange: None), classmethod(one), print],
    ids=["plain", "with defaults", "anything", "static", "of the class", "builtin"],
)
def test_a_hook_that_can_take_its_arguments_is_called(hook, call):
    layer = type("Layer", (Middleware,), {"after_request": hook})
    assert call(layer(answering([b"body"]))).finish().content == b"body"


# ---------------------------------------------------------------------- results


def writing(environ, start_response):
    start_response("200 OK", [])(b"written")
    return []


def replacing(environ, start_response):
    start_response("200 OK", [])
    yield b""
    start_response("201 Created", [], (ValueError, ValueError(), None))
    yield b"replaced"


def raising(environ, start_response):
    raise ValueError


class Inner(Middleware):
    def handle_exception(self, exchange, error):
        return exchange.reply(500, "inner")


@pytest.mark.parametrize("app", [answering([b"body"]), answering(Body(b"lazy")), writing, replacing, raising])
def test_an_after_hook_that_returns_something_is_told_how_to_change_the_response(app, call, onion):
    seen = []

    class Returning(Middleware):
        def after_request(self, exchange):
            seen.append(repr(exchange))
            return exchange if exchange.status != "200 OK" or app is not replacing else None

    answer = call(onion(app, ErrorPage, Returning, Inner)).finish()
    assert answer.content.decode() == (
        f"ApplicationError: Returning.after_request: result: expected a WSGI application or None, got "
        f"{seen[-1]}. Change exchange.status, exchange.headers and exchange.body, or use exchange.reply(…)."
    )


# ---------------------------------------------------------------------- the status


def test_the_status_can_be_set_as_a_number(call):
    class Layer(Middleware):
        def after_request(self, exchange):
            exchange.status_code = 404
            assert (exchange.status, exchange.status_code) == ("404 Not Found", 404)
            exchange.status_code = http.HTTPStatus.GONE

    assert call(Layer(answering([b""]))).finish().status == "410 Gone"


def test_a_number_without_a_phrase_of_its_own_is_unknown(call):
    class Layer(Middleware):
        def after_request(self, exchange):
            exchange.status_code = 599

    assert call(Layer(answering([b""]))).finish().status == "599 Unknown"


@pytest.mark.parametrize(
    ("attribute", "value", "text"),
    [
        ("status", 404, "a status line such as '404 Not Found', got 404. A number goes to exchange.status_code."),
        ("status", None, "a status line such as '404 Not Found', got None. A number goes to exchange.status_code."),
        ("status", "404", "a status line such as '404 Not Found', got '404'. A number goes to exchange.status_code."),
        ("status", "Not Found", "a status line such as '404 Not Found', got 'Not Found'. A number goes to "),
        (
            "status",
            "200 OK\r\nX: y",
            "a status line such as '404 Not Found', got '200 OK\\r\\nX: y'. A number goes to ",
        ),
        ("status_code", "404 Not Found", "a number from 100 to 999, got '404 Not Found'. A line goes to "),
        ("status_code", 4, "a number from 100 to 999, got 4. A line goes to exchange.status."),
        ("status_code", True, "a number from 100 to 999, got True. A line goes to exchange.status."),
    ],
)
def test_a_wrong_status_is_refused_where_it_is_assigned(attribute, value, text, call, onion):
    class Layer(Middleware):
        def after_request(self, exchange):
            setattr(exchange, attribute, value)

    answer = call(onion(answering([b"body"]), ErrorPage, Layer)).finish()
    expected = f"ApplicationError: Layer.after_request: exchange.{attribute}: expected {text}"
    assert answer.content.decode().startswith(expected)


@pytest.mark.parametrize(("attribute", "value"), [("status", "404 Not Found"), ("status_code", 404)])
def test_there_is_no_status_to_be_changed_before_there_is_a_response(attribute, value, call):
    class Layer(Middleware):
        def before_request(self, exchange):
            setattr(exchange, attribute, value)

    error = call(Layer(answering([b"body"]))).error
    assert isinstance(error, ApplicationError)
    assert str(error) == (
        f"Layer.before_request: exchange.{attribute}: there is no response yet. Change it in after_request, or reply."
    )


def writing_a_number(environ, start_response):
    start_response(404, [])(b"written")
    return []


def replacing_by_a_number(environ, start_response):
    start_response("200 OK", [])
    start_response(404, [], (ValueError, ValueError(), None))
    return [b""]


@pytest.mark.parametrize(
    "app",
    [answering([b""], status=404), answering(Body(b"lazy"), status=404), writing_a_number, replacing_by_a_number],
    ids=["list", "lazy", "write", "exc_info"],
)
def test_an_application_whose_status_is_no_text_is_told_so_before_a_hook_sees_it(app, call, onion):
    class Reading(Middleware):
        def after_request(self, exchange):
            assert isinstance(exchange.status, str)

    error = call(onion(app, Reading)).error
    assert isinstance(error, ProtocolError)
    assert str(error) == "start_response: status: expected a str such as '200 OK', got 404."


# ---------------------------------------------------------------------- bodies and replies


@pytest.mark.parametrize("body", [{"a": 1}, 7, ["text"], (1,)], ids=repr)
def test_a_body_that_is_no_iterable_of_bytes_is_refused_where_it_is_assigned(body, call):
    class Layer(Middleware):
        def after_request(self, exchange):
            exchange.body = body

    error = call(Layer(answering([b"body"]))).error
    assert str(error).startswith(f"exchange: body: expected an iterable of bytes, got {body!r}.")


@pytest.mark.parametrize("status", ["nope", "404", "", "12 OK", "200 a\nb", 7, 1000, None, 2.5, b"200 OK", True])
def test_a_reply_of_a_status_that_is_none_is_refused_at_once(status, call):
    class Layer(Middleware):
        def before_request(self, exchange):
            return exchange.reply(status)

    error = call(Layer(answering([b"body"]))).error
    expected = "a number from 100 to 999 or a line such as '404 Not Found'"
    assert str(error) == f"exchange.reply: status: expected {expected}, got {status!r}."


@pytest.mark.parametrize("body", [{"a": 1}, None, 7, ["text"], (1,)], ids=repr)
def test_a_reply_of_a_body_that_is_none_is_refused_at_once(body, call):
    class Layer(Middleware):
        def before_request(self, exchange):
            return exchange.reply(200, body)

    error = call(Layer(answering([b"body"]))).error
    kind = type(body).__name__
    assert str(error) == f"exchange.reply: body: expected text, bytes or an iterable of bytes, got {kind!r}."


@pytest.mark.parametrize(
    ("status", "line"),
    [(200, "200 OK"), (http.HTTPStatus.NOT_FOUND, "404 Not Found"), ("299 ", "299 "), (799, "799 Unknown")],
)
def test_a_reply_takes_a_number_or_a_line(status, line, call):
    class Layer(Middleware):
        def before_request(self, exchange):
            return exchange.reply(status, iter([b"body"]))

    assert call(Layer(answering([b""]))).finish().status == line
