"""What layers say of their place, and whether a stack keeps to it. Nothing is ever moved: it is checked, and said."""

from __future__ import annotations

__all__ = ["ORDER", "check_order", "ini_name", "order_notes"]

from collections.abc import Sequence, Set
from itertools import pairwise
from typing import Any

from wsgikit.exceptions import ConfigurationError, complaint, did_you_mean
from wsgikit.onion.middleware import Middleware
from wsgikit.wsgi import DB, SESSION, TEMPLATES

# The usual order of our layers, outermost first. Relations that a guarantee needs are declared on the classes.
ORDER = tuple(
    f"{name}Middleware"
    for name in (
        "Health", "RequestId", "AccessLog", "ProxyHeaders", "Inspector", "Metrics", "Tracing", "ServerTiming",
        "Profiler", "Context", "ErrorPages", "SecurityHeaders", "Cors", "TrustedHosts", "Https", "AccessList",
        "Maintenance", "RateLimit", "FetchPolicy", "CookiePolicy", "Deadline", "Sendfile", "Static", "Cache",
        "Compression", "Conditional", "BodyLimit", "MethodOverride", "Session", "Authentication", "Csrf",
        "Idempotency", "Database", "Template", "PageCalls", "Router",
    )
)  # fmt: skip

_FIX = "The order that works, outermost first"


def ini_name(class_name: str) -> str:
    """Return the name of a layer in ini files: ``"error_pages"`` for ``"ErrorPagesMiddleware"``."""
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in class_name)
    return words.removesuffix("_middleware").removeprefix("_")


def check_order(
    layers: Sequence[tuple[str, Any]], where: str = "build_stack", unchecked: Set[int] = frozenset()
) -> None:
    """Check that each layer stands in a place that it can work in.

    Args:
        layers: name and instance of each layer, outermost first. Those that aren't a `Middleware` may stand anywhere.
        where: the place of the mistake, for the error.
        unchecked: ids of layers whose `inside_of` and `outside_of` aren't checked (``use(…, check_order=False)``).

    Raises:
        ConfigurationError: a layer lacks an environ key that no layer outside it provides, stands on the wrong side of
            another, stands in the stack twice under one name, or names a layer that doesn't exist but nearly does. The
            text names both layers and shows the list that works.
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
        inside_of, outside_of = (_relation(layer, side, layers, where) for side in ("inside_of", "outside_of"))
        for other_index, (other, other_layer) in enumerate(layers):
            if id(layer) in unchecked or id(other_layer) in unchecked:
                continue
            kinds = {kind.__name__ for kind in type(other_layer).__mro__}
            if other_index > index and kinds & inside_of:
                raise _misplaced(layers, index, other_index, f"{name} must stand inside {other}", where)
            if other_index < index and kinds & outside_of:
                raise _misplaced(layers, other_index, index, f"{name} must stand outside {other}", where)


def _relation(layer: Any, side: str, layers: Sequence[tuple[str, Any]], where: str) -> set[str]:
    """Return the names of the classes in `inside_of` or `outside_of` of a layer, and check that they can exist."""
    related: Any = getattr(layer, side, ())
    if not isinstance(layer, Middleware):
        return set()
    if isinstance(related, (str, type)):
        expected = "a tuple of classes or names of classes"
        raise ConfigurationError(complaint(type(layer).__name__, side, expected, related, f"Write ({related!r},)"))
    names = {kind if isinstance(kind, str) else kind.__name__ for kind in related}
    present = {kind.__name__ for _, other in layers for kind in type(other).__mro__}
    for name in names - present - set(ORDER):
        remedy = did_you_mean(name, {*ORDER, *present}, likeness=0.8)
        if remedy:  # a name that is near none is of a layer that isn't installed here
            raise ConfigurationError(complaint(f"{where}: {type(layer).__name__}", side, "a known layer", name, remedy))
    return names


def order_notes(layers: Sequence[tuple[str, Any]]) -> list[str]:
    """Return a sentence for each layer that stands outside of one that the usual order puts outside of it.

    Such an order works: what can't work is an error of `check_order`.

    Args:
        layers: name and instance of each layer, outermost first.
    """
    notes = []
    known = [(name, ORDER.index(type(layer).__name__)) for name, layer in layers if type(layer).__name__ in ORDER]
    for (outer, outer_place), (inner, inner_place) in pairwise(known):
        if outer_place > inner_place:
            notes.append(f"{inner} usually stands outside {outer}.")
    return notes


def _check_required(layers: Sequence[tuple[str, Any]], index: int, where: str) -> None:
    name, layer = layers[index]
    scope = getattr(layer, "__wsgikit_scope__", None)
    outside = {key for _, other in layers[:index] if _is_there(other, scope) for key in getattr(other, "provides", ())}
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


def _is_there(provider: Any, scope: Any) -> bool:
    """Return whether a provider takes part in each request that a layer of this scope takes part in."""
    own = getattr(provider, "__wsgikit_scope__", None)
    return own is None or own == scope


# Who provides a key, for the hint if nobody does. Names only: the rooms themselves are not imported here.
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
