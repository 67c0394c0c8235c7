"""What a request used: database time and statements, session store calls, its session. Layers that report it read this.

A layer that wants to know calls `measure_usage` in `before_request`. From then on the database layers and the stores of
sessions inside it add what they do to the `Usage` under ``wsgikit.usage``. Without such a layer nothing is measured.
"""

from __future__ import annotations

__all__ = ["CURRENT_USAGE", "Call", "Usage", "measure_usage", "session_use"]

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, NamedTuple

from wsgikit.wsgi import SESSION, USAGE, Environ

SessionUse = Literal["untouched", "read", "changed"]


class Call(NamedTuple):
    """One call to something outside the process.

    Attributes:
        kind: ``"database"`` or ``"session"``.
        name: the name of the database, or the class of the session store.
        text: the statement, without its values; or the operation on the store, such as ``"load"``.
        seconds: how long it took.
        error: what it raised, if it did.
        system: of a database: ``"postgresql"``, ``"sqlite"``, as SQLAlchemy names it; empty if unknown.
    """

    kind: Literal["database", "session"]
    name: str
    text: str
    seconds: float
    error: BaseException | None = None
    system: str = ""


class Usage:
    """What one request used of databases and of session stores.

    Attributes:
        statements: how many statements its databases ran, in all attempts of a request that was repeated.
        database_seconds: how long they took together.
        attempts: how often the transaction of the request was begun again after a conflict.
        store_calls: how many calls its session stores got.
        store_seconds: how long they took together.
        observers: functions that are called with each `Call` when it ends, in the thread that made it.
    """

    __slots__ = ("attempts", "database_seconds", "observers", "statements", "store_calls", "store_seconds")

    def __init__(self) -> None:
        self.statements = 0
        self.database_seconds = 0.0
        self.attempts = 0
        self.store_calls = 0
        self.store_seconds = 0.0
        self.observers: list[Callable[[Call], object]] = []

    def __wsgikit_copy__(self) -> Usage:
        """Return one for work in the background: it has the same observers, and counts by itself."""
        copied = Usage()
        copied.observers = self.observers
        return copied

    def note_statement(
        self, database: str, text: str, seconds: float, error: BaseException | None = None, system: str = ""
    ) -> None:
        """Add a statement. Database layers call it; the arguments are those of `Call`."""
        self.statements += 1
        self.database_seconds += seconds
        if self.observers:
            self._tell(Call("database", database, text, seconds, error, system))

    @contextmanager
    def store_call(self, store: str, operation: str) -> Iterator[None]:
        """Add a call of a session store, which runs in the block."""
        started = time.perf_counter()
        raised: BaseException | None = None
        try:
            yield
        except BaseException as error:
            raised = error
            raise
        finally:
            seconds = time.perf_counter() - started
            self.store_calls += 1
            self.store_seconds += seconds
            if self.observers:
                self._tell(Call("session", store, operation, seconds, raised))
            raised = None  # it leads to its traceback, and that to this frame

    def _tell(self, call: Call) -> None:
        for observer in self.observers:
            observer(call)


CURRENT_USAGE: ContextVar[Usage | None] = ContextVar("wsgikit.usage", default=None)
"""The `Usage` of the running request, for code that doesn't have its environ. `measure_usage` doesn't set it."""


def measure_usage(environ: Environ) -> Usage:
    """Return the `Usage` of a request, which is measured from now on."""
    usage = environ.get(USAGE)
    if usage is None:
        usage = environ[USAGE] = Usage()
    return usage


def session_use(environ: Environ) -> SessionUse | None:
    """Return what the request did with its session; None if no session layer is around the application."""
    session = environ.get(SESSION)
    describe = getattr(type(session), "__wsgikit_use__", None)
    return None if describe is None else describe(session)
