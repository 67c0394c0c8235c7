"""What a pooled connection keeps from one request to the next, and how it is put back."""

from __future__ import annotations

__all__ = ["Reset", "check_reset", "read_settings", "reset_connection", "restore_settings"]

from collections.abc import Callable
from typing import Any, TypeAlias

from wsgikit.exceptions import ConfigurationError, complaint

Reset: TypeAlias = str | Callable[[Any], object]

# Attributes by which psycopg, psycopg2, PyMySQL, mysqlclient, sqlite3 and others set a connection up. What the server
# keeps (SET ROLE, advisory locks, temporary tables) is not among them: see `reset_connection`.
_ATTRIBUTES = (
    *("autocommit", "isolation_level", "read_only", "readonly", "deferrable"),
    *("row_factory", "text_factory", "cursor_factory", "cursorclass", "server_cursor_factory", "prepare_threshold"),
)
_AUTOCOMMIT = "autocommit()"


def check_reset(where: str, reset: object) -> None:
    """Raise if the option is neither a statement nor a function.

    Raises:
        ConfigurationError: it is something else.
    """
    if reset is not None and not callable(reset) and not (isinstance(reset, str) and reset.strip()):
        expected = "a statement such as 'DISCARD ALL', or a function of the driver's connection"
        raise ConfigurationError(complaint(where, "reset", expected, reset))


def read_settings(connection: Any) -> dict[str, Any]:
    """Return the settings of a driver's connection that the driver itself keeps."""
    settings = {}
    for name in _ATTRIBUTES:
        value = getattr(connection, name, None)
        if hasattr(connection, name) and not _is_method(connection, name):
            settings[name] = value
    # PyMySQL and mysqlclient have a method for it.
    if _is_method(connection, "autocommit") and callable(getattr(connection, "get_autocommit", None)):
        settings[_AUTOCOMMIT] = connection.get_autocommit()
    return settings


def restore_settings(connection: Any, settings: dict[str, Any]) -> None:
    """Put the settings of a connection back that a request has changed. No transaction may be open."""
    for name, value in settings.items():
        if name == _AUTOCOMMIT:
            if connection.get_autocommit() != value:
                connection.autocommit(value)
        elif getattr(connection, name) != value:
            setattr(connection, name, value)


def reset_connection(connection: Any, reset: Reset) -> None:
    """Run what puts back what the server keeps of a connection; no transaction is open, before and after.

    Args:
        connection: the driver's.
        reset: a statement, which runs outside of a transaction if the driver can do so, or a function of it.
    """
    if callable(reset):
        reset(connection)
        connection.rollback()
        return
    autocommit = getattr(connection, "autocommit", None)
    if autocommit is False:  # DISCARD ALL isn't allowed in a transaction
        connection.autocommit = True
    try:
        cursor = connection.cursor()
        cursor.execute(reset)
        cursor.close()
    finally:
        if autocommit is False:
            connection.autocommit = False
    connection.commit()


def _is_method(connection: Any, name: str) -> bool:
    """Return whether an attribute is one of the class that is called, such as PyMySQL's ``autocommit(value)``."""
    return callable(getattr(type(connection), name, None))
