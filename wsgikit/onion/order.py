"""What layers say of their place, and whether a stack keeps to it. Nothing is ever moved: it is checked, and said."""

from __future__ import annotations

__all__ = ["check_order"]

from collections.abc import Sequence
from typing import Any

from wsgikit.exceptions import ConfigurationError
from wsgikit.wsgi import DB, SESSION, TEMPLATES

_FIX = "The order that works, outermost first"


def check_order(layers: Sequence[tuple[str, Any]], where: str = "build_stack") -> None:
    """Check that each layer stands where it can work.

    Args:
        layers: name and instance of each layer, outermost first. Those that aren't a `Middleware` may stand anywhere.
        where: what the error names as the place of the mistake.

    Raises:
        ConfigurationError: a layer lacks an environ key that none outside it provides, stands on the wrong side of
            another, or stands there twice under one name. The text names both layers and shows the list that works.
    """
    names = [name for name, _ in layers]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ConfigurationError(
                f"{where}: {name}: stands in the stack twice, as layers {names.index(name) + 1} and {index + 1}. "
                f"Give one of them a name=, or remove it."
            )
    for index, (name, layer) in enumerate(layers):
        _check_required(layers, index, where)
        for other_index, (other, other_layer) in enumerate(layers):
            kinds = {kind.__name__ for kind in type(other_layer).__mro__}
            if other_index > index and kinds & set(getattr(layer, "inside_of", ())):
                raise _misplaced(layers, index, other_index, f"{name} must stand inside {other}", where)
            if other_index < index and kinds & set(getattr(layer, "outside_of", ())):
                raise _misplaced(layers, other_index, index, f"{name} must stand outside {other}", where)


def _check_required(layers: Sequence[tuple[str, Any]], index: int, where: str) -> None:
    name, layer = layers[index]
    outside = {key for _, other in layers[:index] for key in getattr(other, "provides", ())}
    for key in getattr(layer, "requires", ()):
        if key in outside:
            continue
        for provider_index, (provider, other) in enumerate(layers[index + 1 :], index + 1):
            if key in getattr(other, "provides", ()):
                reason = f"{name} needs environ[{key!r}], which {provider} provides to the layers inside it"
                raise _misplaced(layers, index, provider_index, reason, where)
        raise ConfigurationError(
            f"{where}: {name}: needs environ[{key!r}], and no layer outside it provides that. "
            f"Add {_provider_name(key)} before it. {_FIX}: "
            f"{_listed([*[n for n, _ in layers[:index]], _provider_name(key), *[n for n, _ in layers[index:]]])}."
        )


# Who provides a key, for the hint where nobody does. Names only: the rooms themselves are not imported here.
_PROVIDERS = {
    SESSION: "SessionMiddleware",
    DB: "DatabaseMiddleware",
    TEMPLATES: "TemplateMiddleware",
}


def _provider_name(key: str) -> str:
    return _PROVIDERS.get(key, f"<a layer that provides {key}>")


def _misplaced(
    layers: Sequence[tuple[str, Any]], inner: int, outer: int, reason: str, where: str
) -> ConfigurationError:
    """Report that the layer at `outer` has to be moved to just before the one at `inner`."""
    names = [name for name, _ in layers]
    names.insert(inner, names.pop(outer))
    return ConfigurationError(f"{where}: {reason}. {_FIX}: {_listed(names)}.")


def _listed(names: Sequence[str]) -> str:
    return "[" + ", ".join(names) + "]"
