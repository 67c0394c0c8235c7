"""SQLAlchemy's connection, for one request: it tells the request's `Work` what it does."""

from __future__ import annotations

__all__ = ["RequestConnection", "TracedConnection", "may_write"]

import re
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Select, TextClause, event
from sqlalchemy.schema import DefaultGenerator

from wsgikit.database.aborted import check_alive
from wsgikit.database.conflicts import is_conflict, is_rolled_back, is_timeout
from wsgikit.database.engines import BEGIN_WORDS, WRITING_BEGIN
from wsgikit.database.timeouts import limit_statements

if TYPE_CHECKING:
    from wsgikit.database.work import Hook, Work

# SHARE is of row locks, which must not outlive the head: FOR SHARE, LOCK IN SHARE MODE. FOR UPDATE has its own word.
_WRITING_WORD = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE|INTO|SHARE)\b", re.IGNORECASE)
_READING_START = re.compile(r"\s*(SELECT|WITH|VALUES|TABLE|SHOW|EXPLAIN|DESCRIBE|PRAGMA|SET)\b", re.IGNORECASE)


class RequestConnection(Connection):
    """The connection of one request: SQLAlchemy's, which tells the request's `Work` what it does."""

    _work: Work

    def __init__(self, engine: Engine, work: Work) -> None:
        super().__init__(engine)
        self._work = work
        self._unlimit: Callable[[], None] | None = None  # puts back what a deadline has set on the server
        # On SQLite: the words that take the lock of the one writer, before the first statement that may write.
        self._writing_begin = self.get_execution_options().get(WRITING_BEGIN)

    def on_commit(self, function: Hook) -> None:
        """Call `function` when the transaction is committed."""
        self._work.call_on_commit(function)

    def on_rollback(self, function: Hook) -> None:
        """Call `function` when the transaction is rolled back."""
        self._work.call_on_rollback(function)

    def commit(self) -> None:
        """Commit, then call the functions of `on_commit`."""
        super().commit()
        self._work.committed()

    def rollback(self) -> None:
        """Roll back, then call the functions of `on_rollback`."""
        super().rollback()
        self._work.rolled_back()

    def close(self) -> None:
        """Roll back what wasn't committed, and give the driver's connection back."""
        was_open = self.in_transaction()
        if self._unlimit is not None and not self.closed and not self.invalidated:
            self._unlimit()
        super().close()
        if was_open:
            self._work.rolled_back()

    def _begin_impl(self, transaction: Any) -> None:
        # Every BEGIN that SQLAlchemy sends comes by here. On SQLite a transaction that only reads would keep others
        # from writing, and one that has read can't always begin to write. So reading begins nothing, and the first
        # statement that may write waits for its turn.
        if self._writing_begin is not None:
            self.info[BEGIN_WORDS] = self._writing_begin if self._work.has_written else ""
        left = self._work.check_deadline()
        try:
            super()._begin_impl(transaction)
            if left is not None:
                undo = limit_statements(self, left)
                self._unlimit = undo or self._unlimit
        except Exception as error:
            self._note_error(error)
            raise

    def _begin_to_write(self) -> None:
        """Begin the transaction on SQLite that the first statement that may write is part of."""
        connection: Any = self.connection.dbapi_connection
        if connection.in_transaction:
            return
        try:
            connection.execute(self._writing_begin)
        except Exception as error:  # noqa: BLE001 - SQLAlchemy raises it, as its own error
            self._work.has_written = False
            try:
                self._handle_dbapi_exception(error, self._writing_begin, None, None, None)
            except Exception as wrapped:
                self._note_error(wrapped)
                wrapped.add_note(self._work.source.holders.explain_lock())
                raise

    def _savepoint_impl(self, name: str | None = None) -> str:
        # SQLite would begin a transaction by itself, and commit it at the end of the savepoint.
        if self._writing_begin is not None and not self._work.has_written:
            self._work.has_written = True
            self._begin_to_write()
        return super()._savepoint_impl(name)

    def _safe_close_cursor(self, cursor: Any) -> None:
        # Every cursor that SQLAlchemy closes comes by here: at the last row, or when its result is closed.
        self._work.cursors.pop(id(cursor), None)
        super()._safe_close_cursor(cursor)

    def _commit_impl(self) -> None:
        # Every COMMIT that SQLAlchemy sends comes by here: of a session, of the end of ``with db.begin():``. Its event
        # "commit" tells the same, and slows down each statement.
        try:
            self._work.check_alive()
            if self.dialect.name == "postgresql":
                check_alive(self.connection.dbapi_connection)
            super()._commit_impl()
        except BaseException as error:
            if is_conflict(error):
                self._work.conflict = error
            self._rollback_impl()  # SQLAlchemy takes it for rolled back by the database, which SQLite leaves to us
            raise

    def _rollback_impl(self) -> None:
        # And every ROLLBACK, such as that of a block that raised: what was to be done on commit is off.
        self._work.note_rollback()
        super()._rollback_impl()

    # The three ways into SQLAlchemy's execution; a session and its mappers use them too. Events of SQLAlchemy would
    # tell the same, and cost 17 µs a statement more.

    if not TYPE_CHECKING:  # checkers should read SQLAlchemy's overloads

        def execute(self, statement, parameters=None, *, execution_options=None):
            """Run a statement."""
            work = self._work
            work.queries.count += 1
            kind = type(statement)
            if not work.has_written:
                if kind is TextClause:
                    work.has_written = _text_may_write(statement.text)
                elif kind is not Select or statement._for_update_arg is not None:
                    work.has_written = may_write(statement)
                if work.has_written and self._writing_begin is not None and self.in_transaction():
                    self._begin_to_write()
            try:
                result = super().execute(statement, parameters, execution_options=execution_options)
            except Exception as error:
                self._note_error(error)
                raise
            if kind is not TextClause and not work.has_written and getattr(result.context.compiled, "ctes", None):
                work.has_written = _text_may_write(str(result.context.compiled))  # SELECT … FROM (INSERT …)
            cursor = result.cursor
            if cursor is not None:
                work.note_cursor(cursor)
            return result

        def scalar(self, statement, parameters=None, *, execution_options=None):
            """Run a statement for one value."""
            if isinstance(statement, DefaultGenerator):  # a sequence: SQLAlchemy has its value without a result
                self._work.queries.count += 1
                self._work.has_written = True
                return super().scalar(statement, parameters, execution_options=execution_options)
            return self.execute(statement, parameters, execution_options=execution_options).scalar()

        def exec_driver_sql(self, statement, parameters=None, execution_options=None):
            """Run a statement in the driver's own words."""
            work = self._work
            work.queries.count += 1
            if not work.has_written and _text_may_write(statement):
                work.has_written = True
                if self._writing_begin is not None and self.in_transaction():
                    self._begin_to_write()
            try:
                result = super().exec_driver_sql(statement, parameters, execution_options)
            except Exception as error:
                self._note_error(error)
                raise
            cursor = result.cursor
            if cursor is not None:
                work.note_cursor(cursor)
            return result

    def _note_error(self, error: Exception) -> None:
        work = self._work
        if is_timeout(error):
            work.check_deadline()  # raises, if that is why the server gave the statement up
        if is_conflict(error):
            work.conflict = error
        if is_rolled_back(error):
            work.aborted_by = error


