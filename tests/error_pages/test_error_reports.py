"""For the one on call: one record, with all that is known; reporters; what is no error."""

from __future__ import annotations

import gc
import io
import logging
import re
import weakref
from traceback import extract_tb

import pytest
import webob.request
import werkzeug.exceptions

from wsgikit import ContextMiddleware, ErrorPagesMiddleware, Middleware, Router, build_stack, use
from wsgikit.error_pages.report import fingerprint, new_error_id
from wsgikit.exceptions import ConfigurationError


def test_one_record_has_all_that_is_known(ask, failing, records):
    error = ValueError("x")
    got = ask(
        ErrorPagesMiddleware(failing(error)),
        path="/käse/7?token=secret",
        method="POST",
        SCRIPT_NAME="/shop",
        **{"wsgikit.request_id": "req-1", "wsgiorg.routing_args": ((), {"route": "/käse/<int:id>", "id": 7})},
    )
    (record,) = records()
    assert record.name == "wsgikit.errors"
    assert record.levelno == logging.ERROR
    assert record.exc_info[:2] == (ValueError, error)
    facts = (record.method, record.path, record.route, record.request_id, record.layer, record.hook)
    assert facts == ("POST", "/shop/käse/7", "/käse/<int:id>", "req-1", None, None)
    assert record.error_id in got.text
    message = record.getMessage()
    expected = "POST /shop/käse/7: ValueError in the application: 500 Internal Server Error [error_id="
    assert message.startswith(expected)
    assert f"fingerprint={record.fingerprint} route=/käse/<int:id> request_id=req-1]" in message
    assert "token" not in message


def functions(traceback):
    return [frame.name for frame in extract_tb(traceback)]


def test_the_traceback_in_the_log_begins_with_the_first_code_that_is_not_ours(ask, records):
    router = Router("app")

    @router.get("/")
    def view():
        return fail()

    def fail():
        raise ValueError

    reports = []
    ask(build_stack(router, use(ErrorPagesMiddleware, report=reports.append), use(ContextMiddleware)))
    (record,) = records()
    assert functions(record.exc_info[2]) == ["view", "fail"]
    assert functions(reports[0].error.__traceback__)[0] == "turn"  # the error itself keeps them all


def test_frames_of_others_in_between_stay_in_the_log(ask, failing, records):
    def of_others(app):
        def through(environ, start_response):
            return app(environ, start_response)

        return through

    class Inner(Middleware):
        def after_request(self, exchange):
            """Be a layer."""

    ask(build_stack(failing(ValueError()), use(ErrorPagesMiddleware), of_others, use(Inner)))
    (record,) = records()
    names = functions(record.exc_info[2])
    assert names[0] == "through"
    assert "turn" in names


class Odd:
    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(("left", "route"), [("/orders/<id>", "/orders/<id>"), ("a\nb", "a\\nb"), (Odd(), None)])
def test_a_router_of_others_leaves_word_of_its_route(ask, failing, records, left, route):
    class Routes(Middleware):
        def before_request(self, exchange):
            exchange.state["wsgikit.route"] = left

    ask(build_stack(failing(ValueError()), use(ErrorPagesMiddleware), use(Routes)))
    (record,) = records()
    assert record.route == route


def test_a_line_break_in_the_path_does_not_forge_a_line_of_the_log(ask, failing, records):
    ask(ErrorPagesMiddleware(failing(ValueError())), path="/a\nERROR forged\x1b[31m")
    (record,) = records()
    assert "\n" not in record.getMessage()
    assert record.path == "/a\\nERROR forged\\x1b[31m"


def test_a_record_factory_with_a_field_of_that_name_does_not_cost_the_record(ask, failing, records):
    factory = logging.getLogRecordFactory()

    def with_request_id(*args, **kwargs):
        record = factory(*args, **kwargs)
        record.request_id = "theirs"
        return record

    logging.setLogRecordFactory(with_request_id)
    try:
        ask(ErrorPagesMiddleware(failing(ValueError())))
    finally:
        logging.setLogRecordFactory(factory)
    (record,) = records()
    assert record.request_id == "theirs"
    assert record.wsgikit_error_id


class Fails(Middleware):
    """Fails in the hook that it is told to fail in."""

    def __init__(self, app, *, hook):
        super().__init__(app)
        self.hook = hook

    def before_request(self, exchange):
        if self.hook == "before_request":
            raise RuntimeError(self.hook)

    def after_request(self, exchange):
        if self.hook == "after_request":
            raise RuntimeError(self.hook)

    def handle_exception(self, exchange, error):
        if self.hook == "handle_exception":
            raise RuntimeError(self.hook)


@pytest.mark.parametrize("context", [False, True], ids=["fused in one", "around a context"])
@pytest.mark.parametrize("hook", ["before_request", "after_request", "handle_exception"])
def test_the_record_says_in_which_layer_and_hook_it_was_raised(ask, failing, answering, records, hook, context):
    app = (
        failing(ValueError()) if hook == "handle_exception" else answering("200 OK", headers=[("Content-Type", "a/b")])
    )
    ask(build_stack(app, use(ErrorPagesMiddleware), context and use(ContextMiddleware), use(Fails, hook=hook)))
    (record,) = records(logging.ERROR)
    assert (record.layer, record.hook) == ("Fails", hook)
    assert f"RuntimeError in Fails.{hook}" in record.getMessage()


