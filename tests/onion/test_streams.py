"""Guarantee 2: streams stream, chunk for chunk."""

from __future__ import annotations

import itertools

import pytest

from wsgikit.context.middleware import ContextMiddleware
from wsgikit.exceptions import ProtocolError
from wsgikit.onion.middleware import Middleware
from wsgikit.testing.probes import Body, Endless, answering


class Pass(Middleware):
    def after_request(self, exchange):
        exchange.headers.add("X-Layer", "1")


@pytest.fixture(params=[[], [ContextMiddleware]], ids=["bare", "context"])
def layers(request):
    return [Pass, *request.param, Pass]


def test_empty_chunks_are_kept(environ, layers, onion):
    """They are how an application says that it still lives."""
    body = onion(answering(iter([b"", b"a", b"", b""])), *layers)(environ, lambda *head: None)
    assert list(body) == [b"", b"a", b"", b""]


def test_the_first_chunk_of_an_endless_stream_is_not_delayed(call, layers, onion):
    body = Endless()
    answer = call(onion(answering(body), *layers)).take(1)
    assert (answer.received, body.made) == ([b"tick\n"], 1)
    answer.close()


def test_an_endless_generator_application_delivers_chunk_by_chunk(call, layers, onion):
    made = []

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        for number in itertools.count():
            made.append(number)
            yield b"data: %d\n\n" % number

    answer = call(onion(app, *layers)).take(3)
    assert (answer.received, made) == ([b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"], [0, 1, 2])
    answer.close()


def test_nothing_of_the_body_is_made_before_the_server_asks(call, layers, onion):
    body = Body(b"a", b"b")
    answer = call(onion(answering(body), *layers))
    assert body.made == 0
    answer.step()
    assert body.made == 1
    answer.close()


def test_a_layer_that_wraps_a_stream_keeps_it_one(call, layers, onion):
    class Upper(Middleware):
        def after_request(self, exchange):
            assert exchange.is_streaming
            exchange.body = (chunk.upper() for chunk in exchange.body)

    body = Endless()
    answer = call(onion(answering(body), Upper, *layers, Upper)).take(2)
    assert (answer.received, body.made) == ([b"TICK\n", b"TICK\n"], 2)
    answer.close()
    assert body.closes == 1


def test_chunks_are_the_very_objects_that_the_application_made(environ, layers, onion):
    chunks = [bytes([65 + number]) * 10 for number in range(3)]
    body = onion(answering(iter(chunks)), *layers)(environ, lambda *head: None)
    assert all(given is made for given, made in zip(body, chunks, strict=True))


def test_a_stream_that_was_ended_stays_ended(call, layers, onion):
    answer = call(onion(answering(Body(b"a", b"b")), *layers)).take(1).close()
    with pytest.raises(StopIteration):
        next(answer.body)


def test_a_body_has_no_length_that_a_server_could_make_a_content_length_of(environ, layers, onion):
    assert not hasattr(onion(answering(iter([b"a"])), *layers)(environ, lambda *head: None), "__len__")


def test_a_stream_that_fails_before_its_first_chunk_becomes_an_error_page(call, onion, recording):
    page = recording("page", handle=lambda exchange, error: exchange.reply(500, "Sorry."))
    body = Body(ValueError("no data"))
    answer = call(onion(answering(body), page, Pass)).finish()
    assert [status for status, _ in answer.heads] == ["200 OK", "500 Internal Server Error"]
    assert (answer.content, body.closes) == (b"Sorry.", 1)


def test_the_head_of_that_page_is_given_to_the_server_with_exc_info(environ, onion, recording):
    given = []
    page = recording("page", handle=lambda exchange, error: exchange.reply(500, "Sorry."))
    error = ValueError("no data")

    def start_response(status, headers, exc_info=None):
        given.append((status[:3], exc_info and exc_info[:2]))

    list(onion(answering(Body(error)), page)(environ, start_response))
    assert given == [("200", None), ("500", (ValueError, error))]


def test_a_stream_that_fails_after_its_first_chunk_raises_with_nothing_appended(call, caplog, log, onion, recording):
    page = recording("page", handle=lambda exchange, error: exchange.reply(500, "Sorry."))
    error = ValueError("broke off")
    answer = call(onion(answering(Body(b"sent", error)), page, Pass)).finish()
    assert answer.error is error
    assert (answer.received, len(answer.heads)) == ([b"sent"], 1)
    assert log == ["page before", "page after", "page handle", "page teardown"]


def test_that_error_is_logged_once(call, caplog, onion):
    class CallsOnItsOwn(Pass):
        """Isn't fused, so that there are three engines that might log."""

        def __call__(self, environ, start_response):
            return super().__call__(environ, start_response)

    app = onion(answering(Body(b"sent", ValueError("broke off"))), CallsOnItsOwn, CallsOnItsOwn, Pass)
    call(app).finish()
    assert [record.getMessage() for record in caplog.records] == ["GET /: error in a stream: ValueError: broke off"]


def test_an_error_that_an_application_raises_again_in_the_next_request_is_logged_again(call, caplog, onion):
    """The result of a future, or an instance at module level, is raised again by each request."""
    error = ValueError("the very same")
    for _ in range(2):
        call(onion(answering(Body(b"sent", error)), Pass)).finish()
    assert len(caplog.records) == 2


def test_a_client_that_left_is_not_an_error(call, caplog, log, onion, recording):
    call(onion(answering(Body(b"a", b"b")), recording("layer"))).take(1).close()
    assert log == ["layer before", "layer after", "layer teardown"]
    assert caplog.records == []


def test_start_response_and_write_after_the_end_say_so(call, onion):
    kept = []

    def app(environ, start_response):
        kept.append(start_response("200 OK", []))
        return Body(b"a")

    call(onion(app, Pass)).finish()
    with pytest.raises(ProtocolError, match=r"^start_response: the request has ended\."):
        kept[0](b"too late")
