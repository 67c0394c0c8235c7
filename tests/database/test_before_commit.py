"""What waits for the commit (``exchange.before_commit``) runs right before it, and can still roll it back."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.stack import build_stack, use

KINDS = {"session": {}, "connection": {"kind": "connection"}, "driver": None, "manager": {"manager": True}}


class Answers503(Middleware):
    """An error page, as short as can be."""

    def handle_exception(self, exchange, error):
        return exchange.reply(503, type(error).__name__)


class Saves(Middleware):
    """A layer that saves something of the request together with its transaction."""

    def __init__(self, app, *, save, when="before_request"):
        super().__init__(app)
        self.save = save
        self.when = when

    def before_request(self, exchange):
        if self.when == "before_request":
            exchange.before_commit(self.save)

    def after_request(self, exchange):
        if self.when == "after_request":
            exchange.before_commit(self.save)


def writing(environ, start_response):
    handle = environ["wsgikit.db"]
    if hasattr(handle, "cursor"):
        handle.cursor().execute("INSERT INTO notes (text) VALUES ('row')")
    else:
        handle.execute(sa.text("INSERT INTO notes (text) VALUES ('row')"))
    start_response("200 OK", [])
    return [b"ok"]


def stack_of(layers, database, app, save, *, kind="session", is_inside=False, **options):
    more = {"connect": database.connect} if kind == "driver" else {"url": database.url, **KINDS[kind]}
    saves = use(Saves, save=save, when="after_request" if is_inside else "before_request")
    base = use(DatabaseMiddleware, **more, **options)
    stack = build_stack(app, use(Answers503), *((base, saves) if is_inside else (saves, base)))
    layers.append(stack)
    return stack


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_inside", [False, True], ids=["a layer outside", "a layer inside"])
def test_it_runs_before_the_commit_and_sees_the_response(layers, database, call, kind, is_inside):
    seen = []

    def save(exchange):
        seen.append((exchange.status_code, list(exchange.body), database.texts()))

    assert call(stack_of(layers, database, writing, save, kind=kind, is_inside=is_inside), method="POST").code == 200
    assert seen == [(200, [b"ok"], [])]
    assert database.texts() == ["row"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_inside", [False, True], ids=["a layer outside", "a layer inside"])
def test_no_row_stays_if_it_fails(layers, database, call, kind, is_inside):
    def save(exchange):
        raise LookupError("store")

    answer = call(stack_of(layers, database, writing, save, kind=kind, is_inside=is_inside), method="POST")
    assert (answer.code, answer.body, database.texts()) == (503, b"LookupError", [])


@pytest.mark.parametrize("kind", ["session", "connection"])
def test_it_is_undone_if_the_commit_fails(layers, deferred, call, kind):
    """The constraint is checked at the commit."""
    seen = []

    def save(exchange):
        seen.append("saved")
        return lambda: seen.append("undone")

    def app(environ, start_response):
        environ["wsgikit.db"].execute(sa.text("INSERT INTO child VALUES (4711)"))
        start_response("200 OK", [])
        return [b""]

    stack = stack_of(layers, deferred, app, save, kind=kind)
    assert (call(stack).body, seen) == (b"IntegrityError", ["saved", "undone"])


@pytest.mark.parametrize("kind", ["session", "connection", "driver"])
@pytest.mark.parametrize("status", ["200 OK", "302 Found"])
def test_it_runs_if_the_request_left_the_database_alone(layers, sqlite, call, kind, status):
    seen = []

    def app(environ, start_response):
        start_response(status, [])
        return [b""]

    stack = stack_of(layers, sqlite, app, lambda exchange: seen.append(exchange.status), kind=kind)
    call(stack)
    assert seen == [status]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_used", [True, False], ids=["used before", "not used before"])
def test_what_it_writes_is_part_of_the_transaction(layers, database, call, kind, is_used):
    """An idempotency key is kept with the rows that it stands for."""

    def app(environ, start_response):
        if is_used:
            return writing(environ, start_response)
        start_response("200 OK", [])
        return [b""]

    def save(exchange):
        writing(exchange.environ, lambda *_: None)

    stack = stack_of(layers, database, app, save, kind=kind)
    assert call(stack, method="POST").code == 200
    assert database.texts() == ["row"] * (2 if is_used else 1)


def test_it_does_not_run_if_the_response_rolls_back(layers, database, call):
    seen = []

    def app(environ, start_response):
        writing(environ, lambda *_: None)
        start_response("422 Unprocessable Content", [])
        return [b""]

    call(stack_of(layers, database, app, seen.append), method="POST")
    assert (seen, database.texts()) == ([], [])


def test_it_runs_before_the_head_of_a_stream_with_an_open_cursor(layers, postgresql, call):
    """The transaction goes on, but what waits for it can't: the head leaves."""
    postgresql.run("INSERT INTO notes (text) SELECT 'n' || i FROM generate_series(1, 9) i")
    order = []

    def app(environ, start_response):
        rows = environ["wsgikit.db"].execute(sa.text("SELECT text FROM notes"), execution_options={"yield_per": 2})
        start_response("200 OK", [])
        return (order.append("chunk") or text.encode() for (text,) in rows)

    stack = stack_of(layers, postgresql, app, lambda exchange: order.append("saved"))
    call(stack, on_start=lambda: order.append("head"))
    assert order == ["saved", "head", *["chunk"] * 9]


def test_each_attempt_runs_it_and_a_lost_one_undoes_it(layers, sqlite, call):
    """A retry puts back what the attempt saved."""
    seen = []
    other = sqlite.connect()
    other.execute("BEGIN")
    other.execute("SELECT * FROM notes").fetchall()  # the commit meets a reader

    def save(exchange):
        seen.append("saved")
        return lambda: (seen.append("undone"), other.rollback())

    stack = stack_of(
        layers,
        sqlite,
        writing,
        save,
        is_inside=True,
        retries=2,
        retry_backoff_seconds=0,
        retry_methods=["POST"],
        connect_args={"timeout": 0},
    )
    assert call(stack, method="POST").code == 200
    other.close()
    assert (seen, sqlite.texts()) == (["saved", "undone", "saved"], ["row"])


@pytest.mark.parametrize("used", ["outer", "inner", "both", "neither"])
def test_it_runs_once_before_the_first_commit_of_several_databases(layers, sqlite, postgresql, call, used):
    seen = []

    def app(environ, start_response):
        for key, name in (("wsgikit.db", "outer"), ("wsgikit.db.other", "inner")):
            if used in (name, "both"):
                environ[key].execute(sa.text("INSERT INTO notes (text) VALUES ('row')"))
        start_response("200 OK", [])
        return [b""]

    stack = build_stack(
        app,
        use(Saves, save=lambda exchange: seen.append([*sqlite.texts(), *postgresql.texts()])),
        use(DatabaseMiddleware, url=sqlite.url),
        use(DatabaseMiddleware, url=postgresql.url, name="other"),
    )
    layers.append(stack)
    call(stack)
    assert seen == [[]]


def test_a_commit_of_a_stream_that_fails_undoes_nothing_of_the_head(layers, deferred, call):
    seen = []

    def app(environ, start_response):
        start_response("200 OK", [])

        def stream():
            yield b"1"
            environ["wsgikit.db"].execute(sa.text("INSERT INTO child VALUES (4711)"))
            yield b"2"

        return stream()

    stack = stack_of(layers, deferred, app, lambda exchange: lambda: seen.append("undone"))
    with pytest.raises(sa.exc.IntegrityError):
        call(stack)
    assert seen == []
