"""`BodyLimitMiddleware`: too large, too slow, and which limit counts."""

from __future__ import annotations

import io
import socket
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import RequestTimeout

from tests.middleware.test_security_frameworks import FRAMEWORKS
from wsgikit import (
    BodyLimitMiddleware,
    ContextMiddleware,
    ErrorPagesMiddleware,
    Middleware,
    Request,
    Router,
    build_stack,
    policy,
    use,
)
from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.body_limit import pace
from wsgikit.middleware.body_limit.pace import PacedInput, allowed_seconds, socket_of
from wsgikit.testing import TestClient, assert_conforms

from .conftest import App, make_environ

CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "CONTENT_LENGTH": None}


def reading(environ, start_response):
    """Read the whole body, and say how long it was."""
    size = len(environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(size).encode()]


def call(app, body=b"", **keys):
    """Send a request with a body; return the status and the body of the response."""
    heads = []
    environ = make_environ("POST", body=body, **keys)
    if "CONTENT_LENGTH" in environ and "wsgi.input" not in keys:
        environ["wsgi.input"] = io.BytesIO(body)
    result = app(environ, lambda status, headers, exc_info=None: heads.append(status))
    content = b"".join(result)
    if hasattr(result, "close"):
        result.close()
    return heads[-1], content


@pytest.mark.parametrize(
    ("size", "keys", "status"),
    [
        (0, {}, "200"),
        (9, {}, "200"),
        (10, {}, "200"),
        (11, {}, "413"),
        (5000, {}, "413"),
        (0, CHUNKED, "200"),
        (10, CHUNKED, "200"),
        (11, CHUNKED, "413"),
        (5000, CHUNKED, "413"),
        (5000, {"CONTENT_LENGTH": None, "SERVER_PROTOCOL": "HTTP/2", "wsgi.input_terminated": True}, "413"),
        (5000, {"CONTENT_LENGTH": "1", **{k: v for k, v in CHUNKED.items() if v is not None}}, "413"),
    ],
)
def test_exactly_the_limit_passes_and_one_byte_more_does_not(size, keys, status):
    assert call(BodyLimitMiddleware(reading, max_body_bytes=10), b"x" * size, **keys)[0][:3] == status


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ten", 400),
        ("-1", 400),
        ("+5", 400),
        ("5, 5", 400),
        ("5;", 400),
        ("0x10", 400),
        ("1_0", 400),
        ("1.0", 400),
        (" 5", 400),
        ("\u0665", 400),
        ("\u00b2", 400),
        ("9" * 5000, 413),
        ("99999999999999999999999999", 413),
        ("0", 200),
        ("", 200),
    ],
)
def test_a_length_that_is_no_number_is_a_400(text, code):
    environ = make_environ("POST", CONTENT_LENGTH=text)
    heads = []
    list(BodyLimitMiddleware(App())(environ, lambda status, headers, exc_info=None: heads.append(status)))
    assert int(heads[0][:3]) == code


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_no_text_of_a_length_is_a_500_or_passes_the_limit(text):
    app = App()
    heads = []
    environ = make_environ("POST", CONTENT_LENGTH=text)
    list(BodyLimitMiddleware(app, max_body_bytes=9)(environ, lambda status, *rest: heads.append(int(status[:3]))))
    assert heads[0] in (200, 400, 413)
    if heads[0] == 200:
        assert text == "" or int(text) <= 9


def test_nothing_is_read_of_a_body_whose_length_is_too_large(ask):
    source = io.BytesIO(b"x" * 11)
    app = App(reads=True)
    answer = ask(
        lambda inner: BodyLimitMiddleware(inner, max_body_bytes=10),
        app=app,
        method="POST",
        CONTENT_LENGTH="11",
        **{"wsgi.input": source},
    )
    assert (answer.code, answer.seen, source.tell()) == (413, None, 0)


