"""`HealthMiddleware`: readiness by checks and draining, running requests counted, and who sees the details."""

from __future__ import annotations

import json
import os
import threading

import pytest
from sqlalchemy import create_engine
from werkzeug.test import Client

from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.health import Check, HealthMiddleware
from wsgikit.onion.drain_file import VARIABLE, DrainFile, default_path, remove, write
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.stack import Stack, build_stack, use
from wsgikit.routing.router import Router
from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.sessions.stores.memory import MemoryStore
from wsgikit.testing import assert_conforms

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """The default drain file is one of the working folder: each test has its own."""
    monkeypatch.chdir(tmp_path)
    yield
    remove(default_path())


def fails():
    raise OSError("no\nroute")


def report(answer):
    return json.loads(answer.body)


def test_a_live_process_says_so(ask):
    answer = ask(HealthMiddleware, path="/livez", REMOTE_ADDR="192.0.2.1")
    assert (answer.code, report(answer)) == (200, {"status": "ok"})
    assert (answer["Content-Type"], answer["Cache-Control"]) == ("application/json", "no-store")
    assert answer.seen is None


@pytest.mark.parametrize(("method", "code"), [("GET", 200), ("HEAD", 200), ("POST", 405), ("OPTIONS", 405)])
@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_only_get_and_head_are_answered(ask, path, method, code):
    answer = ask(lambda app: HealthMiddleware(app, checks=()), path=path, method=method)
    assert answer.code == code
    assert answer.body == b"" or method == "GET"


@pytest.mark.parametrize("path", ["/", "/livez/", "/readyz2", "/health/livez", "//livez"])
def test_other_paths_are_the_applications(ask, path):
    assert ask(HealthMiddleware, path=path).seen is not None


def test_a_page_can_be_moved_or_left_out(ask):
    def make(app):
        return HealthMiddleware(app, live=None, ready="/up", warmup=None, checks=())

    assert ask(make, path="/livez").seen is not None
    assert ask(make, path="/_ah/warmup").seen is not None
    assert ask(make, path="/up").seen is None


@pytest.mark.parametrize(
    ("checks", "code", "errors"),
    [
        ((), 200, {}),
        ((len,), 503, {"len": "TypeError: len() takes exactly one argument (0 given)"}),
        ((fails,), 503, {"fails": "OSError: no route"}),
        ((list, fails, list), 503, {"list": None, "fails": "OSError: no route", "list #2": None}),
    ],
    ids=["none", "wrong call", "fails", "one of several"],
)
def test_readiness_is_what_the_checks_say(ask, checks, code, errors):
    answer = ask(
        lambda app: HealthMiddleware(app, checks=checks, allow="10.0.0.1"), path="/readyz", REMOTE_ADDR="10.0.0.1"
    )
    assert answer.code == code
    assert {name: check.get("error") for name, check in report(answer)["checks"].items()} == errors


def test_details_are_only_for_allowed_clients(ask):
    def make(app):
        return HealthMiddleware(app, checks=[fails])

    local = ask(make, path="/readyz", HTTP_HOST="localhost", REMOTE_ADDR="127.0.0.1")
    assert report(local)["checks"]["fails"]["error"] == "OSError: no route"
    for keys in ({"REMOTE_ADDR": "192.0.2.1"}, {"HTTP_X_FORWARDED_FOR": "127.0.0.1", "HTTP_HOST": "localhost"}):
        assert report(ask(make, path="/readyz", **keys)) == {"status": "unavailable"}


def test_the_layers_of_the_stack_are_asked_by_name(ask):
    class Store(MemoryStore):
        is_down = False

        def load(self, key):
            if self.is_down:
                raise ConnectionError("down")
            return super().load(key)

    store = Store()
    engine = create_engine("sqlite://")

    def make(app):
        layers = (
            use(SessionMiddleware, secret_key=SECRET, store=store),
            use(DatabaseMiddleware, engine=engine),
            use(DatabaseMiddleware, engine=engine, name="second"),
        )
        return build_stack(app, use(HealthMiddleware, allow="10.0.0.1"), *layers)

    answer = ask(make, path="/readyz", REMOTE_ADDR="10.0.0.1")
    assert (answer.code, [*report(answer)["checks"]]) == (200, ["database", "database #2", "session"])
    Store.is_down = True
    answer = ask(make, path="/readyz", REMOTE_ADDR="10.0.0.1")
    assert (answer.code, report(answer)["checks"]["session"]["error"]) == (503, "ConnectionError: down")
    engine.dispose()


