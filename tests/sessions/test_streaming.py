"""Sessions and bodies that are made while they are sent. Points S3, B31, and responses that take another's place."""

import logging
import sys

import pytest

from wsgikit.onion.middleware import Middleware
from wsgikit.sessions.errors import SessionCommitted
from wsgikit.sessions.middleware import SessionMiddleware


def request(layer, cookie=None):
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "SERVER_NAME": "x",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
    }
    if cookie:
        environ["HTTP_COOKIE"] = cookie
    seen = {}

    def start_response(status, headers, exc_info=None):
        seen["status"], seen["headers"] = status, headers
        return lambda data: None

    body = layer(environ, start_response)
    try:
        seen["body"] = b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    cookies = [value for name, value in seen["headers"] if name == "Set-Cookie"]
    seen["cookie"] = cookies[0].partition(";")[0] if cookies else None
    return seen


def streamed(step, before=lambda session: None, status="200 OK"):
    def app(environ, start_response):
        session = environ["wsgikit.session"]
        before(session)
        start_response(status, [])

        def body():
            yield b"first"
            step(session)
            yield b"second"

        return body()

    return app


@pytest.fixture
def read(secret):
    def read(store, cookie):
        return SessionMiddleware(lambda e, s: [], secret_key=secret, store=store).open_session(cookie).copy()

    return read


@pytest.fixture
def started(secret):
    def started(store, **data):
        layer = SessionMiddleware(lambda e, s: [], secret_key=secret, store=store)
        session = layer.open_session(None)
        session.update(data or {"a": 1, "l": []})
        return layer.save_session(session)[0].partition(";")[0]

    return started


CHANGES = {
    "set": lambda s: s.__setitem__("key", 1),
    "delete": lambda s: s.__delitem__("a"),
    "clear": lambda s: s.clear(),
    "permanent": lambda s: setattr(s, "permanent", True),
    "destroy": lambda s: s.destroy(),
    "rotate": lambda s: s.rotate(),
    "flash": lambda s: s.flash("x"),
    "changed": lambda s: s.changed(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_s3_b31_a_change_after_the_head_left_is_a_named_error_with_cookies(secret, started, change):
    errors = []

    def step(session):
        with pytest.raises(SessionCommitted) as caught:
            change(session)
        errors.append(caught.value)

    request(SessionMiddleware(streamed(step), secret_key=secret), started("cookie"))
    assert "after" in str(errors[0])
    assert "before the first chunk of the body" in str(errors[0])


def test_s3_the_error_names_the_key(secret):
    def step(session):
        with pytest.raises(SessionCommitted, match="session: key 'cart': expected a change before the head") as caught:
            session["cart"] = 1
        assert caught.value.key == "cart"

    request(SessionMiddleware(streamed(step), secret_key=secret))


def test_s3_the_same_session_is_seen_in_the_stream(secret):
    layer = SessionMiddleware(
        streamed(lambda s: s["n"] == 1 or pytest.fail("another session"), lambda s: s.update(n=1)), secret_key=secret
    )
    assert request(layer)["body"] == b"firstsecond"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda s: s.update(b=2), {"a": 1, "l": [], "b": 2}),
        (lambda s: s["l"].append(3), {"a": 1, "l": [3]}),
        (lambda s: s.pop("a"), {"l": []}),
        (lambda s: s.clear(), {}),
        (lambda s: s.destroy(), {}),
    ],
    ids=["set", "nested", "pop", "clear", "destroy"],
)
@pytest.mark.parametrize("touched_before", [True, False])
def test_s3_b31_a_store_saves_what_a_stream_changes(secret, spy, started, read, change, expected, touched_before):
    cookie = started(spy)
    before = (lambda s: s.get("l")) if touched_before else (lambda s: None)
    request(SessionMiddleware(streamed(change, before), secret_key=secret, store=spy), cookie)
    assert read(spy, cookie) == expected


def test_s3_a_value_that_was_handed_out_before_the_head_and_changed_after_is_saved(secret, spy, started, read):
    cookie = started(spy)
    held = []
    layer = SessionMiddleware(
        streamed(lambda s: held[0].append(1), lambda s: held.append(s["l"])), secret_key=secret, store=spy
    )
    request(layer, cookie)
    assert read(spy, cookie) == {"a": 1, "l": [1]}


def test_s3_with_cookies_a_value_changed_inside_after_the_head_is_logged(secret, started, caplog):
    layer = SessionMiddleware(streamed(lambda s: s["l"].append(1)), secret_key=secret)
    with caplog.at_level(logging.ERROR, "wsgikit.sessions"):
        request(layer, started("cookie"))
    assert "session: 'l' changed after the head of the response left" in caplog.text


