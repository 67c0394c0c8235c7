"""How long a request waits for its database: for a connection, a ping, a statement, and until its deadline."""

from __future__ import annotations

__all__ = ["STATEMENT_TIMEOUT", "bound_answers", "connect_arguments", "limit_statements"]

import selectors
import time
from collections.abc import Callable
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

STATEMENT_TIMEOUT = "wsgikit_statement_timeout"
"""The execution option of an engine with the seconds after which the server gives up a statement."""

# By the driver of a dialect: the argument of its connect() for the time-out, in seconds.
_CONNECT_TIMEOUT = {
    **dict.fromkeys(("psycopg", "psycopg2", "psycopg2cffi", "pymysql", "mysqldb"), "connect_timeout"),
    "mariadbconnector": "connect_timeout",
    "mysqlconnector": "connection_timeout",
    "pg8000": "timeout",
}
_EMPTY_QUERY = 0  # libpq's PGRES_EMPTY_QUERY
_SHORTEST = 0.001  # seconds; 0 would be no limit


def connect_arguments(driver: str, url: URL, seconds: float | None) -> dict[str, Any]:
    """Return the driver's argument for the time-out of a connection; one that the URL has stays as it is.

    Args:
        driver: the name that SQLAlchemy has for it.
        url: of the database.
        seconds: to wait for a connection.
    """
    name = _CONNECT_TIMEOUT.get(driver)
    if name is None or seconds is None or name in url.query:
        return {}
    return {name: max(1, ceil(seconds))}  # libpq and others count in whole seconds


def bound_answers(engine: Engine, connect: float, statement: float | None) -> None:
    """Limit how long a driver waits for answers that come at once, or after a known time, unless the server is frozen.

    A server that is frozen still takes connections; a ping of one that was pooled has no answer.

    Args:
        engine: of psycopg or PyMySQL; for other drivers this does nothing.
        connect: seconds for a connection to be made, and for a ping.
        statement: seconds after which the server gives up a statement.
    """
    if engine.dialect.driver == "psycopg":
        engine.dialect.do_ping = partial(_ping_psycopg, engine, connect)  # type: ignore[method-assign]  # each engine has one
    elif engine.dialect.driver == "pymysql":
        limit = None if statement is None else connect + statement
        event.listen(engine, "do_connect", partial(_connect_pymysql, connect, limit))
        engine.dialect.do_ping = partial(_ping_pymysql, connect)  # type: ignore[method-assign]  # as above


def _ping_psycopg(engine: Engine, seconds: float, dbapi_connection: Any) -> bool:
    server = dbapi_connection.pgconn
    server.send_query(b"")
    until = time.monotonic() + seconds
    is_alive = True
    with selectors.DefaultSelector() as selector:
        selector.register(server.socket, selectors.EVENT_READ)
        while is_alive and server.is_busy():
            is_alive = bool(selector.select(until - time.monotonic()))
            if is_alive:
                server.consume_input()
    while is_alive and (result := server.get_result()) is not None:
        is_alive = result.status == _EMPTY_QUERY  # a server that ends the connection says why
    if not is_alive:
        server.finish()  # SQLAlchemy takes the error for a lost connection, as it is closed
        raise engine.dialect.dbapi.OperationalError(f"no answer to a ping in {seconds} s")  # type: ignore[union-attr]  # it is loaded
    return True


# PyMySQL has one time-out for the server's greeting, pings and statements. Statements may take long, so it is set while
# the others are waited for. The attribute is private; a test says if it is another one in a new version.


def _connect_pymysql(connect: float, limit: float | None, dialect: Any, record: Any, args: Any, kwargs: Any) -> Any:
    if "read_timeout" in kwargs:
        return None  # SQLAlchemy connects, as the user wants it
    connection = dialect.connect(*args, **kwargs, read_timeout=connect)
    connection._read_timeout = limit
    return connection


def _ping_pymysql(seconds: float, dbapi_connection: Any) -> bool:
    usual = dbapi_connection._read_timeout
    dbapi_connection._read_timeout = seconds if usual is None else min(usual, seconds)
    try:
        dbapi_connection.ping(reconnect=False)
    finally:
        dbapi_connection._read_timeout = usual
    return True


def limit_statements(connection: Connection, left: float) -> Callable[[], None] | None:
    """Have the server give up statements of the transaction that has begun when the deadline comes.

    Args:
        connection: SQLAlchemy's, with a transaction of PostgreSQL or MariaDB. Others have no such limit.
        left: seconds until the deadline.

    Returns:
        What puts the limit back before the connection goes to another request, if the end of the transaction doesn't.
    """
    usual = connection.get_execution_options().get(STATEMENT_TIMEOUT)
    if usual is not None and usual <= left:
        return None
    left = max(left, _SHORTEST)
    dialect = connection.dialect
    if dialect.name == "postgresql":
        _run(connection, f"SET LOCAL statement_timeout = {ceil(left * 1000)}")
        return None
    if getattr(dialect, "is_mariadb", False):
        _run(connection, f"SET SESSION max_statement_time = {left:.3f}")
        before = "DEFAULT" if usual is None else usual
        return lambda: _run(connection, f"SET SESSION max_statement_time = {before}")
    return None


def _run(connection: Connection, statement: str) -> None:
    cursor = connection.connection.dbapi_connection.cursor()  # type: ignore[union-attr]  # it is open
    try:
        cursor.execute(statement)
    finally:
        cursor.close()
