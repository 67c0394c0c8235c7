"""`InspectorMiddleware`: what it keeps of a request, who may see it, and that no secret and no memory leaks."""

from __future__ import annotations

import json
import logging
import threading

import pytest
from sqlalchemy import text
from werkzeug.test import Client

from wsgikit.context.locals import db, session
from wsgikit.context.middleware import ContextMiddleware
from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.error_pages.middleware import ErrorPagesMiddleware
from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.csrf import CsrfMiddleware
from wsgikit.middleware.inspector.capture import LOGS, LogCapture
from wsgikit.middleware.inspector.history import History
from wsgikit.middleware.inspector.middleware import InspectorMiddleware
from wsgikit.middleware.inspector.recording import MOST_LOGS, MOST_STATEMENTS, Recording, changes_between
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.stack import build_stack, use
from wsgikit.routing.router import Router
from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.testing import assert_conforms

SECRET = "0123456789abcdef0123456789abcdef"
TOKEN = "a-token-of-the-staging-site"
logger = logging.getLogger("shop")
router = Router("inspected")


@router.get("/orders/<int:number>")
def order(number):
    for _ in range(3):
        db.execute(text("SELECT 1"))
    session["cart"] = [number]
    logger.warning("order %d with password=%s", number, "hunter2-in-log")
    return "order"


@router.get("/broken")
def broken():
    raise ValueError("no such order, token=hunter2-in-error")


@router.get("/reset/<token>")
def reset(token):
    return token


@router.get("/stream")
def stream():
    return (chunk for chunk in ["a", "b"])


class Stamp(Middleware):
    def after_request(self, exchange):
        exchange.headers.set("X-Stamp", "1")
        if exchange.environ["PATH_INFO"] == "/orders/2":
            exchange.status_code = 202
            exchange.body = [b"other"]


@pytest.fixture
def stack():
    stack = build_stack(
        router,
        use(InspectorMiddleware),
        use(ContextMiddleware),
        use(ErrorPagesMiddleware),
        use(Stamp, unless="/broken"),
        use(SessionMiddleware, secret_key=SECRET),
        use(CsrfMiddleware),
        use(DatabaseMiddleware, url="sqlite://"),
    )
    with stack:
        yield stack


@pytest.fixture
def client(stack):
    return Client(stack)


def newest(client):
    listed = client.get("/__onion__/requests.json").json
    return listed[0], client.get(f"/__onion__/requests/{listed[0]['id']}.json").json


def test_the_list_has_the_newest_request_first_with_what_it_did(client):
    client.get("/orders/1?page=2&token=hunter2-in-query")
    client.get("/missing")
    missing, first = client.get("/__onion__/requests.json").json
    assert (missing["path"], missing["status"], missing["route"]) == ("/missing", 404, None)
    assert first["duration_ms"] > 0
    assert first["db_ms"] >= 0
    known = {
        "method": "GET", "path": "/orders/1", "query": "page=2&token=***", "status": 200, "outcome": "complete",
        "route": "/orders/<int:number>", "answered_by": "application", "db_statements": 3, "session": "changed",
        "bytes": 5, "error": None,
    }  # fmt: skip
    assert {name: first[name] for name in known} == known


def test_a_request_has_its_layers_with_times_and_changes(client):
    client.get("/orders/2")
    _, detail = newest(client)
    names = [layer["name"] for layer in detail["layers"]]
    assert names == [
        "ContextMiddleware",
        "ErrorPagesMiddleware",
        "Stamp",
        "SessionMiddleware",
        "CsrfMiddleware",
        "DatabaseMiddleware",
    ]
    changes = {layer["name"]: layer["changes"] for layer in detail["layers"]}
    assert changes["Stamp"] == ["status 200 OK → 202 Accepted", "added X-Stamp", "replaced the body"]
    assert "added Set-Cookie" in changes["SessionMiddleware"]
    assert all(layer["in_ms"] >= 0 and layer["out_ms"] >= 0 for layer in detail["layers"])
    assert detail["application_ms"] <= detail["duration_ms"]
    assert detail["left_out"] == []


def test_a_request_has_statements_with_their_line_and_repetitions(client):
    client.get("/orders/1")
    _, detail = newest(client)
    statements = [each for each in detail["statements"] if each["kind"] == "database"]
    assert [(each["text"], each["repeated"]) for each in statements] == [("SELECT 1", 3)] * 3
    assert all(__file__ in each["line"] and each["line"].endswith(" in order") for each in statements)
    assert detail["is_committed"] is True
    assert detail["session"] == {"use": "changed", "keys": {"cart": "•••••• (list)"}}
    assert detail["decisions"] == {"csrf": "allowed: safe-method"}


