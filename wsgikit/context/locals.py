"""The locals: what belongs to the request that the running code is in.

Each is a proxy over one context variable, which `ContextMiddleware` has the engine set. There is no fallback: outside
a request a local raises an error that says which layer is missing and how to get one.

A function costs less than a proxy and says more to a type checker: `current_exchange` is there for layers and for hot
code. ``current_exchange().request`` is what `request` stands for.
"""

from __future__ import annotations

__all__ = [
    "copy_current_context",
    "current_app",
    "current_exchange",
    "db",
    "g",
    "has_app_context",
    "has_request_context",
    "request",
    "session",
    "user",
]

import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from wsgikit.context.proxies import make_proxy
from wsgikit.exceptions import OutsideRequestError
from wsgikit.onion.ending import CURRENT
from wsgikit.onion.exchange import Exchange
from wsgikit.wsgi import DB, EXCHANGE, NO_REQUEST, SESSION, STACK, USER, Environ

if TYPE_CHECKING:
    from wsgikit.http.request import Request
    from wsgikit.onion.stack import Stack

P = ParamSpec("P")
R = TypeVar("R")


class _Nobody:
    """What `user` is if nobody is logged in: false, equal to None, without attributes."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, _Nobody)

    def __hash__(self) -> int:
        return hash(None)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"user: nobody is logged in, so there is no {name!r}. Ask `if user:` before")

    def __repr__(self) -> str:
        return "<nobody>"


_NOBODY = _Nobody()


class Globals:
    """What `g` is: a namespace that is fresh for every request, for views and hooks to put things on."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"g has no attribute {name!r} in this request")

    if TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None: ...
        def __delattr__(self, name: str) -> None: ...

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or the default if it was not set."""
        return self.__dict__.get(name, default)

    def pop(self, name: str, *default: Any) -> Any:
        """Remove an attribute and return it, or the default if it was not set."""
        return self.__dict__.pop(name, *default)

    def setdefault(self, name: str, default: Any = None) -> Any:
        """Return an attribute, which is set to the default if it was not set."""
        return self.__dict__.setdefault(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __repr__(self) -> str:
        return f"<g {self.__dict__!r}>"


def current_exchange(name: str = "current_exchange()") -> Exchange:
    """Return the exchange of the request that the running code is in.

    Args:
        name: what is being called, for the text of the error.

    Raises:
        OutsideRequestError: it is in none.
    """
    exchange = CURRENT.get(None)
    if exchange is None:
        raise _outside(name)
    return exchange


def has_request_context() -> bool:
    """Return whether the running code is in a request, so that `request` can be used."""
    exchange = CURRENT.get(None)
    return exchange is not None and NO_REQUEST not in exchange.environ


def has_app_context() -> bool:
    """Return whether `g` and `current_app` can be used: in a request, or in `Stack.app_context`."""
    return CURRENT.get(None) is not None


def copy_current_context(function: Callable[P, R]) -> Callable[P, R]:
    """Bind a function to a snapshot of the current request, for a thread, a pool or a task.

    Each call has its own: a copy of environ and of `g` as they are now, its own session and its own database
    connection, given back when the function returns. So any number of threads may call it at once, also after the
    request has ended. The session has what was set before the snapshot. Changes to it are not saved, and what is
    written to the database is for the function to commit.

    Raises:
        OutsideRequestError: there is no request to take a snapshot of.
    """
    exchange = CURRENT.get(None)
    if exchange is None:
        raise _outside("copy_current_context()")
    environ = _snapshot_of(exchange.environ)
    environ.pop(EXCHANGE, None)
    namespace = dict(_g_of(exchange).__dict__)
    stack = exchange.stack
    if stack is not None:
        environ[STACK] = stack
    layers = stack.layers if stack is not None else exchange.layers
    context = copy_context()

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        from wsgikit.onion.visit import visit  # only who works in the background needs it

        with visit(layers, _snapshot_of(environ)) as visited:
            _g_of(visited).__dict__.update(namespace)
            return function(*args, **kwargs)

    @wraps(function)
    def in_snapshot(*args: P.args, **kwargs: P.kwargs) -> R:
        return context.copy().run(run, *args, **kwargs)

    return in_snapshot


def _snapshot_of(environ: Environ) -> Environ:
    """Return a copy of environ in which objects that belong to one request, such as its session, are copies too."""
    copied = dict(environ)
    for key, value in environ.items():
        make_copy = getattr(type(value), "__wsgikit_copy__", None)
        if make_copy is not None:
            copied[key] = make_copy(value)
    return copied


def _outside(name: str, missing: str = "ContextMiddleware") -> OutsideRequestError:
    if _is_in_request():
        return OutsideRequestError(
            f"{name}: used in a request that ContextMiddleware is not around. Requests have it if {missing} is in the "
            "stack: add use(ContextMiddleware), outside of the layers and views that use it."
        )
    where = f"thread {threading.current_thread().name!r}"
    return OutsideRequestError(
        f"{name}: used outside of a request, in {where}. Requests have it where {missing} is in the stack. "
        "In a script or a test write `with stack.request_context('/'):`, for work in the background pass the function "
        "through copy_current_context()."
    )


def _is_in_request() -> bool:
    """Return whether a frame of this thread has a WSGI environ. Only for the text of an error."""
    frame = sys._getframe(1)
    while frame is not None:
        environ = frame.f_locals.get("environ")
        if isinstance(environ, dict) and "wsgi.version" in environ:
            return NO_REQUEST not in environ
        frame = frame.f_back  # type: ignore[assignment]  # the outermost has none
    return False


def _request() -> Request:
    exchange = CURRENT.get(None)
    if exchange is None or NO_REQUEST in exchange.environ:
        raise _outside("request")
    return exchange.request


def _g_of(exchange: Exchange) -> Globals:
    if exchange.namespace is None:
        exchange.namespace = Globals()
    return cast("Globals", exchange.namespace)


def _g() -> Globals:
    exchange = CURRENT.get(None)
    if exchange is None:
        raise _outside("g")
    return _g_of(exchange)


def _current_app() -> Stack:
    exchange = CURRENT.get(None)
    if exchange is None:
        raise _outside("current_app")
    stack = exchange.stack
    if stack is None:
        raise OutsideRequestError(
            "current_app: the layers were nested by hand, and there is no Stack. Put them together with build_stack()."
        )
    return stack


def _from_environ(name: str, key: str, layer: str) -> Callable[[], Any]:
    """Make what looks up an object that a layer provides in environ."""

    def look_up() -> Any:
        exchange = CURRENT.get(None)
        if exchange is None:
            raise _outside(name, f"ContextMiddleware, with {layer} inside it,")
        try:
            value = exchange.environ[key]
        except KeyError:
            remedy = f"Add use({layer}, …) to the stack, inside ContextMiddleware."
            raise OutsideRequestError(f"{name}: no layer provides environ[{key!r}]. {remedy}") from None
        open_ = getattr(type(value), "__wsgikit_open__", None)  # a handle that gets the real thing on first use
        return value if open_ is None else open_(value)

    return look_up


_known_user = _from_environ("user", USER, "AuthenticationMiddleware")


def _user() -> Any:
    user = _known_user()
    return _NOBODY if user is None else user


request: Request = make_proxy("request", _request, lambda: CURRENT.get().known_request)
"""The request as a webob object."""

g: Globals = make_proxy("g", _g, lambda: CURRENT.get().namespace)
"""A namespace for this request alone."""

session: Any = make_proxy("session", _from_environ("session", SESSION, "SessionMiddleware"))
"""The session of the visitor."""

db: Any = make_proxy("db", _from_environ("db", DB, "DatabaseMiddleware"))
"""The database session or connection of this request, opened on first use."""

user: Any = make_proxy("user", _user)
"""The user who is logged in. If nobody is, it is false, and its attributes raise `AttributeError`."""

current_app: Stack = make_proxy("current_app", _current_app)
"""The stack that the request is in."""
