"""`Calls`: the functions that pages may call."""

from __future__ import annotations

__all__ = ["Call", "Calls", "PageFunction"]

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.middleware.page_calls.arguments import Parameters
from wsgikit.middleware.page_calls.page_reply import PageReply
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.policies import mark_routed
from wsgikit.onion.route import NO_POLICY

if TYPE_CHECKING:
    from wsgikit.http.request import Request

F = TypeVar("F", bound=Callable[..., Any])

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z][A-Za-z0-9_-]*)*\Z")
_CO_GENERATOR, _CO_ASYNC = 0x20, 0x80 | 0x200  # as in inspect: a generator; a coroutine or asynchronous generator


class Call:
    """One call from a page, as the functions of events see it.

    Attributes:
        name: the name that the page called.
        args: the arguments as they came, before they are checked.
        exchange: the request.
    """

    __slots__ = ("args", "exchange", "name")

    def __init__(self, name: str, args: Any, exchange: Exchange) -> None:
        self.name = name
        self.args = args
        self.exchange = exchange

    @property
    def request(self) -> Request:
        """The request as an object."""
        return self.exchange.request

    def __repr__(self) -> str:
        return f"<Call {self.name}>"


class PageFunction:
    """A function with the name that pages call it by.

    Attributes:
        name: the name.
        function: the function.
        parameters: what it takes.
        is_stream: whether it is a generator function.
        policy: what it asks of the layers around.

    Raises:
        ConfigurationError: a name or a function that can't work.
    """

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        if not isinstance(name, str) or not _NAME.match(name):
            remedy = "Letters, digits, '_' and '-'; parts are joined by dots"
            raise ConfigurationError(complaint("Calls", "name", "a name such as 'save_note'", name, remedy))
        where = f"Calls: function {name!r}"
        if not callable(function):
            raise ConfigurationError(complaint(where, "function", "a function", function))
        code = _code_of(function)
        if code & _CO_ASYNC:
            remedy = "Write it without async"
            raise ConfigurationError(complaint(where, "function", "one that isn't asynchronous", function, remedy))
        self.name = name
        self.function = function
        self.parameters = Parameters(function, where)
        self.is_stream = bool(code & _CO_GENERATOR)
        mark_routed(function)
        self.policy: Mapping[str, Any] = getattr(function, "__wsgikit_policy__", NO_POLICY)


def _code_of(function: Any) -> int:
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return 0 if code is None else int(code.co_flags)


class Calls:
    """A registry of functions that pages may call, by name. Nothing else can be called.

    Functions run in the request of the call: `request`, `session`, `db` and `g` work, and one call is one transaction
    if there is a `DatabaseMiddleware`. Arguments are checked against the annotations; a parameter that is annotated
    as a `Request` or an `Exchange` gets it. A generator function streams what it yields.

    Example::

        calls = Calls()

        @calls.function("save_note")
        def save_note(text: str, tags: list[str] | None = None) -> int:
            return insert_note(text, tags)

        stack = build_stack(app, use(PageCallsMiddleware, functions=calls))
    """

    def __init__(self) -> None:
        self.functions: dict[str, PageFunction] = {}
        self.on_before: list[Callable[[Call], Any]] = []
        self.on_after: list[Callable[[Call, PageReply], Any]] = []
        self.on_invalid: list[Callable[[Call, dict[str, Any]], Any]] = []

    @overload
    def function(self, name: F, /) -> F: ...
    @overload
    def function(self, name: str | None = None, /) -> Callable[[F], F]: ...
    def function(self, name: Any = None, /) -> Any:
        """Register a function: ``@calls.function("name")``, or ``@calls.function`` under its own name.

        Raises:
            ConfigurationError: a name that is taken or can't work; a parameter that can't be filled.
        """
        if callable(name):
            return self.add(name.__name__, name)
        return lambda function: self.add(name or function.__name__, function)

    def add(self, name: str, function: F) -> F:
        """Register a function under a name, and return it.

        Raises:
            ConfigurationError: as `function`.
        """
        if name in self.functions:
            remedy = "Give one of them another name"
            raise ConfigurationError(complaint("Calls", "name", "one that isn't taken", name, remedy))
        self.functions[name] = PageFunction(name, function)
        return function

    def object(self, instance: object, prefix: str = "") -> None:
        """Register the public methods of an object: those of its class without an underscore at their beginning.

        Args:
            instance: the object. Its properties and attributes are never read.
            prefix: what stands before the names, with a dot: ``notes`` makes ``notes.save``.

        Raises:
            ConfigurationError: there is no such method, or a name is taken.
        """
        import inspect

        methods = [
            name
            for name, value in inspect.getmembers_static(type(instance))
            if not name.startswith("_") and isinstance(value, (type(_code_of), staticmethod, classmethod))
        ]
        if not methods:
            raise ConfigurationError(complaint("Calls.object", "instance", "an object with public methods", instance))
        for name in methods:
            self.add(f"{prefix}.{name}" if prefix else name, getattr(instance, name))

    # ------------------------------------------------------------------ events

    def before_call(self, function: F) -> F:
        """Have ``function(call)`` called before each function. A `PageReply` that it returns is the answer."""
        self.on_before.append(function)
        return function

    def after_call(self, function: F) -> F:
        """Have ``function(call, reply)`` called after each function that returned; it may add commands to `reply`."""
        self.on_after.append(function)
        return function

    def invalid_call(self, function: F) -> F:
        """Have ``function(call, problem)`` called if the name is unknown or the arguments are wrong.

        `problem` is the document that the page will get. A `PageReply` that it returns is the answer in its place.
        """
        self.on_invalid.append(function)
        return function
