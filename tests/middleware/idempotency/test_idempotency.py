"""A request that is repeated has its effect once, on three databases."""

from __future__ import annotations

import io
import sqlite3
import threading
import time
import uuid
from types import SimpleNamespace

import flask
import pytest
import sqlalchemy as sa

from tests.middleware.cache.conftest import call
from wsgikit import (
    CsrfMiddleware,
    DatabaseMiddleware,
    ErrorPagesMiddleware,
    IdempotencyMiddleware,
    Middleware,
    SessionMiddleware,
    build_stack,
    use,
)
from wsgikit.exceptions import ApplicationError, ConfigurationError
from wsgikit.middleware.idempotency.identity import client_of, digest_of, read_key
from wsgikit.testing import assert_conforms

SECRET = "0123456789abcdef" * 4
INSERT = sa.text("INSERT INTO notes (text) VALUES (:text)")


class Shop:
    """Inserts a row for each request that it serves, and answers with the number of its calls."""

    def __init__(self):
        self.calls = 0
        self.status = "201 Created"
        self.headers = [("Location", "/orders/1"), ("Set-Cookie", "a=b")]
        self.during = None
        self.body = None

    def __call__(self, environ, start_response):
        self.calls += 1
        number = self.calls
        data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgikit.db"].execute(INSERT, {"text": data.decode() or "order"})
        if self.during is not None:
            self.during()
        start_response(self.status, [("Content-Type", "text/plain"), *self.headers])
        return [b"order %d" % number] if self.body is None else self.body()


@pytest.fixture
def shop():
    return Shop()


@pytest.fixture
def stack_of():
    stacks = []

    def make(app, database, *outside, idempotency=None, **options):
        stack = build_stack(
            app,
            *outside,
            use(IdempotencyMiddleware, **{"anonymous": True, **(idempotency or {})}),
            use(DatabaseMiddleware, **{"url": database.url, **options}),
        )
        stacks.append(stack)
        return stack

    yield make
    for stack in stacks:
        stack.close()


def post(stack, key=None, body=b"tea", path="/orders", method="POST", **keys):
    if key is not None:
        keys["HTTP_IDEMPOTENCY_KEY"] = key
    return call(stack, path, method, body=body, CONTENT_LENGTH=str(len(body)), **keys)


def new_key():
    return uuid.uuid4().hex


@pytest.mark.parametrize("kind", ["session", "connection"])
def test_a_repetition_gets_the_first_answer_and_has_no_effect(stack_of, database, shop, kind):
    stack = stack_of(shop, database, kind=kind)
    key = new_key()
    first = post(stack, key)
    again = post(stack, key)
    assert (first.status, first.body, first["Idempotent-Replayed"]) == ("201 Created", b"order 1", None)
    assert (again.status, again.body, again["Idempotent-Replayed"]) == ("201 Created", b"order 1", "true")
    assert (again["Location"], again["Content-Type"], again["Set-Cookie"]) == ("/orders/1", "text/plain", None)
    assert first["Set-Cookie"] == "a=b"
    assert (shop.calls, database.texts()) == (1, ["tea"])
    assert post(stack, new_key()).body == b"order 2"


def test_a_repetition_with_another_body_is_a_422(stack_of, database, shop):
    stack = stack_of(shop, database)
    key = new_key()
    post(stack, key)
    for changed in ({"body": b"coffee"}, {"CONTENT_TYPE": "text/x"}, {"path": "/orders?a"}):
        assert post(stack, key, **changed).code == 422
    assert database.texts() == ["tea"]


def test_the_key_is_bound_to_client_method_and_path(stack_of, sqlite, shop):
    stack = stack_of(shop, sqlite)
    key = new_key()
    others = [{}, {"method": "PUT"}, {"path": "/other"}, {"REMOTE_USER": "ada"}, {"REMOTE_USER": "bob"}]
    assert [post(stack, key, **other).body for other in others] == [b"order %d" % n for n in range(1, 6)]
    assert [post(stack, key, **other).body for other in others] == [b"order %d" % n for n in range(1, 6)]


