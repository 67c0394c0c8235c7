"""Guarantee 7: who is asked about an exception, and what passes."""

from __future__ import annotations

import pytest

from wsgikit.onion.middleware import Middleware
from wsgikit.testing.probes import Body, answering


def failing(error):
    def app(environ, start_response):
        raise error

    return app


def test_layers_are_asked_from_the_inside_out_until_one_answers(call, log, onion, recording):
    answering_layer = recording("page", handle=lambda exchange, error: exchange.reply(500, str(error)))
    layers = [recording("outer"), answering_layer, recording("inner")]
    answer = call(onion(failing(ValueError("boom")), *layers)).finish()
    assert (answer.code, answer.content) == (500, b"boom")
    assert log[3:] == [
        "inner handle",
        "page handle",
        "page after",
        "outer after",
        "inner teardown",
        "page teardown",
        "outer teardown",
    ]


def test_an_error_that_nobody_answers_goes_to_the_server_as_it_is(call, log, onion, recording):
    error = ValueError("boom")
    answer = call(onion(failing(error), recording("outer"), recording("inner")))
    assert answer.error is error
    assert log[2:] == ["inner handle", "outer handle", "inner teardown", "outer teardown"]


def test_a_handler_that_fails_passes_its_own_error_on(call, log, onion, recording):
    def fail(exchange, error):
        raise KeyError("in the handler") from error

    outer = recording("outer", handle=lambda exchange, error: exchange.reply(500, repr(error)))
    answer = call(onion(failing(ValueError("boom")), outer, recording("inner", handle=fail))).finish()
    assert answer.content == b"KeyError('in the handler')"


def test_a_layer_sees_the_error_of_its_own_before_request_but_not_of_its_own_after_request(call, log, onion, recording):
    def fail(exchange):
        raise ValueError

    call(onion(answering([b""]), recording("layer", before=fail)))
    assert "layer handle" in log
    log.clear()
    call(onion(answering([b""]), recording("layer", after=fail)))
    assert "layer handle" not in log


def test_an_answer_that_fails_itself_is_asked_about_further_out(call, onion, recording):
    outer = recording("outer", handle=lambda exchange, error: exchange.reply(500, str(error)))
    broken = recording("broken", handle=lambda exchange, error: failing(LookupError("no template")))
    answer = call(onion(failing(ValueError("boom")), outer, broken)).finish()
    assert answer.content == b"no template"


def test_the_body_of_the_response_that_failed_is_closed_before_the_answer(call, onion, recording):
    def fail(exchange):
        raise ValueError

    def answer(exchange, error):
        closes.append(body.closes)
        return exchange.reply(500, "Sorry.")

    body, closes = Body(b"a"), []
    call(onion(answering(body), recording("page", handle=answer), recording("failing", after=fail))).finish()
    assert (closes, body.closes) == ([1], 1)


def test_headers_that_layers_outside_the_answer_set_are_on_the_error_page(call, onion, recording):
    cors = recording("cors", after=lambda exchange: exchange.headers.add("Access-Control-Allow-Origin", "*"))
    inner = recording("inner", after=lambda exchange: exchange.headers.add("X-Inner", "1"))
    page = recording("page", handle=lambda exchange, error: exchange.reply(500, "Sorry."))
    answer = call(onion(failing(ValueError()), cors, page, inner)).finish()
    assert answer.get_all("Access-Control-Allow-Origin") == ["*"]
    assert answer.get_all("X-Inner") == []


def test_the_error_stands_on_the_exchange_until_teardown_is_over(call, onion, recording):
    seen = []
    error = ValueError("boom")
    layer = recording("layer", teardown=lambda exchange: seen.append(exchange.error))
    call(onion(failing(error), layer))
    call(onion(answering([b""]), layer))
    assert seen == [error, None]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("where", ["before", "app", "after", "handle", "first chunk", "second chunk", "close"])
def test_base_exceptions_tear_down_and_pass(kind, where, call, caplog, log, onion, recording):
    error = kind("stop")

    def stop(exchange, *_):
        raise error

    app = {
        "app": failing(error),
        "handle": failing(ValueError()),
        "first chunk": answering(Body(error)),
        "second chunk": answering(Body(b"a", error)),
        "close": answering(Body(b"a", close_error=error)),
    }.get(where, answering([b""]))
    acts = {where: stop} if where in ("before", "after", "handle") else {}
    outer = recording("outer", handle=lambda exchange, error: exchange.reply(500, "Sorry."))
    answer = call(onion(app, outer, recording("inner", **acts))).finish()
    assert (answer.error or answer.close_error) is error
    assert log[-2:] == ["inner teardown", "outer teardown"]
    assert "outer handle" not in log
    assert caplog.records == []


def test_a_base_exception_in_a_teardown_stops_no_other_and_passes(call, log, onion, recording):
    def stop(exchange):
        raise SystemExit(3)

    answer = call(onion(answering([b""]), recording("outer"), recording("inner", teardown=stop)))
    assert isinstance(answer.error, SystemExit)
    assert log[-1] == "outer teardown"


def test_after_the_first_chunk_handlers_are_told_and_their_answer_is_dropped(call, onion):
    told = []

    class Page(Middleware):
        def handle_exception(self, exchange, error):
            told.append((str(error), exchange.is_head_sent))
            return exchange.reply(500, "Sorry.")

    answer = call(onion(answering(Body(b"sent", ValueError("broke off"))), Page, Page)).finish()
    assert told == [("broke off", True)] * 2
    assert answer.received == [b"sent"]


def test_a_handler_that_fails_after_the_first_chunk_is_logged_and_the_first_error_passes(
    call, caplog, onion, recording
):
    def fail(exchange, error):
        raise KeyError("in the handler")

    layers = [recording("outer"), recording("inner", handle=fail)]
    answer = call(onion(answering(Body(b"sent", ValueError("broke off"))), *layers)).finish()
    assert str(answer.error) == "broke off"
    assert [record.getMessage() for record in caplog.records] == [
        "GET /: error in inner.run: KeyError: 'in the handler'",
        "GET /: error in a stream: ValueError: broke off",
    ]


def test_stop_iteration_of_the_application_is_an_error_like_any_other(call, onion, recording):
    page = recording("page", handle=lambda exchange, error: exchange.reply(500, repr(error)))
    answer = call(onion(failing(StopIteration("next() of an empty iterator")), page)).finish()
    assert answer.content == b"StopIteration('next() of an empty iterator')"
