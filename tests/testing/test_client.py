"""The client: linted, exhausted, closed; sessions, streams, no local left."""

from __future__ import annotations

import secrets
import subprocess
import sys
from contextlib import suppress

import pytest

from wsgikit import (
    ContextMiddleware,
    ErrorPagesMiddleware,
    Middleware,
    SessionMiddleware,
    build_stack,
    g,
    request,
    session,
    use,
)
from wsgikit.exceptions import ConfigurationError, ProtocolError
from wsgikit.onion.ending import CURRENT
from wsgikit.testing import StreamedResponse, TestClient, watch_bodies

KEY = secrets.token_hex(32)
TEXT = [("Content-Type", "text/plain; charset=utf-8")]


def hello(environ, start_response):
    start_response("200 OK", [*TEXT, ("Set-Cookie", "seen=1; Path=/")])
    return [b"hello ", environ.get("HTTP_COOKIE", "nobody").encode()]


class Steps:
    """A body that notes what is done to it."""

    def __init__(self, *chunks):
        self.chunks = list(chunks)
        self.events = []

    def __iter__(self):
        return self

    def __next__(self):
        if not self.chunks:
            raise StopIteration
        chunk = self.chunks.pop(0)
        if isinstance(chunk, Exception):
            raise chunk
        self.events.append(chunk)
        return chunk

    def close(self):
        self.events.append("close")


def answering(body):
    def app(environ, start_response):
        start_response("200 OK", list(TEXT))
        return body

    return app


# ---------------------------------------------------------------- what WebTest does, and stricter


def test_request_is_answered_and_cookies_are_kept():
    client = TestClient(hello)
    assert client.get("/").text == "hello nobody"
    assert client.get("/").text == "hello seen=1"


def test_app_that_breaks_the_protocol_fails_the_test():
    def app(environ, start_response):
        start_response("200 OK", {"Content-Type": "text/plain"})
        return [b""]

    with pytest.raises(AssertionError, match="must be of type list"):
        TestClient(app).get("/")


def test_lint_cannot_be_turned_off():
    with pytest.raises(ConfigurationError, match="TestClient: lint: expected nothing: it always is, got False"):
        TestClient(hello, lint=False)


@pytest.mark.parametrize("method", ["get", "head", "post"])
def test_body_is_taken_whole_and_closed(method):
    body = Steps(b"one", b"two")
    getattr(TestClient(answering(body)), method)("/")
    assert body.events == [b"one", b"two", "close"]


def test_body_of_an_error_is_closed_too():
    body = Steps(b"one", RuntimeError("in the stream"))
    with pytest.raises(RuntimeError, match="in the stream"):
        TestClient(answering(body)).get("/")
    assert body.events == [b"one", "close"]


def forgetting(app):
    return lambda environ, start_response: (chunk for chunk in app(environ, start_response))


def closing_twice(app):
    class Twice:
        def __init__(self, body):
            self.body = body

        def __iter__(self):
            return iter(self.body)

        def close(self):
            self.body.close()
            self.body.close()

    return lambda environ, start_response: Twice(app(environ, start_response))


@pytest.mark.parametrize(("layer", "closes"), [(forgetting, 0), (closing_twice, 2)])
def test_watched_body_that_a_layer_does_not_close_once_fails_the_test(layer, closes):
    client = TestClient(build_stack(watch_bodies(answering(Steps(b"one"))), layer))
    with pytest.raises(AssertionError) as raised:
        client.get("/")
    assert f": expected one call, got {closes}. A layer between the client and the application has to" in str(
        raised.value
    )


def test_watched_body_that_is_closed_passes():
    client = TestClient(build_stack(watch_bodies(answering(Steps(b"one"))), use(ContextMiddleware)))
    assert client.get("/").text == "one"


def test_watching_leaves_alone_what_has_nothing_to_close_and_who_is_not_a_client():
    body = [b"one"]
    assert TestClient(watch_bodies(answering(body))).get("/").text == "one"
    lazy = Steps(b"one")
    assert watch_bodies(answering(lazy))({}, lambda *args: None) is lazy


# ---------------------------------------------------------------- errors


def failing(environ, start_response):
    raise RuntimeError("in the app")


