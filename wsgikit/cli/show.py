"""``wsgikit show``: the onion as text."""

from __future__ import annotations

__all__ = ["command"]

import textwrap

import click

from wsgikit.cli.target import load_target, with_settings
from wsgikit.ini.applications import PrefixMounts
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
    if isinstance(stack.app, PrefixMounts):
        for prefix, app in sorted(stack.app.apps.items()):
            text += f"\n\n{prefix or '/'}\n{textwrap.indent(describe(Stack.around(app)), '  ')}"
    return text
