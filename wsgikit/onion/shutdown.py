"""The beginning and the end of a process: warming a stack up before a fork, and draining it before the end."""

from __future__ import annotations

__all__ = ["drain", "drains_of", "warm_up"]

import importlib
from collections.abc import Callable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.onion.middleware import Middleware

if TYPE_CHECKING:
    from wsgikit.onion.stack import Stack

# What the first requests would load: a request object, a response, a refusal that follows Accept, an error in the log.
_MODULES = ("wsgikit.http.request", "wsgikit.http.response", "wsgikit.http.accept", "http", "json", "logging")


def warm_up(stack: Stack) -> None:
    """Warm up all layers and the application of a stack, innermost first (see `Stack.warmup`)."""
    for module in _MODULES:
        importlib.import_module(module)
    for part in reversed([*_parts(stack)]):
        # An application of ours that has something to load (a router, a mount) says so by this name.
        warmup = part.warmup if isinstance(part, Middleware) else getattr(part, "__wsgikit_warmup__", None)
        if warmup is not None:
            warmup()


def drain(stack: Stack, timeout_seconds: float) -> bool:
    """Drain all layers of a stack that count requests (see `Stack.drain`)."""
    drains = [*drains_of(stack)]
    if not drains:
        remedy = "Add use(HealthMiddleware) as the outermost layer"
        raise ConfigurationError(complaint("stack.drain", "layers", "a HealthMiddleware among them", None, remedy))
    end = monotonic() + timeout_seconds
    for begin in drains:  # all say that they are draining before one is waited for
        begin(0)
    return all(wait(max(0.0, end - monotonic())) for wait in drains)


def drains_of(app: Any) -> Iterator[Callable[[float], bool]]:
    """Yield the functions of layers that drain: each begins, waits so many seconds, and returns whether all ended."""
    for part in _parts(app):
        wait = getattr(part, "__wsgikit_drain__", None)
        if wait is not None:
            yield wait


def _parts(app: Any) -> Iterator[Any]:
    from wsgikit.onion.stack import layers_of  # that module imports this one

    seen: set[int] = set()
    for part in layers_of(app):
        if id(part) not in seen:
            seen.add(id(part))
            yield part