def test_values_of_the_session_are_shown_only_if_allowed(ask):
    def app(environ, start_response):
        environ["wsgikit.session"].update(theme="dark", api_token="hunter2")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    layers = (use(InspectorMiddleware, show_session=True), use(SessionMiddleware, secret_key=SECRET))
    client = Client(build_stack(app, *layers))
    client.get("/")
    assert newest(client)[1]["session"]["keys"] == {"theme": "'dark'", "api_token": "•••••• (str)"}


def test_a_failed_request_has_its_error_and_the_layer_that_answered(client, caplog):
    client.get("/broken")
    listed, detail = newest(client)
    assert (listed["status"], listed["answered_by"]) == (500, "ErrorPagesMiddleware")
    assert listed["error"] == "ValueError: no such order, token=••••••"
    assert "in broken" in detail["error"]["traceback"]
    assert detail["left_out"] == ["Stamp"]
    assert any("ValueError" in line["text"] for line in detail["logs"])


def test_the_outcome_of_a_stream_that_was_left(stack):
    client = Client(stack)
    response = client.get("/stream", buffered=False)
    assert [each["path"] for each in client.get("/__onion__/in-flight.json").json["requests"]] == ["/stream"]
    next(iter(response.response))
    response.close()
    assert newest(client)[0]["outcome"] == "aborted"
    assert client.get("/__onion__/in-flight.json").json["requests"] == []


def test_no_secret_is_shown(stack):
    client = Client(stack, use_cookies=False)
    headers = {
        "Cookie": "session=hunter2-session; theme=hunter2-theme",
        "Authorization": "Bearer hunter2-bearer",
        "X-Api-Key": "hunter2-key",
        "Referer": "http://localhost/?token=hunter2-referer",
        "X-Note": "the cookie is hunter2-session",
    }
    for path in ("/orders/1?password=hunter2-query", "/broken", "/reset/hunter2-of-the-mail"):
        client.get(path, headers=headers)
    for listed in client.get("/__onion__/requests.json").json:
        shown = json.dumps([listed, client.get(f"/__onion__/requests/{listed['id']}.json").json])
        assert "hunter2" not in shown
        assert "theme=••••••" in json.loads(shown)[1]["request"]["curl"]


def test_copy_as_curl_quotes_what_a_shell_would_read():
    client = Client(build_stack(router, use(InspectorMiddleware)))
    client.get("/missing", headers={"X-Note": "it's $(rm -rf /)"})
    curl = newest(client)[1]["request"]["curl"]
    assert curl.startswith("curl -X GET 'http://localhost/missing' ")
    assert "-H 'X-Note: it'\\''s $(rm -rf /)'" in curl


def test_a_running_request_is_shown_with_its_stack():
    begun, may_end = threading.Event(), threading.Event()

    def wait_in_here(password):
        begun.set()
        assert may_end.wait(20)

    def app(environ, start_response):
        wait_in_here(password="hunter2")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    stack = build_stack(app, use(InspectorMiddleware))
    thread = threading.Thread(target=lambda: Client(stack).get("/slow"), name="visitor")
    thread.start()
    try:
        assert begun.wait(20)
        seen = Client(stack).get("/__onion__/in-flight.json").json
    finally:
        may_end.set()
        thread.join(20)
    (running,) = seen["requests"]
    assert (running["path"], running["thread"]) == ("/slow", "visitor")
    assert any("in wait_in_here: assert may_end.wait(20)" in line for line in running["stack"])
    assert "hunter2" not in json.dumps(seen)
    assert "visitor" in seen["threads"]


# ---------------------------------------------------------------------- the pages


@pytest.mark.parametrize("name", ["", "/", "/inspector.js", "/inspector.css", "/requests.json", "/in-flight.json"])
def test_each_page_has_a_strict_policy_and_is_never_stored(client, name):
    answer = client.get(f"/__onion__{name}")
    assert answer.status_code == 200
    assert "'unsafe" not in answer.headers["Content-Security-Policy"]
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert client.get("/__onion__/requests.json").json == []  # none of these is recorded


@pytest.mark.parametrize("name", ["/nowhere", "/requests/nothing.json", "/requests/", "/../x", "/index.html"])
def test_an_unknown_page_of_the_inspector_is_a_404(client, name):
    assert client.get(f"/__onion__{name}").status_code == 404


def test_another_method_is_refused(client):
    answer = client.post("/__onion__/requests.json")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/__onion__x", "/__ONION__", "/a/__onion__"])