def test_an_error_in_what_a_layer_answered_with_is_said_to_be_its(ask, records):
    def view(environ, start_response):
        raise ValueError

    class Answers(Middleware):
        def before_request(self, exchange):
            return view

    ask(build_stack(view, use(ErrorPagesMiddleware), use(ContextMiddleware), use(Answers)))
    (record,) = records()
    assert (record.layer, record.hook) == ("Answers", "answer")
    assert record.getMessage().startswith("GET /: ValueError in the answer of Answers: 500 ")


def test_error_ids_are_forty_random_bits_in_letters_that_can_be_read_out():
    ids = {new_error_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}", error_id) for error_id in ids)


def _caught(function, *args):
    try:
        function(*args)
    except Exception as error:  # noqa: BLE001
        return error


def test_the_fingerprint_is_the_same_for_the_same_error_from_the_same_place():
    def one(text):
        raise ValueError(text)

    def other(text):
        raise ValueError(text)

    def wraps(text):
        try:
            one(text)
        except ValueError as error:
            raise ValueError(text) from error

    assert fingerprint(_caught(one, "a")) == fingerprint(_caught(one, "b")), "the message doesn't count"
    prints = {fingerprint(_caught(function, "a")) for function in (one, other, wraps)}
    assert len(prints) == 3, "function and cause do"
    assert fingerprint(_caught(int, "x")) != fingerprint(_caught(len, 1)), "and so does the type"


def test_the_fingerprint_does_not_change_with_the_layers_around(ask, records):
    def app(environ, start_response):
        raise ValueError

    ask(ErrorPagesMiddleware(app))
    ask(build_stack(app, use(ErrorPagesMiddleware), use(ContextMiddleware), use(Fails, hook=None)))
    first, second = records()
    assert first.fingerprint == second.fingerprint
    assert first.error_id != second.error_id


# ---------------------------------------------------------------------- reporters


def test_a_reporter_gets_a_snapshot_of_each_failure_and_of_nothing_else(ask, failing):
    reports = []
    error = ValueError("x")
    ask(ErrorPagesMiddleware(failing(error), report=reports.append), path="/a")
    ask(ErrorPagesMiddleware(failing(werkzeug.exceptions.NotFound()), report=reports.append))
    ask(ErrorPagesMiddleware(failing(KeyError()), statuses={KeyError: 404}, report=reports.append))
    (report,) = reports
    assert report.error is error
    assert (report.status, report.method, report.path, report.stage) == (
        "500 Internal Server Error",
        "GET",
        "/a",
        "request",
    )
    assert report.where == "the application"
    with pytest.raises(AttributeError):
        report.status = "200 OK"


def test_the_traceback_text_of_a_report_hides_what_is_given_to_secret_names(ask, failing):
    reports = []
    ask(ErrorPagesMiddleware(failing(ValueError("postgresql://u:hush@h/db password=hush")), report=reports.append))
    text = reports[0].traceback_text()
    assert "ValueError: postgresql://u:••••••@h/db password=••••••" in text
    assert "hush" not in text.splitlines()[-1]


def test_several_reporters_are_all_asked_and_a_failing_one_costs_nothing(ask, failing, records):
    reports = []

    def broken(report):
        raise LookupError("the mail server is down")

    got = ask(ErrorPagesMiddleware(failing(ValueError()), report=[broken, reports.append]))
    assert got.status == "500 Internal Server Error"
    assert len(reports) == 1
    assert [record.exc_info[0] for record in records(logging.ERROR)] == [ValueError, LookupError]


def test_what_is_no_reporter_is_refused_while_building(failing):
    with pytest.raises(ConfigurationError, match="report: expected a function that takes an ErrorReport, got 7"):
        ErrorPagesMiddleware(failing(ValueError()), report=[7])


# ---------------------------------------------------------------------- what is no error, and what can't be answered


class _Socket(io.RawIOBase):
    def readable(self):
        return True

    def readinto(self, buffer):
        raise ConnectionResetError("the client left")


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(werkzeug.exceptions.ClientDisconnected(), id="werkzeug"),
        pytest.param(webob.request.DisconnectionError("x"), id="webob"),
        pytest.param(type("NoMoreData", (OSError,), {"__module__": "gunicorn.http.errors"})(), id="gunicorn"),
        pytest.param(type("ClientDisconnected", (Exception,), {"__module__": "waitress.channel"})(), id="waitress"),
        pytest.param(OSError("Apache/mod_wsgi request data read error: Partial results are valid"), id="mod_wsgi"),
        pytest.param(OSError("error during read(8192) on wsgi.input"), id="uWSGI"),
    ],
)
def test_a_client_that_left_is_no_error(ask, failing, records, error):
    reports = []
    got = ask(ErrorPagesMiddleware(failing(error), report=reports.append))
    (record,) = records()
    assert record.levelno == logging.INFO
    assert record.getMessage() == f"GET /: the client left ({type(error).__name__})"
    assert not reports
    assert got.status == "400 Bad Request"