def test_a_repetition_while_the_first_runs_is_a_409(stack_of, database, shop):
    stack = stack_of(shop, database)
    key = new_key()
    answers = []
    if database.name == "sqlite":
        shop.during = None  # the transaction holds the only write lock: see the next test
        return
    shop.during = lambda: answers.append(post(stack, key).code) if not answers else None
    assert post(stack, key).code == 201
    assert answers == [409]
    assert (post(stack, key).body, shop.calls) == (b"order 1", 1)


def test_a_409_needs_no_write_lock(stack_of, sqlite):
    """SQLite: the first request has reserved its key and not written yet."""
    answers = []

    def app(environ, start_response):
        if not answers:
            answers.append(None)
            answers[0] = post(stack, key).code
        environ["wsgikit.db"].execute(INSERT, {"text": "tea"})
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"ok"]

    stack = stack_of(app, sqlite)
    key = new_key()
    assert (post(stack, key).code, answers) == (200, [409])


def test_of_many_at_once_one_has_the_effect(stack_of, database, shop):
    stack = stack_of(shop, database, use(ErrorPagesMiddleware))
    post(stack, new_key(), body=b"first")  # makes the table
    key = new_key()
    codes = []
    gate = threading.Barrier(6)

    def run():
        gate.wait(10)
        codes.append(post(stack, key).code)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert set(codes) <= {201, 409}
    assert 201 in codes
    assert database.texts() == ["first", "tea"]


FAILURES = {"an error status": "409 Conflict", "a server error": "500 Internal Server Error", "an exception": None}


@pytest.mark.parametrize("status", FAILURES.values(), ids=FAILURES.keys())
def test_after_an_error_the_request_runs_again(stack_of, database, shop, status):
    stack = stack_of(shop, database, use(ErrorPagesMiddleware))
    key = new_key()

    def fail():
        raise LookupError

    shop.status, shop.during = (status, None) if status else (shop.status, fail)
    assert post(stack, key).code >= 400
    shop.status, shop.during = "201 Created", None
    assert post(stack, key).body == b"order 2"
    assert database.texts() == ["tea"]


def test_if_the_commit_fails_the_request_runs_again(stack_of, idempotency_databases, shop):
    postgresql = idempotency_databases("postgresql")
    postgresql.run(
        "DROP TABLE IF EXISTS child, parent",
        "CREATE TABLE parent (id int PRIMARY KEY)",
        "CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
    )

    def app(environ, start_response):
        environ["wsgikit.db"].execute(sa.text("INSERT INTO child VALUES (1)"))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"ok"]

    stack = stack_of(app, postgresql, use(ErrorPagesMiddleware))
    key = new_key()
    assert post(stack, key).code == 500
    postgresql.run("INSERT INTO parent VALUES (1)")
    assert post(stack, key).code == 200
    assert post(stack, key)["Idempotent-Replayed"] == "true"


def test_a_lease_that_ended_is_taken_over_and_the_first_undone(stack_of, idempotency_databases, shop, monkeypatch):
    database = idempotency_databases("postgresql")
    database.clear()
    stack = stack_of(shop, database, use(ErrorPagesMiddleware))
    key = new_key()
    codes = []
    now = time.time()

    def repeat():
        shop.during = None
        monkeypatch.setattr(time, "time", lambda: now + 61)
        codes.append(post(stack, key).code)

    shop.during = repeat
    assert post(stack, key).code == 500
    assert codes == [201]
    assert (database.texts(), post(stack, key).body) == (["tea"], b"order 2")


def test_a_kept_response_expires(stack_of, sqlite, shop, monkeypatch):
    stack = stack_of(shop, sqlite, idempotency={"ttl_seconds": "1h"})
    key = new_key()
    now = time.time()
    post(stack, key)
    monkeypatch.setattr(time, "time", lambda: now + 3590)
    assert post(stack, key).body == b"order 1"
    monkeypatch.setattr(time, "time", lambda: now + 3610)
    assert post(stack, key, body=b"coffee").body == b"order 2"
    assert post(stack, key, body=b"coffee").body == b"order 2"


BODIES = {"a stream": lambda: iter([b"a", b"b"]), "a large body": lambda: [b"x" * 1_048_577]}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_body_that_is_not_kept_is_a_409_that_says_so(stack_of, sqlite, shop, body):
    shop.body = body
    stack = stack_of(shop, sqlite)
    key = new_key()
    assert post(stack, key).code == 201
    again = post(stack, key)
    assert (again.code, again["Idempotent-Replayed"], again["Location"]) == (409, "true", "/orders/1")
    assert b"The request was carried out (201 Created)" in again.body
    assert shop.calls == 1


