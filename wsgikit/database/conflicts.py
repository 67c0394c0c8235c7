"""Which errors a repeated request may cure, told by the driver's own codes and never by text."""

from __future__ import annotations

__all__ = ["is_conflict", "is_rolled_back", "is_timeout"]

from collections.abc import Iterator

# PostgreSQL: serialization_failure, deadlock_detected (its manual, appendix A).
_SQLSTATES = {"40001", "40P01"}
# MariaDB: ER_LOCK_DEADLOCK, ER_LOCK_WAIT_TIMEOUT.
_MARIADB_DEADLOCK = 1213
_MARIADB_NUMBERS = {_MARIADB_DEADLOCK, 1205}
# PostgreSQL: query_canceled. MariaDB: ER_STATEMENT_TIMEOUT.
_SQLSTATE_TIMEOUT = "57014"
_MARIADB_TIMEOUT = 1969
_MARIADB_MODULES = ("pymysql", "MySQLdb", "mysql", "mariadb")
_SQLITE_BUSY = 5  # the low byte of every SQLITE_BUSY_… code (sqlite.org/rescode.html)


def is_conflict(error: BaseException) -> bool:
    """Return whether an error says that two transactions were in each other's way."""
    return any(
        _sqlstate(one) in _SQLSTATES
        or _mariadb_number(one) in _MARIADB_NUMBERS
        or (getattr(one, "sqlite_errorcode", 0) & 0xFF) == _SQLITE_BUSY
        for one in _chain(error)
    )


def is_timeout(error: BaseException) -> bool:
    """Return whether the server gave a statement up because it took too long."""
    return any(_sqlstate(one) == _SQLSTATE_TIMEOUT or _mariadb_number(one) == _MARIADB_TIMEOUT for one in _chain(error))


def is_rolled_back(error: BaseException) -> bool:
    """Return whether the server has rolled the whole transaction back by itself, and would begin another unasked."""
    return any(_mariadb_number(one) == _MARIADB_DEADLOCK for one in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it was raised from or wraps (SQLAlchemy keeps the driver's in ``orig``)."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [getattr(one, "orig", None), one.__cause__, one.__context__]


def _sqlstate(error: BaseException) -> object:
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def _mariadb_number(error: BaseException) -> object:
    if type(error).__module__.partition(".")[0] not in _MARIADB_MODULES:
        return None
    return error.args[0] if error.args else getattr(error, "errno", None)
