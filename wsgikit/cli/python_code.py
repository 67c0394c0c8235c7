"""A stack as the Python code that builds it, for ``wsgikit show --python``."""

from __future__ import annotations

__all__ = ["as_python"]

import ast
import textwrap
from typing import Any

from wsgikit.onion.middleware import Middleware
from wsgikit.onion.stack import Stack
from wsgikit.options import is_secret, mask
from wsgikit.options.masking import HIDDEN

_SCOPE = ("only", "unless")


def as_python(stack: Stack) -> str:
    """Return code that builds the layers of a stack: imports, and a line ``use(…)`` for each layer.

    Secrets are written as ``"***"``. An object that code can't be written for (a router, a pattern) is ``...`` with a
    comment.
    """
    imports: set[str] = set()
    ours: set[str] = {"build_stack", "use"}
    lines: list[str] = []
    for name, layer in stack.named_layers:
        kind = type(layer)
        if kind.__module__.partition(".")[0] == "wsgikit":
            called = kind.__name__
            ours.add(called)
        else:
            called = f"{kind.__module__}.{kind.__qualname__}"
            imports.add(f"import {kind.__module__}")
        if not isinstance(layer, Middleware):
            lines.append(f"    # {called}: a layer that isn't wsgikit's. Its options aren't known.")
            continue
        arguments, notes = _arguments(name, layer, imports)
        lines.append(f"    use({', '.join([called, *arguments])}),{notes}")
    imported, app_line = _application(stack.app)
    names = textwrap.wrap(", ".join(sorted(ours)) + ",", 100, initial_indent="    ", subsequent_indent="    ")
    head = [*sorted(imports | imported), "from wsgikit import (", *names, ")", "", *app_line]
    return "\n".join([*head, "stack = build_stack(", "    app,", *lines, ")"])


def _arguments(name: str, layer: Middleware, imports: set[str]) -> tuple[list[str], str]:
    """Return the keywords of a layer as code, and a comment about those that code can't be written for."""
    given = dict(layer._options)
    scope = layer.__wsgikit_scope__
    if scope is not None:
        given |= {key: value for key in _SCOPE if (value := getattr(scope, key)) is not None}
    arguments, unknown = [], []
    for key, value in given.items():
        code = _code(key, value, imports)
        arguments.append(f"{key}={code}")
        if "..." in code:
            unknown.append(f"{key}: {mask(key, value)}")
    own_name = name.removeprefix(type(layer).__name__).strip()
    if own_name.startswith(("'", '"')) and "name" not in given:
        arguments.append(f"name={own_name}")
    return arguments, f"  # {'; '.join(unknown)}" if unknown else ""


def _code(name: str, value: Any, imports: set[str]) -> str:
    """Return the code of a value, with what it needs added to the imports."""
    shown = mask(name, value)
    if is_secret(name) and HIDDEN in shown:
        return shown.replace(HIDDEN, f'"{HIDDEN}"')
    try:
        ast.literal_eval(shown)
    except (ValueError, SyntaxError):
        module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
        if module is None or shown != f"{module}.{name}" or "<" in name:
            return "..."
        imports.add(f"import {module}")
    return shown


def _application(app: Any) -> tuple[set[str], list[str]]:
    """Return how the application is imported, or a line that stands for it."""
    module, name = getattr(app, "__module__", None), getattr(app, "__qualname__", "")
    if module is None or not name.isidentifier():
        return set(), [f"app = ...  # {mask('app', app)}", ""]
    return {f"from {module} import {name}" + (" as app" if name != "app" else "")}, []
