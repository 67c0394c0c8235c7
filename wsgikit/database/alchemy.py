"""Where SQLAlchemy's sessions and connections come from: one to a request, from one pool per process."""

from __future__ import annotations

__all__ = ["AlchemySource"]

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, exc

from wsgikit.database.connections import RequestConnection, TracedConnection
from wsgikit.database.holders import Holders
from wsgikit.database.orm import RequestSession
from wsgikit.database.processes import current_pid
from wsgikit.database.unreachable import Outage, no_connection
from wsgikit.database.work import logger
from wsgikit.options.masking import hide_credentials

if TYPE_CHECKING:
    from sqlalchemy import URL

    from wsgikit.database.work import Work


class AlchemySource:
    """Sessions or connections of one engine, which is made once in each process.

    Args:
        name: the name of the database, for messages.
        make_engine: makes the engine; called now, and again in each process that was forked since.
        kind: ``"session"`` or ``"connection"``.
        session_options: keywords for the session.
    """

    def __init__(
        self,
        name: str,
        make_engine: Callable[[bool], Engine],
        kind: str,
        session_options: Mapping[str, Any],
    ) -> None:
        self.name = name
        self.holders = Holders(name)
        self._outage = Outage(name)
        self._make_engine = make_engine
        self._is_session = kind == "session"
        self._session_options = dict(session_options)
        # By process id. The parent's engine is kept in a child, never used: were it collected, its sockets, which the
        # parent works on, would be said goodbye to.
        self._engines = {current_pid(): make_engine(False)}
        self._lock = Lock()

    @property
    def engine(self) -> Engine:
        """The engine of this process."""
        try:
            return self._engines[current_pid()]
        except KeyError:
            return self._engine_after_fork(current_pid())

    def _engine_after_fork(self, pid: int) -> Engine:
        # A thread of the parent may have held the lock at the fork; nothing here blocks, so a short wait tells.
        locked = self._lock.acquire(timeout=1)
        try:
            if pid not in self._engines:
                self.holders.forget()
                self._engines[pid] = self._make_engine(True)
            return self._engines[pid]
        finally:
            if locked:
                self._lock.release()

    def open(self, work: Work) -> Any:
        """Return a session, which takes its connection with its first statement, or a connection."""
        engine = self.engine
        if self._is_session:
            return RequestSession(engine, work, self._session_options)
        return self.connect(work, engine)

    def connect(self, work: Work, engine: Engine) -> RequestConnection:
        """Take a connection from the pool, for the request to keep."""
        try:
            is_traced = work.queries.is_timed
            connection = TracedConnection(engine, work) if is_traced else RequestConnection(engine, work)
        except exc.TimeoutError as error:
            raise self.holders.exhausted(work.request, str(error)) from error
        except Exception as error:  # noqa: BLE001 - it is raised, and says more
            raised = no_connection(error, self.name, work.request, _address(engine.url))
            self._outage.note(raised)
            raise raised from raised.__cause__
        if self._outage.is_on:
            self._outage.end()
        work.connection = connection
        self.holders.add(work)
        return connection

    def commit(self, work: Work) -> None:
        """Commit. What was only read stays loaded in the objects of a session: the stream goes on using them."""
        session = work.target
        if not (work.is_only_reading and self._is_session):
            session.commit()
            return
        expires, session.expire_on_commit = session.expire_on_commit, False
        try:
            session.commit()
        finally:
            session.expire_on_commit = expires

    def rollback(self, work: Work) -> None:
        """Roll back."""
        work.target.rollback()

    def release(self, work: Work, target: Any) -> None:
        """Close the session, and give the connection back to the pool."""
        connection = work.connection
        self.holders.remove(work)
        try:
            if target is not connection:
                target.close()
        except Exception as error:  # noqa: BLE001 - it must not keep the connection from being given back
            logger.warning("%s: closing the session on %r failed: %r", work.request, self.name, error)
        finally:
            if connection is not None:
                try:
                    if work.is_broken and not connection.closed:
                        connection.invalidate()  # it could not even be rolled back
                    connection.close()
                except Exception as error:  # noqa: BLE001 - e.g. a sqlite3 connection of another thread: dropped, and said
                    logger.error("%s: giving the connection to %r back failed: %r", work.request, self.name, error)
                    _drop(connection)

    def is_reading(self, work: Work) -> bool:
        """Return whether nothing was written, neither by a statement nor in objects that wait for a flush."""
        if work.has_written or work.target is None:
            return False
        if self._is_session:
            session = work.target
            return not (session.new or session.dirty or session.deleted)
        return True

    def in_transaction(self, work: Work) -> bool:
        """Return whether a transaction is open, if only in the session's mind."""
        return bool(work.target.in_transaction())

    def ping(self) -> float:
        """Open a connection, or take one, and run the driver's own ping on it."""
        started = time.perf_counter()
        engine = self.engine
        with engine.connect() as connection:
            engine.dialect.do_ping(connection.connection.dbapi_connection)  # type: ignore[arg-type]  # it is open
        return time.perf_counter() - started

    def describe(self) -> dict[str, object]:
        """Return URL, driver and state of the pool."""
        engine = self.engine
        pool = engine.pool
        facts: dict[str, object] = {
            "url": _address(engine.url),
            "driver": f"{engine.dialect.name}+{engine.dialect.driver}",
            "pool": type(pool).__name__,
        }
        for word in ("size", "checkedin", "checkedout", "overflow"):
            method = getattr(pool, word, None)
            if callable(method):
                facts[word] = method()
        facts["holders"] = self.holders.listed()
        return facts

    @contextmanager
    def using(self, engine: Engine) -> Iterator[None]:
        """Work with another engine for a while: for tests."""
        before = self.engine
        self._engines[current_pid()] = engine
        try:
            yield
        finally:
            self._engines[current_pid()] = before

    def close(self) -> None:
        """Dispose of the pool of this process."""
        engine = self._engines.get(current_pid())
        if engine is not None:
            engine.dispose()


def _address(url: URL) -> str:
    """Return a URL without secrets; SQLite's with the path that a relative one means in this process."""
    shown = hide_credentials(url.render_as_string(hide_password=True))
    path = url.database
    is_relative = url.get_backend_name() == "sqlite" and path and path[0] not in "/:" and not path.startswith("file:")
    return f"{shown} ({os.path.abspath(path)})" if path and is_relative else shown


def _drop(connection: Connection) -> None:
    try:
        connection.invalidate()
        connection.close()
    except Exception:  # noqa: BLE001 - why it can't be given back was reported
        pass
