"""A database that can't be reached: a 503, and a log that says which one it was. The driver's error is what it was."""

from __future__ import annotations

import sqlite3
from functools import partial

import psycopg
import pymysql
import pytest
import sqlalchemy as sa

from wsgikit.database.exceptions import DatabaseUnreachableError, PoolExhaustedError
from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.error_pages.middleware import ErrorPagesMiddleware
from wsgikit.onion.log import log_error
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.stack import build_stack, use

KEY = "0f7c0c3f2e9b4d1aa6e5d0b8c7f61234"
NOBODY = {
    "postgresql": "postgresql+psycopg://shop:hidden@127.0.0.1:1/shop",
    "mariadb": "mysql+pymysql://shop:hidden@127.0.0.1:1/shop",
    "sqlite": "sqlite:////nowhere/at_all.db",
}


def app(environ, start_response):
    environ["wsgikit.db"].execute(sa.text("SELECT 1"))
    start_response("200 OK", [])
    return [b""]


def driver_app(environ, start_response):
    environ["wsgikit.db"].cursor()
    start_response("200 OK", [])
    return [b""]


def stack_of(layers, inner=app, **options):
    stack = build_stack(inner, use(ErrorPagesMiddleware), use(DatabaseMiddleware, **options))
    layers.append(stack.find(DatabaseMiddleware))
    return stack


@pytest.mark.parametrize("kind", ["session", "connection"])
@pytest.mark.parametrize("name", NOBODY)
def test_a_database_that_can_not_be_reached_is_a_503_and_the_log_names_it(layers, call, caplog, name, kind):
    assert call(stack_of(layers, url=NOBODY[name], kind=kind), "/pay").status == "503 Service Unavailable"
    address = NOBODY[name].replace("hidden", "***")
    assert f"DatabaseMiddleware 'default': GET /pay: expected a connection to {address}, got this error." in caplog.text
    assert "hidden" not in caplog.text


