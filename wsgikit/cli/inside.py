"""What a stack has inside: its routers, and the onions that are mounted in them or in a composite."""

from __future__ import annotations

__all__ = ["all_stacks", "mounts_of", "reload_templates", "routers_of"]

from collections.abc import Iterator
from typing import Any

from wsgikit.ini.mounted import as_stack, mounted_stacks
from wsgikit.onion.stack import Stack


def routers_of(stack: Stack) -> Iterator[Any]:
    """Go through the routers of a stack itself, outermost first."""
    for candidate in (*stack.layers, stack.app):
        # Layers and applications that have a router say so by this attribute (wsgikit.routing).
        router = getattr(candidate, "__wsgikit_router__", None)
        if router is not None:
            yield router


def mounts_of(stack: Stack) -> Iterator[tuple[str, Stack]]:
    """Go through what is mounted in a composite or in the routers of a stack: where it is, and the onion there."""
    yield from mounted_stacks(stack)
    for router in routers_of(stack):
        for mount in router.mounts.mounts:
            yield f"{mount.host or ''}{mount.path}", as_stack(mount.app)


def reload_templates(stack: Stack) -> None:
    """Have routers and `TemplateMiddleware` look for changed templates at each use, unless ``auto_reload`` is set."""
    for each in all_stacks(stack):
        for router in routers_of(each):
            router.template_options.setdefault("auto_reload", True)
        for layer in each.layers:
            environment = getattr(getattr(layer, "templates", None), "environment", None)
            if environment is not None and layer._options.get("auto_reload") is None:
                environment.auto_reload = True


def all_stacks(stack: Stack) -> Iterator[Stack]:
    """Go through a stack and all that are inside it, each once."""
    seen: set[tuple[int, ...]] = set()
    waiting = [stack]
    while waiting:
        stack = waiting.pop(0)
        parts = tuple(id(part) for part in (*stack.layers, stack.app))
        if parts not in seen:  # one may be mounted twice, and a router in itself
            seen.add(parts)
            yield stack
            if isinstance(stack.app, Stack):
                waiting.append(stack.app)
            waiting += [mounted for _, mounted in mounts_of(stack)]