def test_a_repeated_transaction_keeps_the_response_of_the_last_attempt(stack_of, sqlite, shop):
    """The database layer repeats a request that lost against another."""
    stack = stack_of(shop, sqlite, retries=2, retry_methods=["POST"], retry_backoff_seconds=0)

    def lose():
        if shop.calls < 3:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise sa.exc.OperationalError("", {}, error)

    shop.during = lose
    key = new_key()
    assert post(stack, key).body == b"order 3"
    assert post(stack, key).body == b"order 3"
    assert (shop.calls, sqlite.texts()) == (3, ["tea"])


def test_the_body_is_kept_of_flask(stack_of, sqlite):
    app = flask.Flask("shop")
    calls = []

    @app.post("/orders")
    def order():
        calls.append(flask.request.form["name"])
        flask.request.environ["wsgikit.db"].execute(INSERT, {"text": "tea"})
        return {"number": len(calls)}, 201

    stack = stack_of(app, sqlite)
    key = new_key()
    form = {"body": b"name=tea", "CONTENT_TYPE": "application/x-www-form-urlencoded"}
    answers = [post(stack, key, **form) for _ in range(2)]
    assert answers[0].body == answers[1].body
    assert (calls, answers[1]["Idempotent-Replayed"]) == (["tea"], "true")


# ---------------------------------------------------------------------- who, and what is refused


def test_without_user_and_session_a_key_is_refused(stack_of, sqlite, shop):
    stack = stack_of(shop, sqlite, idempotency={"anonymous": False})
    assert (post(stack, new_key()).code, shop.calls) == (400, 0)
    assert post(stack, new_key(), REMOTE_USER="ada").code == 201
    assert post(stack).code == 201  # without a key there is nothing to bind


def test_a_key_is_bound_to_the_session(stack_of, sqlite, shop):
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/in":
            environ["wsgikit.session"]["name"] = "ada"
            start_response("204 No Content", [])
            return []
        return shop(environ, start_response)

    stack = stack_of(app, sqlite, use(SessionMiddleware, secret_key=SECRET), idempotency={"anonymous": False})
    cookies = [post(stack, path="/in")["Set-Cookie"].partition(";")[0] for _ in range(2)]
    key = new_key()
    assert [post(stack, key, HTTP_COOKIE=cookie).body for cookie in cookies * 2] == [b"order 1", b"order 2"] * 2
    assert post(stack, key).code == 400


USERS = [
    ({"wsgikit.user": SimpleNamespace(get_id=lambda: "7")}, "user 7"),
    ({"wsgikit.user": SimpleNamespace(id=8)}, "user 8"),
    ({"wsgikit.user": "ada"}, "user ada"),
    ({"REMOTE_USER": "bob"}, "user bob"),
    ({"wsgikit.user": None, "wsgikit.session": SimpleNamespace(new=True, id="x")}, None),
    ({"wsgikit.session": SimpleNamespace(new=False, id="x")}, "session x"),
    ({}, None),
]


@pytest.mark.parametrize(("environ", "client"), USERS)
def test_the_client_is_the_user_or_the_session(environ, client):
    assert client_of(environ) == client


KEYS = [("abc", "abc"), ('"abc"', "abc"), ('"a\\"b"', 'a"b'), ("a b", "a b"), ("", None), (" ", None), ("\t", None)]
KEYS += [("x" * 255, "x" * 255), ("x" * 256, None), ("ä", None), ("a\nb", None)]


@pytest.mark.parametrize(("value", "key"), KEYS)
def test_keys_are_visible_characters_with_or_without_quotes(value, key):
    assert read_key(value) == key


def test_parts_of_a_digest_cannot_be_moved():
    assert len({digest_of("a", "b"), digest_of("ab"), digest_of("ab", ""), digest_of("", "ab")}) == 4


def test_a_bad_key_is_a_400(stack_of, sqlite, shop):
    stack = stack_of(shop, sqlite)
    assert (post(stack, "ä").code, shop.calls) == (400, 0)