@pytest.mark.parametrize("read", ["read", "read in steps", "readline", "readlines", "iterate"])
def test_each_way_to_read_a_chunked_body_is_counted(read):
    def app(environ, start_response):
        body = environ["wsgi.input"]
        if read == "read":
            body.read()
        elif read == "read in steps":
            while body.read(3):
                pass
        elif read == "readline":
            while body.readline():
                pass
        elif read == "readlines":
            body.readlines()
        else:
            list(body)
        start_response("200 OK", [])
        return [b"read"]

    lines = b"abc\n" * 5
    assert call(BodyLimitMiddleware(app, max_body_bytes=19), lines, **CHUNKED)[0][:3] == "413"
    assert call(BodyLimitMiddleware(app, max_body_bytes=20), lines, **CHUNKED) == ("200 OK", b"read")


@pytest.mark.parametrize(
    ("status", "expected"), [("500 Internal Server Error", "413"), ("400 Bad Request", "413"), ("202 Accepted", "202")]
)
def test_another_error_that_the_application_makes_of_it_becomes_a_413(status, expected):
    def app(environ, start_response):
        try:
            environ["wsgi.input"].read()
        except Exception:
            start_response(status, [("Content-Type", "text/plain")])
            return [b"mine"]
        raise AssertionError

    answer = call(BodyLimitMiddleware(app, max_body_bytes=10), b"x" * 11, **CHUNKED)
    assert answer[0][:3] == expected
    assert (answer[1] == b"mine") == (expected == "202")


def test_an_error_of_the_application_stays_if_the_body_was_small_enough():
    app = BodyLimitMiddleware(App(status="500 Internal Server Error", reads=True), max_body_bytes=10)
    assert call(app, b"x" * 10, **CHUNKED)[0][:3] == "500"


@pytest.mark.parametrize("kind", [k for k in FRAMEWORKS if k != "bare"])
def test_a_chunked_form_that_is_too_large_is_a_413_in_each_framework(kind):
    form = b"name=" + b"x" * 1000
    app = build_stack(FRAMEWORKS[kind](), use(BodyLimitMiddleware, max_body_bytes=100))
    keys = {"CONTENT_TYPE": "application/x-www-form-urlencoded", "PATH_INFO": "/form"}
    assert call(app, form, **keys)[0][:3] == "413"
    if kind == "Flask":  # the others read nothing of a body without a length
        assert call(app, form, **keys, **CHUNKED)[0][:3] == "413"


@pytest.mark.parametrize("kind", FRAMEWORKS)
def test_a_form_within_the_limit_reaches_each_framework(kind):
    client = TestClient(build_stack(FRAMEWORKS[kind](), use(BodyLimitMiddleware, max_body_bytes=100)))
    assert client.post("/form", {"name": "Ann"}).text == "Ann"


# ---------------------------------------------------------------------- which limit counts


def site():
    router = Router(name="site")

    @router.post("/small")
    def small(request: Request):
        return str(len(request.data))

    @router.post("/large")
    @policy(body_limit="1KiB")
    def large(request: Request):
        return str(len(request.data))

    @router.post("/tiny")
    @policy(body_limit=5)
    def tiny(request: Request):
        return str(len(request.data))

    return router


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(
    ("limits", "path", "size", "status"),
    [
        ([100], "/small", 100, "200"),
        ([100], "/small", 101, "413"),
        ([100], "/large", 1024, "200"),
        ([100], "/large", 1025, "413"),
        ([100], "/tiny", 5, "200"),
        ([100], "/tiny", 6, "413"),
        ([50, 100], "/small", 51, "413"),
        ([100, 50], "/small", 51, "413"),
        ([100, 50], "/small", 50, "200"),
        ([500, 50], "/large", 500, "200"),
        ([500, 50], "/large", 501, "413"),
        ([2000, 50], "/large", 1025, "413"),
    ],
)
def test_the_policy_replaces_the_nearest_limit_and_never_the_outer_one(limits, path, size, status, is_chunked):
    layers = [use(BodyLimitMiddleware, max_body_bytes=n, name=f"limit{i}") for i, n in enumerate(limits)]
    keys = CHUNKED if is_chunked else {}
    answer = call(build_stack(site(), *layers), b"x" * size, PATH_INFO=path, **keys)
    assert (answer[0][:3], answer[1].isdigit()) == (status, status == "200")


