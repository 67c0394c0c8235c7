"""What stands in environ: next to nothing, until it is used."""

from __future__ import annotations

__all__ = ["Excluded", "Handle"]

from typing import TYPE_CHECKING, Any

from wsgikit.exceptions import ApplicationError

if TYPE_CHECKING:
    from wsgikit.database.middleware import DatabaseMiddleware
    from wsgikit.database.queries import Queries
    from wsgikit.database.work import Hook, Work
    from wsgikit.onion.exchange import Exchange


class Handle:
    """The database of one request: a name for a session or connection that is opened when it is first used.

    Any attribute is that of the session or connection, so ``environ["wsgikit.db"].execute(…)`` works. The `db` local
    gives the session or connection itself.
    """

    __slots__ = ("_exchange", "_layer", "_work")

    def __init__(self, layer: DatabaseMiddleware, exchange: Exchange) -> None:
        self._layer = layer
        self._exchange = exchange
        self._work: Work | None = None

    def __wsgikit_open__(self) -> Any:
        """Return the session or connection, opened now where it isn't yet."""
        work = self._work or self._enlist()
        target = work.target
        return work.open() if target is None else target

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wsgikit_open__(), name)

    def __repr__(self) -> str:
        work = self._work
        state = "open" if work is not None and work.target is not None else "not open"
        return f"<Handle of the database {self._layer.name!r}, {state}>"

    def on_commit(self, function: Hook) -> None:
        """Call `function` when the transaction is committed, before the head of the response leaves.

        Functions run in the order of registration. One that fails is logged: the commit has happened.
        """
        (self._work or self._enlist()).call_on_commit(function)

    def on_rollback(self, function: Hook) -> None:
        """Call `function` when the transaction is rolled back."""
        (self._work or self._enlist()).call_on_rollback(function)

    @property
    def queries(self) -> Queries:
        """The statements of this request on this database."""
        return (self._work or self._enlist()).queries

    def _enlist(self) -> Work:
        if self._exchange._finished:
            raise ApplicationError(
                f"DatabaseMiddleware {self._layer.name!r}: environ[{self._layer.environ_key!r}]: the request has "
                "ended. Open a connection of your own for work that outlives the request."
            )
        work = self._work = self._layer.work_of(self._exchange)
        return work


class Excluded:
    """What stands in environ on a path without a database: it says so when it is used, and leaks nothing."""

    __slots__ = ("_name", "_request")

    def __init__(self, name: str, request: str) -> None:
        self._name = name
        self._request = request

    def __wsgikit_open__(self) -> Any:
        """Raise: there is none."""
        raise ApplicationError(
            f"DatabaseMiddleware {self._name!r}: {self._request}: expected a path with a database, got one that "
            "exclude_paths= names. Take it from there to use the database on it."
        )

    def __getattr__(self, name: str) -> Any:
        return self.__wsgikit_open__()
