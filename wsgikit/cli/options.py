"""``wsgikit options``: what may be written in a layer's section of an ini file."""

from __future__ import annotations

__all__ = ["command"]

import click

import wsgikit
from wsgikit.exceptions import did_you_mean
from wsgikit.ini.factories import layer_names
from wsgikit.options import describe_options
from wsgikit.options.table import options_table


@click.command("options")
@click.argument("layer", required=False)
def command(layer: str | None) -> None:
    """List the options of LAYER (session, database, …) with what may be written and the default; or list the layers."""
    names = layer_names()
    if layer is None:
        for name, class_name in names.items():
            click.echo(f"egg:wsgikit#{name}  {class_name}")
        return
    if layer not in names:
        raise click.UsageError(f"There is no layer {layer!r}. {did_you_mean(layer, names)}".strip())
    factory = getattr(wsgikit, names[layer])
    click.echo(options_table(factory) if describe_options(factory) else f"{names[layer]} has no options.")