class TracedConnection(RequestConnection):
    """A connection that also keeps texts and times of statements: for development."""

    def __init__(self, engine: Engine, work: Work) -> None:
        self._starts: list[float] = []  # of the statements that run: a listener to one may run another
        super().__init__(engine, work)
        work.queries.system = engine.dialect.name

    def _note_error(self, error: Exception) -> None:
        started = self._starts.pop() if self._starts else None
        statement = getattr(error, "statement", None)
        if started is not None and statement is not None:
            self._work.queries.record(statement, time.perf_counter() - started, error)
        super()._note_error(error)


@event.listens_for(TracedConnection, "before_cursor_execute")
def _start_clock(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
    connection._starts.append(time.perf_counter())


@event.listens_for(TracedConnection, "after_cursor_execute")
def _stop_clock(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
    connection._work.queries.record(statement, time.perf_counter() - connection._starts.pop())


def may_write(statement: Any) -> bool:
    """Return whether a statement may change the database; if that can't be told, it may."""
    if getattr(statement, "is_select", False):
        return getattr(statement, "_for_update_arg", None) is not None
    text = statement if isinstance(statement, str) else getattr(statement, "text", None)
    return _text_may_write(text) if isinstance(text, str) else True


@lru_cache(1000)  # as many different statements as an application may well have
def _text_may_write(text: str) -> bool:
    return _READING_START.match(text) is None or _WRITING_WORD.search(text) is not None
