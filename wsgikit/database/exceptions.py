"""What can go wrong between a request and its database, in words that say who has to do something."""

from __future__ import annotations

__all__ = ["DatabaseUnreachableError", "DeadlineExceededError", "PoolExhaustedError", "TransactionAbortedError"]

from wsgikit.exceptions import ApplicationError, WsgikitError


class DatabaseUnreachableError(WsgikitError):
    """No connection could be made. It is of the driver's or SQLAlchemy's own class, too, and has all that theirs has.

    Nobody is to blame but the network, or whoever configured the database: it becomes a 503.

    Attributes:
        status: the status line that says it (``"503 Service Unavailable"``).
    """

    status = "503 Service Unavailable"


class DeadlineExceededError(WsgikitError):
    """The deadline of the request (``environ["wsgikit.deadline"]``) has passed: its transaction is not committed.

    Attributes:
        status: the status line that says it (``"503 Service Unavailable"``).
    """

    status = "503 Service Unavailable"


class PoolExhaustedError(ApplicationError):
    """Every connection of the pool is in use. The text lists the requests that hold them, the oldest first.

    Attributes:
        status: the status line that says it (``"503 Service Unavailable"``).
        holders: ``(request, age in seconds)`` of each request that holds a connection, the oldest first.
    """

    status = "503 Service Unavailable"

    def __init__(self, text: str, holders: list[tuple[str, float]]) -> None:
        super().__init__(text)
        self.holders = holders


class TransactionAbortedError(ApplicationError):
    """The transaction was to be committed, but the server had already rolled it back after an error that was ignored.

    PostgreSQL answers such a COMMIT with a silent ROLLBACK; MariaDB begins another transaction after a deadlock. Both
    would lose what was written, with a page that says it was saved.
    """
