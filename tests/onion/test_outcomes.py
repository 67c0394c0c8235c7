"""How a response ended, and how much of it left: `outcome`, `bytes_sent`, `on_complete`."""

from __future__ import annotations

import io

import pytest

from wsgikit.exceptions import ApplicationError
from wsgikit.onion.middleware import Middleware


@pytest.fixture
def ended():
    """Outcome and bytes of each request, as teardown saw them."""
    return []


@pytest.fixture
def Watch(ended, log):  # noqa: N802  # a class
    class Watch(Middleware):
        counts_bytes = True

        def before_request(self, exchange):
            exchange.on_complete(lambda exchange: log.append("complete"))

        def teardown_request(self, exchange):
            ended.append((exchange.outcome, exchange.bytes_sent))

    return Watch


def answering(body, *headers, status="200 OK"):
    def app(environ, start_response):
        start_response(status, [("Content-Type", "text/plain"), *headers])
        return body() if callable(body) else body

    return app


def chunks(*parts, log=None):
    def generate():
        for part in parts:
            if log is not None:
                log.append(part)
            if isinstance(part, Exception):
                raise part
            yield part

    return generate


@pytest.mark.parametrize(
    ("app", "keys", "expected"),
    [
        (answering([b"ab", b"c"]), {}, ("complete", 3)),
        (answering((b"abc",)), {}, ("complete", 3)),
        (answering([b"abc"], ("Content-Length", "3")), {}, ("complete", 3)),
        (answering([], ("Content-Length", "3")), {"REQUEST_METHOD": "HEAD"}, ("complete", 0)),
        (answering([], status="304 Not Modified"), {}, ("complete", 0)),
        (answering(chunks(b"ab", b"", b"c")), {}, ("complete", 3)),
        (answering(chunks()), {}, ("complete", 0)),
    ],
    ids=["list", "tuple", "with length", "HEAD", "304", "stream", "empty stream"],
)
def test_outcome_and_bytes_of_a_response_that_was_sent_whole(app, keys, expected, call, Watch, ended, log):
    call(Watch(app), **keys).finish()
    assert ended == [expected]
    assert log == ["complete"]


def test_what_was_written_is_counted_with_the_rest(call, Watch, ended, log):
    def app(environ, start_response):
        write = start_response("200 OK", [("Content-Length", "8")])
        write(b"abc")
        write(b"de")
        return [b"fgh"]

    call(Watch(app)).finish()
    assert (ended, log) == ([("complete", 8)], ["complete"])


def test_file_counts_as_what_is_left_of_it(call, Watch, ended):
    def app(environ, start_response):
        file = io.BytesIO(b"0123456789")
        file.seek(4)
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](file)

    call(Watch(app)).finish()
    assert ended == [("complete", 6)]


def test_client_that_leaves_a_stream_aborts_it(call, Watch, ended, log):
    body = call(Watch(answering(chunks(b"abc", b"def", b"ghi"))))
    body.step()
    body.close()
    assert (ended, log) == ([("aborted", 3)], [])


def test_stream_that_the_server_never_asks_for_is_unstarted(call, Watch, ended, log):
    call(Watch(answering(chunks(b"abc"), ("Content-Length", "3")))).close()
    assert (ended, log) == ([("unstarted", 0)], [])


def test_stream_that_breaks_off_has_failed(call, Watch, ended, log):
    call(Watch(answering(chunks(b"abc", ValueError("broken"))))).finish()
    assert (ended, log) == ([("failed", 3)], [])


def test_request_that_raises_has_failed(call, Watch, ended):
    def app(environ, start_response):
        raise ValueError

    call(Watch(app)).finish()
    assert ended == [("failed", 0)]


def test_stream_is_complete_before_the_chunk_that_fills_its_length_leaves(call, Watch, ended, log):
    body = call(Watch(answering(chunks(b"abc", b"def", log=log), ("Content-Length", "6"))))
    body.step()
    assert log == [b"abc"]
    body.step()
    assert log == [b"abc", b"def", "complete"]
    body.close()
    assert ended == [("complete", 6)]


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Length", "2"), ("Content-Length", "2")],
        [("Content-Length", "two")],
        [("Content-Length", "-2")],
        [("Content-Length", "99")],
        [],
    ],
    ids=["doubled", "text", "negative", "too long", "none"],
)
def test_stream_without_a_length_that_can_be_reached_is_complete_at_its_end(headers, call, Watch, log):
    call(Watch(answering(chunks(b"ab", b"c", log=log), *headers))).finish()
    assert log == [b"ab", b"c", "complete"]


@pytest.mark.parametrize(("server", "expected"), [("finish", "complete"), ("close", "unstarted")])
@pytest.mark.parametrize("headers", [[], [("Content-Length", "3")]], ids=["no length", "length"])
def test_outcome_is_known_in_a_layer_that_counts_no_bytes(headers, server, expected, call, ended):
    class Watch(Middleware):
        def teardown_request(self, exchange):
            ended.append(exchange.outcome)

    getattr(call(Watch(answering(chunks(b"ab", b"c"), *headers))), server)()
    assert ended == [expected]


