"""The store goes down and comes back in the middle of traffic. Points S19, Q7. A Redis of the test's own is stopped."""

import signal
import threading

import pytest

from wsgikit.sessions.errors import StoreUnavailable
from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.sessions.stores.redis import RedisStore


@pytest.fixture
def down(redis_server):
    """Stop the server for a block of the test; it is back for the next one."""

    class Down:
        def __enter__(self):
            redis_server.stop()

        def __exit__(self, *error):
            redis_server.start()

    return Down()


def view(session, environ):
    path = environ["PATH_INFO"]
    if path == "/w":
        session["n"] = session.get("n", 0) + 1
    if path == "/blind":
        session["x"] = 1
    if path != "/free":
        return session.get("n")
    return "no session needed"


def test_s19_q7_requests_without_the_session_go_on_the_others_get_a_503_and_nothing_is_lost(browse, redis_server, down):
    browser = browse(view, store=redis_server.url)
    stranger = browse(view, store=redis_server.url)
    stranger.app = browser.app
    browser.send("/w")
    cookie = browser.cookie
    with down:
        assert browser.send("/free").text == "no session needed"
        for path in ("/r", "/w"):
            response = browser.send(path)
            assert response.status_int == 503
            assert "try again" in response.text
            assert response.headers["Retry-After"] == "5"
            assert response.headers["Cache-Control"] == "no-store"
            assert "Set-Cookie" not in response.headers, "never a new, empty session"
        # Who has no cookie and doesn't write needs no store at all.
        assert stranger.send("/r").status_int == 200
        response = stranger.send("/w")
        assert response.status_int == 503
        assert "Set-Cookie" not in response.headers
    assert browser.cookie == cookie
    assert browser.send("/r").text == "1"
    assert browser.send("/w").text == "2"


def test_s19_a_store_that_hangs_keeps_nobody_waiting_who_needs_none_and_the_others_not_for_long(browse, redis_server):
    store = RedisStore(redis_server.url, timeout_seconds=0.2)
    browser = browse(view, store=store)
    browser.send("/w")
    answers = []

    def visit():
        answers.append(browser.send("/free").text)
        stranger = browse(view, store=store)
        answers.append(stranger.send("/r").status_int)
        answers.extend(browser.send(path).status_int for path in ("/r", "/w"))

    visitor = threading.Thread(target=visit, daemon=True)
    redis_server.process.send_signal(signal.SIGSTOP)
    try:
        visitor.start()
        visitor.join(10)  # it waits for 0.2 seconds a few times; redis-py by itself, for 20
        assert answers == ["no session needed", 200, 503, 503]
    finally:
        redis_server.process.send_signal(signal.SIGCONT)
    store.close()
    assert browser.send("/r").text == "1"


def test_s19_a_head_request_gets_its_503_without_a_body(browse, redis_server, down, stack):
    browser = browse(view, store=redis_server.url)
    browser.send("/w")
    with down:
        response = browser.http.head("/r", headers={"Cookie": f"session={browser.cookie}"}, expect_errors=True)
        assert (response.status_int, response.body) == (503, b"")


def test_s19_the_store_is_not_asked_again_and_again_in_one_request(browse, redis_server, down):
    calls = []

    def stubborn(session, environ):
        if environ["PATH_INFO"] == "/w":
            session["n"] = 1
            return None
        errors = []
        for _ in range(5):
            try:
                session.get("n")
            except StoreUnavailable as error:
                errors.append(error)
        calls.append(len({id(error) for error in errors}))
        return "went on without"

    browser = browse(stubborn, store=redis_server.url)
    browser.send("/w")
    with down:
        response = browser.send("/r")
    assert (response.status_int, response.text) == (200, "went on without"), (
        "who handles the error himself is left alone"
    )
    assert calls == [1]


def test_s19_an_application_that_makes_a_500_of_the_error_still_gives_a_503(secret, new_browser, redis_server, down):
    flask = pytest.importorskip("flask")
    app = flask.Flask(__name__)

    @app.get("/<what>")
    def page(what):
        session = flask.request.environ["wsgikit.session"]
        if what == "w":
            session["n"] = 1
        return str(session.get("n"))

    app.logger.disabled = True
    browser = new_browser(SessionMiddleware(app, secret_key=secret, store=redis_server.url))
    browser.send("/w")
    with down:
        assert browser.send("/r").status_int == 503
    assert browser.send("/r").text == "1"


@pytest.mark.parametrize("cookied", [True, False], ids=["reading", "writing"])
def test_s19_with_raise_the_error_goes_on_to_the_layers_outside(secret, redis_server, down, cookied):
    def app(environ, start_response):
        environ["wsgikit.session"]["n"] = 1
        start_response("200 OK", [])
        return [b""]

    layer = SessionMiddleware(app, secret_key=secret, store=redis_server.url, on_store_error="raise")
    session = layer.open_session(None)
    session["n"] = 1
    cookie = layer.save_session(session)[0].partition(";")[0]
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_COOKIE": cookie if cookied else ""}
    with (
        down,
        pytest.raises(StoreUnavailable, match="expected an answer from Redis, got ConnectionError: "),
    ):
        layer(environ, lambda *a: None)


def test_s19_with_empty_readonly_reading_finds_nothing_and_writing_gives_a_503(browse, redis_server, down):
    browser = browse(view, store=redis_server.url, on_store_error="empty-readonly")
    browser.send("/w")
    with down:
        response = browser.send("/r")
        assert (response.status_int, response.text) == (200, "")
        assert "Set-Cookie" not in response.headers
        response = browser.send("/blind")
        assert response.status_int == 503
        assert "Set-Cookie" not in response.headers
    assert browser.send("/r").text == "1"


def test_s19_a_store_that_goes_down_between_reading_and_writing_gives_a_503_too(browse, redis_server):
    def fragile(session, environ):
        session["n"] = session.get("n", 0) + 1
        if environ["PATH_INFO"] == "/stop":
            redis_server.stop()
        return session["n"]

    browser = browse(fragile, store=redis_server.url)
    browser.send("/")
    try:
        response = browser.send("/stop")
        assert response.status_int == 503
        assert response.headers.getall("Content-Length") == [str(len(response.body))]
    finally:
        redis_server.start()
    assert browser.send("/").text == "2"


def test_s19_the_context_of_the_request_is_torn_down_all_the_same(secret, redis_server, down, new_browser):
    from wsgikit.onion.middleware import Middleware

    ended = []

    class Watch(Middleware):
        def teardown_request(self, exchange):
            ended.append(exchange.environ["PATH_INFO"])

    def app(environ, start_response):
        environ["wsgikit.session"]["n"] = 1
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x"]

    browser = new_browser(SessionMiddleware(Watch(app), secret_key=secret, store=redis_server.url))
    with down:
        assert browser.send("/a").status_int == 503
    assert ended == ["/a"]


def test_a_redis_backed_read_costs_one_round_trip_and_a_write_one_more(browse, redis_server):
    import redis

    client = redis.Redis.from_url(redis_server.url)

    def commands():
        return client.info("stats")["total_commands_processed"]

    idle = -(commands() - commands())  # what asking costs
    browser = browse(view, store=redis_server.url)
    browser.send("/w")
    browser.send("/r")
    before = commands()
    browser.send("/r")
    read = commands() - before - idle
    before = commands()
    browser.send("/w")
    # The commands that a script runs are counted as well: EVAL, two GETRANGE and SET are one round trip.
    write = commands() - before - idle
    client.close()
    assert read == 1
    assert write == 1 + 4
