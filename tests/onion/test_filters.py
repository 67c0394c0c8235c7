"""`exchange.filter_body`: lists, streams, `write()`, files, HEAD; who is finished and who is abandoned."""

from __future__ import annotations

import io

import pytest

from wsgikit.exceptions import ApplicationError
from wsgikit.onion.middleware import Middleware


class Recorder:
    """A filter that doubles each chunk and notes what it is asked."""

    def __init__(self, log, name=""):
        self.log, self.name = log, name

    def feed(self, chunk):
        self.log.append(f"{self.name}feed {chunk.decode()}")
        return chunk * 2

    def finish(self):
        self.log.append(f"{self.name}finish")
        return b"!"

    def abandon(self):
        self.log.append(f"{self.name}abandon")


def filtering(*make):
    class Filter(Middleware):
        def after_request(self, exchange):
            for f in make:
                exchange.filter_body(f())

    return Filter


def answering(body, *headers, status="200 OK"):
    def app(environ, start_response):
        start_response(status, [("Content-Type", "text/plain"), *headers])
        return body() if callable(body) else body

    return app


def stream(*parts):
    def generate():
        for part in parts:
            if isinstance(part, Exception):
                raise part
            yield part

    return generate


def test_list_is_filtered_at_once_and_its_length_is_set(call, log):
    answer = call(filtering(lambda: Recorder(log))(answering([b"a", b"b"], ("Content-Length", "2")))).finish()
    assert answer.content == b"aabb!"
    assert dict(answer.headers)["Content-Length"] == "5"
    assert log == ["feed a", "feed b", "finish"]


def test_stream_is_filtered_chunk_for_chunk_and_its_length_removed(call, log):
    body = call(filtering(lambda: Recorder(log))(answering(stream(b"a", b"", b"b"), ("Content-Length", "2"))))
    assert "Content-Length" not in dict(body.headers)
    body.finish()
    assert (body.received, body.steps) == ([b"aa", b"bb", b"!"], 4)
    assert log == ["feed a", "feed b", "finish"]


def test_function_is_a_filter(call):
    assert call(filtering(lambda: bytes.upper)(answering(stream(b"a", b"b")))).finish().content == b"AB"
    assert call(filtering(lambda: bytes.upper)(answering([b"a", b"b"]))).finish().content == b"AB"


def test_what_is_written_passes_the_filters_with_the_rest(call, log):
    def app(environ, start_response):
        write = start_response("200 OK", [("Content-Length", "3")])
        write(b"a")
        write(b"b")
        return [b"c"]

    answer = call(filtering(lambda: Recorder(log))(app)).finish()
    assert answer.content == b"aabbcc!"
    assert "Content-Length" not in dict(answer.headers)
    assert log == ["feed a", "feed b", "feed c", "finish"]


def test_file_becomes_a_stream(call, log):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "4")])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"file"))

    assert call(filtering(lambda: Recorder(log))(app)).finish().content == b"filefile!"


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")]
)
@pytest.mark.parametrize("body", [[], stream()], ids=["list", "stream"])
def test_filter_of_a_response_without_a_body_is_abandoned(method, status, body, call, log):
    app = filtering(lambda: Recorder(log))(answering(body, ("Content-Length", "3"), status=status))
    answer = call(app, REQUEST_METHOD=method).finish()
    assert (answer.content, log) == (b"", ["abandon"])
    assert "Content-Length" not in dict(answer.headers)


def test_filter_of_an_inner_layer_is_fed_first(call, log, onion):
    outer, inner = filtering(lambda: Recorder(log, "outer ")), filtering(lambda: Recorder(log, "inner "))
    assert call(onion(answering(stream(b"a")), outer, inner)).finish().content == b"aaaa!!!"
    assert log == ["inner feed a", "outer feed aa", "inner finish", "outer feed !", "outer finish"]


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_filter_is_abandoned_once_if_the_client_leaves(steps, call, log):
    body = call(filtering(lambda: Recorder(log))(answering(stream(b"a", b"b", b"c"))))
    for _ in range(steps):
        body.step()
    body.close()
    assert [event for event in log if "feed" not in event] == ["abandon"]


