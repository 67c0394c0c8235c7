"""`RequestIdMiddleware`: which ids are taken, where the id goes, and the filter for logging."""

from __future__ import annotations

import logging
import os
import re
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsgikit import ContextMiddleware, ErrorPagesMiddleware, RequestIdMiddleware, build_stack, copy_current_context, use
from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.request_id import RequestIdFilter, outgoing_headers, parse_traceparent
from wsgikit.testing import assert_conforms

from .conftest import App, make_environ

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
GOOD = "a" * 20


@pytest.mark.parametrize(
    ("given", "is_taken"),
    [
        # Plug.RequestId takes 20 to 200 characters; so do we.
        ("a" * 19, False),
        ("a" * 20, True),
        ("a" * 200, True),
        ("a" * 201, False),
        ("", False),
        ("01234567-89ab-cdef-0123-456789abcdef", True),
        ("Root=1-67891233-abcdef012345678912345678", True),
        ("AZaz09._~+/=-AZaz09._~+/=-", True),
        ("a" * 20 + " ", False),
        ("a" * 20 + "\n", False),
        ("a" * 20 + "\x00", False),
        ("a" * 20 + "\xe9", False),
        ("a" * 20 + ";drop", False),
        ("<script>alert(1)</script>", False),
    ],
)
def test_an_id_is_taken_if_it_is_long_and_safe(ask, given, is_taken):
    answer = ask(RequestIdMiddleware, HTTP_X_REQUEST_ID=given)
    assert (answer["X-Request-ID"] == given) is is_taken
    assert answer.seen["wsgikit.request_id"] == answer["X-Request-ID"]
    assert is_taken or re.fullmatch("[0-9a-f]{32}", answer["X-Request-ID"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(st.characters(max_codepoint=255)))
def test_whatever_comes_the_id_is_safe(ask, value):
    layer = RequestIdMiddleware(App())
    environ = make_environ(HTTP_X_REQUEST_ID=value, HTTP_TRACEPARENT=value)
    layer(environ, lambda status, headers, exc_info=None: None)
    assert re.fullmatch(r"[A-Za-z0-9._~+/=-]{20,200}", layer.app.seen["wsgikit.request_id"])


def test_never_makes_an_id_of_its_own(ask):
    def make(app):
        return RequestIdMiddleware(app, trust="never")

    answer = ask(make, HTTP_X_REQUEST_ID=GOOD, HTTP_TRACEPARENT=TRACEPARENT)
    assert answer["X-Request-ID"] not in (GOOD, TRACE)


def test_the_trace_id_is_the_request_id(ask):
    assert ask(RequestIdMiddleware, HTTP_TRACEPARENT=TRACEPARENT)["X-Request-ID"] == TRACE
    both = {"HTTP_TRACEPARENT": TRACEPARENT, "HTTP_X_REQUEST_ID": GOOD}
    assert ask(RequestIdMiddleware, **both)["X-Request-ID"] == GOOD


@pytest.mark.parametrize(
    "text",
    # https://github.com/w3c/trace-context test/test.py: what a receiver must reject.
    [
        "",
        "00",
        "00-12345678901234567890123456789012-1234567890123456-01-what-the-future",
        "ff-12345678901234567890123456789012-1234567890123456-01",
        "00-00000000000000000000000000000000-1234567890123456-01",
        "00-12345678901234567890123456789012-0000000000000000-01",
        "00-1234567890123456789012345678901-1234567890123456-01",
        "00-123456789012345678901234567890123-1234567890123456-01",
        "00-12345678901234567890123456789012-123456789012345-01",
        "00-12345678901234567890123456789012-1234567890123456-1",
        "00-.2345678901234567890123456789012-1234567890123456-01",
        "00-12345678901234567890123456789012-.234567890123456-01",
        "00-12345678901234567890123456789012-1234567890123456-.0",
        "00-12345678901234567890123456789ABC-1234567890123456-01",
        "0-12345678901234567890123456789012-1234567890123456-01",
        "00-12345678901234567890123456789012-1234567890123456-01\n",
    ],
)
def test_an_invalid_traceparent_is_ignored(text):
    assert parse_traceparent(text) is None


def test_a_traceparent_of_a_later_version_is_read():
    text = "cc-12345678901234567890123456789012-1234567890123456-01-what-the-future-will-be-like"
    assert parse_traceparent(text) == ("12345678901234567890123456789012", "1234567890123456", "01")


def test_an_id_that_the_application_set_is_kept(ask):
    answer = ask(RequestIdMiddleware, App(headers=[("x-request-id", "mine")]))
    assert answer.headers.get_all("X-Request-ID") == ["mine"]


def test_header_and_length_can_be_chosen(ask):
    answer = ask(lambda app: RequestIdMiddleware(app, header="X-Correlation-ID", length=40))
    assert re.fullmatch("[0-9a-f]{40}", answer["X-Correlation-ID"])
    assert answer["X-Request-ID"] is None


def test_an_error_page_carries_the_id_and_shows_it():
    def fail(environ, start_response):
        raise LookupError

    heads = []
    stack = build_stack(fail, use(RequestIdMiddleware), use(ErrorPagesMiddleware))
    body = stack(make_environ(HTTP_X_REQUEST_ID=GOOD), lambda *args: heads.append(args))
    assert dict(heads[0][1])["X-Request-ID"] == GOOD
    assert GOOD.encode() in b"".join(body)


def test_ids_differ_also_after_a_fork_and_a_seed(ask):
    import random

    layer = RequestIdMiddleware(App())

    def next_id():
        layer(make_environ(), lambda status, headers, exc_info=None: None)
        return layer.app.seen["wsgikit.request_id"]

    ids = []
    for _ in range(2):
        random.seed(1)
        ids.append(next_id())
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, next_id().encode())
        os._exit(0)
    os.waitpid(pid, 0)
    ids += [os.read(reading, 100).decode(), next_id()]
    os.close(reading)
    os.close(writing)
    assert len(set(ids)) == 4


