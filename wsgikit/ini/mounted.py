"""The onions inside a composite: each application that is mounted may have its own layers."""

from __future__ import annotations

__all__ = ["as_stack", "check_mounted", "mounted_stacks"]

from collections.abc import Iterator
from typing import Any

from wsgikit.ini.applications import PrefixMounts
from wsgikit.onion.order import check_order
from wsgikit.onion.stack import Stack, walk


class _Outside:
    """Stands for the layers around the composite: what they provide is there for those inside."""

    def __init__(self, provides: tuple[str, ...]) -> None:
        self.provides = provides


def mounted_stacks(stack: Stack) -> Iterator[tuple[str, Stack]]:
    """Go through the prefixes of a composite in the middle of a stack, and the onion at each."""
    if isinstance(stack.app, PrefixMounts):
        for prefix, app in sorted(stack.app.apps.items()):
            yield prefix or "/", as_stack(app)


def check_mounted(stack: Stack, where: str, provided: tuple[str, ...] = ()) -> None:
    """Check the order of each mounted onion, with what the layers around it provide.

    Raises:
        ConfigurationError: a layer can't stand where it is.
    """
    outside = provided + tuple(key for layer in stack.layers for key in getattr(layer, "provides", ()))
    for prefix, inner in mounted_stacks(stack):
        layers = [(f"{type(layer).__name__} ({n})", layer) for n, layer in enumerate(inner.layers, 1)]
        check_order([("what is around", _Outside(outside)), *layers], f"{where} at {prefix}")
        check_mounted(inner, f"{where} at {prefix}", outside)


def as_stack(app: Any) -> Stack:
    """Return a mounted application as a stack of the layers around it. Their order isn't checked."""
    if isinstance(app, Stack):
        return app
    *layers, inner = walk(app)
    return Stack(inner, app, [(type(layer).__name__, layer) for layer in layers])