@pytest.mark.parametrize(("limits", "expected"), [([100], 1024), ([500, 50], 500)])
def test_the_policy_is_the_limit_that_the_view_sees_unless_an_outer_one_is_lower(limits, expected):
    router = Router(name="site")

    @router.post("/")
    @policy(body_limit="1KiB")
    def view(request: Request):
        return str(request.max_content_length)

    layers = [use(BodyLimitMiddleware, max_body_bytes=n, name=f"limit{i}") for i, n in enumerate(limits)]
    assert call(build_stack(router, *layers), b"x") == ("200 OK", str(expected).encode())


def test_a_stack_inside_another_may_only_lower_the_limit():
    inner = build_stack(site(), use(BodyLimitMiddleware, max_body_bytes=500))
    outer = build_stack(inner, use(BodyLimitMiddleware, max_body_bytes=100))
    assert call(outer, b"x" * 101, PATH_INFO="/large")[0][:3] == "413"
    assert call(outer, b"x" * 100, PATH_INFO="/large")[0][:3] == "200"


def test_a_layer_between_that_reads_is_limited_too():
    class Reads(Middleware):
        def before_request(self, exchange):
            exchange.environ["size"] = len(exchange.request.body)

    app = build_stack(reading, use(BodyLimitMiddleware, max_body_bytes=10), use(Reads))
    assert call(app, b"x" * 11)[0][:3] == "413"
    assert call(app, b"x" * 11, **CHUNKED)[0][:3] == "413"
    assert call(app, b"x" * 10, **CHUNKED) == ("200 OK", b"10")


@pytest.mark.parametrize(("of_router", "expected"), [(5, 5), (50, 10), (None, 10)])
def test_the_limits_of_the_request_are_the_lower_of_layer_and_router(of_router, expected):
    router = Router(name="site", max_content_length=of_router)
    seen = []

    @router.post("/")
    def view(request: Request):
        seen.append((request.max_content_length, request.environ["wsgikit.request_limits"]["max_content_length"]))
        return ""

    call(build_stack(router, use(BodyLimitMiddleware, max_body_bytes=10)), b"x" * 5)
    assert seen == [(expected, expected)]


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_the_page_is_that_of_error_pages(accept):
    client = TestClient(
        build_stack(
            site(), use(ContextMiddleware), use(ErrorPagesMiddleware), use(BodyLimitMiddleware, max_body_bytes=10)
        )
    )
    response = client.post("/small", b"x" * 11, headers={"Accept": accept}, status=413)
    assert response.content_type == {"application/json": "application/problem+json"}.get(accept, accept)


# ---------------------------------------------------------------------- slow clients


@pytest.mark.parametrize(
    ("received", "step", "max_seconds", "rate", "expected"),
    [
        (0, 1024, None, 1024, pace.GRACE_SECONDS + 1),
        (10240, 1024, None, 1024, pace.GRACE_SECONDS + 11),
        (0, 1024, 2.0, 1, 2.0),
        (0, 1024, 2.0, None, 2.0),
    ],
)
def test_how_long_a_client_may_be_waited_for(received, step, max_seconds, rate, expected):
    assert allowed_seconds(received, step, max_seconds, rate) == expected


class SlowFile(io.BytesIO):
    """Each reading takes a second on the clock of the test."""

    def __init__(self, data, clock):
        super().__init__(data)
        self.clock = clock

    def read(self, size=-1):
        self.clock[0] += 1
        return super().read(min(size, 100))


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"max_seconds": 3}, "408"),
        ({"max_seconds": 60}, "200"),
        ({"min_bytes_per_second": 90}, "200"),
        ({"min_bytes_per_second": 1000}, "408"),
        ({}, "200"),
    ],
)
def test_a_client_that_is_slower_than_allowed_is_a_408(clock, options, status):
    source = SlowFile(b"x" * 2000, clock)
    keys = {"CONTENT_LENGTH": "2000", "wsgi.input": source}
    assert call(BodyLimitMiddleware(reading, **options), **keys)[0][:3] == status


