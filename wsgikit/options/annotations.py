"""Annotations at run time: resolved in the module where they were written, whatever of it is missing there."""

from __future__ import annotations

__all__ = ["home_of", "is_unresolved", "resolve"]

import builtins
import collections.abc
import inspect
import sys
import typing
from collections.abc import Mapping
from typing import Any


class _Unresolved(type):
    """The class of stand-ins for names that exist only for type checkers: ``Engine`` in ``str | Engine``."""

    def __getitem__(cls, item: object) -> type:
        return cls

    def __getattr__(cls, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Unresolved(name, (), {})


class _Names(dict[str, Any]):
    """The names an annotation may use; those found nowhere become stand-ins instead of errors."""

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        super().__init__()
        self._namespace = namespace

    def __missing__(self, name: str) -> Any:
        if name in self._namespace:
            return self._namespace[name]
        for module in (builtins, typing, collections.abc):  # imported for type checkers only, or forgotten
            if hasattr(module, name):
                return getattr(module, name)
        return _Unresolved(name, (), {})


def is_unresolved(annotation: object) -> bool:
    """Return whether an annotation stands for a name that could not be found at run time."""
    return isinstance(annotation, _Unresolved)


def home_of(factory: Any) -> dict[str, Any]:
    """Return the names of the module in which the factory's annotations were written."""
    while hasattr(factory, "func"):  # a partial
        factory = factory.func
    if isinstance(factory, type):
        factory = factory.__init__ if factory.__init__ is not object.__init__ else factory  # type: ignore[misc]
    factory = inspect.unwrap(factory)
    if not hasattr(factory, "__globals__") and not isinstance(factory, type):
        factory = type(factory).__call__
    names: dict[str, Any] | None = getattr(factory, "__globals__", None)
    if names is None:
        module = sys.modules.get(getattr(factory, "__module__", "") or "")
        names = vars(module) if module is not None else {}
    return names


def resolve(annotation: Any, home: Mapping[str, Any]) -> Any:
    """Return what an annotation means; `typing.Any` if there is none or it can't be told."""
    if annotation is inspect.Parameter.empty:
        return Any
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        try:
            # The text comes from the program's own source. typing.get_type_hints would give up on all
            # parameters if one names something that is imported for type checkers only.
            annotation = eval(annotation, {}, _Names(home))
        except Exception:  # noqa: BLE001 - an annotation is for readers; one that fails tells us nothing
            return Any
    return annotation
