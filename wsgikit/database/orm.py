"""SQLAlchemy's session, for one request: on one connection, and without the unit of work if nothing needs it."""

from __future__ import annotations

__all__ = ["RequestSession"]

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, TextClause
from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from sqlalchemy.orm import SessionTransaction

    from wsgikit.database.connections import RequestConnection
    from wsgikit.database.work import Hook, Work

# Options under which a statement in words does the same with and without the unit of work.
_INDIFFERENT = {"autoflush", "expire_on_commit", "future", "info", "query_cls"}
# What the unit of work tells of, and the connection doesn't.
_EVENTS = (
    *("do_orm_execute", "after_begin", "after_transaction_create", "after_transaction_end"),
    *("before_commit", "after_commit", "after_rollback", "after_soft_rollback"),
)


class RequestSession(Session):
    """The session of one request: SQLAlchemy's, on a connection that stays the same until the request ends.

    The unit of work costs as much as the statement, and ``text(…)`` needs none of it. So if a request has done
    nothing else, such a statement goes straight to the connection, and the transaction is the connection's: committed
    and rolled back with the session, and taken over by it (``join_transaction_mode="control_fully"``) as soon as the
    request does more, such as loading an object. A test draws histories at random and holds this session beside one of
    SQLAlchemy's.
    """

    _work: Work

    def __init__(self, engine: Engine, work: Work, options: Mapping[str, Any]) -> None:
        self._goes_straight = not options or _INDIFFERENT.issuperset(options)
        if self._goes_straight:
            super().__init__(engine, join_transaction_mode="control_fully", **options)
        else:
            super().__init__(engine, **options)
        self._work = work
        self._engine = engine
        self._has_binds = "binds" in options

    def get_bind(self, mapper: Any = None, *, bind: Any = None, **kwargs: Any) -> Engine | Connection:
        """Return the request's own connection in place of the engine; it comes from the pool now, if not before."""
        if bind is None and self._has_binds:
            bind = super().get_bind(mapper, **kwargs)
        if bind is None or bind is self._engine:
            connection: Connection | None = self._work.connection
            return self._work.connect(self, self._engine) if connection is None else connection
        return bind  # type: ignore[no-any-return]  # as SQLAlchemy passed it

    def on_commit(self, function: Hook) -> None:
        """Call `function` when the transaction is committed."""
        self._work.call_on_commit(function)

    def on_rollback(self, function: Hook) -> None:
        """Call `function` when the transaction is rolled back."""
        self._work.call_on_rollback(function)

    def commit(self) -> None:
        """Commit, then call the functions of `on_commit`."""
        open_one = self._open_connection()
        if open_one is not None and self._is_bare():
            open_one.commit()
            return
        self._take_over()
        super().commit()
        if open_one is not None and open_one.get_transaction() is not None:
            open_one.commit()  # the session had nothing to do on it
        self._work.committed()

    def rollback(self) -> None:
        """Roll back, then call the functions of `on_rollback`."""
        if not self._is_bare():
            self._take_over()
        super().rollback()
        self._roll_connection_back()
        self._work.rolled_back()

    # ------------------------------------------------------------------ statements that need no unit of work

    if not TYPE_CHECKING:  # checkers should read SQLAlchemy's overloads

        def execute(self, statement, params=None, **options):
            """Run a statement."""
            if type(statement) is TextClause and not options and self._is_bare():
                return self.get_bind().execute(statement, params)
            return super().execute(statement, params, **options)

        def scalar(self, statement, params=None, **options):
            """Run a statement for one value."""
            if type(statement) is TextClause and not options and self._is_bare():
                return self.get_bind().scalar(statement, params)
            return super().scalar(statement, params, **options)

        def scalars(self, statement, params=None, **options):
            """Run a statement for the first value of each row."""
            if type(statement) is TextClause and not options and self._is_bare():
                return self.get_bind().scalars(statement, params)
            return super().scalars(statement, params, **options)

    def in_transaction(self) -> bool:
        """Return whether a transaction is open."""
        return super().in_transaction() or self._open_connection() is not None

    def get_transaction(self) -> SessionTransaction | None:
        """Return the transaction that is open, if one is."""
        self._take_over()
        return super().get_transaction()

    def begin(self, nested: bool = False) -> SessionTransaction:
        """Begin a transaction, or a savepoint."""
        self._take_over()
        return super().begin(nested)

    def close(self) -> None:
        """Forget all objects, and roll back what wasn't committed."""
        was_open = self.in_transaction()
        if self.new or not self._is_bare():  # else there is nothing to forget, and to look for it takes a while
            super().close()
        self._roll_connection_back()
        if was_open:
            self._work.rolled_back()

    def reset(self) -> None:
        """Do as `close` does."""
        was_open = self.in_transaction()
        super().reset()
        self._roll_connection_back()
        if was_open:
            self._work.rolled_back()

    def invalidate(self) -> None:
        """Close, and have the connection not be used again."""
        was_open = self.in_transaction()
        self._take_over()
        super().invalidate()
        if was_open:
            self._work.rolled_back()

    def _is_bare(self) -> bool:
        """Return whether there is nothing that the unit of work knows or that somebody wants to hear of it."""
        if not self._goes_straight or super().in_transaction() or self.identity_map:
            return False
        # A session has its own listeners from when they are first asked for: to add one, or by its unit of work.
        return not any(_listeners(self) if "dispatch" in vars(self) else _LISTENERS_OF_ALL)

    def _open_connection(self) -> RequestConnection | None:
        """Return the connection, where a transaction is open on it, or has failed and waits for its rollback."""
        connection: RequestConnection | None = self._work.connection
        return connection if connection is not None and connection.get_transaction() is not None else None

    def _take_over(self) -> None:
        """Make the transaction of the connection that of the session, as if it had begun here."""
        if not super().in_transaction() and self._open_connection() is not None:
            self.connection()

    def _roll_connection_back(self) -> None:
        connection = self._work.connection
        if connection is not None:
            Connection.rollback(connection)


def _listeners(session: Session) -> list[Any]:
    """Return who listens to a session, by event: collections that are empty mostly."""
    heard = session.dispatch
    return [getattr(heard, event) for event in _EVENTS]


# Those of the class, as they are at any moment. To ask each session is to make them again for it, a tenth of a request.
_LISTENERS_OF_ALL = _listeners(object.__new__(RequestSession))