def test_a_check_that_hangs_costs_one_thread_and_counts_as_failed(ask, caplog):
    may_end = threading.Event()
    calls = []

    def hang():
        calls.append(1)
        assert may_end.wait(20)

    layer = HealthMiddleware(print, checks=[hang], timeout_seconds=0.01, allow="10.0.0.1")
    answers = [ask(lambda app: layer, path="/readyz", REMOTE_ADDR="10.0.0.1") for _ in range(3)]
    try:
        assert [answer.code for answer in answers] == [503, 503, 503]
        (check,) = report(answers[0])["checks"].values()
        assert check["error"] == "timed out"
        assert len(calls) == 1
        assert len([record for record in caplog.records if "Not ready" in record.getMessage()]) == 1
    finally:
        may_end.set()
    (check,) = layer._state.checks
    assert check.start().wait(20).error is None
    assert ask(lambda app: layer, path="/readyz").code == 200
    assert "answers again" in caplog.text


def test_a_check_begins_again_when_it_has_ended():
    calls = []
    check = Check("x", lambda: calls.append(1))
    for _ in range(3):
        assert check.start().wait(20).error is None
    assert len(calls) == 3


# ---------------------------------------------------------------------- draining


def slow_app():
    begun, may_end = threading.Event(), threading.Event()

    def app(environ, start_response):
        begun.set()
        assert may_end.wait(20)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"done"]

    return app, begun, may_end


def test_drain_turns_readiness_but_not_liveness_and_waits_for_running_requests():
    app, begun, may_end = slow_app()
    stack = build_stack(app, use(HealthMiddleware, checks=()))
    client = Client(stack)
    assert client.get("/readyz").status_code == 200
    answers = []
    thread = threading.Thread(target=lambda: answers.append(Client(stack).get("/").text))
    thread.start()
    assert begun.wait(20)
    assert stack.drain(timeout_seconds=0) is False
    assert client.get("/readyz").status_code == 503
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").json["in_flight"] == 1
    assert stack.drain(timeout_seconds=0.03) is False
    threading.Timer(0.01, may_end.set).start()
    assert stack.drain(timeout_seconds=20) is True
    thread.join(20)
    assert answers == ["done"]
    assert client.get("/").text == "done"  # requests are answered while it drains


def test_a_stream_counts_until_it_is_closed():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"a"
        yield b"b"

    layer = HealthMiddleware(app)
    response = Client(layer).get("/", buffered=False)
    assert layer.in_flight == 1
    response.close()
    assert layer.in_flight == 0


def test_failed_requests_are_not_counted_for_ever():
    def app(environ, start_response):
        raise SystemExit if environ["PATH_INFO"] == "/exit" else ValueError("broken")

    layer = HealthMiddleware(app)
    for path, error in (("/", ValueError), ("/exit", SystemExit)):
        with pytest.raises(error):
            Client(layer).get(path)
    assert layer.in_flight == 0


def test_drain_without_the_layer_says_which_to_add():
    with pytest.raises(ConfigurationError, match=r"Add use\(HealthMiddleware\) as the outermost layer"):
        build_stack(print).drain()


def test_a_layer_in_a_mounted_stack_is_drained_as_well():
    inner = build_stack(lambda environ, start: [], use(HealthMiddleware, checks=()))
    stack = build_stack(inner, use(HealthMiddleware, checks=(), name="outer"))
    assert stack.drain(0) is True
    assert inner.find(HealthMiddleware).is_draining


@pytest.mark.parametrize("kind", ["default", "option", "variable"])
def test_a_drain_file_written_after_the_start_drains(tmp_path, monkeypatch, kind):
    path = {"default": default_path()}.get(kind, str(tmp_path / "drain"))
    if kind == "variable":
        monkeypatch.setenv(VARIABLE, path)
    write(path)
    options = {"drain_file": path} if kind == "option" else {}
    layer = HealthMiddleware(print, checks=(), **options)
    assert not layer.is_draining  # it was for the process before
    write(path)
    assert layer.is_draining
    assert Client(layer).get("/readyz").status_code == 503
    assert not HealthMiddleware(print, **options).is_draining
    assert remove(path)
    assert not layer.is_draining
    assert not remove(path)


