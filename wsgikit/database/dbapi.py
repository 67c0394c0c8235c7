"""Connections of any DB-API driver (PEP 249), from the user's own factory, with a small pool if one is asked for."""

from __future__ import annotations

__all__ = ["DbapiSource"]

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any, TypeAlias

from wsgikit.database.aborted import check_alive
from wsgikit.database.conflicts import is_rolled_back
from wsgikit.database.holders import Holders
from wsgikit.database.processes import current_pid
from wsgikit.database.resets import Reset, read_settings, reset_connection, restore_settings
from wsgikit.database.unreachable import Outage, no_connection
from wsgikit.database.work import logger
from wsgikit.options.masking import mask

if TYPE_CHECKING:
    from wsgikit.database.work import Work


_Pooled: TypeAlias = tuple[Any, float, dict[str, Any]]


class _Pool:
    """Connections that wait, and how many more may be made. One per process."""

    def __init__(self, size: int) -> None:
        # With the time.monotonic() it was made at, and its settings at that moment.
        self.waiting: deque[_Pooled] = deque()
        self.free = BoundedSemaphore(size) if size else None


class DbapiSource:
    """Connections that the user's factory makes.

    Args:
        name: the name of the database, for messages.
        factory: returns a new connection.
        pool_size: how many connections a process may have at a time; 0 makes a new one for each request, without limit.
        pool_timeout: seconds to wait for one.
        ping: whether a connection is asked for a sign of life when it leaves the pool.
        max_age_seconds: after how long a connection is replaced.
        reset: what puts back what the server keeps of a pooled connection (see `reset_connection`).
    """

    def __init__(
        self,
        name: str,
        factory: Callable[[], Any],
        *,
        pool_size: int,
        pool_timeout: float,
        ping: bool,
        max_age_seconds: float | None,
        reset: Reset | None = None,
    ) -> None:
        self.name = name
        self.factory = factory
        self.holders = Holders(name)
        self._outage = Outage(name)
        self._pool_size = pool_size
        self._pool_timeout = pool_timeout
        self._ping = ping
        self._max_age_seconds = max_age_seconds
        self._reset = reset
        # By process id; those of the parent are kept in a child, never used: their sockets are the parent's.
        self._pools = {current_pid(): _Pool(pool_size)}

    @property
    def _pool(self) -> _Pool:
        pid = current_pid()
        pool = self._pools.get(pid)
        if pool is None:
            self.holders.forget()
            pool = self._pools.setdefault(pid, _Pool(self._pool_size))  # one step: the first of two threads wins
        return pool

    def open(self, work: Work) -> Any:
        """Take a connection from the pool, or make one."""
        pool = self._pool
        if pool.free is not None and not pool.free.acquire(timeout=self._pool_timeout):
            raise self.holders.exhausted(work.request, f"waited {self._pool_timeout} s for one of {self._pool_size}")
        try:
            connection, born, settings = self._take(pool)
        except BaseException as error:
            if pool.free is not None:
                pool.free.release()
            if not isinstance(error, Exception):
                raise
            raised = no_connection(error, self.name, work.request, mask("connect", self.factory))
            self._outage.note(raised)
            raise raised from raised.__cause__
        if self._outage.is_on:
            self._outage.end()
        work.connection = (pool, born, settings)
        work.has_written = True  # the driver doesn't tell; so it may
        self.holders.add(work)
        try:
            connection.on_commit, connection.on_rollback = work.call_on_commit, work.call_on_rollback
        except AttributeError:
            pass  # a class written in C (sqlite3's): environ["wsgikit.db"] has them all the same
        return connection

    def _take(self, pool: _Pool) -> _Pooled:
        while pool.waiting:
            try:
                pooled = pool.waiting.pop()
            except IndexError:
                break
            connection, born, _ = pooled
            is_old = self._max_age_seconds is not None and time.monotonic() - born > self._max_age_seconds
            if not is_old and (not self._ping or _is_alive(connection)):
                return pooled
            _close(connection)
        connection = self.factory()
        return connection, time.monotonic(), read_settings(connection) if pool.free is not None else {}

    def commit(self, work: Work) -> None:
        """Commit."""
        check_alive(work.target)
        try:
            work.target.commit()
        except Exception as error:
            if is_rolled_back(error):
                work.aborted_by = error
            raise
        work.committed()
        work.has_written = True

    def rollback(self, work: Work) -> None:
        """Roll back."""
        work.target.rollback()

    def release(self, work: Work, target: Any) -> None:
        """Put the connection back, clean; or close it, if there is no pool or it may be in mid-statement."""
        self.holders.remove(work)
        pool, born, settings = work.connection
        for word in ("on_commit", "on_rollback"):
            getattr(target, "__dict__", {}).pop(word, None)
        try:
            is_of_use = pool.free is not None and pool is self._pools.get(current_pid())
            if not is_of_use or work.is_broken or work.is_interrupted:
                _close(target)
                return
            try:
                target.rollback()  # what was done after the commit, if anything, doesn't go to the next request
                if self._reset is not None:
                    reset_connection(target, self._reset)
                restore_settings(target, settings)
            except Exception as error:  # noqa: BLE001 - a connection that can't is not used again
                logger.warning("%s: putting a connection to %r back failed: %r", work.request, self.name, error)
                _close(target)
                return
            pool.waiting.append((target, born, settings))
        finally:
            if pool.free is not None:
                pool.free.release()

    def is_reading(self, work: Work) -> bool:
        """Return whether the transaction has surely written nothing: it can't be known here."""
        return False

    def in_transaction(self, work: Work) -> bool:
        """Ask the driver: sqlite3, psycopg and PyMySQL know, by different names."""
        connection = work.target
        known = getattr(connection, "in_transaction", None)
        if isinstance(known, bool):
            return known
        status = getattr(getattr(connection, "info", None), "transaction_status", None)
        if status is not None:
            return bool(status)  # 0 is idle (libpq's PQtransactionStatus)
        flags = getattr(connection, "server_status", None)
        return bool(flags & 1) if isinstance(flags, int) else True  # SERVER_STATUS_IN_TRANS

    def ping(self) -> float:
        """Make a connection, and ask it for a sign of life."""
        started = time.perf_counter()
        connection = self.factory()
        try:
            _say_hello(connection)
        finally:
            connection.close()
        return time.perf_counter() - started

    def describe(self) -> dict[str, object]:
        """Return the state of the pool."""
        return {
            "driver": mask("connect", self.factory),
            "pool": "small pool" if self._pool_size else "none: a connection per request",
            "size": self._pool_size,
            "checkedin": len(self._pool.waiting),
            "checkedout": len(self.holders.listed()),
            "holders": self.holders.listed(),
        }

    @contextmanager
    def using(self, factory: Callable[[], Any]) -> Iterator[None]:
        """Take connections from another factory for a while: for tests."""
        pid = current_pid()
        before, pool = self.factory, self._pools.get(pid)
        self.factory, self._pools[pid] = factory, _Pool(self._pool_size)
        try:
            yield
        finally:
            self.factory = before
            self._pools[pid] = pool or _Pool(self._pool_size)

    def close(self) -> None:
        """Close the connections that wait in the pool of this process; those in use are closed when they come back."""
        pool = self._pool
        self._pools[current_pid()] = _Pool(self._pool_size)
        while pool.waiting:
            _close(pool.waiting.pop()[0])


def _say_hello(connection: Any) -> None:
    ping = getattr(connection, "ping", None)
    if callable(ping):
        try:
            ping(reconnect=False)  # PyMySQL and mysqlclient would reconnect by themselves, and lose session settings
        except TypeError:
            ping()
        return
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    cursor.fetchall()
    cursor.close()
    connection.rollback()


def _is_alive(connection: Any) -> bool:
    try:
        _say_hello(connection)
    except Exception:  # noqa: BLE001 - whatever it says, it is not of use any more
        return False
    return True


def _close(connection: Any) -> None:
    try:
        connection.close()
    except Exception as error:  # noqa: BLE001 - it is dropped all the same; the garbage collector closes it
        remedy = ""
        if "same thread" in str(error):
            remedy = ". Pass check_same_thread=False to sqlite3.connect: a request may end on another thread"
        logger.error("closing a connection failed: %s%s", str(error).rstrip("."), remedy)
