"""``wsgikit shell``: Python with the application in it."""

from __future__ import annotations

__all__ = ["command"]

import code
import contextlib
from typing import Any

import click

import wsgikit
from wsgikit.cli.target import load_target, with_settings
from wsgikit.context.middleware import ContextMiddleware
from wsgikit.onion.stack import Stack


@click.command("shell")
@click.argument("target")
@with_settings
def command(target: str, settings: dict[str, str]) -> None:
    """Open a Python shell in the context of TARGET's application.

    It has app (the innermost application), stack (the onion), and, if the onion has a ContextMiddleware, db and
    g. Nothing is committed unless you do so: db.commit().
    """
    with load_target(target, settings) as stack:
        names = names_for(stack)
        context = stack.app_context() if "g" in names else contextlib.nullcontext()
        with context:
            code.interact(banner=f"{stack!r}\n{', '.join(names)}", local=dict(names), exitmsg="")


def names_for(stack: Stack) -> dict[str, Any]:
    """Return the names that the shell begins with."""
    names: dict[str, Any] = {"app": stack.app, "stack": stack}
    if stack.find(ContextMiddleware) is not None:
        names |= {"db": wsgikit.db, "g": wsgikit.g}
    return names