def test_a_required_key_that_is_missing_is_a_400(stack_of, sqlite, shop):
    stack = stack_of(shop, sqlite, idempotency={"required": ["POST /orders/*", lambda e: "a" in e["QUERY_STRING"]]})
    assert [post(stack, path=path).code for path in ("/orders/1", "//orders/1", "/x?a")] == [400] * 3
    assert [post(stack, path="/other").code, post(stack, new_key(), path="/orders/1").code] == [201, 201]
    assert call(stack, "/orders/1", "GET").code == 201


def test_safe_methods_pass(stack_of, sqlite, shop):
    stack = stack_of(shop, sqlite)
    key = new_key()
    for number in (1, 2):
        assert post(stack, key, method="GET").body == b"order %d" % number


def test_csrf_goes_before_a_repetition(stack_of, sqlite, shop):
    stack = stack_of(shop, sqlite, use(CsrfMiddleware, tokens="never"))
    key = new_key()
    assert post(stack, key).code == 201
    assert post(stack, key, HTTP_SEC_FETCH_SITE="cross-site", HTTP_ORIGIN="https://evil.example").code == 403


def test_another_name_for_the_header(stack_of, sqlite, shop):
    stack = stack_of(shop, sqlite, idempotency={"header": "X-Once"})
    key = new_key()
    assert [post(stack, HTTP_X_ONCE=key).body for _ in range(2)] == [b"order 1"] * 2
    assert post(stack, key).body == b"order 2"


def test_without_a_database_of_sqlalchemy_a_key_is_an_error(stack_of, sqlite, shop):
    alone = build_stack(shop, use(IdempotencyMiddleware, anonymous=True))
    with pytest.raises(ApplicationError, match=r"got nothing\. Add DatabaseMiddleware"):
        post(alone, new_key())

    stack = build_stack(
        shop,
        use(IdempotencyMiddleware, anonymous=True),
        use(DatabaseMiddleware, connect=lambda: sqlite3.connect(sqlite.engine.url.database)),
    )
    with pytest.raises(ApplicationError, match="a connection of another kind"):
        post(stack, new_key())
    stack.close()


ORDERS = {
    "inside the database": [use(DatabaseMiddleware, url="sqlite://"), use(IdempotencyMiddleware)],
    "outside csrf": [use(IdempotencyMiddleware), use(CsrfMiddleware, tokens="never")],
    "outside sessions": [use(IdempotencyMiddleware), use(SessionMiddleware, secret_key=SECRET)],
}


@pytest.mark.parametrize("layers", ORDERS.values(), ids=ORDERS.keys())
def test_an_order_that_breaks_the_guarantee_is_refused(layers, shop):
    with pytest.raises(ConfigurationError, match="The order that works"):
        build_stack(shop, *layers)


BAD = [
    ({"ttl_seconds": 0}, "ttl_seconds"),
    ({"ttl_seconds": "long"}, "ttl_seconds"),
    ({"required": "/a*b"}, "required"),
    ({"required": [5]}, "required"),
    ({"header": ""}, "header"),
    ({"header": "a b"}, "header"),
    ({"anonymous": "yes"}, "anonymous"),
]


@pytest.mark.parametrize(("options", "name"), BAD)
def test_a_bad_option_is_refused(options, name):
    with pytest.raises(ConfigurationError, match=f"^IdempotencyMiddleware: {name}"):
        IdempotencyMiddleware(Shop(), **options)


def test_it_conforms():
    assert_conforms(IdempotencyMiddleware)


def test_a_layer_that_fails_outside_does_not_change_what_is_kept(stack_of, sqlite, shop):
    """The answer was lost after the commit."""

    class Loses(Middleware):
        is_on = True

        def after_request(self, exchange):
            if Loses.is_on:
                raise ConnectionError

    stack = stack_of(shop, sqlite, use(Loses))
    key = new_key()
    with pytest.raises(ConnectionError):
        post(stack, key)
    Loses.is_on = False
    assert (post(stack, key).body, sqlite.texts()) == (b"order 1", ["tea"])


def test_a_chunked_body_is_read_again_by_the_application(stack_of, sqlite, shop):
    stack = stack_of(shop, sqlite)
    keys = {"wsgi.input": io.BytesIO(b"milk"), "wsgi.input_terminated": True, "HTTP_IDEMPOTENCY_KEY": new_key()}
    assert call(stack, "/orders", "POST", **keys).code == 201
    assert sqlite.texts() == ["milk"]