def test_an_os_error_out_of_the_request_body_is_a_client_that_left(ask, records):
    def app(environ, start_response):
        environ["wsgi.input"].read(10)

    ask(ErrorPagesMiddleware(app), method="POST", **{"wsgi.input": io.BufferedReader(_Socket())})
    assert [record.levelno for record in records()] == [logging.INFO]


def test_an_os_error_out_of_somewhere_else_is_an_error(ask, records):
    database = _Socket()

    def app(environ, start_response):
        database.read(10)

    got = ask(ErrorPagesMiddleware(app), method="POST")
    assert got.status == "500 Internal Server Error"
    assert [record.levelno for record in records()] == [logging.ERROR]


def _stream(start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first"
    raise ValueError("in the stream")


def test_an_error_after_the_head_left_is_logged_and_reported_once_and_raised(ask, records):
    reports = []
    layers = (use(ErrorPagesMiddleware, report=reports.append), use(ContextMiddleware))
    stack = build_stack(lambda environ, start_response: _stream(start_response), *layers)
    body = stack(webob.request.Request.blank("/").environ, lambda status, headers, exc_info=None: None)
    assert next(body) == b"first"
    with pytest.raises(ValueError, match="in the stream"):
        next(body)
    body.close()
    (record,) = records()
    assert "ValueError in the application: broke off after the head was sent" in record.getMessage()
    assert [(report.stage, report.status) for report in reports] == [("stream", None)]


def test_an_error_before_the_first_chunk_still_becomes_a_page(ask, records):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "9")])

        def body():
            raise ValueError("before the first chunk")
            yield b""

        return body()

    got = ask(ErrorPagesMiddleware(app))
    assert got.status == "500 Internal Server Error"
    assert "Something went wrong" in got.text
    assert len(records(logging.ERROR)) == 1


def test_an_error_that_passes_two_layers_is_logged_once(ask, failing, records):
    class Lets(ErrorPagesMiddleware):
        def handle_exception(self, exchange, error):
            super().handle_exception(exchange, error)

    got = ask(build_stack(failing(ValueError()), use(ErrorPagesMiddleware), use(Lets)))
    assert got.status == "500 Internal Server Error"
    assert len(records(logging.ERROR)) == 1


def test_an_error_object_that_is_raised_in_every_request_is_logged_in_every_request(ask, failing, records):
    app = ErrorPagesMiddleware(failing(ValueError()))
    ask(app)
    ask(app)
    assert len(records(logging.ERROR)) == 2


def test_an_exception_with_slots_is_logged_all_the_same(ask, failing, records):
    class Slotted(ValueError):
        __slots__ = ()

        def __setattr__(self, name, value):
            raise AttributeError(name)

    ask(ErrorPagesMiddleware(failing(Slotted())))
    assert len(records(logging.ERROR)) == 1


def test_throw_errors_lets_errors_through_to_the_test(ask, failing, records):
    with pytest.raises(ValueError, match="for the test"):
        ask(ErrorPagesMiddleware(failing(ValueError("for the test"))), **{"x-wsgiorg.throw_errors": True})
    assert not records()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_passes_untouched(ask, failing, records, error):
    with pytest.raises(error):
        ask(ErrorPagesMiddleware(failing(error())))
    assert not records()


# ---------------------------------------------------------------------- nothing is kept alive


class Thing(dict):
    """Something that a request holds."""


class ThingError(Exception):
    """An error that can be watched."""


@pytest.mark.parametrize("context", [False, True], ids=["alone", "with a context"])
@pytest.mark.parametrize("debug", [False, True], ids=["visitor", "developer"])
def test_the_request_is_freed_at_once_not_when_the_collector_comes(ask, debug, context):
    alive = []

    def app(environ, start_response):
        thing = Thing(environ)
        alive.append(weakref.ref(thing))
        raise ThingError(len(thing))

    stack = build_stack(
        app, use(ErrorPagesMiddleware, debug=debug, show_locals=True), context and use(ContextMiddleware)
    )
    logging.disable()
    gc.disable()
    try:
        ask(stack)
        assert alive[0]() is None
    finally:
        gc.enable()
        logging.disable(logging.NOTSET)


@pytest.mark.parametrize("debug", [False, True], ids=["visitor", "developer"])
@pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*"])
def test_nothing_of_the_request_is_alive_after_the_answer(ask, debug, accept):
    alive = []

    def app(environ, start_response):
        thing = Thing(environ)
        error = ThingError("x")
        alive.extend((weakref.ref(thing), weakref.ref(error)))
        raise error

    logging.disable()  # pytest keeps records, and with them the error
    try:
        got = ask(ErrorPagesMiddleware(app, debug=debug, show_locals=True), accept=accept)
    finally:
        logging.disable(logging.NOTSET)
    assert got.status == "500 Internal Server Error"
    gc.collect()
    assert [reference() for reference in alive] == [None, None]
