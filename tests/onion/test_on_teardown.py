"""`Exchange.on_teardown`: functions that run when the request has ended."""

from __future__ import annotations

import threading
from contextvars import ContextVar

from wsgikit.context.middleware import ContextMiddleware
from wsgikit.testing.probes import Body, answering
from wsgikit.wsgi import EXCHANGE

USER: ContextVar[str] = ContextVar("user", default="nobody")


def registering(log, *names, body=(b"",)):
    def app(environ, start_response):
        for name in names:
            environ[EXCHANGE].on_teardown(lambda name=name: log.append(name))
        start_response("200 OK", [])
        return list(body) if isinstance(body, tuple) else body

    return app


def test_functions_run_last_in_first_out_before_the_layers_teardown(call, log, onion, recording):
    layer = recording("layer", before=lambda exchange: exchange.on_teardown(lambda: log.append("of the layer")))
    call(onion(registering(log, "first", "second"), layer))
    assert log == ["layer before", "layer after", "second", "first", "of the layer", "layer teardown"]


def test_a_function_runs_once_when_a_stream_is_closed(call, log, onion, recording):
    answer = call(onion(registering(log, "once", body=Body(b"a")), recording("layer"))).drain()
    assert "once" not in log
    answer.close()
    answer.body.close()
    assert log.count("once") == 1


def test_one_that_fails_is_logged_and_stops_no_other_and_is_raised(call, caplog, log, onion, recording):
    def app(environ, start_response):
        environ[EXCHANGE].on_teardown(lambda: log.append("first"))
        environ[EXCHANGE].on_teardown(lambda: 1 / 0)
        start_response("200 OK", [])
        return []

    answer = call(onion(app, recording("layer")))
    assert log == ["layer before", "layer after", "first", "layer teardown"]
    assert isinstance(answer.error, ZeroDivisionError)
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["GET /: error in a function of on_teardown(): ZeroDivisionError: division by zero"]


def test_a_function_runs_in_the_context_it_was_registered_in(call, onion):
    seen = []

    def app(environ, start_response):
        USER.set("ann")
        environ[EXCHANGE].on_teardown(lambda: seen.append(USER.get()))
        start_response("200 OK", [])
        return iter([b"a"])

    answer = call(onion(app, ContextMiddleware))
    thread = threading.Thread(target=answer.close)
    thread.start()
    thread.join()
    assert seen == ["ann"]


def test_a_function_may_register_another(call, log, onion, recording):
    def app(environ, start_response):
        exchange = environ[EXCHANGE]
        exchange.on_teardown(lambda: exchange.on_teardown(lambda: log.append("inner")))
        start_response("200 OK", [])
        return []

    call(onion(app, recording("layer")))
    assert log[-2:] == ["inner", "layer teardown"]


def test_a_function_registered_after_the_end_runs_at_once(call, log, onion, recording):
    exchanges = []
    call(onion(answering([b""]), recording("layer", before=exchanges.append)))
    exchanges[0].on_teardown(lambda: log.append("late"))
    assert log[-1] == "late"


def test_functions_run_when_the_application_fails(call, log, onion, recording):
    def app(environ, start_response):
        environ[EXCHANGE].on_teardown(lambda: log.append("ran"))
        raise ValueError

    call(onion(app, recording("layer")))
    assert log[-2:] == ["ran", "layer teardown"]
