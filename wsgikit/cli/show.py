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
    text = stack.describe()
    for prefix, mounted in mounted_stacks(stack):
        text += f"\n\n{prefix}\n{textwrap.indent(describe(mounted), '  ')}"
    return text