def test_a_relative_path_of_sqlite_is_told_in_full(layers, call, caplog, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call(stack_of(layers, url="sqlite:///missing/app.db"))
    assert f"a connection to sqlite:///missing/app.db ({tmp_path}/missing/app.db), got" in caplog.text


def test_the_log_says_that_it_is_the_replica(layers, call, caplog, sqlite):
    stack = stack_of(layers, url=sqlite.url, replica_url=NOBODY["postgresql"], secret_key=KEY)
    assert call(stack).code == 503
    assert "DatabaseMiddleware 'default replica': GET /: expected a connection to postgresql" in caplog.text


@pytest.mark.parametrize("name", NOBODY)
def test_whoever_catches_sqlalchemys_error_still_does(wrap, call, name):
    def catches(environ, start_response):
        try:
            environ["wsgikit.db"].connection()
        except sa.exc.OperationalError as error:
            caught.append(error)
        start_response("200 OK", [])
        return [b""]

    caught = []
    assert call(wrap(catches, url=NOBODY[name])).code == 200
    [error] = caught
    with pytest.raises(sa.exc.OperationalError) as plain:
        sa.create_engine(NOBODY[name]).connect()
    assert isinstance(error, DatabaseUnreachableError)
    assert (str(error), error.code) == (str(plain.value), plain.value.code)
    assert type(error.orig) is type(plain.value.orig)
    assert error.__cause__ is error.orig


@pytest.mark.parametrize(
    ("connect", "kind", "address"),
    [
        (partial(sqlite3.connect, "/nowhere/at_all.db"), sqlite3.OperationalError, "'/nowhere/at_all.db'"),
        (
            partial(psycopg.connect, host="127.0.0.1", port=1, user="shop", password="hidden"),
            psycopg.OperationalError,
            "password=***",
        ),
        (
            partial(pymysql.connect, host="127.0.0.1", port=1, user="shop", password="hidden"),
            pymysql.OperationalError,
            "password=***",
        ),
    ],
    ids=["sqlite3", "psycopg", "pymysql"],
)
@pytest.mark.parametrize("pool_size", [0, 1])
def test_a_drivers_own_error_is_a_503_too(layers, call, caplog, connect, kind, address, pool_size):
    stack = stack_of(layers, driver_app, connect=connect, pool_size=pool_size)
    assert [call(stack).code, call(stack).code] == [503, 503]
    assert address in caplog.text
    assert "hidden" not in caplog.text
    raised = []

    def catches(environ, start_response):
        with pytest.raises(kind) as caught:
            environ["wsgikit.db"].cursor()
        raised.append(caught.value)
        start_response("200 OK", [])
        return [b""]

    layer = DatabaseMiddleware(catches, connect=connect)
    assert call(layer).code == 200
    with pytest.raises(kind) as plain:
        connect()
    assert (str(raised[0]), raised[0].args) == (str(plain.value), plain.value.args)
    assert "hidden" not in str(layer.source.describe())


def test_a_mistake_in_ones_own_function_is_none_of_the_network(layers, call, caplog):
    def connect():
        raise KeyError("DATABASE")

    assert call(stack_of(layers, driver_app, connect=connect)).code == 500
    assert "DatabaseMiddleware 'default': GET /: expected a connection to " in caplog.text


def test_a_kill_while_connecting_stays_one(wrap, call):
    def connect():
        raise KeyboardInterrupt

    layer = wrap(driver_app, connect=connect, pool_size=1, pool_timeout=0)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            call(layer)


def test_an_exhausted_pool_is_a_503(layers, call, sqlite):
    def holds(environ, start_response):
        environ["wsgikit.db"].connection()
        if environ["PATH_INFO"] == "/outer":
            answers.append(call(stack, "/inner"))
        start_response("200 OK", [])
        return [b""]

    answers = []
    stack = stack_of(layers, holds, url=sqlite.url, pool_size=1, max_overflow=0, pool_timeout=0)
    assert (call(stack, "/outer").code, answers[0].status) == (200, "503 Service Unavailable")
    assert PoolExhaustedError.status == "503 Service Unavailable"


@pytest.mark.parametrize("has_page", [True, False], ids=["with error pages", "without"])
@pytest.mark.parametrize("kind", ["url", "connect"])
def test_an_outage_has_one_traceback_and_a_line_with_the_cause_for_each_request(layers, call, caplog, kind, has_page):
    host = "127.0.0.1"
    options = {
        "url": {"url": NOBODY["postgresql"]},
        "connect": {"connect": lambda: psycopg.connect(host=host, port=1, user="shop", connect_timeout=1)},
    }[kind]
    inner = app if kind == "url" else driver_app
    errors = [use(ErrorPagesMiddleware)] if has_page else [use(LogsAndAnswers)]
    stack = build_stack(inner, *errors, use(DatabaseMiddleware, **options))
    layers.append(stack.find(DatabaseMiddleware))
    for number in range(5):
        assert call(stack, f"/{number}").code == 503
    records = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.exc_info is not None for record in records] == [True, False, False, False, False]
    for number, record in enumerate(records[1:], 1):
        (line,) = record.getMessage().splitlines()
        assert f"/{number}" in line
        assert "DatabaseUnreachableError" in line
        assert "refused" in line
        assert "DatabaseMiddleware 'default'" in line
        assert "hidden" not in line


class LogsAndAnswers(Middleware):
    """A layer that answers without its own page; the error is logged as one that nobody else sees."""

    def handle_exception(self, exchange, error):
        log_error(exchange.environ, error, "in the test")
        return exchange.reply(error.status, "")


def test_the_end_of_an_outage_is_logged_and_the_next_has_its_traceback(layers, call, caplog, sqlite):
    is_down = True

    def connect():
        if is_down:
            raise sqlite3.OperationalError("unable to open database file")
        return sqlite.connect()

    stack = stack_of(layers, driver_app, connect=connect)
    codes = []
    for is_down in (True, True, False, True):
        codes.append(call(stack).code)
    assert codes == [503, 503, 200, 503]
    (end,) = [record.getMessage() for record in caplog.records if record.name == "wsgikit.database"]
    assert end == "'default' can be reached again: 2 failures in 0 s"
    tracebacks = [record.exc_info is not None for record in caplog.records if record.name == "wsgikit.errors"]
    assert tracebacks == [True, False, True]
