"""Guarantee 4: the inner body is closed exactly once, and then every layer entered is torn down exactly once."""

from __future__ import annotations

import threading

import pytest

from wsgikit.context.middleware import ContextMiddleware
from wsgikit.onion.middleware import Middleware
from wsgikit.testing.probes import Body, SeparateBody, answering

ENDED = ["inner teardown", "outer teardown"]


@pytest.fixture(params=["bare", "context outside", "context inside"])
def layers(request, recording):
    outer, inner = recording("outer"), recording("inner")
    return {
        "bare": [outer, inner],
        "context outside": [ContextMiddleware, outer, inner],
        "context inside": [outer, ContextMiddleware, inner],
    }[request.param]


def ended(log):
    return [entry for entry in log if entry.endswith("teardown")]


def test_the_end_of_a_stream_is_its_close_and_not_its_last_chunk(call, layers, log, onion):
    body = Body(b"a", b"b")
    answer = call(onion(answering(body), *layers)).drain()
    assert (body.closes, ended(log)) == (0, [])
    answer.close()
    assert (body.closes, ended(log)) == (1, ENDED)


def test_a_second_close_does_nothing(call, layers, log, onion):
    body = Body(b"a")
    answer = call(onion(answering(body), *layers)).finish()
    answer.body.close()
    assert (body.closes, ended(log)) == (1, ENDED)


def test_an_early_close_closes_the_body_and_tears_down(call, layers, log, onion):
    body = Body(b"a", b"b")
    call(onion(answering(body), *layers)).take(1).close()
    assert (body.closes, ended(log)) == (1, ENDED)


def test_a_close_before_the_first_step_closes_the_body_and_tears_down(call, layers, log, onion):
    """The `finally` of a generator that was never started would not run."""
    body = Body(b"a")
    call(onion(answering(body), *layers)).close()
    assert (body.closes, body.made, ended(log)) == (1, 0, ENDED)


def test_a_body_that_is_never_closed_is_when_it_is_collected(environ, layers, log, onion):
    body = Body(b"a", b"b")
    next(onion(answering(body), *layers)(environ, lambda *head: None))
    assert (body.closes, ended(log)) == (1, ENDED)


def test_a_body_that_is_never_started_nor_closed_is_when_it_is_collected(environ, layers, log, onion):
    body = Body(b"a")
    onion(answering(body), *layers)(environ, lambda *head: None)
    assert (body.closes, ended(log)) == (1, ENDED)


def test_the_iterable_is_closed_and_not_the_iterator(call, onion, recording):
    body = SeparateBody(b"a")
    call(onion(answering(body), recording("layer"))).finish()
    assert (body.iterations, body.closes) == (1, 1)


def test_a_falsy_body_is_closed(call, onion, recording):
    class Empty(Body):
        def __len__(self):
            return 0

    body = Empty()
    call(onion(answering(body), recording("layer"))).finish()
    assert body.closes == 1


def test_a_body_that_a_layer_replaces_with_a_list_is_closed_at_once(call, onion):
    class Replace(Middleware):
        def after_request(self, exchange):
            exchange.body = [b"list"]
            closes.append(body.closes)

    body, closes = Body(b"a"), []
    assert call(onion(answering(body), Replace)).finish().content == b"list"
    assert (body.closes, closes) == (1, [1])


def test_a_body_that_a_layer_wraps_is_closed_at_the_end_after_what_wraps_it(call, log, onion):
    class Noting(Body):
        def close(self):
            log.append("body closed")

    class Wrap(Middleware):
        def after_request(self, exchange):
            exchange.body = upper(exchange.body)

    def upper(chunks):
        try:
            for chunk in chunks:
                yield chunk.upper()
        finally:
            log.append("wrapper closed")

    answer = call(onion(answering(Noting(b"a", b"b")), Wrap)).take(1)
    assert (answer.received, log) == ([b"A"], [])
    answer.close()
    assert log == ["wrapper closed", "body closed"]


def test_a_body_is_closed_when_after_request_fails(call, layers, log, onion, recording):
    def fail(exchange):
        raise OSError("disk full")

    body = Body(b"a")
    answer = call(onion(answering(body), *layers[:1], recording("saving", after=fail), *layers[1:]))
    assert isinstance(answer.error, OSError)
    assert body.closes == 1


def test_the_body_of_a_reply_is_closed_too(call, onion, recording):
    body = Body(b"reply")
    layer = recording("layer", before=lambda exchange: exchange.reply(200, body))
    call(onion(answering([b"app"]), layer)).finish()
    assert body.closes == 1


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304), ("GET", 204)])
def test_the_body_of_a_reply_that_is_not_sent_is_closed_all_the_same(method, status, call, onion, recording):
    body = Body(b"reply")
    layer = recording("layer", before=lambda exchange: exchange.reply(status, body))
    answer = call(onion(answering([b"app"]), layer), REQUEST_METHOD=method).finish()
    assert (answer.content, body.closes) == (b"", 1)


def test_the_first_error_of_closing_is_raised_and_the_rest_runs(call, layers, log, onion):
    body = Body(b"a", close_error=OSError("close failed"))
    answer = call(onion(answering(body), *layers)).finish()
    assert str(answer.close_error) == "close failed"
    assert ended(log) == ENDED


