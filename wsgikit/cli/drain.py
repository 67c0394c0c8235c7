"""``wsgikit drain``: have a running process say that it isn't ready, before it is ended."""

from __future__ import annotations

__all__ = ["command"]

import os
import time

import click

from wsgikit.cli.target import load_target, with_settings
from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.health import HealthMiddleware
from wsgikit.onion.drain_file import default_path, remove, write


@click.command("drain")
@click.argument("target", required=False)
@click.option("--file", type=click.Path(dir_okay=False), help="The drain file, in place of that of TARGET.")
@click.option(
    "--wait",
    "seconds",
    type=click.FloatRange(0),
    default=0,
    show_default=True,
    help="Seconds to wait afterwards, so that a load balancer sees it before the signal comes.",
)
@click.option("--undo", is_flag=True, help="Remove the file: the processes are ready again.")
@with_settings
def command(target: str | None, file: str | None, seconds: float, undo: bool, settings: dict[str, str]) -> None:
    """Turn readiness of the processes that serve TARGET to 503. Do it before SIGTERM.

    It writes the drain file of the HealthMiddleware in TARGET (an ini file or module:app). Without TARGET it is the
    file of this working folder. Processes that start later are not affected. `wsgikit serve` drains by itself.
    """
    if target is not None and file is not None:
        raise click.UsageError("TARGET and --file name the same thing. Leave one of them out.")
    path = os.path.abspath(file) if file is not None else _file_of(target, settings)
    if undo:
        click.echo(f"{path}: removed." if remove(path) else f"{path}: there is no such file.")
        return
    write(path)
    click.echo(f"{path}: written.")
    if seconds:
        time.sleep(seconds)


def _file_of(target: str | None, settings: dict[str, str]) -> str:
    if target is None:
        return default_path()
    with load_target(target, settings) as stack:
        layer = stack.find(HealthMiddleware)
        if layer is None:
            raise ConfigurationError(
                f"{target}: layers: expected a HealthMiddleware among them, got none. Add one as the outermost layer."
            )
        return layer.drain_file
