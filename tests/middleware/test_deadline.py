"""`DeadlineMiddleware`: late answers become a 503, and the log shows where a request hung."""

from __future__ import annotations

import logging
import threading
from time import monotonic

import pytest
from sqlalchemy import text
from werkzeug.test import Client

from wsgikit.context.middleware import ContextMiddleware
from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.error_pages.middleware import ErrorPagesMiddleware
from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware import deadline as module
from wsgikit.middleware.deadline import DeadlineMiddleware, Watchdog, watchdog
from wsgikit.onion.stack import build_stack, use
from wsgikit.testing import assert_conforms


class Clock:
    """Stands for `time.monotonic` of the layer: a test moves it."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


def late_app(clock, seconds, status="200 OK", error=None):
    def app(environ, start_response):
        app.deadline = environ["wsgikit.deadline"]
        clock.now += seconds
        if error is not None:
            raise error
        start_response(status, [("Content-Type", "text/plain")])
        return [b"done"]

    return app


@pytest.mark.parametrize(
    ("seconds", "status", "code"),
    [(0, "200 OK", 200), (9.9, "200 OK", 200), (10.1, "200 OK", 503), (60, "500 Oops", 503), (60, "404 No", 503)],
)
def test_an_answer_after_the_deadline_is_a_503(clock, seconds, status, code):
    app = late_app(clock, seconds, status)
    answer = Client(build_stack(app, use(DeadlineMiddleware, seconds=10, dump=False))).get("/")
    assert answer.status_code == code
    assert app.deadline == 1010
    if code == 503:
        assert answer.headers["Retry-After"] == "10"


def test_a_503_of_the_application_stays_as_it_is(clock):
    app = late_app(clock, 60, "503 Service Unavailable")
    assert Client(DeadlineMiddleware(app, seconds=10, dump=False)).get("/").text == "done"


def test_an_exception_after_the_deadline_is_logged_and_becomes_a_503(clock, caplog):
    app = late_app(clock, 60, error=ValueError("too late"))
    stack = build_stack(app, use(ErrorPagesMiddleware), use(DeadlineMiddleware, seconds=10, dump=False))
    answer = Client(stack).get("/", headers={"Accept": "text/html"})
    assert answer.status_code == 503
    assert "error after the deadline" in caplog.text
    assert "ValueError: too late" in caplog.text


def test_an_exception_before_the_deadline_is_for_the_layers_around(clock):
    with pytest.raises(ValueError, match="in time"):
        Client(DeadlineMiddleware(late_app(clock, 1, error=ValueError("in time")), seconds=10, dump=False)).get("/")


def test_a_stream_has_no_deadline_after_its_head(clock, monkeypatch):
    dog = Watchdog()
    dog._thread = threading.current_thread()  # so none is started
    monkeypatch.setattr(module, "watchdog", dog)

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        assert len(dog) == 1
        yield b"first "
        assert len(dog) == 0
        clock.now += 60
        yield b"second"

    answer = Client(DeadlineMiddleware(app, seconds=10)).get("/")
    assert (answer.status_code, answer.text) == (200, "first second")


@pytest.mark.parametrize(("outer", "inner", "deadline"), [(5, 10, 1005), (10, 5, 1005)])
def test_a_layer_further_in_only_makes_the_deadline_shorter(clock, outer, inner, deadline):
    app = late_app(clock, 0)
    layers = [use(DeadlineMiddleware, seconds=s, dump=False, name=str(s)) for s in (outer, inner)]
    Client(build_stack(app, *layers)).get("/")
    assert app.deadline == deadline


def test_the_answer_stands_if_the_commit_began_in_time(clock):
    """The clock passes the deadline after the commit began: the data is there, so the answer says so."""

    class Late(ContextMiddleware):
        def after_request(self, exchange):
            assert exchange.commit_begun_at is not None
            clock.now = monotonic() + 60

    clock.now = monotonic()

    def app(environ, start_response):
        environ["wsgikit.db"].execute(text("SELECT 1"))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"saved"]

    stack = build_stack(
        app, use(DeadlineMiddleware, seconds=30, dump=False), use(Late), use(DatabaseMiddleware, url="sqlite://")
    )
    with stack:
        assert Client(stack).get("/").text == "saved"
        assert Client(stack).get("/").status_code == 200


def test_the_database_rolls_back_after_the_deadline(tmp_path):
    url = f"sqlite:///{tmp_path / 'late.db'}"

    def app(environ, start_response):
        db = environ["wsgikit.db"]
        if environ["PATH_INFO"] == "/late":
            db.execute(text("INSERT INTO t VALUES (1)"))
            environ["wsgikit.deadline"] = monotonic() - 1  # time passes
        elif environ["PATH_INFO"] == "/create":
            db.execute(text("CREATE TABLE t (n INTEGER)"))
        start_response("200 OK", [("Content-Type", "text/plain")])
        if environ["PATH_INFO"] == "/count":
            return [str(db.execute(text("SELECT count(*) FROM t")).scalar()).encode()]
        return [b"ok"]

    stack = build_stack(app, use(DeadlineMiddleware), use(DatabaseMiddleware, url=url))
    with stack:
        client = Client(stack)
        assert client.post("/create").status_code == 200
        assert client.post("/late").status_code == 503
        assert client.get("/count").text == "0"


# ---------------------------------------------------------------------- the watchdog


def test_the_log_shows_where_a_late_request_hangs(caplog):
    begun, may_end = threading.Event(), threading.Event()
    logged = threading.Event()

    class Notice(logging.Handler):
        def emit(self, record):
            logged.set()

    def hang_in_here():
        begun.set()
        assert may_end.wait(20)

    def app(environ, start_response):
        hang_in_here()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    handler = Notice()
    module.logger.addHandler(handler)
    stack = build_stack(app, use(DeadlineMiddleware, seconds=0.01))
    answers = []
    thread = threading.Thread(target=lambda: answers.append(Client(stack).get("/slow%0Apage").status_code))
    try:
        thread.start()
        assert logged.wait(20)
        assert len(watchdog) == 1
    finally:
        may_end.set()
        thread.join(20)
        module.logger.removeHandler(handler)
    assert answers == [503]
    assert len(watchdog) == 0
    (record,) = [record for record in caplog.records if record.name == "wsgikit.deadline"]
    message = record.getMessage()
    assert message.startswith("GET /slow\\npage: still running ")
    assert "in hang_in_here" in message
    assert "assert may_end.wait(20)" in message


def test_a_late_request_is_logged_once_and_the_next_deadline_is_known(caplog):
    dog = Watchdog()
    dog._thread = threading.current_thread()  # so none is started: the test looks

    class Some:
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/x", "wsgikit.request_id": "id\n1"}

    late, later = Some(), Some()
    dog.watch(late, 10.0)
    dog.watch(later, 20.0)
    assert dog.look(11.0) == 20.0
    assert dog.look(12.0) == 20.0
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["GET /x (id\\n1)"]
    dog.forget(late)
    assert dog.look(21.0) == float("inf")
    dog.forget(later)
    dog.look(22.0)
    assert (len(dog), len(dog._late), len(caplog.records)) == (0, 0, 2)


def test_requests_leave_nothing_with_the_watchdog_and_start_one_thread():
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/exit":
            raise SystemExit
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    client = Client(build_stack(app, use(DeadlineMiddleware)))
    for _ in range(500):
        client.get("/")
    with pytest.raises(SystemExit):
        client.get("/exit")
    assert len(watchdog) == 0
    assert [thread.name for thread in threading.enumerate()].count("wsgikit-watchdog") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds": 0}, "seconds: expected a number above 0, got 0"),
        ({"seconds": -1}, "seconds: expected a number above 0, got -1"),
        ({"seconds": float("inf")}, "seconds: expected a number above 0, got inf"),
        ({"seconds": float("nan")}, "seconds: expected a number above 0, got nan"),
        ({"seconds": True}, "seconds: expected a number above 0, got True"),
        ({"seconds": "30"}, "seconds: expected a number above 0, got '30'"),
        ({"dump": "yes"}, "dump: expected True or False, got 'yes'"),
    ],
)
def test_an_option_that_cannot_work_is_refused_while_building(options, message):
    with pytest.raises(ConfigurationError, match="^DeadlineMiddleware: ") as caught:
        DeadlineMiddleware(print, **options)
    assert message in str(caught.value)


def test_a_deadline_inside_the_database_is_refused():
    with pytest.raises(ConfigurationError, match="DeadlineMiddleware must stand outside DatabaseMiddleware"):
        build_stack(print, use(DatabaseMiddleware, url="sqlite://"), use(DeadlineMiddleware))


@pytest.mark.parametrize("dump", [True, False])
def test_it_conforms(dump):
    assert_conforms(lambda app: DeadlineMiddleware(app, dump=dump))