def test_error_page_is_seen_as_visitors_see_it():
    client = TestClient(build_stack(failing, use(ErrorPagesMiddleware)))
    assert client.get("/", status=500).status_int == 500


def test_thrown_errors_reach_the_test():
    client = TestClient(build_stack(failing, use(ErrorPagesMiddleware)), throw_errors=True)
    with pytest.raises(RuntimeError, match="in the app"):
        client.get("/")
    with pytest.raises(RuntimeError, match="in the app"):
        client.stream("/")


# ---------------------------------------------------------------- locals


def test_locals_of_a_request_are_gone_after_it():
    def app(environ, start_response):
        g.path = request.path
        start_response("200 OK", list(TEXT))
        return iter([g.path.encode()])

    client = TestClient(build_stack(app, use(ContextMiddleware)))
    assert client.get("/page").text == "/page"
    assert CURRENT.get(None) is None


class Leaking(Middleware):
    def before_request(self, exchange):
        CURRENT.set(exchange)


def test_local_that_is_left_fails_the_test_and_not_the_next():
    client = TestClient(build_stack(answering([b"one"]), use(Leaking)))
    for _ in range(2):
        with pytest.raises(AssertionError) as raised:
            client.get("/left")
        assert str(raised.value).startswith(
            "TestClient: locals: expected none left after the request, got <Exchange GET '/left' 200 OK>."
        )
    assert CURRENT.get(None) is None


def test_locals_of_the_test_itself_are_left_alone():
    stack = build_stack(hello, use(ContextMiddleware))
    with stack.request_context("/outside"):
        assert TestClient(stack).get("/inside").status_int == 200
        assert request.path == "/outside"


# ---------------------------------------------------------------- session


def visits(environ, start_response):
    environ["wsgikit.session"]["visits"] = environ["wsgikit.session"].get("visits", 0) + 1
    start_response("200 OK", list(TEXT))
    return [str(environ["wsgikit.session"]["visits"]).encode()]


SESSIONS = {
    "cookie": {},
    "memory": {"store": "memory://"},
    "flask": {"cookie_format": "flask"},
    "path": {"cookie_path": "/"},
}


@pytest.mark.parametrize("options", SESSIONS.values(), ids=SESSIONS)
def test_session_is_read_and_written_through_the_real_store(options):
    client = TestClient(build_stack(visits, use(SessionMiddleware, secret_key=KEY, **options)))
    with client.session() as opened:
        assert opened.new
        opened["visits"] = 40
    assert client.get("/").text == "41"
    with client.session() as opened:
        assert (opened.new, opened["visits"]) == (False, 41)
        opened["visits"] += 1
    assert client.get("/").text == "43"


def test_session_that_was_only_looked_at_sets_no_cookie():
    client = TestClient(build_stack(visits, use(SessionMiddleware, secret_key=KEY)))
    with client.session() as opened:
        assert dict(opened) == {}
    assert list(client.cookiejar) == []


def test_session_is_not_saved_where_the_block_raises():
    client = TestClient(build_stack(visits, use(SessionMiddleware, secret_key=KEY)))
    with suppress(ZeroDivisionError), client.session() as opened:
        opened["visits"] = 40
        _ = 1 / 0
    assert client.get("/").text == "1"


def test_destroyed_session_is_gone():
    client = TestClient(build_stack(visits, use(SessionMiddleware, secret_key=KEY)))
    client.get("/")
    with client.session() as opened:
        opened.destroy()
    assert client.get("/").text == "1"


def test_two_clients_have_two_sessions():
    stack = build_stack(visits, use(SessionMiddleware, secret_key=KEY, store="memory://"))
    one, two = TestClient(stack), TestClient(stack)
    with one.session() as opened:
        opened["visits"] = 10
    with two.session() as opened:
        opened["visits"] = 20
    assert (one.get("/").text, two.get("/").text) == ("11", "21")


def test_session_of_a_secure_cookie_is_opened_by_https():
    stack = build_stack(visits, use(SessionMiddleware, secret_key=KEY, cookie_secure=True))
    https = {"wsgi.url_scheme": "https", "HTTP_HOST": "localhost:443"}
    client = TestClient(stack, extra_environ=https)
    with client.session() as opened:
        opened["visits"] = 40
    assert client.get("/").text == "41"