def test_a_path_beside_the_inspector_is_the_applications(path):
    seen = []

    def app(environ, start_response):
        seen.append(environ["PATH_INFO"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    Client(build_stack(app, use(InspectorMiddleware))).get(path)
    assert seen == [path]


def test_the_page_names_its_addresses_below_a_mount(client):
    page = client.get("/__onion__", environ_overrides={"SCRIPT_NAME": '/a"b'}).text
    assert 'src="/a%22b/__onion__/inspector.js"' in page


@pytest.mark.parametrize(("is_threaded", "live"), [(True, "events"), (False, "poll")])
def test_a_stream_of_events_is_used_only_if_there_are_threads(client, is_threaded, live):
    page = client.get("/__onion__", environ_overrides={"wsgi.multithread": is_threaded}).text
    assert f'data-live="{live}"' in page


def test_the_event_stream_tells_of_requests_that_end(client, monkeypatch):
    client.get("/orders/1")
    client.get("/missing")
    response = client.get("/__onion__/events", headers={"Last-Event-ID": "1"}, buffered=False)
    assert response.headers["Content-Type"] == "text/event-stream"
    chunks = iter(response.response)
    seen = next(chunk for chunk in chunks if b"data:" in chunk).decode()
    response.close()
    assert seen.startswith("id: 2\n")
    assert json.loads(seen.partition("data: ")[2])["path"] == "/missing"


@pytest.mark.parametrize("last", ["", "x", "99999999", "-1", "1e5"])
def test_an_unreadable_last_event_id_begins_with_what_comes(client, last):
    client.get("/missing")
    response = client.get("/__onion__/events", headers={"Last-Event-ID": last}, buffered=False)
    assert next(iter(response.response)) == b"retry: 1000\n\n"
    response.close()


# ---------------------------------------------------------------------- who may see it


@pytest.mark.parametrize(
    ("allow", "keys", "code"),
    [
        ("local", {}, 200),
        ("local", {"REMOTE_ADDR": "192.0.2.1"}, 404),
        ("local", {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 404),
        ("local", {"HTTP_HOST": "evil.example"}, 404),
        ("192.0.2.0/24", {"REMOTE_ADDR": "192.0.2.1", "HTTP_HOST": "staging.example"}, 200),
        ("192.0.2.0/24", {}, 404),
        ((), {}, 404),
    ],
)
@pytest.mark.parametrize("path", ["/__onion__", "/__onion__/requests.json", "/__onion__/events", "/__onion__/x"])
def test_who_is_not_allowed_gets_a_404(allow, keys, code, path):
    client = Client(build_stack(router, use(InspectorMiddleware, allow=allow)))
    environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost", **keys}
    answer = client.get(path, environ_overrides=environ, buffered=False)
    assert answer.status_code == (404 if path.endswith("/x") else code)
    answer.close()


def test_a_token_is_asked_for_once_and_leaves_the_address():
    client = Client(build_stack(router, use(InspectorMiddleware, token=TOKEN)))
    for query in ("", "?token=wrong", "?token=", "?token=%FF"):
        assert client.get(f"/__onion__{query}").status_code == 403
    answer = client.get(f"/__onion__?token={TOKEN}")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/__onion__")
    cookie = answer.headers["Set-Cookie"]
    assert TOKEN not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert client.get("/__onion__/requests.json").status_code == 200
    other = Client(build_stack(router, use(InspectorMiddleware, token=TOKEN)), use_cookies=False)
    assert other.get("/__onion__", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert other.get("/__onion__", headers={"Authorization": "Bearer wrong"}).status_code == 403
    assert other.get("/__onion__", headers={"Cookie": "wsgikit_inspector=wrong"}).status_code == 403


# ---------------------------------------------------------------------- bounds


def recording(path="/"):
    return Recording({"REQUEST_METHOD": "GET", "PATH_INFO": path})


def test_the_history_is_bounded_by_count():
    history = History(3, 10**9)
    for number in range(10):
        history.add(recording(f"/{number}"))
    assert [each.path for each in history.newest_first()] == ["/9", "/8", "/7"]
    assert [number for number, _ in history.after(8, 0)] == [9, 10]
    assert history.after(10, 0.01) == []
    assert history.find("nothing") is None


def test_the_history_is_bounded_by_bytes_but_keeps_the_newest():
    history = History(1000, 20_000)
    for _ in range(100):
        history.add(recording("/" + "x" * 3000))
    assert history.bytes <= 20_000
    assert len(history) == 3
    history.add(recording("/" + "x" * 50_000))
    assert len(history) == 1
    history.add(recording())
    assert history.bytes == history.newest_first()[0].size


def test_one_request_keeps_no_more_than_the_limits():
    one = recording()
    for _ in range(MOST_LOGS + 10):
        one.note_log("INFO", "x", "y" * 10_000)
    assert len(one.logs) == MOST_LOGS
    assert one.size < MOST_LOGS * 3000

    class Call:
        kind, name, text, seconds, error = "database", "default", "SELECT " + "x" * 10_000, 0.1, None

    for _ in range(MOST_STATEMENTS + 10):
        one.note_call(Call)
    assert len(one.statements) == MOST_STATEMENTS
    assert len(one.statements[0].text) == 2000


def test_requests_leave_nothing_behind(stack):
    client = Client(stack)
    inspector = stack.find(InspectorMiddleware)
    for path in ("/orders/1", "/broken", "/missing", "/stream"):
        client.get(path).close()
    assert inspector._running == {}
    assert LOGS._by_thread == {}


def test_a_recording_keeps_neither_exchange_nor_environ(stack):
    """It is kept for long, and its size is counted: it may not hold what isn't counted."""
    import gc

    from wsgikit.onion.exchange import Exchange

    client = Client(stack)
    for path in ("/orders/1", "/broken", "/missing", "/stream"):
        client.get(path).close()
    for recording in stack.find(InspectorMiddleware)._history.newest_first():
        seen, waiting = set(), [recording.__dict__]
        while waiting:
            value = waiting.pop()
            if id(value) in seen or isinstance(value, (type, type(gc), type(lambda: 0))):
                continue
            seen.add(id(value))
            assert not isinstance(value, Exchange)
            assert not (isinstance(value, dict) and "wsgi.input" in value)
            waiting += gc.get_referents(value)
            assert len(seen) < 2000, "it leads to much of the process"


def test_log_records_of_other_threads_and_times_are_not_taken(client):
    factory = logging.getLogRecordFactory()
    logger.warning("before")
    client.get("/missing")
    logger.warning("after")
    assert [line for line in newest(client)[1]["logs"] if line["logger"] == "shop"] == []
    assert logging.getLogRecordFactory() is factory


def test_the_factory_of_log_records_is_given_back_when_the_last_inspector_is_closed():
    before = logging.getLogRecordFactory()
    capture, first, second = LogCapture(), Stamp(print), Stamp(print)
    capture.install(first)
    wrapped = logging.getLogRecordFactory()
    capture.install(second)
    assert logging.getLogRecordFactory() is wrapped is not before
    capture.remove(first)
    assert logging.getLogRecordFactory() is wrapped
    capture.remove(second)
    assert logging.getLogRecordFactory() is before


def test_close_ends_the_capture_of_log_records():
    stack = build_stack(router, use(InspectorMiddleware))
    inspector = stack.find(InspectorMiddleware)
    assert inspector in LOGS._users
    stack.close()
    assert inspector not in LOGS._users


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        (("200 OK", (("A", "1"),)), ("200 OK", (("A", "1"),)), []),
        (("200 OK", ()), ("404 Not Found", ()), ["status 200 OK → 404 Not Found"]),
        (("200 OK", (("a", "1"), ("B", "2"))), ("200 OK", (("A", "2"),)), ["removed B", "changed A"]),
        (("200 OK", ()), ("200 OK", (("C", "3"),)), ["added C"]),
        (("200 OK", (("A", "1"),)), ("200 OK", (("A", "1"), ("A", "2"))), ["changed A"]),
        (("200 OK", (("A", "1"), ("B", "2"))), ("200 OK", (("B", "2"), ("A", "1"))), []),
    ],
)
def test_changes_of_a_response_in_words(before, after, changes):
    assert changes_between(before, after) == changes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "onion"}, "path: expected a path that begins with a slash, got 'onion'"),
        ({"path": "/"}, "path: expected a path that begins with a slash, got '/'"),
        ({"path": None}, "path: expected a path"),
        ({"allow": "office"}, "allow: expected addresses or networks"),
        ({"token": "short"}, "token: expected at least 16 bytes"),
        ({"token": ["a" * 20]}, "token: expected a text, got a list"),
        ({"keep": 0}, "keep: expected a whole number of at least 1, got 0"),
        ({"keep": True}, "keep: expected a whole number of at least 1, got True"),
        ({"max_bytes": 0}, "max_bytes: expected a whole number of at least 1, got 0"),
        ({"show_session": "yes"}, "show_session: expected True or False, got 'yes'"),
    ],
)
def test_an_option_that_cannot_work_is_refused_while_building(options, message):
    before = logging.getLogRecordFactory()
    with pytest.raises(ConfigurationError, match="^InspectorMiddleware: ") as caught:
        InspectorMiddleware(print, **options)
    assert message in str(caught.value)
    assert logging.getLogRecordFactory() is before


def test_it_conforms():
    assert_conforms(InspectorMiddleware)