def test_a_close_that_raises_base_exception_still_tears_down(call, layers, log, onion):
    body = Body(b"a", close_error=KeyboardInterrupt("ctrl-c"))
    assert isinstance(call(onion(answering(body), *layers)).finish().close_error, KeyboardInterrupt)
    assert ended(log) == ENDED


def test_a_generator_that_ignores_its_close_still_lets_the_request_end(call, layers, log, onion):
    def stubborn():
        while True:
            try:
                yield b"again"
            except GeneratorExit:
                pass

    body = stubborn()
    answer = call(onion(answering(body), *layers)).take(1).close()
    assert str(answer.close_error) == "generator ignored GeneratorExit"
    assert ended(log) == ENDED
    with pytest.raises(RuntimeError):  # it has to be ended somehow
        body.throw(RuntimeError)


def test_a_failing_teardown_is_logged_and_stops_no_other(call, caplog, log, onion, recording):
    def fail(exchange):
        raise OSError(f"teardown {len(caplog.records)}")

    layers = [recording("outer"), recording("second", teardown=fail), recording("first", teardown=fail)]
    answer = call(onion(answering(Body(b"a")), *layers)).finish()
    assert ended(log) == ["first teardown", "second teardown", "outer teardown"]
    assert str(answer.close_error) == "teardown 0"
    assert [record.getMessage() for record in caplog.records] == [
        "GET /: error in first.teardown_request: OSError: teardown 0",
        "GET /: error in second.teardown_request: OSError: teardown 1",
    ]


def test_a_failing_teardown_of_a_body_at_rest_is_raised_from_the_call(call, log, onion, recording):
    def fail(exchange):
        raise OSError("rollback failed")

    answer = call(onion(answering([b"a"]), recording("outer"), recording("inner", teardown=fail)))
    assert str(answer.error) == "rollback failed"
    assert ended(log) == ENDED


def test_the_error_of_the_request_is_raised_before_that_of_its_teardown(call, caplog, log, onion, recording):
    def app(environ, start_response):
        raise ValueError("first")

    def fail(exchange):
        raise OSError("second")

    assert str(call(onion(app, recording("layer", teardown=fail))).error) == "first"
    assert [str(record.exc_info[1]) for record in caplog.records] == ["second"]


def test_a_falsy_error_is_an_error(call, onion, recording):
    class Falsy(Exception):
        def __bool__(self):
            return False

    def fail(exchange):
        raise Falsy

    layers = [recording("outer", teardown=fail), recording("inner")]
    assert isinstance(call(onion(answering([b""]), *layers)).error, Falsy)


def test_a_stream_may_be_closed_on_another_thread(call, layers, log, onion):
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"a"
        yield b"b"

    answer = call(onion(app, *layers)).take(1)
    thread = threading.Thread(target=answer.close)
    thread.start()
    thread.join()
    assert answer.close_error is None
    assert ended(log) == ENDED


def test_each_step_may_be_on_another_thread(call, layers, log, onion):
    answer = call(onion(answering(Body(b"a", b"b", b"c")), *layers))
    for _ in range(4):
        thread = threading.Thread(target=answer.step)
        thread.start()
        thread.join()
    assert answer.close().received == [b"a", b"b", b"c"]
    assert ended(log) == ENDED


def test_two_threads_that_close_at_once_tear_down_once(environ, layers, log, onion):
    for _ in range(50):
        log.clear()
        body = Body(b"a")
        response = onion(answering(body), *layers)(environ, lambda *head: None)
        start = threading.Barrier(4)

        def close(response=response, start=start):
            start.wait(5)
            response.close()

        threads = [threading.Thread(target=close) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (body.closes, ended(log)) == (1, ENDED)


class Slow(Body):
    """Makes its first chunk only when it has been closed, as one that waits for a socket may."""

    def __init__(self, *chunks):
        super().__init__(*chunks)
        self.inside, self.closed = threading.Event(), threading.Event()

    def __next__(self):
        self.inside.set()
        assert self.closed.wait(5)
        return super().__next__()


@pytest.mark.parametrize("first", [b"a", b"", ValueError("closed file")], ids=["chunk", "empty chunk", "error"])
def test_a_close_while_another_thread_makes_a_chunk_ends_the_request_once(first, call, caplog, layers, log, onion):
    body = Slow(first, b"b")
    answer = call(onion(answering(body), *layers))
    thread = threading.Thread(target=answer.step)
    thread.start()
    assert body.inside.wait(5)
    answer.body.close()
    body.closed.set()
    thread.join()
    assert (body.closes, log[-2:], ended(log)) == (1, ENDED, ENDED)
    assert not answer.step()
    assert caplog.records == []


def test_teardown_knows_whether_the_body_was_produced_to_its_end(call, onion):
    complete = []

    class Look(Middleware):
        def teardown_request(self, exchange):
            complete.append(exchange.is_complete)

    app = onion(answering([b"list"]), Look)
    call(app)
    call(onion(answering(Body(b"a")), Look)).finish()
    call(onion(answering(Body(b"a", b"b")), Look)).take(1).close()
    call(onion(answering(Body(b"a", ValueError("broke off"))), Look)).finish()
    call(onion(lambda environ, start_response: 1 / 0, Look))
    assert complete == [True, True, False, False, False]
