"""Event streams: the format, keep-alive, the end."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from datetime import date

import pytest

from wsgikit import CompressionMiddleware, ContextMiddleware, Router, build_stack, g, use
from wsgikit.exceptions import ApplicationError
from wsgikit.http.event_stream import Event, EventStream, format_event
from wsgikit.testing import TestClient


# The examples are those of WHATWG HTML §9.2.6 and of web-platform-tests/eventsource (format-*.any.js).
@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("text", b"data: text\n\n"),
        ("", b"data: \n\n"),
        ("a\nb\r\nc\rd", b"data: a\ndata: b\ndata: c\ndata: d\n\n"),
        (" leading blank", b"data:  leading blank\n\n"),
        ("data: x", b"data: data: x\n\n"),
        ("\u2028ok\u00e9", "data: \u2028ok\u00e9\n\n".encode()),
        ("\ud800", b"data: ?\n\n"),
        ({"day": date(2030, 1, 2)}, b'data: {"day":"2030-01-02"}\n\n'),
        ([1, None], b"data: [1,null]\n\n"),
        (Event("x", event="tick"), b"event: tick\ndata: x\n\n"),
        (Event("x", id="7"), b"id: 7\ndata: x\n\n"),
        (Event(7, id=7), b"id: 7\ndata: 7\n\n"),
        (Event("x", retry_seconds=1.5), b"retry: 1500\ndata: x\n\n"),
    ],
    ids=repr,
)
def test_an_event_is_written_as_browsers_read_it(event, expected):
    assert format_event(event) == expected


@pytest.mark.parametrize("field", ["event", "id"])
@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\0b", ""], ids=ascii)
def test_a_field_that_would_break_the_format_is_refused(field, text):
    with pytest.raises(ApplicationError, match=f"EventStream: {field}: expected a text of one line"):
        format_event(Event("x", **{field: text}))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"events": "text"}, "EventStream: events: expected an iterable"),
        ({"events": 7}, "EventStream: events: expected an iterable"),
        ({"events": [], "retry_seconds": -1}, "EventStream: retry_seconds: expected a number of at least 0"),
        ({"events": [], "keepalive_seconds": 0}, "EventStream: keepalive_seconds: expected a number of at least 0.01"),
        ({"events": [], "keepalive_seconds": True}, "EventStream: keepalive_seconds"),
        ({"events": [], "keepalive_seconds": float("nan")}, "EventStream: keepalive_seconds"),
    ],
)
def test_an_argument_that_can_not_work_is_refused(arguments, text):
    with pytest.raises(ApplicationError, match=text):
        EventStream(**arguments)


@pytest.fixture(params=[15, None], ids=["on a thread", "on the request's thread"])
def keepalive(request):
    return request.param


def test_a_view_returns_a_stream_that_is_neither_cached_nor_transformed(keepalive):
    router = Router("site")

    @router.get("/")
    def view():
        return EventStream(["a", "b"], retry_seconds=3, keepalive_seconds=keepalive, headers=[("X-A", "b")])

    client = TestClient(build_stack(router, use(CompressionMiddleware, min_bytes=0)))
    answer = client.get("/", headers={"Accept-Encoding": "gzip"})
    assert answer.body == b"retry: 3000\n\ndata: a\n\ndata: b\n\n"
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-store, no-transform"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert answer.headers["X-A"] == "b"
    assert "Content-Encoding" not in answer.headers
    assert client.head("/").body == b""


def test_the_function_gets_the_id_of_the_last_event(keepalive):
    stream = EventStream(lambda last: [f"after {last}"], keepalive_seconds=keepalive)
    start = {"REQUEST_METHOD": "GET", "HTTP_LAST_EVENT_ID": "\u00c3\u00a9"}
    assert list(stream(start, lambda *_: None)) == [b":\n\n", "data: after é\n\n".encode()]
    assert list(stream) == [b":\n\n", b"data: after None\n\n"]


def test_events_are_produced_one_at_a_time_and_in_the_context_of_the_request(keepalive):
    seen = []
    variable = ContextVar("variable", default="outside")

    def events():
        for number in range(3):
            seen.append((number, variable.get()))
            yield str(number)

    variable.set("inside")
    body = EventStream(events(), keepalive_seconds=keepalive).start(None)
    assert next(body) == b":\n\n"
    assert seen == []
    assert next(body) == b"data: 0\n\n"
    assert seen == [(0, "inside")]
    assert list(body) == [b"data: 1\n\n", b"data: 2\n\n"]
    body.close()


def test_a_client_that_left_closes_the_iterator(keepalive):
    ended = threading.Event()

    def events():
        try:
            while True:
                yield "x"
        finally:
            ended.set()

    body = EventStream(events(), keepalive_seconds=keepalive).start(None)
    assert [next(body), next(body)] == [b":\n\n", b"data: x\n\n"]
    body.close()
    assert ended.is_set()


def test_a_stream_that_was_never_stepped_closes_its_source(keepalive):
    class Source:
        closed = 0

        def __iter__(self):
            raise AssertionError("it isn't read")

        def close(self):
            Source.closed += 1

    body = EventStream(Source(), keepalive_seconds=keepalive).start(None)
    next(body)
    body.close()
    assert Source.closed == 1


def test_silence_is_filled_with_comments_while_the_iterator_waits():
    more = threading.Event()

    def events():
        more.wait(10)
        yield "late"

    body = EventStream(events(), keepalive_seconds=0.01).start(None)
    assert [next(body) for _ in range(3)] == [b":\n\n"] * 3
    more.set()
    assert b"data: late\n\n" in list(body)


def test_none_means_nothing_yet():
    body = EventStream([None, None, "x"], keepalive_seconds=15).start(None)
    assert list(body) == [b":\n\n", b"data: x\n\n"], "no comment before the silence was long"
    body = EventStream([None, "x"], keepalive_seconds=None).start(None)
    assert list(body) == [b":\n\n", b":\n\n", b"data: x\n\n"]


def test_an_iterator_that_waits_past_the_end_is_closed_when_it_wakes(monkeypatch):
    monkeypatch.setattr("wsgikit.http.event_stream._LEAVING_SECONDS", 0.01)
    more, ended = threading.Event(), threading.Event()

    def events():
        try:
            more.wait(10)
            yield "late"
        finally:
            ended.set()

    body = EventStream(events(), keepalive_seconds=0.01).start(None)
    assert [next(body), next(body)] == [b":\n\n"] * 2
    body.close()
    assert not ended.is_set()
    more.set()
    assert ended.wait(10)


def test_an_error_of_the_iterator_is_raised_to_the_server(keepalive):
    def events():
        yield "x"
        raise LookupError("broken")

    body = EventStream(events(), keepalive_seconds=keepalive).start(None)
    assert [next(body), next(body)] == [b":\n\n", b"data: x\n\n"]
    with pytest.raises(LookupError, match="broken"):
        next(body)
    body.close()


def test_locals_work_in_the_iterator(keepalive):
    router = Router("site")

    def events():
        yield g.name

    @router.get("/")
    def view():
        g.name = "Ann"
        return EventStream(events(), keepalive_seconds=keepalive)

    client = TestClient(build_stack(router, use(ContextMiddleware)))
    assert client.get("/").body == b":\n\ndata: Ann\n\n"


def test_flask_and_bottle_take_a_stream_from_a_view(keepalive):
    import bottle
    import flask

    app = flask.Flask("site")
    app.add_url_rule("/", view_func=lambda: EventStream(["x"], keepalive_seconds=keepalive))
    answer = app.test_client().get("/")
    assert answer.data == b":\n\ndata: x\n\n"
    assert answer.headers["Content-Type"] == "text/event-stream"

    page = bottle.Bottle()

    @page.get("/")
    def stream_of_bottle():
        stream = EventStream(["x"], keepalive_seconds=keepalive)
        for name, value in stream.headers:
            bottle.response.set_header(name, value)
        return iter(stream)

    assert TestClient(page).get("/").body == b":\n\ndata: x\n\n"


def test_django_pyramid_and_falcon_stream_its_parts(keepalive):
    import django
    import falcon
    from django.conf import settings
    from django.http import StreamingHttpResponse
    from pyramid.response import Response

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="for tests", ROOT_URLCONF=(), MIDDLEWARE=[])
        django.setup()
    stream = EventStream(["x"], keepalive_seconds=keepalive)
    answer = StreamingHttpResponse(iter(stream), headers=dict(stream.headers))
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert b"".join(answer.streaming_content) == b":\n\ndata: x\n\n"

    response = Response(app_iter=iter(stream), headerlist=stream.headers)
    assert (response.content_type, response.body) == ("text/event-stream", b":\n\ndata: x\n\n")

    class Page:
        def on_get(self, request, response):
            response.stream = iter(stream)
            response.set_headers(stream.headers)

    app = falcon.App()
    app.add_route("/", Page())
    answer = TestClient(app).get("/")
    assert (answer.headers["Content-Type"], answer.body) == ("text/event-stream", b":\n\ndata: x\n\n")
