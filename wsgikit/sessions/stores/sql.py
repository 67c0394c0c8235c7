"""Sessions in a table, through SQLAlchemy: SQLite, PostgreSQL, MariaDB and what else it knows.

The table (also in docs/reference/session-stores.md)::

    CREATE TABLE wsgikit_sessions (
        id_hash   CHAR(64) NOT NULL PRIMARY KEY,  -- SHA-256 of the id, in hexadecimal
        data      BLOB NOT NULL,                  -- JSON (BYTEA, LONGBLOB)
        version   BIGINT NOT NULL,                -- counts the saves; compare-and-swap goes by it
        accessed  DOUBLE PRECISION NOT NULL,      -- seconds since 1970
        expires   DOUBLE PRECISION NOT NULL       -- seconds since 1970
    );
    CREATE INDEX ix_wsgikit_sessions_expires ON wsgikit_sessions (expires);
"""

from __future__ import annotations

__all__ = ["SqlStore"]

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from wsgikit.exceptions import ConfigurationError
from wsgikit.options.masking import hide_credentials
from wsgikit.sessions.errors import StoreUnavailable
from wsgikit.sessions.stores.base import UNREADABLE, Record, SessionStore
from wsgikit.sessions.stores.outage import unavailable
from wsgikit.sessions.stores.processes import PerProcess

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

T = TypeVar("T")

# A visitor waits for the database, and 5 seconds are long for one row. Drivers that aren't listed take other names.
_LIBPQ = {"connect_timeout": 3, "tcp_user_timeout": 5000}
_LIBMYSQL = {"connect_timeout": 3, "read_timeout": 5, "write_timeout": 5}
_CONNECT_ARGS = {"psycopg": _LIBPQ, "psycopg2": _LIBPQ, "pymysql": _LIBMYSQL, "mysqldb": _LIBMYSQL}
_POOL_SECONDS = 5


