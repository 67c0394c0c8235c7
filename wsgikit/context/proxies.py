"""Proxies that stand for whatever a function returns at the moment.

Attribute access is the hot path: `__getattribute__`, one Python call deep, is many times quicker than `__getattr__`,
which Python asks only after looking everywhere else. All other operations are looked up on the type by Python, so each
is put on the class by a loop.
"""

from __future__ import annotations

__all__ = ["make_proxy"]

import operator
from collections.abc import Callable
from typing import Any

from wsgikit.exceptions import OutsideRequestError


def make_proxy(name: str, look_up: Callable[[], Any], peek: Callable[[], Any] | None = None) -> Any:
    """Make an object that behaves as what `look_up` returns when it is used.

    ``__class__`` is that of what it stands for, so `isinstance` works. ``_get_current_object()`` returns the object.

    Args:
        name: what it is called in its ``repr`` if there is nothing to stand for.
        look_up: returns the object, or raises `OutsideRequestError`.
        peek: a quicker way to the object, tried first: it may return None or raise `LookupError` or `AttributeError`.
    """

    def __getattribute__(self: Any, attribute: str) -> Any:
        if attribute == "_get_current_object":
            return look_up
        try:
            target = look_up()
        except OutsideRequestError:
            # Tools that go through a module ask any object for `__class__` (isinstance), `__wrapped__`, `__doc__`.
            if attribute[:2] == attribute[-2:] == "__":
                return object.__getattribute__(self, attribute)
            raise
        return getattr(target, attribute)

    slow = __getattribute__

    if peek is not None:
        quick = peek

        def __getattribute__(self: Any, attribute: str) -> Any:
            try:
                target = quick()
            except (LookupError, AttributeError):  # nothing there, or the None that TestClient leaves
                target = None
            if target is None:
                return slow(self, attribute)
            if attribute == "_get_current_object":
                return look_up
            return getattr(target, attribute)

    def __setattr__(self: Any, attribute: str, value: Any) -> None:
        setattr(look_up(), attribute, value)

    def __delattr__(self: Any, attribute: str) -> None:
        delattr(look_up(), attribute)

    def __repr__(self: Any) -> str:
        try:
            return repr(look_up())
        except OutsideRequestError:
            return f"<{name}, outside of a request>"

    def __bool__(self: Any) -> bool:
        try:
            return bool(look_up())
        except OutsideRequestError:
            return False

    def __dir__(self: Any) -> list[str]:
        try:
            return dir(look_up())
        except OutsideRequestError:
            return ["_get_current_object"]

    def __hash__(self: Any) -> int:
        return hash(look_up())

    namespace: dict[str, Any] = {
        "__slots__": (),
        "__doc__": f"`{name}` of the request that the running code is in.",
        "__module__": "wsgikit",
        "__getattribute__": __getattribute__,
        "__setattr__": __setattr__,
        "__delattr__": __delattr__,
        "__repr__": __repr__,
        "__bool__": __bool__,
        "__dir__": __dir__,
        "__hash__": __hash__,
    }
    for method, function in _OPERATIONS.items():
        namespace[method] = _forwarded(look_up, function)
    for method, function in _REFLECTED.items():
        namespace[method] = _reflected(look_up, function)
    return type(name, (), namespace)()


def _forwarded(look_up: Callable[[], Any], function: Callable[..., Any]) -> Callable[..., Any]:
    def operation(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(look_up(), *args, **kwargs)

    return operation


def _reflected(look_up: Callable[[], Any], function: Callable[..., Any]) -> Callable[..., Any]:
    def operation(self: Any, other: Any) -> Any:
        return function(other, look_up())

    return operation


def _call(target: Any, *args: Any, **kwargs: Any) -> Any:
    return target(*args, **kwargs)


def _enter(target: Any) -> Any:
    return target.__enter__()


def _exit(target: Any, *exc_info: Any) -> Any:
    return target.__exit__(*exc_info)


_BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor", "lshift", "rshift")
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "__str__": str,
    "__bytes__": bytes,
    "__format__": format,
    "__len__": len,
    "__iter__": iter,
    "__next__": next,
    "__reversed__": reversed,
    "__contains__": operator.contains,
    "__getitem__": operator.getitem,
    "__setitem__": operator.setitem,
    "__delitem__": operator.delitem,
    "__call__": _call,
    "__enter__": _enter,
    "__exit__": _exit,
    "__eq__": operator.eq,
    "__ne__": operator.ne,
    "__lt__": operator.lt,
    "__le__": operator.le,
    "__gt__": operator.gt,
    "__ge__": operator.ge,
    "__int__": int,
    "__float__": float,
    "__index__": operator.index,
    "__ior__": operator.ior,
    **{f"__{name.strip('_')}__": getattr(operator, name) for name in (*_BINARY, "neg", "pos", "abs", "invert")},
}
_REFLECTED: dict[str, Callable[..., Any]] = {f"__r{name.strip('_')}__": getattr(operator, name) for name in _BINARY}
