"""The table of kept responses, in the database of the requests.

The table::

    CREATE TABLE wsgikit_idempotency (
        id           CHAR(64) NOT NULL PRIMARY KEY,  -- SHA-256 of client, method, path and key
        fingerprint  CHAR(64) NOT NULL,              -- SHA-256 of query, media type and body
        token        CHAR(32) NOT NULL,              -- of the request that has reserved the key
        leased_until DOUBLE PRECISION NOT NULL,      -- seconds since 1970
        expires      DOUBLE PRECISION NOT NULL,      -- seconds since 1970
        status       VARCHAR(200),                   -- NULL while the request runs
        headers      TEXT,                           -- JSON
        body         BLOB                            -- NULL if it was too large or a stream (BYTEA, LONGBLOB)
    );
    CREATE INDEX ix_wsgikit_idempotency_expires ON wsgikit_idempotency (expires);
"""

from __future__ import annotations

__all__ = ["Kept", "KeptResponses", "Reservation", "Taken"]

import json
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakSet

from wsgikit.exceptions import ApplicationError, ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_SWEEP_CHANCE = 0.01  # of each reservation, to remove what has expired
_TRIES = 3  # somebody may take or give back a key between two statements


@dataclass(frozen=True, slots=True)
class Kept:
    """A response that was kept.

    Attributes:
        status: the status line.
        headers: the pairs.
        body: the whole body; None if it isn't kept.
    """

    status: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Reservation:
    """A key that a request has for itself until it ends, or its lease does."""

    record: str
    token: str


Taken = Literal["running", "other"]
"""Another request runs with the key; or one with another body had it."""


class KeptResponses:
    """The table.

    Args:
        where: the layer, for errors.
        ttl_seconds: how long a response is kept.

    Raises:
        ConfigurationError: SQLAlchemy isn't installed.
    """

    def __init__(self, where: str, ttl_seconds: int) -> None:
        try:
            import sqlalchemy as sa  # optional
            from sqlalchemy.dialects.mysql import LONGBLOB
        except ImportError as error:
            raise ConfigurationError(
                f"{where}: expected the package SQLAlchemy, which isn't installed. "
                "Install it with: pip install 'wsgikit[database]'."
            ) from error
        self._sa: Any = sa
        self._where = where
        self._ttl_seconds = ttl_seconds
        self._ready: WeakSet[Engine] = WeakSet()
        self.table = sa.Table(
            "wsgikit_idempotency",
            sa.MetaData(),
            sa.Column("id", sa.CHAR(64), primary_key=True),
            sa.Column("fingerprint", sa.CHAR(64), nullable=False),
            sa.Column("token", sa.CHAR(32), nullable=False),
            sa.Column("leased_until", sa.Double, nullable=False),
            sa.Column("expires", sa.Double, nullable=False, index=True),
            sa.Column("status", sa.String(200)),
            sa.Column("headers", sa.Text),
            sa.Column("body", sa.LargeBinary().with_variant(LONGBLOB(), "mysql", "mariadb")),
        )

    def engine_of(self, database: Any) -> Engine:
        """Return the engine of what the database layer provides.

        Raises:
            ApplicationError: there is no database, or it isn't SQLAlchemy's.
        """
        engine = None if database is None else getattr(database, "bind", None) or getattr(database, "engine", None)
        if engine is None:
            raise ApplicationError(
                f"{self._where}: environ['wsgikit.db']: expected a session or connection of SQLAlchemy, got "
                f"{'nothing' if database is None else 'a connection of another kind'}. Add DatabaseMiddleware(url=…) "
                "inside this layer."
            )
        return engine  # type: ignore[no-any-return]  # it is a session's or a connection's

    def reserve(
        self, engine: Engine, record: str, fingerprint: str, lease_seconds: float
    ) -> Reservation | Kept | Taken:
        """Reserve a key in a separate transaction, or return what has become of the request that had it first."""
        self._prepare(engine)
        token = os.urandom(16).hex()
        for _ in range(_TRIES):
            now = time.time()
            values = {
                "fingerprint": fingerprint,
                "token": token,
                "leased_until": now + lease_seconds,
                "expires": now + self._ttl_seconds,
                "status": None,
                "headers": None,
                "body": None,
            }
            try:
                with engine.begin() as connection:
                    connection.execute(self.table.insert().values(id=record, **values))
                    self._sweep(connection, now)
                return Reservation(record, token)
            except self._sa.exc.IntegrityError:
                pass  # somebody had it first
            with engine.begin() as connection:
                found = self._judge(connection, record, fingerprint, values, now)
            if found is not None:
                return found
        return "running"

    def _judge(
        self, connection: Connection, record: str, fingerprint: str, values: dict[str, Any], now: float
    ) -> Reservation | Kept | Taken | None:
        """Return what has become of the request that had a key first; None if it has just given it back."""
        c = self.table.c
        row = connection.execute(self._sa.select(self.table).where(c.id == record)).first()
        if row is None:
            return None
        if row.expires > now:
            if row.fingerprint != fingerprint:
                return "other"
            if row.status is not None:
                headers = tuple((name, value) for name, value in json.loads(row.headers))
                return Kept(row.status, headers, None if row.body is None else bytes(row.body))
            if row.leased_until > now:
                return "running"
        # It was broken off, or its time is over. The token decides between two that take it.
        is_same = (c.id == record) & (c.token == row.token) & (c.expires == row.expires)
        state = c.status.is_(None) if row.status is None else c.status.is_not(None)
        taken = connection.execute(self.table.update().where(is_same & state).values(values))
        return Reservation(record, values["token"]) if taken.rowcount == 1 else None

    def complete(
        self,
        database: Any,
        reservation: Reservation,
        status: str,
        headers: Sequence[tuple[str, str]],
        body: bytes | None,
    ) -> None:
        """Keep a response, in the transaction of the request that it answers.

        Raises:
            ApplicationError: the lease has ended, and another request has taken the key.
        """
        values = {"status": status, "headers": json.dumps(list(headers)), "body": body}
        done = database.execute(self.table.update().where(self._own(reservation)).values(values))
        if done.rowcount != 1:
            raise ApplicationError(
                f"{self._where}: expected the request to end within its lease, got a repetition that took over. "
                "This transaction is rolled back. Give the requests a longer deadline."
            )

    def give_back(self, engine: Engine, reservation: Reservation) -> None:
        """Let the next request with the key begin again: this one has changed nothing."""
        with engine.begin() as connection:
            connection.execute(self.table.delete().where(self._own(reservation)))

    def _own(self, reservation: Reservation) -> Any:
        c = self.table.c
        return (c.id == reservation.record) & (c.token == reservation.token) & c.status.is_(None)

    def _sweep(self, connection: Connection, now: float) -> None:
        if random.random() < _SWEEP_CHANCE:
            connection.execute(self.table.delete().where(self.table.c.expires <= now))

    def _prepare(self, engine: Engine) -> None:
        """Make the table, once in a process, if it is missing."""
        if engine in self._ready:
            return
        try:
            self.table.metadata.create_all(engine)
        except self._sa.exc.DBAPIError:
            if not self._sa.inspect(engine).has_table(self.table.name):  # else another process was faster
                raise
        self._ready.add(engine)
