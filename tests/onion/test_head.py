"""Guarantee 2: the head is held back until all after hooks ran, and no longer."""

from __future__ import annotations

import sys

import pytest

from wsgikit.onion.middleware import Middleware
from wsgikit.testing.probes import answering


class Pass(Middleware):
    def after_request(self, exchange):
        pass


class ErrorPage(Middleware):
    def handle_exception(self, exchange, error):
        return exchange.reply(500, f"Sorry: {error}")


def test_after_request_can_change_status_and_headers(call, onion):
    class Change(Middleware):
        def after_request(self, exchange):
            exchange.status = "201 Created"
            exchange.headers.set("X-Changed", "yes")

    answer = call(onion(answering([b"body"]), Change)).finish()
    assert (answer.status, answer.get_all("X-Changed"), answer.content) == ("201 Created", ["yes"], b"body")


def test_the_server_gets_one_head_only_after_all_after_hooks_ran(call, log, onion, recording, environ):
    app = onion(answering([b""]), recording("outer"), recording("inner"))
    app(environ, lambda *head: log.append("head"))
    assert log == ["outer before", "inner before", "inner after", "outer after", "head"] + [
        "inner teardown",
        "outer teardown",
    ]


@pytest.mark.parametrize("body", [[b"list"], iter([b"lazy"])], ids=["list", "lazy"])
def test_a_save_or_commit_that_fails_in_after_request_still_becomes_a_clean_error_page(body, call, onion):
    class Commit(Middleware):
        def after_request(self, exchange):
            raise OSError("the database has gone")

    answer = call(onion(answering(body, headers=[("X-App", "1")]), ErrorPage, Commit)).finish()
    assert len(answer.heads) == 1
    assert (answer.status, answer.content) == ("500 Internal Server Error", b"Sorry: the database has gone")
    assert answer.get_all("X-App") == []


def test_the_error_page_passes_the_after_hooks_of_the_layers_outside_it_only(call, log, onion, recording):
    def fail(exchange):
        raise OSError("disk full")

    page = recording("page", handle=lambda exchange, error: exchange.reply(500, "Sorry."))
    saving = recording("saving", after=fail)
    call(onion(answering([b""]), recording("outer"), page, saving, recording("inner"))).finish()
    assert [entry for entry in log if "before" not in entry] == [
        "inner after",
        "saving after",
        "page handle",
        "page after",
        "outer after",
        "inner teardown",
        "saving teardown",
        "page teardown",
        "outer teardown",
    ]


def test_start_response_called_during_the_call_is_called_on_during_the_call(call, onion):
    """Servers that read the head when the call returns (granian) get it."""
    answer = call(onion(answering(iter([b"lazy"])), Pass))
    assert answer.has_head
    assert answer.steps == 0


def test_an_application_that_starts_its_response_lazily_is_pulled_to_its_first_chunk_and_no_further(call, log, onion):
    def app(environ, start_response):
        start_response("200 OK", [])
        for number in range(3):
            log.append(f"makes {number}")
            yield b"chunk %d" % number

    answer = call(onion(app, Pass))
    assert answer.has_head
    assert log == ["makes 0"]
    assert answer.finish().received == [b"chunk 0", b"chunk 1", b"chunk 2"]


def test_a_lazy_application_without_any_chunk_has_its_head_and_is_closed(call, log, onion):
    def app(environ, start_response):
        try:
            start_response("204 No Content", [])
            yield from ()
        finally:
            log.append("closed")

    answer = call(onion(app, Pass)).finish()
    assert (answer.status, answer.content, log) == ("204 No Content", b"", ["closed"])


def test_a_chunk_before_the_head_is_the_applications_error(call, onion):
    def app(environ, start_response):
        yield b"too early"
        start_response("200 OK", [])

    assert str(call(onion(app, Pass)).error) == (
        "application: first chunk: expected start_response called before it, got 'bytes'."
    )


def test_an_application_that_never_calls_start_response_is_told_so(call, onion):
    answer = call(onion(lambda environ, start_response: [], Pass))
    assert str(answer.error) == "application: response: expected a call of start_response, got None."


@pytest.mark.parametrize("body", [None, "text", b"bytes"], ids=["none", "str", "bytes"])
def test_a_body_that_is_no_iterable_of_bytes_is_told_so(body, call, onion):
    error = call(onion(answering(body), Pass)).error
    assert str(error) == f"application: body: expected an iterable of bytes, got {body!r}. Return a list: [body]."