def test_s3_a_session_saved_with_the_head_can_be_changed_on_in_the_stream(secret, spy, read):
    layer = SessionMiddleware(streamed(lambda s: s.update(b=2), lambda s: s.update(a=1)), secret_key=secret, store=spy)
    cookie = request(layer)["cookie"]
    assert read(spy, cookie) == {"a": 1, "b": 2}


def test_s3_a_new_session_cannot_begin_in_a_stream(secret, spy):
    def step(session):
        with pytest.raises(SessionCommitted, match="session: key 'b'"):
            session["b"] = 2

    request(SessionMiddleware(streamed(step), secret_key=secret, store=spy))
    assert spy.count() == 0


@pytest.mark.parametrize("is_streamed", [True, False])
def test_s3_a_change_after_the_end_of_the_request_is_a_named_error(secret, spy, started, is_streamed):
    held = []

    def app(environ, start_response):
        held.append(environ["wsgikit.session"])
        held[0].get("a")
        start_response("200 OK", [])
        return iter([b"x"]) if is_streamed else [b"x"]

    request(SessionMiddleware(app, secret_key=secret, store=spy), started(spy))
    with pytest.raises(SessionCommitted, match="session: key 'late'"):
        held[0]["late"] = 1
    assert held[0].get("l") == []


def test_s20_a_stream_that_breaks_off_with_an_error_drops_its_changes(secret, spy, started, read):
    def step(session):
        session["b"] = 2
        raise ValueError("broken")

    cookie = started(spy)
    with pytest.raises(ValueError, match="broken"):
        request(SessionMiddleware(streamed(step), secret_key=secret, store=spy), cookie)
    assert read(spy, cookie) == {"a": 1, "l": []}


def test_s20_a_streamed_500_drops_what_came_before_and_after_its_head(secret, spy, started, read):
    cookie = started(spy)
    before = lambda s: s.update(b=2)  # noqa: E731
    step = lambda s: s.update(c=3)  # noqa: E731
    app = streamed(step, before, status="500 Internal Server Error")
    request(SessionMiddleware(app, secret_key=secret, store=spy), cookie)
    assert read(spy, cookie) == {"a": 1, "l": []}


def test_a_client_that_leaves_a_stream_keeps_what_was_changed_until_then(secret, spy, started, read):
    cookie = started(spy)
    layer = SessionMiddleware(streamed(lambda s: None, lambda s: None), secret_key=secret, store=spy)

    def app(environ, start_response):
        start_response("200 OK", [])

        def body():
            yield b"first"
            environ["wsgikit.session"]["b"] = 2
            yield b"second"
            yield b"third"

        return body()

    layer = SessionMiddleware(app, secret_key=secret, store=spy)
    body = layer({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_COOKIE": cookie}, lambda *a: None)
    assert [next(body), next(body)] == [b"first", b"second"]
    body.close()
    assert read(spy, cookie) == {"a": 1, "l": [], "b": 2}


@pytest.mark.parametrize("store_name", ["cookie", "spy"])
def test_a_stream_that_fails_before_its_first_chunk_sends_a_page_without_the_session(secret, spy, store_name):
    class Pages(Middleware):
        def handle_exception(self, exchange, error):
            return exchange.reply(500, "an error page")

    def app(environ, start_response):
        environ["wsgikit.session"]["a"] = 1
        start_response("200 OK", [])

        def body():
            raise ValueError("broken")
            yield b""

        return body()

    store = spy if store_name == "spy" else "cookie"
    seen = request(SessionMiddleware(Pages(app), secret_key=secret, store=store))
    assert seen["status"].startswith("500")
    # With cookies the change is dropped; in the store it stays, and is of no use without its cookie.
    assert (seen["cookie"] is None) is (store_name == "cookie")


@pytest.mark.parametrize("store_name", ["cookie", "spy"])
def test_a_second_start_response_with_exc_info_keeps_the_cookie(secret, spy, read, store_name):
    store = spy if store_name == "spy" else "cookie"

    def app(environ, start_response):
        environ["wsgikit.session"]["a"] = 1
        start_response("200 OK", [])

        def body():
            try:
                raise ValueError("broken")
            except ValueError:
                start_response("404 Not Found", [("X-Second", "1")], sys.exc_info())
            yield b"page"

        return body()

    seen = request(SessionMiddleware(app, secret_key=secret, store=store))
    assert seen["status"] == "404 Not Found"
    assert dict(seen["headers"])["X-Second"] == "1"
    assert read(store, seen["cookie"]) == {"a": 1}


def test_an_app_that_writes_saves_its_session_before_the_first_write(secret, spy, read):
    def app(environ, start_response):
        session = environ["wsgikit.session"]
        session["a"] = 1
        write = start_response("200 OK", [])
        write(b"x")
        session["b"] = 2
        return []

    seen = request(SessionMiddleware(app, secret_key=secret, store=spy))
    assert read(spy, seen["cookie"]) == {"a": 1, "b": 2}
