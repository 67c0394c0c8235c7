"""``wsgikit routes``: the rules of every router in the onion, and what is mounted."""

from __future__ import annotations

__all__ = ["command"]

from collections.abc import Iterator, Sequence
from typing import Any

import click

from wsgikit.cli.inside import routers_of
from wsgikit.cli.target import load_target, with_settings
from wsgikit.ini.mounted import as_stack, mounted_stacks
from wsgikit.onion.stack import Stack
from wsgikit.routing.invoke import name_of

Row = tuple[str, str, str]
_HEAD = ("METHODS", "RULE", "ENDPOINT")


@click.command("routes")
@click.argument("target")
@with_settings
def command(target: str, settings: dict[str, str]) -> None:
    """List the routes of TARGET in the order in which they were added, and after those of a router its mounts."""
    with load_target(target, settings) as stack:
        rows = [*_rows_of_stack(stack, "", "", ())]
    if not rows:
        click.echo("There are no routes: the onion has no router.")
        return
    for line in _table([_HEAD, *rows]):
        click.echo(line)


def _rows_of_stack(stack: Stack, prefix: str, name: str, around: tuple[Any, ...]) -> Iterator[Row]:
    """Go through the rows of a stack.

    Args:
        prefix: what it is mounted at.
        name: put before its endpoints, with the dot.
        around: the routers it is mounted in.
    """
    for router in routers_of(stack):
        if router not in around:  # a router may be mounted in itself
            yield from _rows_of_router(router, prefix, name, (*around, router))
    if isinstance(stack.app, Stack):
        yield from _rows_of_stack(stack.app, prefix, name, around)
    for mounted_at, mounted in mounted_stacks(stack):
        yield from _rows_of_stack(mounted, prefix + mounted_at.rstrip("/"), name, around)


def _rows_of_router(router: Any, prefix: str, name: str, around: tuple[Any, ...]) -> Iterator[Row]:
    for rule in router.rules:
        methods = ",".join(sorted(rule.methods)) if rule.methods else "any"
        yield methods, f"{_domain(router, rule)}{prefix}{rule.rule}", name + rule.endpoint
    for mount in router.mounts.mounts:
        stack = as_stack(mount.app)
        # A router says what it is. An application of others may say more in its repr than is to be printed.
        is_ours = type(stack.app).__module__.partition(".")[0] == "wsgikit"
        at = f"{mount.host or ''}{prefix}{mount.path}"
        yield "mount", at, repr(stack.app) if is_ours else name_of(stack.app)
        inside = prefix if mount.keep_path else at.rstrip("/")
        yield from _rows_of_stack(stack, inside, f"{name}{mount.name}." if mount.name else name, around)


def _domain(router: Any, rule: Any) -> str:
    if router.map.host_matching:
        return rule.host or ""
    return f"{rule.subdomain}.{router.server_name}" if rule.subdomain and router.server_name else ""


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