def test_session_is_found_by_its_key_and_through_classic_nesting():
    inner = SessionMiddleware(visits, secret_key=KEY)
    outer = SessionMiddleware(forgetting(inner), secret_key=KEY, cookie_name="other", environ_key="other.session")
    client = TestClient(
        build_stack(inner, use(SessionMiddleware, secret_key=KEY, cookie_name="o", environ_key="other"))
    )
    with client.session(environ_key="wsgikit.session") as opened:
        opened["visits"] = 40
    assert client.get("/").text == "41"
    with TestClient(outer).session() as opened:
        opened["one"] = 1


def test_session_is_found_in_a_stack_inside_a_layer():
    inside = build_stack(visits, use(SessionMiddleware, secret_key=KEY))
    client = TestClient(ErrorPagesMiddleware(inside))
    with client.session() as opened:
        opened["visits"] = 40
    assert client.get("/").text == "41"


@pytest.mark.parametrize("environ_key", [None, "other.session"])
def test_missing_session_layer_is_named(environ_key):
    stack = build_stack(hello, use(SessionMiddleware, secret_key=KEY)) if environ_key else hello
    with pytest.raises(ConfigurationError) as raised:
        with TestClient(stack).session(environ_key=environ_key):
            pass
    assert "client.session(): app: expected a SessionMiddleware" in str(raised.value)
    assert (environ_key or "") in str(raised.value)


# ---------------------------------------------------------------- streams


def test_stream_gives_the_head_before_the_chunks():
    body = Steps(b"one", b"", b"two")
    with TestClient(answering(body)).stream("/events?a=1", headers={"X-Name": "x"}) as response:
        assert (response.status, response.status_code) == ("200 OK", 200)
        assert response.headers.get("content-type") == "text/plain; charset=utf-8"
        assert body.events == []
        assert next(response) == b"one"
        assert body.events == [b"one"]
        assert list(response) == [b"", b"two"]
        assert response.is_complete
    assert body.events == [b"one", b"", b"two", "close"]


def test_client_that_leaves_early_closes_the_body_once():
    body = Steps(b"one", b"two")
    response = TestClient(answering(body)).stream("/")
    next(response)
    response.close()
    response.close()
    assert body.events == [b"one", "close"]
    assert (response.is_closed, response.is_complete) == (True, False)
    with pytest.raises(ValueError, match=r"StreamedResponse: it is closed, no chunk can be taken\."):
        next(response)


def test_layers_are_torn_down_when_the_client_leaves():
    ended = []

    class Noting(Middleware):
        def teardown_request(self, exchange):
            ended.append(exchange.is_complete)

    client = TestClient(build_stack(answering(Steps(b"one", b"two")), use(Noting)))
    with client.stream("/") as response:
        next(response)
        assert ended == []
    assert ended == [False]


def test_lazy_application_gives_its_head_with_its_first_chunk():
    def app(environ, start_response):
        start_response("200 OK", list(TEXT))
        yield b"one"
        yield b"two"

    with TestClient(app).stream("/") as response:
        assert response.status == "200 OK"
        assert list(response) == [b"one", b"two"]


def test_written_chunks_come_first():
    def app(environ, start_response):
        start_response("200 OK", list(TEXT))(b"written")
        return [b"returned"]

    with TestClient(app).stream("/") as response:
        assert list(response) == [b"written", b"returned"]


def test_stream_sends_a_body_and_keeps_cookies():
    def app(environ, start_response):
        data = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response("200 OK", [*TEXT, ("Set-Cookie", "seen=1; Path=/")])
        return [environ["REQUEST_METHOD"].encode(), data, environ.get("HTTP_COOKIE", "").encode()]

    client = TestClient(app)
    with client.stream("/", method="PUT", body=b"data") as response:
        assert list(response) == [b"PUT", b"data", b""]
    with client.stream("/", method="PUT", body=b"data", extra_environ={"REMOTE_USER": "me"}) as response:
        assert list(response) == [b"PUT", b"data", b"seen=1"]


