"""What a hook has to be: its name, what it takes, what it gives back. All but the last is checked while building."""

from __future__ import annotations

__all__ = ["HOOKS", "check_hooks", "check_names", "checked_app", "hook_name"]

from collections.abc import Callable
from types import FunctionType
from typing import Any

from wsgikit.exceptions import ApplicationError, ConfigurationError, complaint, did_you_mean
from wsgikit.wsgi import WSGIApplication

HOOKS: dict[str, tuple[str, ...]] = {
    "before_request": ("exchange",),
    "before_view": ("exchange",),
    "after_request": ("exchange",),
    "handle_exception": ("exchange", "error"),
    "teardown_request": ("exchange",),
}
"""The hooks, with what each is called with."""

# What is probably meant by names that are not near enough to tell by their letters.
_MEANT = {"before_response": "before_request", "after_response": "after_request", "teardown": "teardown_request"}

# Of `inspect`, which costs a third of our start-up time.
_VARARGS = 0x04
_RETURNS_UNRUN = 0x20 | 0x80 | 0x200  # a generator, a coroutine, an asynchronous generator


def check_names(cls: type) -> None:
    """Refuse a method that looks like a misspelled hook: nobody would ever call it.

    Raises:
        ConfigurationError: a public method of the class itself is named nearly as a hook is.
    """
    for name, value in vars(cls).items():
        if name in HOOKS or not isinstance(value, (FunctionType, staticmethod, classmethod)):
            continue
        known = [hook for hook in HOOKS if hook[:3] == name[:3].lower()]  # so that difflib is seldom loaded
        remedy = did_you_mean(_MEANT.get(name, name), known, likeness=0.8) if known else ""
        if remedy:
            remedy += " A method that is no hook needs a name less like one, or an underscore before it"
            raise ConfigurationError(complaint(cls.__name__, "hook", f"one of {', '.join(HOOKS)}", name, remedy))


def check_hooks(layer: object) -> None:
    """Refuse a hook that can't be called as the engine calls it.

    Raises:
        ConfigurationError: a hook takes other arguments, isn't run by a call (``async def``, ``yield``), or can't be
            called.
    """
    for name, arguments in HOOKS.items():
        hook = getattr(layer, name)
        function = getattr(hook, "__func__", hook)
        if not callable(function):
            raise _wrong_hook(layer, name, "a method", hook, "Leave it out where there is nothing to do")
        if not isinstance(function, FunctionType):
            continue
        code = function.__code__
        if code.co_flags & _RETURNS_UNRUN:
            raise _wrong_hook(layer, name, "a plain function", function, "Write it without async and yield")
        given = len(arguments) + (function is not hook)
        optional = len(function.__defaults__ or ())
        missing = code.co_kwonlyargcount - len(function.__kwdefaults__ or ())
        fits = code.co_argcount - optional <= given <= code.co_argcount or (
            code.co_flags & _VARARGS and code.co_argcount - optional <= given
        )
        if missing or not fits:
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            expected = f"({', '.join(('self', *arguments))})"
            raise _wrong_hook(layer, name, f"the arguments {expected}", f"({', '.join(names)})")


def hook_name(hook: Callable[..., Any]) -> str:
    """Return ``Layer.hook``."""
    owner = getattr(hook, "__self__", None)
    return f"{type(owner).__name__}.{hook.__name__}" if owner is not None else repr(hook)


def checked_app(app: Any, hook: Callable[..., Any]) -> WSGIApplication:
    """Return what a hook returned, if it is an application.

    Raises:
        ApplicationError: it can't be called.
    """
    if callable(app):
        return app  # type: ignore[no-any-return]  # a WSGI application, as far as can be seen
    remedy = "Use exchange.reply(…)"
    if hook_name(hook).endswith(".after_request"):
        remedy = "Change exchange.status, exchange.headers and exchange.body, or use exchange.reply(…)"
    raise ApplicationError(complaint(hook_name(hook), "result", "a WSGI application or None", app, remedy))


def _wrong_hook(layer: object, name: str, expected: str, got: object, remedy: str = "") -> ConfigurationError:
    return ConfigurationError(complaint(type(layer).__name__, name, expected, got, remedy))