def test_the_time_that_the_view_takes_does_not_count(clock):
    def app(environ, start_response):
        environ["wsgi.input"].read(10)
        clock[0] += 100
        return reading(environ, start_response)

    keys = {"CONTENT_LENGTH": "20", "wsgi.input": io.BytesIO(b"x" * 20)}
    assert call(BodyLimitMiddleware(app, max_seconds=3), **keys) == ("200 OK", b"10")


def test_a_slow_client_is_a_408_whatever_error_the_application_makes_of_it(clock):
    def app(environ, start_response):
        try:
            environ["wsgi.input"].read()
        except Exception:
            start_response("500 Internal Server Error", [])
            return [b""]

    keys = {"CONTENT_LENGTH": "2000", "wsgi.input": SlowFile(b"x" * 2000, clock)}
    assert call(BodyLimitMiddleware(app, max_seconds=1), **keys)[0][:3] == "408"


def test_a_reading_that_blocks_is_ended_when_the_time_is_up():
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb") as source:
        theirs.send(b"x")
        body = PacedInput(source, ours, 0.05, None)
        with pytest.raises(RequestTimeout):
            body.read(100)
        assert body.is_late
        ours.send(b"the answer")  # the other direction stays open
        assert theirs.recv(100) == b"the answer"


def test_no_timer_is_left_when_a_body_was_read():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"x" * 100)
        theirs.shutdown(socket.SHUT_WR)
        with ours.makefile("rb") as source:
            before = threading.active_count()
            body = PacedInput(source, ours, 60, None)
            assert body.read(10) + body.readline() == b"x" * 100
            body.stop()
            for thread in threading.enumerate():
                if isinstance(thread, threading.Timer):
                    thread.join(5)
            assert threading.active_count() == before


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"SERVER_PROTOCOL": "HTTP/1.1", "gunicorn.socket": "s"}, "s"),
        ({"SERVER_PROTOCOL": "HTTP/1.1", "werkzeug.socket": "s"}, "s"),
        ({"SERVER_PROTOCOL": "HTTP/2", "gunicorn.socket": "s"}, None),
        ({"SERVER_PROTOCOL": "HTTP/1.1"}, None),
    ],
)
def test_the_socket_is_left_alone_if_it_serves_other_requests_too(environ, expected):
    assert socket_of(environ) == expected


# ---------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, 10_485_760), ({"max_body_bytes": "1MiB"}, 1_048_576), ({"max_body_bytes": 0}, 0)],
)
def test_the_limit_is_a_number_or_a_size(options, expected):
    assert BodyLimitMiddleware(reading, **options).max_body_bytes == expected


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_body_bytes": -1}, "max_body_bytes: expected a whole number of at least 0"),
        ({"max_body_bytes": "ten"}, "max_body_bytes: expected"),
        ({"max_body_bytes": True}, "max_body_bytes: expected a whole number"),
        ({"max_seconds": 0}, "max_seconds: expected a number of seconds above 0"),
        ({"max_seconds": "soon"}, "max_seconds: expected"),
        ({"min_bytes_per_second": 0}, "min_bytes_per_second: expected a whole number of at least 1"),
        ({"min_bytes_per_second": 1.5}, "min_bytes_per_second: expected a whole number of at least 1"),
    ],
)
def test_an_option_that_cannot_work_is_refused_while_building(options, text):
    with pytest.raises(ConfigurationError, match=f"^BodyLimitMiddleware: {text}"):
        BodyLimitMiddleware(print, **options)


def test_a_duration_is_a_number_or_a_text():
    assert BodyLimitMiddleware(print, max_seconds="2m").max_seconds == 120
    assert BodyLimitMiddleware(print, max_seconds="250ms").max_seconds == 0.25


def test_the_layer_conforms():
    assert_conforms(lambda app: BodyLimitMiddleware(app, max_seconds=60, min_bytes_per_second=1))
