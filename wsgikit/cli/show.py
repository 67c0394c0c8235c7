"""``wsgikit show``: the onion as text."""

from __future__ import annotations

__all__ = ["command"]

import textwrap
from typing import Any

import click

from wsgikit.cli.inside import mounts_of, routers_of
from wsgikit.cli.python_code import as_python
from wsgikit.cli.target import load_target, with_settings
from wsgikit.onion.stack import Stack


@click.command("show")
@click.argument("target")
@click.option("--python", "is_python", is_flag=True, help="Print the code that builds the layers: use(…) lines.")
@with_settings
def command(target: str, is_python: bool, settings: dict[str, str]) -> None:
    """Print the onion of TARGET: its layers, outermost first, with their options; secrets are masked."""
    with load_target(target, settings) as stack:
        click.echo(as_python(stack) if is_python else describe(stack))


def describe(stack: Stack, around: tuple[Any, ...] = ()) -> str:
    """Describe a stack, and what is mounted in it.

    Args:
        stack: whose layers, application and mounts to describe.
        around: the routers it is mounted in: one that is mounted in itself is gone into once.
    """
    lines = stack.describe().splitlines()
    for number, layer in enumerate(stack.layers):
        module = getattr(layer, "__module__", None) or ""
        if module.partition(".")[0] != "wsgikit":  # another's may have the name of one of ours
            lines[number] = lines[number].replace("→ ", f"→ {module}.", 1)
    depth = "  " * len(stack.layers)
    if isinstance(stack.app, Stack):
        lines[-1] = textwrap.indent(describe(stack.app, around), depth)
    elif type(stack.app).__module__.partition(".")[0] == "wsgikit":  # a router or a mount says what it is
        lines[-1] = f"{depth}● {stack.app!r}"
    routers = [*routers_of(stack)]
    if not any(router in around for router in routers):
        for prefix, mounted in mounts_of(stack):
            lines += ["", prefix, textwrap.indent(describe(mounted, (*around, *routers)), "  ")]
    return "\n".join(lines)