def test_stream_sees_the_session_of_its_steps():
    def app(environ, start_response):
        session["user"] = 1
        start_response("200 OK", list(TEXT))
        return (f"{session['user']} {number}".encode() for number in range(2))

    stack = build_stack(app, use(ContextMiddleware), use(SessionMiddleware, secret_key=KEY))
    one, two = TestClient(stack), TestClient(stack)
    with one.stream("/") as first, two.stream("/") as second:
        assert [next(first), next(second), next(first), next(second)] == [b"1 0", b"1 0", b"1 1", b"1 1"]
    with one.session() as opened:
        assert opened["user"] == 1


def test_error_in_a_stream_is_raised_and_the_body_closed():
    body = Steps(b"one", RuntimeError("in the stream"))
    with pytest.raises(RuntimeError, match="in the stream"):
        with TestClient(answering(body)).stream("/") as response:
            list(response)
    assert body.events == [b"one", "close"]


def test_second_head_with_exc_info_is_the_one_that_counts():
    def app(environ, start_response):
        start_response("200 OK", list(TEXT))
        try:
            raise RuntimeError("in the app")
        except RuntimeError:
            start_response("503 Busy", list(TEXT), sys.exc_info())
        return [b"busy"]

    with TestClient(app).stream("/") as response:
        assert (response.status, list(response)) == ("503 Busy", [b"busy"])


def test_second_head_after_the_first_chunk_raises_the_error_again():
    def app(environ, start_response):
        start_response("200 OK", list(TEXT))
        yield b"one"
        try:
            raise RuntimeError("in the stream")
        except RuntimeError:
            start_response("503 Busy", list(TEXT), sys.exc_info())
            yield b"busy"

    with TestClient(app).stream("/") as response:
        assert next(response) == b"one"
        with pytest.raises(RuntimeError, match="in the stream"):
            next(response)


def test_second_head_without_exc_info_is_a_protocol_error():
    def app(environ, start_response):
        start_response("200 OK", list(TEXT))
        start_response("200 OK", list(TEXT))
        return []

    with pytest.raises(ProtocolError, match="start_response: second call: expected exc_info, got None"):
        TestClient(app).stream("/")


def test_application_without_a_head_is_a_protocol_error():
    body = Steps()
    with pytest.raises(ProtocolError, match="expected a call of start_response, got None"):
        StreamedResponse(lambda environ, start_response: body, {})
    assert body.events == ["close"]


def test_stream_that_is_left_open_fails_the_test_and_is_closed():
    body = Steps(b"one")
    with pytest.raises(AssertionError) as raised:
        with TestClient(answering(body)) as client:
            client.stream("/")
    assert str(raised.value) == (
        "TestClient: stream: expected it closed, got <StreamedResponse '200 OK' open>. Use it in a `with` block."
    )
    assert body.events == ["close"]


# ---------------------------------------------------------------- without WebTest


def test_missing_webtest_says_which_extra_to_install():
    code = (
        "import sys\n"
        "sys.modules['webtest'] = None\n"
        "import wsgikit.testing\n"
        "try:\n"
        "    wsgikit.testing.TestClient\n"
        "except ModuleNotFoundError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == (
        "TestClient: webtest: expected it to be installed, got no such package. "
        "Install it with: pip install 'wsgikit[testing]'.\n"
    )


# ---------------------------------------------------------------------- a stream that fails before its first chunk


def fails_at_once(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Old", "1")])

    def body():
        raise ZeroDivisionError
        yield b"never"

    return body()


def replaces_its_head(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Old", "1")])

    def body():
        yield b""
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            start_response("500 Oops", [("Content-Type", "text/plain")], sys.exc_info())
        yield b"page"

    return body()


FAILING = {
    "with error pages": lambda: build_stack(fails_at_once, use(ErrorPagesMiddleware)),
    "an application alone": lambda: replaces_its_head,
}


@pytest.mark.parametrize("make", FAILING.values(), ids=FAILING.keys())
def test_a_stream_that_fails_before_its_first_chunk_has_the_head_that_servers_send(make):
    response = TestClient(make()).get("/", expect_errors=True)
    assert (response.status_int, response.headers.get("X-Old")) == (500, None)
    assert response.body


def test_a_stream_that_fails_later_raises():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])

        def body():
            yield b"first"
            raise ZeroDivisionError

        return body()

    with pytest.raises(ZeroDivisionError):
        TestClient(app).get("/")