@pytest.mark.parametrize("body", [None, "text", b"bytes"], ids=["none", "str", "bytes"])
def test_a_layer_that_sets_such_a_body_is_told_so(body, call, onion):
    class Replace(Middleware):
        def after_request(self, exchange):
            exchange.body = body

    error = call(onion(answering([b""]), Replace)).error
    assert str(error) == f"exchange: body: expected an iterable of bytes, got {body!r}. Assign a list: [body]."


def test_a_second_start_response_without_exc_info_is_an_error(call, onion):
    def app(environ, start_response):
        start_response("200 OK", [])
        start_response("201 Created", [])
        return [b""]

    error = call(onion(app, Pass)).error
    assert str(error) == (
        "start_response: second call: expected exc_info, got None. Call it once, or pass sys.exc_info()."
    )


def test_exc_info_may_be_given_by_keyword_as_servers_allow(call, onion):
    def app(environ, start_response):
        start_response("200 OK", [])
        try:
            raise KeyError("k")
        except KeyError:
            start_response("500 Failed", [], exc_info=sys.exc_info())
        return [b"sorry"]

    answer = call(onion(app, Pass)).finish()
    assert (answer.status, answer.content) == ("500 Failed", b"sorry")


def test_start_response_with_exc_info_replaces_the_head_before_it_was_sent(call, onion):
    def app(environ, start_response):
        start_response("200 OK", [("X-First", "1")])
        try:
            raise KeyError("k")
        except KeyError:
            start_response("500 Failed", [("X-Second", "1")], sys.exc_info())
        return [b"sorry"]

    answer = call(onion(app, Pass)).finish()
    assert answer.heads == [("500 Failed", [("X-Second", "1")])]


def test_start_response_with_exc_info_raises_the_error_after_a_chunk_left(call, log, onion):
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"sent"
        try:
            raise KeyError("in the stream")
        except KeyError:
            start_response("500 Failed", [], sys.exc_info())

    answer = call(onion(app, Pass)).take(1)
    assert not answer.step()
    assert isinstance(answer.error, KeyError)
    assert answer.heads == [("200 OK", [])]


def test_a_head_replaced_in_the_first_step_of_a_stream_passes_the_after_hooks_again(call, onion):
    class Count(Middleware):
        def after_request(self, exchange):
            exchange.headers.add("X-Seen", exchange.status)

    def app(environ, start_response):
        start_response("200 OK", [])

        def body():
            try:
                raise KeyError("k")
            except KeyError:
                start_response("500 Failed", [], sys.exc_info())
            yield b"sorry"

        return body()

    answer = call(onion(app, Count)).finish()
    assert answer.heads == [("200 OK", [("X-Seen", "200 OK")]), ("500 Failed", [("X-Seen", "500 Failed")])]
    assert answer.content == b"sorry"


def test_the_response_to_head_is_what_the_application_made_of_it(call, onion):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "5")])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [b"12345"]

    answer = call(onion(app, Pass), REQUEST_METHOD="HEAD").finish()
    assert (answer.get_all("Content-Length"), answer.content) == (["5"], b"")


@pytest.mark.parametrize("stage", ["before_request", "handle_exception"])
def test_headers_cannot_be_read_before_there_is_a_response(stage, call, onion):
    def hook(self, exchange, error=None):
        exchange.headers.set("X-Early", "1")

    def app(environ, start_response):
        raise ValueError

    error = call(onion(app, type("Early", (Middleware,), {stage: hook}))).error
    assert str(error) == "exchange.headers: there is no response yet. Change headers in after_request."


def test_headers_and_body_cannot_be_set_before_there_is_a_response(call, onion, recording):
    def set_headers(exchange):
        exchange.headers = [("X-Early", "1")]

    def set_body(exchange):
        exchange.body = [b"early"]

    error = call(onion(answering([b""]), recording("early", before=set_headers))).error
    assert str(error) == "exchange.headers: there is no response yet. Change headers in after_request."
    error = call(onion(answering([b""]), recording("early", before=set_body))).error
    assert str(error) == "exchange.body: there is no response yet. Change it in after_request, or reply."


def test_an_error_of_the_servers_start_response_tears_down_and_goes_to_the_server(environ, log, onion, recording):
    def start_response(status, headers, exc_info=None):
        raise AssertionError("no such status")

    with pytest.raises(AssertionError, match="no such status"):
        onion(answering(iter([b"lazy"])), recording("layer"))(environ, start_response)
    assert log == ["layer before", "layer after", "layer teardown"]
