"""Guarantee 3: ``write()`` works and streams."""

from __future__ import annotations

import io

import pytest

from wsgikit.exceptions import ProtocolError
from wsgikit.onion.middleware import Middleware


def writing(*chunks, then=()):
    def app(environ, start_response):
        write = start_response("200 OK", [("X-App", "1")])
        for chunk in chunks:
            write(chunk)
        return list(then)

    return app


class Header(Middleware):
    def after_request(self, exchange):
        exchange.headers.add("X-Layer", "1")


def test_what_is_written_goes_before_the_body(call, onion):
    answer = call(onion(writing(b"a", b"b", then=[b"c"]), Header)).finish()
    assert answer.received == [b"a", b"b", b"c"]
    assert answer.heads == [("200 OK", [("X-App", "1"), ("X-Layer", "1")])]


def test_a_chunk_reaches_the_server_before_write_returns(environ, log, onion):
    def app(environ, start_response):
        write = start_response("200 OK", [])
        for chunk in (b"a", b"b"):
            write(chunk)
            log.append("returned")
        return []

    onion(app, Header)(environ, lambda *head: log.append)
    assert log == [b"a", "returned", b"b", "returned"]


def test_after_hooks_run_once_before_the_first_chunk_is_written(environ, log, onion, recording):
    def start_response(*head):
        log.append("head")
        return log.append

    onion(writing(b"a", b"b"), recording("outer"), recording("inner"))(environ, start_response)
    assert log == [
        "outer before",
        "inner before",
        "inner after",
        "outer after",
        "head",
        b"a",
        b"b",
        "inner teardown",
        "outer teardown",
    ]


def test_a_layer_sees_no_body_while_the_application_writes(call, onion):
    seen = []

    class Look(Middleware):
        def after_request(self, exchange):
            seen.append((exchange.body, exchange.is_streaming))

    call(onion(writing(b"a"), Look)).finish()
    assert seen == [(None, True)]


def test_a_body_that_a_layer_sets_takes_the_place_of_what_is_written(call, onion):
    class Replace(Middleware):
        def after_request(self, exchange):
            exchange.body = [b"replaced"]

    assert call(onion(writing(b"a", b"b", then=[b"c"]), Header, Replace)).finish().received == [b"replaced"]


def test_a_save_that_fails_when_the_application_writes_becomes_an_error_page(call, log, onion, recording):
    def fail(exchange):
        if exchange.status_code == 200:
            raise OSError("the store has gone")

    page = recording("page", handle=lambda exchange, error: exchange.reply(503, str(error)))
    answer = call(onion(writing(b"a"), page, recording("saving", after=fail))).finish()
    assert (answer.code, answer.content) == (503, b"the store has gone")
    assert len(answer.heads) == 1


def test_an_error_after_a_write_is_logged_once_and_raised_with_nothing_appended(call, caplog, log, onion, recording):
    def app(environ, start_response):
        start_response("200 OK", [])(b"sent")
        raise ValueError("too late")

    page = recording("page", handle=lambda exchange, error: exchange.reply(500, "Sorry."))
    answer = call(onion(app, page, Header))
    assert str(answer.error) == "too late"
    assert answer.received == [b"sent"]
    assert [record.exc_info[1] for record in caplog.records] == [answer.error]
    assert log == ["page before", "page after", "page handle", "page teardown"]


def test_a_client_that_leaves_during_write_is_told_to_the_application(environ, log, onion, recording):
    class ClientLeft(OSError):
        pass

    def start_response(*head):
        def write(data):
            raise ClientLeft

        return write

    with pytest.raises(ClientLeft):
        onion(writing(b"a"), recording("layer"))(environ, start_response)
    assert log == ["layer before", "layer after", "layer handle", "layer teardown"]


def test_write_streams_through_stacks_in_stacks(environ, log, onion):
    class CallsOnItsOwn(Header):
        """Isn't fused."""

        def __call__(self, environ, start_response):
            return super().__call__(environ, start_response)

    def app(environ, start_response):
        write = start_response("200 OK", [])
        write(b"a")
        log.append("returned")
        return []

    onion(app, CallsOnItsOwn, CallsOnItsOwn, Header)(environ, lambda *head: log.append)
    assert log == [b"a", "returned"]


def test_write_inside_a_body_is_a_protocol_error(call):
    def app(environ, start_response):
        write = start_response("200 OK", [])

        def generate():
            yield b"first"
            write(b"late")

        return generate()

    error = call(Middleware(app)).finish().error
    assert type(error).__name__ == "ProtocolError"
    assert "write: the call has returned" in str(error)


# ------------------------------------------------------------------ servers without write(): granian, hypercorn, bjoern


def serve_without_write(app, environ):
    """Be a server whose start_response returns None."""
    heads = []
    body = app(environ, lambda *head: heads.append(head))
    try:
        return heads, list(body), body
    finally:
        if hasattr(body, "close"):
            body.close()


@pytest.mark.parametrize("then", [[], [b"c"], [b"c", b"d"]], ids=len)
@pytest.mark.parametrize("lazy", [False, True], ids=["list", "stream"])
def test_write_works_on_a_server_that_has_none(then, lazy, environ, onion, log):
    class Count(Header):
        counts_bytes = True

        def teardown_request(self, exchange):
            log.append((exchange.outcome, exchange.bytes_sent))

    def app(environ, start_response):
        body = writing(b"a", b"b", then=then)(environ, start_response)
        return iter(body) if lazy else body

    heads, chunks, _ = serve_without_write(onion(app, Count), environ)
    assert chunks == [b"a", b"b", *then]
    assert heads == [("200 OK", [("X-App", "1"), ("X-Layer", "1")])]
    assert log == [("complete", 2 + len(then))]


def test_write_works_on_a_server_that_has_none_before_a_file(environ, onion):
    def app(environ, start_response):
        start_response("200 OK", [])(b"head ")
        return environ["wsgi.file_wrapper"](io.BytesIO(b"file"))

    _, chunks, _ = serve_without_write(onion(app, Header), environ)
    assert b"".join(chunks) == b"head file"


def test_write_after_the_call_is_refused_on_a_server_that_has_none(environ, onion):
    def app(environ, start_response):
        write = start_response("200 OK", [])
        write(b"early")

        def late():
            write(b"late")
            yield b"never"

        return late()

    with pytest.raises(ProtocolError, match="the call has returned"):
        serve_without_write(onion(app, Header), environ)
