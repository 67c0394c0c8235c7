"""Whether a transaction can still be committed, asked of the driver's connection itself."""

from __future__ import annotations

__all__ = ["check_alive"]

from typing import Any

_IN_ERROR = 3  # libpq's PQTRANS_INERROR; psycopg has an enum of ints, psycopg2 the number


def check_alive(connection: Any) -> None:
    """Raise where PostgreSQL has given the transaction up: it would answer COMMIT with a silent ROLLBACK.

    Args:
        connection: the driver's own; one of another database passes.

    Raises:
        TransactionAbortedError: an error was ignored, and all before and after it is lost.
    """
    status = getattr(getattr(connection, "info", None), "transaction_status", None)
    if status == _IN_ERROR:
        from wsgikit.database.exceptions import TransactionAbortedError  # for the few that need it

        raise TransactionAbortedError(
            "DatabaseMiddleware: commit: expected a transaction that is alive, got one that PostgreSQL gave up after "
            "an error that was ignored. Let such an error pass, or put a savepoint around what may fail."
        )