class SqlStore(SessionStore):
    """A table of sessions. Each call is one statement, committed by itself.

    Args:
        where: a SQLAlchemy URL, for which each process makes a pool when it first needs one, or an `Engine`.
        table: the name of the table.
        create_table: whether the table is made where it is missing. By default so for a URL; with an engine of yours,
            call `create()` or put the schema into your migrations.
        engine_options: further arguments of `sqlalchemy.create_engine`.

    Raises:
        ConfigurationError: SQLAlchemy or the database's driver isn't installed, or the URL can't be read.
    """

    def __init__(
        self,
        where: str | Engine,
        *,
        table: str = "wsgikit_sessions",
        create_table: bool | None = None,
        **engine_options: Any,
    ) -> None:
        try:
            import sqlalchemy as sa  # optional, and 100 ms to import
            from sqlalchemy import exc, pool
            from sqlalchemy.dialects.mysql import LONGBLOB
        except ImportError as error:
            raise ConfigurationError(
                "SqlStore: store: expected the package SQLAlchemy, which isn't installed. "
                "Install it with: pip install 'wsgikit[database]'."
            ) from error
        self._sa = sa
        self._errors = exc
        self._static_pool = pool.StaticPool
        self._lock = threading.Lock()
        self._table = sa.Table(
            table,
            sa.MetaData(),
            sa.Column("id_hash", sa.CHAR(64), primary_key=True),
            # MariaDB's BLOB ends at 64 KB.
            sa.Column("data", sa.LargeBinary().with_variant(LONGBLOB(), "mysql", "mariadb"), nullable=False),
            sa.Column("version", sa.BigInteger, nullable=False),
            sa.Column("accessed", sa.Double, nullable=False),
            sa.Column("expires", sa.Double, nullable=False, index=True),
        )
        if isinstance(where, str):
            self._creates_table = create_table is not False
            url = self._checked_url(where)
            options = self._options_for(url, engine_options)
            self.is_shared = not _is_in_memory(url)
            self._name = hide_credentials(url.render_as_string())
            self.waits_for_commit = url.get_backend_name() == "sqlite" and self.is_shared

            def connect() -> Engine:
                # Set when a connection is made: asked for at each use it would be sent each time, on pymysql.
                return sa.create_engine(url, isolation_level="AUTOCOMMIT", **options)

            self._engines = PerProcess(connect, lambda engine: engine.dispose())
        else:
            self._creates_table = bool(create_table)
            given = where
            self.is_shared = not _is_in_memory(given.url)
            self._name = hide_credentials(given.url.render_as_string())
            self.waits_for_commit = given.url.get_backend_name() == "sqlite"
            owner = os.getpid()

            def adopt() -> Engine:
                if os.getpid() != owner:  # forked: the connections in the pool are the parent's
                    given.dispose(close=False)
                return given.execution_options(isolation_level="AUTOCOMMIT")

            self._engines = PerProcess(adopt, lambda engine: None)

    def __repr__(self) -> str:
        return f"<SqlStore {self._name}>"

    def load(self, key: str) -> Record | None:
        t = self._table.c
        statement = self._sa.select(t.data, t.accessed, t.expires, t.version).where(t.id_hash == key)

        def read(connection: Connection) -> Record | None:
            result = connection.execute(statement)
            try:
                row = result.first()
                if row is None or row.expires <= time.time():
                    return None
                return Record(bytes(row.data), float(row.accessed), row.expires, int(row.version))
            except (TypeError, ValueError):  # SQLite takes any value in any column
                return UNREADABLE

        return self._run(read)

    def save(self, key: str, record: Record, expected: Any = None) -> Any:
        t = self._table.c
        values = {"data": record.data, "accessed": record.accessed, "expires": record.expires}
        if expected is not None:
            update = (
                self._table.update()
                .where(t.id_hash == key, t.version == expected, t.expires > time.time())
                .values(version=expected + 1, **values)
            )
            written = self._run(lambda connection: connection.execute(update).rowcount)
            return expected + 1 if written else None
        insert = self._table.insert().values(id_hash=key, version=1, **values)
        if self._insert(insert):
            return 1
        # One that has expired is in the way at most.
        self._run(lambda c: c.execute(self._table.delete().where(t.id_hash == key, t.expires <= time.time())))
        return 1 if self._insert(insert) else None

    def delete(self, key: str) -> bool:
        t = self._table.c
        found = self._run(
            lambda c: c.execute(self._table.delete().where(t.id_hash == key, t.expires > time.time())).rowcount
        )
        return bool(found)

    def touch(self, key: str, accessed: float, expires: float) -> bool:
        t = self._table.c
        update = self._table.update().where(t.id_hash == key, t.expires > time.time())
        # MariaDB counts the rows it changed, not those it found: the time read again is another one in any case.
        return bool(self._run(lambda c: c.execute(update.values(accessed=accessed, expires=expires)).rowcount))

    def sweep(self, limit: int = 1000) -> int:
        t = self._table.c
        now = time.time()
        dead = self._sa.select(t.id_hash).where(t.expires <= now).order_by(t.expires).limit(limit)

        def remove(connection: Connection) -> int:
            # First read, then delete: MariaDB can't delete from a table it selects from with a limit.
            keys = [row.id_hash for row in connection.execute(dead)]
            if not keys:
                return 0
            statement = self._table.delete().where(t.id_hash.in_(keys), t.expires <= now)
            return connection.execute(statement).rowcount

        return self._run(remove)

    def count(self) -> int:
        alive = self._sa.select(self._sa.func.count()).select_from(self._table)
        statement = alive.where(self._table.c.expires > time.time())
        return self._run(lambda connection: connection.execute(statement).scalar_one())

    def keys(self) -> Iterator[str]:
        t = self._table.c
        statement = self._sa.select(t.id_hash).where(t.expires > time.time())
        return iter(self._run(lambda connection: [row.id_hash for row in connection.execute(statement)]))

    def create(self) -> None:
        self._run(lambda connection: self._table.create(connection, checkfirst=True))

    def close(self) -> None:
        self._engines.close()

    # ------------------------------------------------------------------ the connection

    def _insert(self, insert: Any) -> bool:
        try:
            self._run(lambda connection: connection.execute(insert))
        except self._errors.IntegrityError:
            return False
        return True

    def _run(self, step: Callable[[Connection], T]) -> T:
        """Run one step on a connection of this process's pool; make the table first, where it is missing."""
        try:
            return self._try(step)
        except self._errors.IntegrityError:
            raise
        except self._errors.SQLAlchemyError as error:
            if getattr(error, "statement", None) is None:  # there was no connection to send it on
                raise self._unavailable(error) from error
            is_missing = self._lacks_table()
            if is_missing is None or (is_missing and not self._creates_table):
                raise self._unavailable(error, is_missing) from error
        # Either the table was missing, or it was when this began and another thread or process has made it since.
        try:
            if is_missing:
                self._create_once()
            return self._try(step)
        except self._errors.IntegrityError:
            raise
        except self._errors.SQLAlchemyError as error:
            raise self._unavailable(error) from error

    def _try(self, step: Callable[[Connection], T]) -> T:
        try:
            return self._once(step)
        except self._errors.DBAPIError as error:
            if not error.connection_invalidated or error.statement is None:  # another try would wait as long
                raise
        # The database was restarted: the pool had connections to the old one. All are dropped by now.
        return self._once(step)

    def _once(self, step: Callable[[Connection], T]) -> T:
        engine = self._engines.get()
        try:
            return self._step(engine, step)
        except engine.dialect.dbapi.Error as error:  # type: ignore[union-attr]  # it is there when the engine is
            # An engine of somebody's, whose pool had a connection to a database that was restarted: setting the
            # isolation level is where SQLAlchemy finds out, and it doesn't wrap what the driver raises there.
            engine.dispose()
            raise self._errors.DBAPIError("SET AUTOCOMMIT", None, error, connection_invalidated=True) from error

    def _step(self, engine: Engine, step: Callable[[Connection], T]) -> T:
        if isinstance(engine.pool, self._static_pool):  # one connection for all threads: one at a time
            with self._lock, engine.connect() as connection:
                return step(connection)
        with engine.connect() as connection:
            return step(connection)

    def _lacks_table(self) -> bool | None:
        """Return whether the table is missing; None: the database doesn't answer."""
        try:
            return not self._try(lambda c: self._sa.inspect(c).has_table(self._table.name))
        except self._errors.SQLAlchemyError:
            return None

    def _create_once(self) -> None:
        try:
            self._try(lambda connection: self._table.create(connection, checkfirst=True))
        except self._errors.SQLAlchemyError:
            if self._lacks_table() is not False:  # it isn't that another process was faster
                raise

    def _unavailable(self, error: Exception, is_missing: bool | None = None) -> StoreUnavailable:
        if is_missing:
            name = self._table.name
            return StoreUnavailable(f"SqlStore: table {name!r}: expected it in {self._name}, got none. Call create().")
        return unavailable(self._name, "the database", error)

    def _checked_url(self, where: str) -> Any:
        try:
            url = self._sa.make_url(where)
            url.get_dialect().import_dbapi()
        except (ImportError, self._errors.NoSuchModuleError) as error:
            scheme = where.partition("://")[0]
            raise ConfigurationError(
                f"SqlStore: store: expected an installed driver for {scheme}://, got none. {error}."
            ) from error
        except (self._errors.ArgumentError, ValueError) as error:
            raise ConfigurationError("SqlStore: store: expected a SQLAlchemy URL, got one it can't read.") from error
        return url

    def _options_for(self, url: Any, given: dict[str, Any]) -> dict[str, Any]:
        options: dict[str, Any] = {"pool_pre_ping": False}
        backend = url.get_backend_name()
        if _is_in_memory(url):
            # One connection for all threads: each other one would be another, empty database.
            options = {"poolclass": self._static_pool, "connect_args": {"check_same_thread": False}}
        elif backend in ("postgresql", "mysql", "mariadb"):
            options["pool_recycle"] = 3600  # below the eight hours after which MariaDB hangs up
            options["pool_timeout"] = _POOL_SECONDS
            options["connect_args"] = _CONNECT_ARGS.get(url.get_driver_name(), {})
        return {**options, **given}


def _is_in_memory(url: Any) -> bool:
    """Return whether it is an SQLite database that only this process has."""
    return url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")
