"""``wsgikit show``: the onion as text."""

from __future__ import annotations

__all__ = ["command"]

import textwrap

import click

from wsgikit.cli.target import load_target, with_settings
from wsgikit.ini.mounted import mounted_stacks
from wsgikit.onion.stack import Stack


@click.command("show")
@click.argument("target")
@with_settings
def command(target: str, settings: dict[str, str]) -> None:
    """Print the onion of TARGET: its layers, outermost first, with their options; secrets are masked."""
    with load_target(target, settings) as stack:
        click.echo(describe(stack))


def describe(stack: Stack) -> str:
    """Describe a stack, and where several applications are mounted side by side, each of them."""
    lines = stack.describe().splitlines()
    for number, layer in enumerate(stack.layers):
        module = getattr(layer, "__module__", None) or ""
        if module.partition(".")[0] != "wsgikit":  # another's may have the name of one of ours
            lines[number] = lines[number].replace("→ ", f"→ {module}.", 1)
    if type(stack.app).__module__.partition(".")[0] == "wsgikit":  # a router or a mount says what it is
        lines[-1] = f"{'  ' * len(stack.layers)}● {stack.app!r}"
    for prefix, mounted in mounted_stacks(stack):
        lines += ["", prefix, textwrap.indent(describe(mounted), "  ")]
    return "\n".join(lines)