@pytest.mark.parametrize("kind", ["folder", "link", "missing"])
def test_only_a_regular_file_is_a_drain_file(tmp_path, kind):
    path = tmp_path / "drain"
    file = DrainFile(str(path))
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        (tmp_path / "target").touch()
        path.symlink_to(tmp_path / "target")
    assert not file.is_written


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
def test_a_drain_file_of_another_user_is_ignored(tmp_path):
    path = tmp_path / "drain"
    file = DrainFile(str(path))
    path.touch()
    assert file.is_written
    os.chown(path, 12345, 12345)
    assert not file.is_written


def test_a_drain_file_is_never_written_through_a_link(tmp_path):
    target = tmp_path / "target"
    target.write_text("kept")
    path = tmp_path / "drain"
    path.symlink_to(target)
    write(str(path))
    assert target.read_text() == "kept"
    assert not path.is_symlink()


# ---------------------------------------------------------------------- warming up


class Warm(Middleware):
    warmed = 0

    def warmup(self):
        type(self).warmed += 1


def test_warmup_reaches_layers_routers_and_mounts(monkeypatch):
    monkeypatch.setattr(Warm, "warmed", 0)
    router, inner = Router("outer"), Router("inner")

    @router.get("/a/<int:n>")
    def a(n):
        return str(n)

    @inner.get("/b")
    def b():
        return "b"

    router.mount("/inner", build_stack(inner, use(Warm)))
    stack = build_stack(router, use(Warm))
    stack.warmup()
    assert Warm.warmed == 2
    assert [rule.plan is not None for rule in router.map.iter_rules() if rule.endpoint == "a"] == [True]
    assert [rule.plan is not None for rule in inner.map.iter_rules() if rule.endpoint == "b"] == [True]
    assert Client(stack).get("/a/3").text == "3"
    assert Client(stack).get("/inner/b").text == "b"


def test_warmup_finds_a_view_that_cannot_work():
    router = Router("r")

    @router.get("/a/<int:n>")
    def a(other):
        return ""

    with pytest.raises(ConfigurationError, match="other"):
        build_stack(router).warmup()


def test_the_warmup_page_of_app_engine_warms_up_once(monkeypatch):
    monkeypatch.setattr(Warm, "warmed", 0)
    for app in (build_stack(print, use(HealthMiddleware), use(Warm)), HealthMiddleware(Warm(print))):
        client = Client(app)
        assert [client.get("/_ah/warmup").status_code for _ in range(3)] == [200, 200, 200]
    assert Warm.warmed == 2


def test_warmup_opens_no_connection_and_starts_no_thread():
    def connect():
        raise AssertionError("opened")

    before = threading.active_count()
    stack = build_stack(print, use(HealthMiddleware), use(DatabaseMiddleware, connect=connect))
    stack.warmup()
    assert threading.active_count() == before


# ---------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"live": "livez"}, "live: expected a path that begins with a slash, or None, got 'livez'"),
        ({"ready": 3}, "ready: expected a path that begins with a slash, or None, got 3"),
        ({"ready": "/livez"}, "ready: expected another path than the pages before it have, got '/livez'"),
        ({"warmup": ""}, "warmup: expected a path"),
        ({"checks": "databse"}, "Did you mean 'database'?"),
        ({"checks": [3]}, "checks: expected 'database' or 'session', or a function, got 3"),
        ({"timeout_seconds": 0}, "timeout_seconds: expected a number above 0, got 0"),
        ({"timeout_seconds": "2"}, "timeout_seconds: expected a number above 0, got '2'"),
        ({"allow": "office"}, "allow: expected addresses or networks"),
        ({"drain_file": ""}, "drain_file: expected the path of a file, got ''"),
    ],
)
def test_an_option_that_cannot_work_is_refused_while_building(options, text):
    with pytest.raises(ConfigurationError, match="^HealthMiddleware: ") as caught:
        HealthMiddleware(print, **options)
    assert text in str(caught.value)


def test_it_conforms():
    assert_conforms(HealthMiddleware)


def test_a_stack_around_nested_layers_drains_too():
    assert Stack.around(HealthMiddleware(print)).drain(0) is True
