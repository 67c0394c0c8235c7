"""What one request does with one database: opened when it is needed, committed or rolled back, given back once.

`Work` is the state; a `Source` knows how to do it with a SQLAlchemy session, a SQLAlchemy connection or a connection of
any DB-API driver. Both are made again for nothing: a request that leaves its database alone has neither.
"""

from __future__ import annotations

__all__ = ["SAFE_METHODS", "Hook", "Source", "Work", "logger"]

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from weakref import ref

from wsgikit.database.exceptions import DeadlineExceededError
from wsgikit.exceptions import ApplicationError
from wsgikit.wsgi import DEADLINE, Environ, name_request

if TYPE_CHECKING:
    from wsgikit.database.holders import Holders
    from wsgikit.database.manager import Managed
    from wsgikit.database.queries import Queries

logger = logging.getLogger("wsgikit.database")
Hook: TypeAlias = Callable[[], object]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "QUERY", "TRACE"})
"""Methods of requests that only read (RFC 9110 §9.2.1, RFC 10008)."""


class Source(Protocol):
    """Where the connections of one layer come from."""

    name: str
    holders: Holders

    def open(self, work: Work) -> Any:
        """Return what the application should work with."""
        ...

    def commit(self, work: Work) -> None:
        """Commit what was done with ``work.target``, and tell the work by `Work.committed`."""
        ...

    def rollback(self, work: Work) -> None:
        """Undo what was done with ``work.target``."""
        ...

    def release(self, work: Work, target: Any) -> None:
        """Give the connection back; must not fail because the connection did."""
        ...

    def is_reading(self, work: Work) -> bool:
        """Return whether the transaction has surely written nothing so far."""
        ...

    def in_transaction(self, work: Work) -> bool:
        """Return whether a transaction may be open; True if the driver doesn't tell."""
        ...

    def ping(self) -> float:
        """Ask the database for a sign of life; return how many seconds it took."""
        ...

    def describe(self) -> dict[str, object]:
        """Return what there is to know of the pool in this process, for people."""
        ...

    def close(self) -> None:
        """Close the connections that are not in use."""