@pytest.mark.parametrize("parts", [[ValueError("x")], [b"a", ValueError("x")]], ids=["at once", "later"])
def test_filter_is_abandoned_once_if_the_stream_fails(parts, call, log):
    call(filtering(lambda: Recorder(log))(answering(stream(*parts)))).finish()
    assert [event for event in log if "feed" not in event] == ["abandon"]


def test_filter_is_abandoned_if_an_outer_layer_replaces_the_body(call, log, onion):
    class Replace(Middleware):
        def after_request(self, exchange):
            exchange.body = [b"other"]

    answer = call(onion(answering(stream(b"a")), Replace, filtering(lambda: Recorder(log)))).finish()
    assert (answer.content, log) == (b"other", ["abandon"])


def test_filter_is_abandoned_if_an_outer_layer_replaces_the_response(call, log, onion):
    class Replace(Middleware):
        def after_request(self, exchange):
            return exchange.reply(404, "gone")

    answer = call(onion(answering(stream(b"a")), Replace, filtering(lambda: Recorder(log)))).finish()
    assert (answer.content, log) == (b"gone", ["abandon"])


def test_layer_further_out_reads_the_filtered_body(call, log, onion):
    class Read(Middleware):
        def after_request(self, exchange):
            exchange.body = [b"<", *exchange.body, b">"]

    for body in ([b"a"], stream(b"a")):
        assert call(onion(answering(body), Read, filtering(lambda: bytes.upper))).finish().content == b"<A>"


def test_error_in_a_filter_of_a_stream_becomes_an_error_page_before_the_first_chunk(call, onion, log):
    class Failing(Recorder):
        def feed(self, chunk):
            raise ValueError("can't compress")

    class Page(Middleware):
        def handle_exception(self, exchange, error):
            return exchange.reply(500, str(error))

    for body in ([b"a"], stream(b"a")):
        answer = call(onion(answering(body), Page, filtering(lambda: Failing(log)))).finish()
        assert answer.content == b"can't compress"
    assert log == ["abandon"] * 2


@pytest.mark.parametrize("given", [None, object(), b"x"])
def test_what_is_no_filter_is_refused(given, call):
    answer = call(filtering(lambda: given)(answering([b"a"]))).finish()
    assert isinstance(answer.error, ApplicationError)
    assert "exchange.filter_body: filter: expected a function of a chunk" in str(answer.error)


def test_filter_that_returns_no_bytes_is_named(call):
    answer = call(filtering(lambda: bytes.decode)(answering([b"a"]))).finish()
    assert "exchange.filter_body: result of" in str(answer.error)


# ---------------------------------------------------------------------------------- early hints


@pytest.mark.parametrize("has_server", [True, False])
def test_early_hints_are_sent_if_the_server_can(has_server, call):
    sent, results = [], []

    class Hint(Middleware):
        def before_request(self, exchange):
            results.append(exchange.early_hints(["</a.css>; rel=preload", "</b.js>; rel=preload"]))

    call(Hint(answering([b"x"])), **({"wsgi.early_hints": sent.append} if has_server else {})).finish()
    assert results == [has_server]
    expected = [[("Link", "</a.css>; rel=preload"), ("Link", "</b.js>; rel=preload")]]
    assert sent == (expected if has_server else [])


@pytest.mark.parametrize("links", ["</a>", ["</a>\r\nX: y"], ["</\u0142>"]], ids=["text", "line break", "not latin-1"])
def test_early_hints_that_can_not_be_sent_are_refused(links, call):
    class Hint(Middleware):
        def before_request(self, exchange):
            exchange.early_hints(links)

    assert isinstance(call(Hint(answering([b"x"]))).finish().error, ApplicationError)
