"""What stands in environ: next to nothing, until it is used."""

from __future__ import annotations

__all__ = ["Excluded", "Handle"]

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import ref

from wsgikit.exceptions import ApplicationError

if TYPE_CHECKING:
    from wsgikit.database.middleware import DatabaseMiddleware
    from wsgikit.database.queries import Queries
    from wsgikit.database.work import Hook, Work
    from wsgikit.onion.exchange import Exchange

    Reference = ref[Exchange]
else:
    Reference = ref


class Standing:
    """What stands for another object, also where Python asks the class and not `__getattr__`."""

    __slots__ = ()

    def __wsgikit_open__(self) -> Any:
        """Return the object, or raise."""
        raise NotImplementedError

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__wsgikit_open__(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.__wsgikit_open__(), name)

    def __contains__(self, item: object) -> bool:
        return item in self.__wsgikit_open__()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.__wsgikit_open__())

    def __enter__(self) -> Any:
        return self.__wsgikit_open__().__enter__()

    def __exit__(self, *raised: Any) -> Any:
        return self.__wsgikit_open__().__exit__(*raised)


class Handle(Standing, Reference):
    """The database of one request: a name for a session or connection that is opened when it is first used.

    Any attribute is that of the session or connection, so ``environ["wsgikit.db"].execute(…)`` works. The `db` local
    gives the session or connection itself.

    Every request makes one, and few need it. So it is nothing but a weak reference to the exchange, the cheapest object
    that knows its request and makes no cycle with environ; the layer is on the class, one to a layer (`Handle.of`).
    """

    __slots__ = ()

    _layer: ClassVar[DatabaseMiddleware]

    @staticmethod
    def of(layer: DatabaseMiddleware) -> type[Handle]:
        """Make the class of the handles of a layer."""
        return type("Handle", (Handle,), {"__slots__": (), "__doc__": Handle.__doc__, "_layer": layer})

    def __wsgikit_open__(self) -> Any:
        """Return the session or connection, opened now if it isn't yet."""
        work = self._work()
        target = work.target
        return work.open() if target is None else target

    def __getattr__(self, name: str) -> Any:
        if name[:2] == "__":  # a question of Python's (is it copyable, is it wrapped): no reason to connect
            raise AttributeError(name)
        return getattr(self.__wsgikit_open__(), name)

    def __repr__(self) -> str:
        exchange = self()
        work = None if exchange is None else exchange.state.get(self._layer)
        state = "open" if work is not None and work.target is not None else "not open"
        return f"<Handle of the database {self._layer.name!r}, {state}>"

    # A weak reference is equal to others of the same object; two databases of a request are not the same.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def on_commit(self, function: Hook) -> None:
        """Call `function` when the transaction is committed, before the head of the response leaves.

        Functions run in the order of registration. One that fails is logged: the commit has happened.
        """
        self._work().call_on_commit(function)

    def on_rollback(self, function: Hook) -> None:
        """Call `function` when the transaction is rolled back."""
        self._work().call_on_rollback(function)

    @property
    def queries(self) -> Queries:
        """The statements of this request on this database."""
        return self._work().queries

    def _work(self) -> Work:
        exchange = self()
        layer = self._layer
        work: Work | None = None
        if exchange is not None:
            # While layers inside tear down, what was opened can be used; it says itself when it is over.
            state = exchange.known_state
            work = None if state is None else state.get(layer)
            if work is None and not exchange.is_finished:
                work = layer.work_of(exchange)
        if work is None:
            raise ApplicationError(
                f"DatabaseMiddleware {layer.name!r}: environ[{layer.environ_key!r}]: the request has ended. "
                "Open a connection of your own for work that outlives the request."
            )
        return work


class Excluded(Standing):
    """What stands in environ on a path without a database: it says so when it is used, and leaks nothing."""

    __slots__ = ("_name", "_request")

    _name: str
    _request: str

    def __init__(self, name: str, request: str) -> None:
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_request", request)

    def __wsgikit_open__(self) -> Any:
        """Raise: there is none."""
        raise ApplicationError(
            f"DatabaseMiddleware {self._name!r}: {self._request}: expected a path with a database, got one that "
            "exclude_paths= names. Take it from there to use the database on it."
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.__wsgikit_open__()
