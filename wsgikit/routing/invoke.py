"""How a view or hook is called: what it asks for by annotation, and coroutines on a loop of the thread's own."""

from __future__ import annotations

__all__ = ["Wants", "as_sync", "misfit_of", "name_of", "parameters_of", "place_of", "wants_of", "with_wants"]

import functools
import sys
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, get_type_hints

from wsgikit.exceptions import ApplicationError, complaint
from wsgikit.onion.exchange import Exchange

_CO_VARKEYWORDS, _CO_COROUTINE = 0x08, 0x80  # as in inspect
# Parameter name and what is put there: "request" or "exchange".
Wants = tuple[tuple[str, str], ...]


def name_of(function: Any) -> str:
    """Return ``module.function`` for the text of an error."""
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None) or type(function).__name__
    module = getattr(function, "__module__", None)
    return f"{module}.{name}" if module else str(name)


def place_of(function: Any) -> str:
    """Return ``module.function, file.py:12`` for the text of an error; only the name if the place isn't known."""
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    inner = getattr(_unwrapped(inner), "__func__", _unwrapped(inner))
    # The function of View.as_view stands in our module; the class has no place that is known without `inspect`.
    code = None if hasattr(function, "view_class") else getattr(inner, "__code__", None)
    return name_of(function) if code is None else f"{name_of(function)}, {code.co_filename}:{code.co_firstlineno}"


def parameters_of(function: Any) -> str:
    """Return the names of a function's parameters for the text of an error, as ``(a, b)``."""
    inner = getattr(function, "__func__", function)
    code = getattr(inner, "__code__", None)
    if code is None:
        return "(?)"
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return f"({', '.join(names[1 if inner is not function else 0 :])})"


def wants_of(function: Any, skip: frozenset[str] = frozenset()) -> Wants:
    """Return the parameters that are annotated as a request or exchange, and so are given it.

    Args:
        function: the view or hook.
        skip: parameters that the rule itself fills.
    """
    declared: Wants | None = getattr(function, "__wsgikit_wants__", None)
    if declared is not None:
        return declared
    innermost = _unwrapped(function)
    annotations = getattr(innermost, "__annotations__", None)
    if not annotations:
        return ()
    # Almost no view asks for either: their annotations are told apart by name before anything is resolved.
    likely = [
        name
        for name, annotation in annotations.items()
        if name != "return"
        and name not in skip
        and _last_name(annotation).endswith(("Request", "Exchange", "BaseRequest"))
    ]
    if not likely:
        return ()
    try:
        hints = get_type_hints(innermost)
    except Exception:  # noqa: BLE001  # a name that only type checkers can see: the name itself has to do
        hints = {}
    wanted = []
    for name in likely:
        hint = hints.get(name)
        if hint is None:
            kind = "exchange" if _last_name(annotations[name]).endswith("Exchange") else "request"
        elif hint is Exchange:
            kind = "exchange"
        elif _is_request(hint):
            kind = "request"
        else:
            continue
        wanted.append((name, kind))
    return tuple(wanted)


def misfit_of(view: Any, arguments: frozenset[str]) -> str:
    """Return why a view can't be called with the values of a rule, or "" if it can or if that is unknown.

    What a decorator makes is looked at, not what it wraps: it may add and take away.
    """
    function = getattr(view, "__func__", view)
    code = getattr(function, "__code__", None)
    if code is None or hasattr(view, "__wsgikit_wants__"):
        return ""
    bound = 1 if function is not view else 0
    has_keywords = bool(code.co_flags & _CO_VARKEYWORDS)
    positional = code.co_varnames[: code.co_argcount][bound:]
    keyword_only = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    given = arguments.union(name for name, _ in wants_of(view, arguments))
    if not has_keywords:
        refused = sorted(given.difference(positional, keyword_only))
        if refused:
            return f"it takes no {' and no '.join(map(repr, refused))}"
    defaults = len(function.__defaults__ or ())
    required = {*positional[: len(positional) - defaults], *keyword_only}.difference(function.__kwdefaults__ or ())
    lacking = sorted(required - given)
    return f"it needs {' and '.join(map(repr, lacking))}, which the rule has not" if lacking else ""


# inspect has both of these, and costs more start-up time than this whole room.


def _unwrapped(function: Any) -> Any:
    seen = 0
    while hasattr(function, "__wrapped__") and seen < 100:
        function = function.__wrapped__
        seen += 1
    return function


def _is_coroutine_function(function: Any) -> bool:
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    return code is not None and bool(code.co_flags & _CO_COROUTINE)


def _last_name(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation.strip("'\" ").rpartition(".")[2]
    return getattr(annotation, "__name__", "")


def _is_request(hint: Any) -> bool:
    # By name, so that neither webob nor werkzeug is loaded to find out.
    return isinstance(hint, type) and any(
        kind.__name__ in ("BaseRequest", "Request")
        and kind.__module__.split(".")[0] in ("webob", "werkzeug", "wsgikit")
        for kind in hint.__mro__
    )


def with_wants(values: dict[str, Any], wants: Wants, exchange: Exchange) -> Any:
    """Return `values` and what the function asks for."""
    filled = dict(values)
    for name, kind in wants:
        filled[name] = exchange if kind == "exchange" else exchange.request
    return filled


# ---------------------------------------------------------------------- coroutines


class _Loop:
    """An event loop of one worker thread, kept from request to request, closed with the thread."""

    def __init__(self) -> None:
        import asyncio  # only coroutine views need it, and it costs start-up time

        self.runner = asyncio.Runner()

    def run(self, coroutine: Coroutine[Any, Any, Any], context: Context) -> Any:
        return self.runner.run(coroutine, context=context)

    def __del__(self) -> None:
        try:
            self.runner.close()
        except Exception:  # noqa: BLE001  # at interpreter exit parts of asyncio may be gone
            pass


_thread = threading.local()
_UNSET: Any = object()


def run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end on this thread's own event loop, and return its result.

    Under gevent many requests share one thread, which can run one loop only: a thread of gevent's pool runs it.
    """
    # A copy: the request's own context is entered by this thread already, and a task enters its own.
    context = copy_context()
    monkey = sys.modules.get("gevent.monkey")
    try:
        if monkey is None or not monkey.is_module_patched("threading"):
            return _run_here(coroutine, context)
        return sys.modules["gevent"].get_hub().threadpool.apply(_run_here, (coroutine, context))
    finally:
        # What a hook sets is for the view, as if it were no coroutine.
        for variable, value in context.items():
            if variable.get(_UNSET) is not value:
                variable.set(value)


def _run_here(coroutine: Coroutine[Any, Any, Any], context: Context) -> Any:
    loop: _Loop | None = getattr(_thread, "loop", None)
    if loop is None:
        loop = _thread.loop = _Loop()
    return loop.run(coroutine, context)


def as_sync(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that can be called plainly: `function` itself, or one that runs the coroutine to its end."""
    target = function
    while isinstance(target, functools.partial):
        target = target.func
    if not (_is_coroutine_function(target) or _is_coroutine_function(getattr(type(target), "__call__", None))):  # noqa: B004  # its kind is asked
        return function

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        _refuse_running_loop(function)
        return run_coroutine(function(*args, **kwargs))

    return call


def _refuse_running_loop(function: Callable[..., Any]) -> None:
    import asyncio  # only coroutines need it

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    remedy = "Call it in another thread: asyncio.to_thread(…)"
    raise ApplicationError(complaint(name_of(function), "event loop", "none that runs in this thread", loop, remedy))
