"""`after_request` returns an application, which replaces the response."""

from __future__ import annotations

import pytest

import wsgikit
from wsgikit.exceptions import ApplicationError
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.reply import Reply


class Closing(list):
    def __init__(self, chunks, log):
        super().__init__(chunks)
        self.log = log

    def __iter__(self):
        return super().__iter__()

    def close(self):
        self.log.append("closed")


def answering(body, status="200 OK"):
    def app(environ, start_response):
        start_response(status, [("Content-Type", "text/plain")])
        return body

    return app


def test_reply_of_after_request_passes_only_the_layers_further_out(recording, onion, call, log):
    def replace(exchange):
        return exchange.reply(404, "gone")

    outer = recording("outer", after=lambda exchange: log.append(exchange.status))
    middle = recording("middle", after=replace)
    answer = call(onion(answering([b"x"]), outer, middle, recording("inner"))).finish()
    assert (answer.status, answer.content) == ("404 Not Found", b"gone")
    assert [event for event in log if "after" in event or " " not in event or event[0] == "4"] == [
        "inner after",
        "middle after",
        "outer after",
        "404 Not Found",
    ]
    assert log[-3:] == ["inner teardown", "middle teardown", "outer teardown"]


def test_body_of_a_replaced_response_is_closed_before_the_reply_is_called(recording, onion, call, log):
    def reply(environ, start_response):
        log.append("reply called")
        start_response("200 OK", [])
        return [b"new"]

    layer = recording("layer", after=lambda exchange: reply)
    answer = call(onion(answering(Closing([b"old"], log)), layer)).finish()
    assert answer.content == b"new"
    assert log.index("closed") < log.index("reply called")
    assert log.count("closed") == 1


def test_error_of_the_reply_is_asked_of_the_layers_further_out(recording, onion, call, log):
    def broken(environ, start_response):
        raise ValueError("broken")

    def answer_error(exchange, error):
        return exchange.reply(500, f"outer: {error}")

    outer = recording("outer", handle=answer_error)
    layer = recording("layer", after=lambda exchange: broken, handle=lambda *_: pytest.fail("it was asked"))
    answer = call(onion(answering([b"x"]), outer, layer)).finish()
    assert answer.content == b"outer: broken"


def test_what_the_application_wrote_is_discarded_with_its_response(recording, onion, call):
    def app(environ, start_response):
        write = start_response("200 OK", [])
        write(b"written")
        write(b"again")
        return [b"rest"]

    layer = recording("layer", after=lambda exchange: exchange.reply(410, "new"))
    answer = call(onion(app, recording("outer"), layer)).finish()
    assert (answer.status, answer.content) == ("410 Gone", b"new")


def test_is_replacement_is_true_once_a_response_was_dropped(recording, onion, call):
    seen = []
    look = recording("look", after=lambda exchange: seen.append(exchange.is_replacement))
    replace = recording("replace", after=lambda exchange: exchange.reply(404))
    call(onion(answering([b"x"]), look, replace, look)).finish()
    assert seen == [False, True]


def test_is_replacement_is_false_if_a_request_failed_before_its_head(recording, onion, call):
    def app(environ, start_response):
        raise ValueError

    seen = []
    look = recording("look", after=lambda exchange: seen.append(exchange.is_replacement))
    handle = recording("handle", handle=lambda exchange, error: exchange.reply(500))
    call(onion(app, look, handle)).finish()
    assert seen == [False]


@pytest.mark.parametrize(
    ("body", "method", "expected"),
    [
        ("text", "GET", b"text"),
        (b"bytes", "GET", b"bytes"),
        ([b"a", b"b"], "GET", b"ab"),
        ((b"a",), "GET", b"a"),
        ("text", "HEAD", b""),
    ],
)
def test_prebuilt_reply_answers_any_number_of_requests(body, method, expected, call):
    reply = wsgikit.reply(503, body, headers=[("Retry-After", "5")])
    for _ in range(2):
        answer = call(reply, REQUEST_METHOD=method).finish()
        assert answer.status == "503 Service Unavailable"
        assert answer.content == expected
        assert ("Retry-After", "5") in answer.headers
        assert dict(answer.headers)["Content-Length"] == str(
            len(b"".join(body) if isinstance(body, (list, tuple)) else body)
        )


def test_body_of_a_prebuilt_reply_survives_a_layer_that_changes_its_list(call):
    source = [b"a"]
    reply = wsgikit.reply(200, source)
    source.append(b"b")
    first = reply({"REQUEST_METHOD": "GET"}, lambda *_: None)
    if isinstance(first, list):
        first.clear()
    assert call(reply).finish().content == b"a"
    text = wsgikit.reply(200, "text")
    text({"REQUEST_METHOD": "GET"}, lambda *_: None).clear()
    assert call(text).finish().content == b"text"


@pytest.mark.parametrize("body", [iter([b"x"]), {"a": 1}, [1], 5], ids=["iterator", "dict", "numbers", "number"])
def test_prebuilt_reply_refuses_what_can_be_sent_only_once_or_never(body):
    with pytest.raises(ApplicationError, match="^reply: body: expected"):
        wsgikit.reply(200, body)


def test_reply_is_what_the_package_exports():
    assert isinstance(wsgikit.reply(204), Reply)


def test_nothing_is_left_to_the_garbage_collector_after_a_replacement(call, without_gc):
    import weakref

    class Replacing(Middleware):
        def after_request(self, exchange):
            seen.append(weakref.ref(exchange))
            return exchange.reply(404)

    seen = []
    call(Replacing(answering([b"x"]))).finish()
    assert seen[0]() is None