class Work:
    """The transaction of one request on one database, and the second one of a body that streams.

    Attributes:
        source: where the connection comes from.
        target: the session or connection, or None while none is open.
        connection: the SQLAlchemy connection that a session works on, or None.
        since: `time.monotonic` of the moment the connection was taken.
        has_written: whether a statement may have written in the transaction that is open.
        has_saved: whether a transaction that may have written was committed.
        has_failed: whether an exception passed the layer, so that nothing may be committed any more.
        aborted_by: the error after which the server rolled the transaction back by itself.
        is_broken: whether the connection must not be used again.
        is_interrupted: whether no hook of the layer has seen the application end: killed, perhaps in mid-statement.
        is_answered: whether the response was judged, and its head may leave: what follows is a stream.
        is_settled: whether the response was at rest when the transaction was concluded: no stream can follow.
        managed: the part in a transaction manager of the `zope.transaction` kind, or None.
        on_commit: functions to call after the commit.
        on_rollback: functions to call after a rollback.
        undone: those of `on_rollback` whose rollback has happened, to be called as soon as somebody is told of it.
        conflict: the last error that repeating the request may cure.
        is_only_reading: whether the transaction of a stream's head has written nothing, so that its end leaves the
            objects of a session as they are.
        is_over: whether the request has ended.
        queries: the statements of the request, counted.
        cursors: those that SQLAlchemy has open in the transaction, by id.
        outer: what stood in environ in place of the handle, to be put back at the end; mostly nothing.
    """

    # On the class stands what most requests leave as it is: to make a work is three assignments.
    target: Any = None
    connection: Any = None
    managed: Managed | None = None
    since = 0.0
    has_saved = False
    has_written = False
    has_failed = False
    is_broken = False
    is_answered = False
    is_settled = False
    is_only_reading = False
    is_over = False
    is_interrupted = True  # until a hook of the layer has seen how the application ended
    aborted_by: BaseException | None = None
    conflict: BaseException | None = None
    outer: Any = None
    on_commit: Sequence[Hook] = ()
    on_rollback: Sequence[Hook] = ()
    undone: Sequence[Hook] = ()

    def __init__(self, source: Source, environ: Environ, queries: Queries) -> None:
        self.source = source
        self.queries = queries
        self.cursors: dict[int, Callable[[], Any]] = {}
        self._environ = environ
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"<Work of {self.request} on {self.source.name!r}, {'open' if self.target is not None else 'not open'}>"

    @property
    def request(self) -> str:
        """``"GET /path"``, for messages."""
        return name_request(self._environ)

    def open(self) -> Any:
        """Return the session or connection; the first call gets it, from whatever thread of the request."""
        with self._lock:
            if self.target is None:
                if self.is_over:
                    self.check_in_time()
                self._begin(self.source.open(self))
            return self.target

    def connect(self, session: Any, engine: Any) -> Any:
        """Return the connection of a session, which is taken now; a session that was given back is in use again."""
        with self._lock:
            if self.connection is None:
                if self.target is not session:
                    self.check_in_time()
                self.source.connect(self, engine)  # type: ignore[attr-defined]  # the source that has sessions
                if self.target is None:
                    self._begin(session)
            return self.connection

    def _begin(self, target: Any) -> None:
        self.target = target
        if self.managed is not None:
            self.managed.join(self)

    def check_in_time(self) -> None:
        """Raise if the request has ended."""
        if self.is_over:
            raise ApplicationError(
                f"DatabaseMiddleware {self.source.name!r}: {self.request}: the request has ended, and its transaction "
                "with it. Open a connection of your own for work that outlives the request."
            )

    def check_deadline(self) -> float | None:
        """Return how many seconds are left until the deadline of the request, None without one.

        It is for the response: what a stream does after its head has no deadline.

        Raises:
            DeadlineExceededError: it has passed.
        """
        deadline = self._environ.get(DEADLINE)
        if deadline is None or self.is_answered or self.has_failed:
            return None
        left: float = deadline - time.monotonic()
        if left <= 0:
            raise DeadlineExceededError(
                f"DatabaseMiddleware {self.source.name!r}: {self.request}: expected to end before the deadline of the "
                f"request, got {-left:.1f} s past it. The transaction is rolled back."
            )
        return left

    def call_on_commit(self, function: Hook) -> None:
        """Register a function for the commit."""
        self.check_in_time()
        self.on_commit = [*self.on_commit, function]

    def call_on_rollback(self, function: Hook) -> None:
        """Register a function for a rollback."""
        self.check_in_time()
        self.on_rollback = [*self.on_rollback, function]

    def commit(self) -> None:
        """Commit and call the functions of ``on_commit``; where it fails, roll back, give back and raise."""
        if self.managed is not None:
            self.managed.commit(self)
        elif self.target is None:
            self.committed()
        else:
            self.perform_commit()

    def perform_commit(self) -> None:
        """Commit now, whoever decided it."""
        if self.target is None:
            return
        try:
            self.check_alive()
            self.source.commit(self)
        except BaseException:
            self.has_failed = True
            self.undo()
            self.release()
            raise

    def check_alive(self) -> None:
        """Raise if the server has rolled the transaction back by itself, and begun another one unasked."""
        if self.aborted_by is not None:
            from wsgikit.database.exceptions import TransactionAbortedError

            raise TransactionAbortedError(
                f"DatabaseMiddleware {self.source.name!r}: {self.request}: commit: expected a transaction that is "
                f"alive, got one that the server rolled back after {type(self.aborted_by).__name__}. Let such an "
                "error pass, or roll back yourself before you go on."
            ) from self.aborted_by

    def is_reading(self) -> bool:
        """Return whether nothing was done so far that a commit would make last."""
        return self.managed is None and not self.on_commit and self.source.is_reading(self)

    def note_cursor(self, cursor: Any) -> None:
        """Note a cursor that SQLAlchemy has opened; it calls `cursors.pop` when it closes one."""
        try:
            self.cursors[id(cursor)] = ref(cursor)
        except TypeError:  # a class written in C without weak references
            self.cursors[id(cursor)] = lambda: cursor

    def has_open_cursor(self) -> bool:
        """Return whether rows wait to be read from a cursor, which the end of the transaction may close."""
        return any(cursor() is not None for cursor in self.cursors.values())

    def note_own_commit(self) -> None:
        """Take note of a commit in words that nobody saw, such as the end of ``with db.begin():``."""
        if self.has_written and self.target is not None and not self.source.in_transaction(self):
            self.has_saved = True

    def fail(self) -> None:
        """Undo, and give the connection back: an error page that needs one should have a clean one."""
        self.has_failed = True
        self.rollback()
        self.release()

    def rollback(self) -> None:
        """Undo, and call the functions of ``on_rollback``; a transaction manager is told to abort."""
        if self.managed is not None:
            self.managed.abort(self)
        else:
            self.undo()

    def undo(self) -> None:
        """Roll back now. A connection that can't is not used again."""
        if self.target is not None:
            try:
                self.source.rollback(self)
            except Exception as error:  # noqa: BLE001 - the connection is lost, and with it the transaction: it is undone
                logger.warning("%s: rollback on %r failed: %r", self.request, self.source.name, error)
                self.is_broken = True
        self.rolled_back()

    def end(self) -> None:
        """End with the request: give everything back. Where another drives the transaction, its end is that of this."""
        self.is_over = True
        if self.managed is not None:
            if not self.managed.is_driver and self.target is not None:
                return
            self.managed.end()
        self.release()

    def leave(self) -> None:
        """Take note that the manager's transaction has ended."""
        if self.is_over:
            self.release()

    def release(self) -> None:
        """Give the connection back, once."""
        target, self.target = self.target, None
        if target is not None:
            self.source.release(self, target)
            self.connection = None
            self.cursors.clear()
            self.has_written = self.is_broken = False
            self.aborted_by = None

    def committed(self) -> None:
        """Take note of a commit, and call what was waiting for it."""
        self.has_saved = self.has_saved or self.has_written
        self.has_written = False
        self.on_rollback = ()
        self._tell_undone()
        if self.on_commit:
            hooks, self.on_commit = self.on_commit, ()
            self._call(hooks, "on_commit")

    def rolled_back(self) -> None:
        """Take note of a rollback, and call what was waiting for it."""
        self.has_written = False
        self.aborted_by = None
        self.note_rollback()
        self._tell_undone()

    def note_rollback(self) -> None:
        """Take note that the database rolls back, in the middle of which nothing is called."""
        self.on_commit = ()
        if self.on_rollback:
            self.undone = [*self.undone, *self.on_rollback]
            self.on_rollback = ()

    def _tell_undone(self) -> None:
        if self.undone:
            hooks, self.undone = self.undone, ()
            self._call(hooks, "on_rollback")

    def _call(self, hooks: Iterable[Hook], kind: str) -> None:
        """Call all, in the order of registration; what is done is done, so one that fails is logged."""
        for hook in hooks:
            try:
                hook()
            except Exception:
                logger.exception("%s: a function of %s() on %r failed", self.request, kind, self.source.name)
