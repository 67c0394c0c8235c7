"""Checks what a factory is called with, before it is called."""

from __future__ import annotations

__all__ = ["check_keywords"]

from collections.abc import Callable, Mapping
from types import FunctionType


def check_keywords(
    factory: Callable[..., object], options: Mapping[str, object], where: str, *, positional: int = 1
) -> None:
    """Raise an error if `factory` can't be called with an application and these options.

    Args:
        factory: a middleware class, a `functools.partial`, a function or a lambda that takes an application.
        options: the keywords that it is to be called with.
        where: begins the error's text; the layer as the user wrote it.
        positional: how many positional arguments it is called with, the application among them.

    Raises:
        ConfigurationError: an option that it doesn't know, or one that is missing; a factory that takes no
            application. The text has the name that was probably meant and the call as it should be.
    """
    if not _is_plainly_right(factory, options, positional):
        from wsgikit.options.signature import explain_keywords  # brings `inspect`, a third of our start-up time

        explain_keywords(factory, options, where, positional)


def _is_plainly_right(factory: Callable[..., object], options: Mapping[str, object], positional: int) -> bool:
    """Return whether a class or function surely takes the options. False means that a closer look is needed."""
    is_class = isinstance(factory, type)
    function = factory.__init__ if is_class else factory
    if not isinstance(function, FunctionType) or hasattr(function, "__wrapped__"):
        return False
    code = function.__code__
    taken = positional + is_class  # self
    if code.co_argcount < taken or code.co_posonlyargcount > taken:
        return False
    further = code.co_varnames[taken : code.co_argcount]
    keyword_only = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    without_default = further[: max(len(further) - len(function.__defaults__ or ()), 0)]
    required = {*without_default, *keyword_only}.difference(function.__kwdefaults__ or ())
    return required <= options.keys() and options.keys() <= {*further, *keyword_only}
