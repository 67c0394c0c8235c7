"""A database that can't be reached: the driver's own error, which says besides which database it was, and 503."""

from __future__ import annotations

__all__ = ["Outage", "no_connection"]

import time
from functools import cache

from wsgikit.database.exceptions import DatabaseUnreachableError
from wsgikit.database.work import logger
from wsgikit.onion.log import mark_repeated

# PEP 249's, which SQLAlchemy's and every driver's are named after; a socket's are not always wrapped by a driver.
_NAMES = {"OperationalError", "InterfaceError"}
_OF_SOCKETS = (ConnectionError, TimeoutError)


class Outage:
    """Whether the last connection to one database failed, in this process.

    The first failure is logged with its traceback, which is the same for all others: they get a line each.

    Attributes:
        is_on: whether it failed.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._since = 0.0
        self._failures = 0
        self.is_on = False

    def note(self, error: Exception) -> None:
        """Note an error of a connection that couldn't be made."""
        if not isinstance(error, DatabaseUnreachableError):
            return
        if self.is_on:
            mark_repeated(error)
        else:
            self.is_on, self._since, self._failures = True, time.monotonic(), 0
        self._failures += 1

    def end(self) -> None:
        """Note that a connection was made again."""
        self.is_on = False
        seconds = time.monotonic() - self._since
        logger.warning("%r can be reached again: %d failures in %.0f s", self._name, self._failures, seconds)


def no_connection(error: Exception, name: str, request: str, address: str) -> Exception:
    """Return the error to raise where a connection couldn't be made.

    It is one of the class that was raised, so that whoever catches that still does, and a `DatabaseUnreachableError`
    where it is about the connection: what is wrong in an option or in the user's code stays what it is.

    Args:
        error: as it was raised.
        name: of the database, as `DatabaseMiddleware` has it.
        request: ``"GET /path"``.
        address: of the database, without secrets.
    """
    is_unreachable = isinstance(error, _OF_SOCKETS) or any(kind.__name__ in _NAMES for kind in type(error).__mro__)
    told = _as_unreachable(error) if is_unreachable else error
    told.add_note(
        f"DatabaseMiddleware {name!r}: {request}: expected a connection to {address}, got this error. "
        "`wsgikit db ping TARGET` asks all databases for a sign of life."
    )
    return told


def _as_unreachable(error: Exception) -> Exception:
    """Make the same error again, of a class that is both: how the class is called can't be known, so it isn't."""
    kind = _both(type(error))  # type: ignore[arg-type]  # a class is hashable
    told = kind.__new__(kind, *error.args)
    vars(told).update(vars(error))
    told.__cause__, told.__traceback__ = error.__cause__, error.__traceback__
    return told


@cache
def _both(kind: type[Exception]) -> type[Exception]:
    own = DatabaseUnreachableError
    return type(own.__name__, (own, kind), {"__module__": own.__module__, "__doc__": own.__doc__})
