"""Checks what a factory is called with, before it is called."""

from __future__ import annotations

__all__ = ["check_keywords"]

from collections.abc import Callable, Mapping
from types import FunctionType


def check_keywords(factory: Callable[..., object], options: Mapping[str, object], where: str) -> None:
    """Raise where `factory` could not be called with an application and these options.

    Args:
        factory: a middleware class, a `functools.partial`, a function or a lambda that takes an application.
        options: the keywords that it is to be called with.
        where: begins the error's text; the layer as the user wrote it.

    Raises:
        ConfigurationError: an option that it doesn't know, or one that is missing; a factory that takes no
            application. The text has the name that was probably meant and the call as it should be.
    """
    if not _is_plainly_right(factory, options):
        from wsgikit.options.signature import explain_keywords  # brings `inspect`, a third of our start-up time

        explain_keywords(factory, options, where)


def _is_plainly_right(factory: Callable[..., object], options: Mapping[str, object]) -> bool:
    """Tell whether a class or function surely takes the options; where this says False, a closer look is due."""
    function, taken = (factory.__init__, 2) if isinstance(factory, type) else (factory, 1)  # type: ignore[misc]
    if not isinstance(function, FunctionType) or hasattr(function, "__wrapped__"):
        return False
    code = function.__code__
    if code.co_argcount < taken or code.co_posonlyargcount > taken:
        return False
    positional = code.co_varnames[taken : code.co_argcount]
    keyword_only = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    defaults = len(function.__defaults__ or ())
    required = {
        *positional[: max(len(positional) - defaults, 0)],
        *(set(keyword_only) - set(function.__kwdefaults__ or ())),
    }
    return required <= options.keys() and options.keys() <= {*positional, *keyword_only}
