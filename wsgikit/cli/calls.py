"""``wsgikit calls``: the functions that pages may call."""

from __future__ import annotations

__all__ = ["command"]

import click

from wsgikit.cli.target import load_target, with_settings
from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.page_calls import PageCallsMiddleware


@click.command("calls")
@click.argument("target")
@click.option("--typescript", "form", flag_value="typescript", help="Print calls.d.ts: the types of calls.js.")
@click.option("--javascript", "form", flag_value="javascript", help="Print calls.js: one function for each.")
@with_settings
def command(target: str, form: str | None, settings: dict[str, str]) -> None:
    """List the functions that pages may call, or print a module for pages with one function for each.

    \b
    wsgikit calls app.ini --javascript > static/calls.js
    wsgikit calls app.ini --typescript > static/calls.d.ts
    """
    from wsgikit.middleware.page_calls.typescript import javascript_module, typescript_module

    with load_target(target, settings) as stack:
        layer = stack.find(PageCallsMiddleware)
        if layer is None:
            raise ConfigurationError(f"{target}: expected a stack with PageCallsMiddleware, got none. Add page_calls.")
        if form == "typescript":
            click.echo(typescript_module(layer.functions), nl=False)
        elif form == "javascript":
            click.echo(javascript_module(layer.functions, f"{layer.path}/client.js"), nl=False)
        else:
            for name, function in layer.functions.functions.items():
                required = function.parameters.required
                names = [one if one in required else f"{one}?" for one in function.parameters.hints]
                click.echo(f"{name}({', '.join(names)})")