def test_bytes_of_a_stream_that_nobody_counted_are_refused(call, ended):
    class Watch(Middleware):
        def teardown_request(self, exchange):
            with pytest.raises(ApplicationError, match="counts_bytes = True"):
                exchange.bytes_sent
            ended.append(exchange.outcome)

    call(Watch(answering(chunks(b"ab", b"c")))).finish()
    assert ended == ["complete"]


@pytest.mark.parametrize("counts", ["inside", "on_complete", "on_teardown"])
def test_bytes_are_counted_if_somebody_may_ask(counts, call, ended, onion):
    class Ask(Middleware):
        counts_bytes = counts == "inside"

        def before_request(self, exchange):
            if not self.counts_bytes:
                getattr(exchange, counts)(lambda *_: None)

        def teardown_request(self, exchange):
            ended.append(exchange.bytes_sent)

    def apart(app):
        return lambda environ, start_response: app(environ, start_response)

    call(Middleware(apart(Ask(answering(chunks(b"ab", b"c")))))).finish()
    assert ended == [3]


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("length", [0, 2, 4])
def test_stream_of_another_length_than_its_head_is_logged_once(length, layers, call, caplog):
    app = answering(chunks(b"ab", b"c"), ("Content-Length", str(length)))
    for _ in range(layers):
        app = Middleware((lambda inner: lambda environ, start_response: inner(environ, start_response))(app))
    assert call(app).finish().content == b"abc"
    (record,) = caplog.records
    assert f"expected {length}, the Content-Length, got 3" in caplog.text
    assert record.levelname == "ERROR"


def test_stream_of_the_right_length_or_of_none_logs_nothing(call, caplog):
    for headers in ([], [("Content-Length", "3")], [("Content-Length", "x")]):
        call(Middleware(answering(chunks(b"ab", b"c"), *headers))).finish()
    call(Middleware(answering(chunks(), ("Content-Length", "3"))), REQUEST_METHOD="HEAD").finish()
    call(Middleware(answering(chunks(), ("Content-Length", "3"), status="304 Not Modified"))).finish()
    assert not caplog.records


def test_length_is_that_of_the_application_if_a_layer_changes_the_body(call, Watch, log, onion):
    class Encode(Middleware):
        def after_request(self, exchange):
            body = exchange.body
            exchange.headers.remove("Content-Length")

            def encoded():
                for chunk in body:
                    yield chunk * 10
                log.append("tail")
                yield b"tail"

            exchange.body = encoded()

    app = answering(chunks(b"abc", b"def"), ("Content-Length", "6"))
    assert call(onion(app, Watch, Encode)).finish().content == b"abc" * 10 + b"def" * 10 + b"tail"
    assert log == ["complete", "tail"]


def test_body_that_a_layer_reads_whole_is_complete_before_the_head_leaves(call, log, onion, Watch):
    class Join(Middleware):
        def after_request(self, exchange):
            exchange.body = [b"".join(exchange.body)]
            log.append("joined")

    call(onion(answering(chunks(b"a", b"b")), Watch, Join)).finish()
    assert log == ["joined", "complete"]


@pytest.mark.parametrize("body", [[b"x"], chunks(b"x")], ids=["list", "stream"])
@pytest.mark.parametrize("headers", [[("Content-Length", "1")]])
def test_error_in_a_function_of_on_complete_becomes_an_error_page_if_nothing_was_sent(body, headers, call, onion):
    class Fail(Middleware):
        def before_request(self, exchange):
            exchange.on_complete(self.fail)

        def fail(self, exchange):
            raise ValueError("commit failed")

    class Page(Middleware):
        def handle_exception(self, exchange, error):
            return exchange.reply(500, str(error))

    answer = call(onion(answering(body, *headers), Page, Fail)).finish()
    assert (answer.status[:3], answer.content) == ("500", b"commit failed")


def test_function_registered_after_the_length_was_reached_is_called_at_the_end(call, log):
    from wsgikit.wsgi import EXCHANGE

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "1")])

        def generate():
            yield b"x"
            environ[EXCHANGE].on_complete(lambda exchange: log.append("again"))

        return generate()

    call(Middleware(app)).finish()
    assert log == ["again"]


# ---------------------------------------------------------------------------------- file wrappers that are functions


class Sent:
    """What uWSGI's function returns: an object that only the server understands."""

    def __iter__(self):
        raise AssertionError("it is for the server")


def test_file_wrapper_that_is_a_function_is_handed_over_as_it_is(call, Watch, ended, onion):
    made = []

    def wrapper(file, block_size=8192):
        made.append(Sent())
        return made[0]

    def app(environ, start_response):
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"file"), 4096)

    layer = onion(app, Watch, Watch)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.file_wrapper": wrapper}
    assert layer(environ, lambda *_: None) is made[0]
    assert ended == [("complete", 4)] * 2


def test_file_wrapper_that_is_a_class_is_left_alone(call):
    seen = []

    def app(environ, start_response):
        seen.append(environ["wsgi.file_wrapper"])
        start_response("200 OK", [])
        return []

    class Wrapper:
        pass

    call(Middleware(app), **{"wsgi.file_wrapper": Wrapper}).finish()
    assert seen == [Wrapper]
