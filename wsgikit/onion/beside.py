"""Applications side by side: their layers are told of one another while they are mounted."""

from __future__ import annotations

__all__ = ["introduce"]

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from wsgikit.onion.middleware import Middleware
from wsgikit.onion.stack import walk
from wsgikit.wsgi import WSGIApplication


def introduce(place: str, app: WSGIApplication, others: Iterable[tuple[str, WSGIApplication]]) -> None:
    """Tell each layer of an application that asks for it of the layers of those that stand beside it.

    A layer asks by a method ``__wsgikit_beside__(place, other, other_place)``. The session layer does: a browser keeps
    one cookie of a name for a host.

    Args:
        place: the prefix that the application is under.
        app: the application; one without layers of ours has nothing to tell.
        others: prefix and application of each that is there already.
    """
    curious = [layer for layer in _layers_of(app) if hasattr(layer, "__wsgikit_beside__")]
    if curious:
        for other_place, other in others:
            if other is not app:
                for neighbour in _layers_of(other):
                    for layer in curious:
                        layer.__wsgikit_beside__(place, neighbour, other_place)


def _layers_of(app: Any) -> Iterator[Any]:
    """Go through the layers around an application, those of stacks among them."""
    return (layer for layer in chain.from_iterable(map(_opened, walk(app))) if isinstance(layer, Middleware))


def _opened(part: Any) -> Iterable[Any]:
    layers = getattr(part, "layers", None)  # a Stack
    return layers if isinstance(layers, tuple) else (part,)