# ---------------------------------------------------------------------------------- outgoing requests


def test_outgoing_requests_continue_the_trace():
    headers = outgoing_headers({"wsgikit.request_id": GOOD, "HTTP_TRACEPARENT": TRACEPARENT})
    assert headers["X-Request-ID"] == GOOD
    continued = parse_traceparent(headers["traceparent"])
    assert (continued.trace_id, continued.flags) == (TRACE, "01")
    assert continued.parent_id != "00f067aa0ba902b7"


def test_outgoing_requests_have_no_traceparent_unless_one_came():
    assert outgoing_headers({"wsgikit.request_id": GOOD}, header="X-Id") == {"X-Id": GOOD}
    assert outgoing_headers({}) == {}


# ---------------------------------------------------------------------------------- the filter


@pytest.fixture
def records():
    """The records of one logger, behind a handler with the filter."""
    found = []

    class Handler(logging.Handler):
        def emit(self, record):
            found.append((record.getMessage(), record.request_id))

    handler = Handler()
    handler.addFilter(RequestIdFilter())
    logger = logging.getLogger("test_request_id")
    logger.setLevel("INFO")
    logger.propagate = False
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


def log(text):
    logging.getLogger("test_request_id").info(text)


def run(stack, request_id=GOOD):
    return stack(make_environ(HTTP_X_REQUEST_ID=request_id), lambda status, headers, exc_info=None: lambda data: None)


def stream(environ, start_response):
    log("called")
    start_response("200 OK", [("Content-Type", "text/plain")])

    def chunks():
        log("chunk")
        yield b"a"
        log("chunk")
        yield b"b"

    return chunks()


@pytest.mark.parametrize("layers", [[], [use(ContextMiddleware)]], ids=["alone", "with context"])
def test_records_of_a_request_have_its_id(records, layers):
    body = run(build_stack(stream, use(RequestIdMiddleware), *layers))
    list(body)
    body.close()
    log("after")
    assert records == [("called", GOOD), ("chunk", GOOD), ("chunk", GOOD), ("after", "-")]


def test_two_streams_by_turns_keep_their_ids(records):
    stack = build_stack(stream, use(RequestIdMiddleware), use(ContextMiddleware))
    first, second = run(stack, "1" * 20), run(stack, "2" * 20)
    records.clear()
    for body in (first, second, first, second):
        next(body)
    assert [request_id[0] for _, request_id in records] == ["1", "2", "1", "2"]
    first.close()
    second.close()


def test_a_thread_with_the_context_has_the_id(records):
    def app(environ, start_response):
        thread = threading.Thread(target=copy_current_context(lambda: log("in the thread")))
        thread.start()
        thread.join()
        start_response("200 OK", [])
        return []

    run(build_stack(app, use(RequestIdMiddleware), use(ContextMiddleware)))
    assert records == [("in the thread", GOOD)]


def test_an_id_that_a_record_has_is_kept(records):
    logging.getLogger("test_request_id").info("own", extra={"request_id": "own"})
    assert records == [("own", "own")]


# ---------------------------------------------------------------------------------- options, protocol


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"header": "X Request"}, "header: expected a name such as 'X-Request-ID', got 'X Request'"),
        ({"header": ""}, "header: expected a name"),
        ({"header": None}, "header: expected a name"),
        ({"trust": "always"}, "trust: expected 'validated' or 'never', got 'always'"),
        ({"length": 19}, "length: expected a number from 20 to 200, got 19"),
        ({"length": 201}, "length: expected a number from 20 to 200"),
        ({"length": True}, "length: expected a number from 20 to 200"),
    ],
)
def test_options_that_can_not_work_are_refused(options, text):
    with pytest.raises(ConfigurationError, match=re.escape(f"RequestIdMiddleware: {text}")):
        RequestIdMiddleware(App(), **options)


def test_it_conforms():
    assert_conforms(RequestIdMiddleware)
