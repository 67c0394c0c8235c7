"""The command line: ``wsgikit serve``, ``show``, ``check`` and others, and groups of the rooms.

Each command lives in its own module, which is imported when the command is asked for: ``wsgikit secret`` loads
no server, and ``wsgikit --help`` loads no database.
"""

from __future__ import annotations

__all__ = ["COMMANDS", "main"]

import importlib
import importlib.util
import os
from typing import Any

import click

from wsgikit.exceptions import WsgikitError, did_you_mean, sentence
from wsgikit.ini.source import find_modules_in

# Each command, the module it lives in, and its name there. One whose module isn't installed is left out.
COMMANDS = {
    "new": "wsgikit.cli.new:command",
    "serve": "wsgikit.cli.serve:command",
    "show": "wsgikit.cli.show:command",
    "check": "wsgikit.cli.check:command",
    "routes": "wsgikit.cli.routes:command",
    "drain": "wsgikit.cli.drain:command",
    "maintenance": "wsgikit.cli.maintenance:group",
    "shell": "wsgikit.cli.shell:command",
    "options": "wsgikit.cli.options:command",
    "secret": "wsgikit.cli.secret:command",
    "compress": "wsgikit.cli.compress:command",
    "calls": "wsgikit.cli.calls:command",
    "sessions": "wsgikit.cli.sessions:group",
    "cache": "wsgikit.cli.cache:group",
    "db": "wsgikit.cli.db:group",
}

PROBLEM = 1
"""Exit status: the target has a problem. A wrong use of the command line itself is 2, as click has it."""


class CommandTable(click.Group):
    """A group whose commands are imported one by one, when they are needed; its errors are one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands that are installed, in the order of the table."""
        return [name for name, place in COMMANDS.items() if _is_installed(place)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None if there is no such."""
        place = COMMANDS.get(cmd_name)
        if place is None or not _is_installed(place):
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take ``--traceback`` after the command too: one adds it when an error was seen."""
        if "--traceback" in args:
            args = ["--traceback", *(argument for argument in args if argument != "--traceback")]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which was probably meant."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            suggestion = did_you_mean(name, self.list_commands(ctx))
            raise click.UsageError(f"No such command {name!r}. {suggestion}".strip(), ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. What went wrong is said in one line, unless ``--traceback`` asks for all of it."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader has seen enough (| head): click ends quietly
        except (WsgikitError, OSError, ImportError) as error:
            if ctx.params.get("traceback"):
                raise
            text = f"{error}" if isinstance(error, WsgikitError) else f"{type(error).__name__}: {error}"
            if _has_more_to_show(error):
                text = f"{sentence(text)} Add --traceback to see all of it."
            raise _OneLine(text) from error


class _OneLine(click.ClickException):
    exit_code = PROBLEM

    def show(self, file: Any = None) -> None:
        click.echo(f"wsgikit: {' '.join(self.format_message().split())}", err=True)


@click.command(cls=CommandTable, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--traceback", is_flag=True, help="Show the whole traceback of an error.")
@click.version_option(package_name="wsgikit", prog_name="wsgikit")
def main(traceback: bool) -> None:
    """Serve, show and check an onion of WSGI middleware.

    TARGET is an ini file (app.ini, or app.ini#name for another section than main), or module:app.
    """
    # A console script has its own folder on the path, not the one the user stands in.
    find_modules_in(os.getcwd())


def _has_more_to_show(error: BaseException | None) -> bool:
    """Return whether an error came out of code that isn't ours: then its traceback says more than its text."""
    while isinstance(error, WsgikitError):
        error = error.__cause__
    return error is not None and not isinstance(error, OSError)


def _is_installed(place: str) -> bool:
    return importlib.util.find_spec(place.partition(":")[0]) is not None
