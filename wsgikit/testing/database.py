"""Tests on a real database that leave nothing in it: the requests of a test run in a transaction that is undone."""

from __future__ import annotations

__all__ = ["rolled_back"]

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from wsgikit.database.dbapi import DbapiSource
from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.onion.stack import layers_of

if TYPE_CHECKING:
    from sqlalchemy import Engine

_SAVEPOINT = "wsgikit_test"
# In these a savepoint outside of a transaction would begin its own transaction.
_BEGIN = {"sqlite3": "BEGIN", "pymysql": "START TRANSACTION", "MySQLdb": "START TRANSACTION"}
_BEGINS_BY_ITSELF = ("psycopg", "psycopg2")  # unless it was told not to


@contextmanager
def rolled_back(*apps: Any) -> Iterator[None]:
    """Undo at the end of the block whatever requests wrote in it, though they commit as always.

    All connections of a database are one in the block, in a transaction that is never committed: a commit moves a
    savepoint on, a rollback goes back to it. So a test sees what its requests have committed, and the next test sees
    none of it. ``engine`` of the layer is in the transaction too: a test can put rows there and look for them.

    What the database commits by itself can't be undone: MariaDB does it with every ``CREATE`` and ``ALTER``. Make the
    tables before. Requests that run at the same time would share the one connection: send them one after the other. An
    isolation level is without effect in the block.

    Args:
        apps: stacks, or anything that layers wrap one another in; each `DatabaseMiddleware` in them is meant. Also
            SQLAlchemy engines, for models that have their own engine.

    Raises:
        ConfigurationError: there is no database in what was given.

    Example::

        @pytest.fixture
        def client():
            with rolled_back(stack):
                yield TestClient(stack)
    """
    with ExitStack() as undo:
        found = False
        seen: set[int] = set()
        for app in apps:
            for thing in _databases_in(app):
                found = True
                if id(thing) in seen:
                    continue
                seen.add(id(thing))
                if isinstance(thing, DatabaseMiddleware):
                    _enter_layer(thing, undo)
                else:
                    undo.enter_context(_on_one_connection(thing))
        if not found:
            raise ConfigurationError(
                complaint("rolled_back", "apps", "a stack with a DatabaseMiddleware, or an engine", apps)
            )
        yield


def _databases_in(app: Any) -> Iterator[Any]:
    if hasattr(app, "dialect") and hasattr(app, "pool"):
        yield app
        return
    for layer in layers_of(app):
        if isinstance(layer, DatabaseMiddleware):
            yield layer


def _enter_layer(layer: DatabaseMiddleware, undo: ExitStack) -> None:
    source = layer.source
    if isinstance(source, DbapiSource):
        undo.enter_context(_one_driver_connection(source))
        return
    engine = source.engine
    undo.enter_context(_on_one_connection(engine))
    replica = layer.replica
    if replica is not None:
        # What a test writes must be on the replica at once.
        undo.enter_context(replica.using(engine))


@contextmanager
def _on_one_connection(engine: Engine) -> Iterator[None]:
    """Let an engine work on one connection, with savepoints in place of its transactions."""
    from sqlalchemy.pool import StaticPool  # whoever has an engine has SQLAlchemy

    dialect: Any = engine.dialect
    pool = engine.pool
    kept = pool.connect()
    connection: Any = kept.dbapi_connection
    isolation_level = getattr(connection, "isolation_level", None)
    if dialect.name == "sqlite":
        connection.isolation_level = None  # sqlite3 must not begin or commit by itself
    words: dict[str, Callable[[Any], object]] = {
        "do_begin": lambda _: None,
        "do_commit": lambda _: _move_on(connection),
        "do_rollback": lambda _: _go_back(connection),
        "do_close": lambda _: None,
        "do_terminate": lambda _: None,
        # It can't be changed in the middle of a transaction.
        "set_isolation_level": lambda *_: None,
        "reset_isolation_level": lambda *_: None,
    }
    before = {word: dialect.__dict__[word] for word in words if word in dialect.__dict__}
    try:
        with _in_transaction(connection):
            dialect.__dict__.update(words)
            engine.pool = StaticPool(lambda: connection, dialect=dialect)
            try:
                yield
            finally:
                engine.pool = pool
                for word in words:
                    del dialect.__dict__[word]
                dialect.__dict__.update(before)
    finally:
        if dialect.name == "sqlite":
            connection.isolation_level = isolation_level
        kept.close()


@contextmanager
def _one_driver_connection(source: DbapiSource) -> Iterator[None]:
    """Let a driver's factory return the same connection always, with savepoints in place of its transactions."""
    connection = source.factory()
    try:
        with _in_transaction(connection), source.using(lambda: _Kept(connection)):
            yield
    finally:
        connection.close()


class _Kept:
    """A driver's connection that isn't closed, and whose commits can be undone."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def commit(self) -> None:
        """Move the savepoint on."""
        _move_on(self._connection)

    def rollback(self) -> None:
        """Go back to the savepoint."""
        _go_back(self._connection)

    def close(self) -> None:
        """Undo what wasn't committed, as the end of a connection does."""
        _go_back(self._connection)


@contextmanager
def _in_transaction(connection: Any) -> Iterator[None]:
    """Begin a transaction with a savepoint in it, and undo all at the end."""
    driver = type(connection).__module__.partition(".")[0]
    is_autocommit = driver in _BEGINS_BY_ITSELF and connection.autocommit
    if is_autocommit:
        connection.autocommit = False
    word = _BEGIN.get(driver)
    _execute(connection, *([word] if word else []), f"SAVEPOINT {_SAVEPOINT}")
    try:
        yield
    finally:
        connection.rollback()
        if is_autocommit:
            connection.autocommit = True


def _move_on(connection: Any) -> None:
    _execute(connection, f"RELEASE SAVEPOINT {_SAVEPOINT}", f"SAVEPOINT {_SAVEPOINT}")


def _go_back(connection: Any) -> None:
    _execute(connection, f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")


def _execute(connection: Any, *statements: str) -> None:
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()
