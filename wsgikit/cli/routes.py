"""``wsgikit routes``: the rules of every router in the onion."""

from __future__ import annotations

__all__ = ["command"]

from collections.abc import Iterator, Sequence
from typing import Any

import click

from wsgikit.cli.target import load_target, with_settings
from wsgikit.ini.mounted import mounted_stacks
from wsgikit.onion.stack import Stack

_HEAD = ("METHODS", "RULE", "ENDPOINT")


@click.command("routes")
@click.argument("target")
@with_settings
def command(target: str, settings: dict[str, str]) -> None:
    """List the routes of TARGET in the order in which they were added."""
    with load_target(target, settings) as stack:
        rows = [row for router, prefix in _routers(stack) for row in _rows(router, prefix)]
    if not rows:
        click.echo("There are no routes: the onion has no router.")
        return
    for line in _table([_HEAD, *rows]):
        click.echo(line)


def _routers(stack: Stack, prefix: str = "") -> Iterator[tuple[Any, str]]:
    """Go through all routers, outermost first, with the prefix that they are mounted at."""
    for candidate in (*stack.layers, stack.app):
        # Layers and applications that have a router say so by this attribute (wsgikit.routing).
        router = getattr(candidate, "__wsgikit_router__", None)
        if router is not None:
            yield router, prefix
    for mounted_at, mounted in mounted_stacks(stack):
        yield from _routers(mounted, prefix + mounted_at.rstrip("/"))


def _rows(router: Any, prefix: str) -> Iterator[tuple[str, str, str]]:
    for rule in router.rules:
        methods = ",".join(sorted(rule.methods)) if rule.methods else "any"
        yield methods, prefix + str(rule.rule), str(rule.endpoint)


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
