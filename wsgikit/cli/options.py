"""``wsgikit options``: what may be written in a section of an ini file."""

from __future__ import annotations

__all__ = ["command"]

import textwrap
from collections.abc import Callable

import click

import wsgikit
from wsgikit.exceptions import ConfigurationError, a_kind, did_you_mean
from wsgikit.ini.factories import app_section, layer_names, layer_section, mount_section
from wsgikit.ini.servers import run_server
from wsgikit.options import describe_options, load_dotted
from wsgikit.options.docstrings import parse_docstring
from wsgikit.options.signature import takes_any_option
from wsgikit.options.table import options_list, options_table
from wsgikit.presets import delivery, production

# What else there is an entry point for: the kind of section, and what declares its keys.
SECTIONS: dict[str, tuple[str, Callable[..., object]]] = {
    "production": ("filter", production),
    "delivery": ("filter", delivery),
    "layer": ("filter", layer_section),
    "app": ("app", app_section),
    "mount": ("composite", mount_section),
    "server": ("server", run_server),
}
_WIDTH = 100  # as in the list of options

_PREFACE = """# Layers

The layers of wsgikit with all their options. This page is made from the signatures and docstrings:
`wsgikit options --markdown > docs/reference/layers.md` writes it, and a test checks that it is current. In Python an
option is a keyword, in an ini file a line of the layer's section; [ini files](ini.md) says how values are written.
"""


@click.command("options")
@click.argument("name", metavar="[LAYER]", required=False)
@click.option("--markdown", is_flag=True, help="Print the reference of all layers, docs/reference/layers.md.")
def command(name: str | None, markdown: bool) -> None:
    """List the options of LAYER (session, database, …): what may be written, the default, what it does.

    LAYER may also be layer, app, mount or server: what else an ini file has sections for; or module:Class, a layer of
    your own. Without LAYER, list all.
    """
    layers = layer_names()
    if markdown:
        click.echo(_reference(layers), nl=False)
    elif name is None:
        for layer, class_name in layers.items():
            click.echo(f"egg:wsgikit#{layer}  {class_name}")
        for section, (_, declared) in SECTIONS.items():
            click.echo(f"egg:wsgikit#{section}  {parse_docstring(declared).paragraphs[0]}")
    elif name in SECTIONS:
        kind, declared = SECTIONS[name]
        click.echo(_described(kind, name, declared))
    elif name in layers:
        click.echo(_described("filter", name, getattr(wsgikit, layers[name])))
    elif ":" in name:
        click.echo(_described_own(name))
    else:
        raise click.UsageError(f"There is no layer {name!r}. {did_you_mean(name, [*layers, *SECTIONS])}".strip())


def _described_own(name: str) -> str:
    factory = load_dotted(name, name, "layer")
    if not callable(factory):
        raise ConfigurationError(
            f"{name}: layer: expected a class or function that takes an app, got {a_kind(factory)}."
        )
    paragraphs = parse_docstring(factory).paragraphs if getattr(factory, "__doc__", None) else ()
    title = f"{textwrap.fill(paragraphs[0], _WIDTH)}\n\n" if paragraphs else ""
    has_options = describe_options(factory) or takes_any_option(factory)
    listed = options_list(factory) if has_options else f"{name} has no options."
    section = name.rpartition(":")[2].rpartition(".")[2].lower()
    return f"{title}[filter:{section}]\nuse = egg:wsgikit#layer\nfactory = {name}\n\n{listed}"


def _described(kind: str, name: str, factory: Callable[..., object]) -> str:
    has_options = describe_options(factory) or takes_any_option(factory)
    title = textwrap.fill(parse_docstring(factory).paragraphs[0], _WIDTH)
    section = f"[{kind}:{'main' if kind in ('composite', 'server') else name}]\nuse = egg:wsgikit#{name}"
    listed = options_list(factory) if has_options else f"{factory.__name__} has no options."
    return f"{title}\n\n{section}\n\n{listed}"


def _reference(layers: dict[str, str]) -> str:
    parts = [_PREFACE]
    for name, class_name in layers.items():
        layer = getattr(wsgikit, class_name)
        doc = parse_docstring(layer)
        parts.append(f"## {class_name}\n\nIn an ini file: `use = egg:wsgikit#{name}`.\n")
        parts += [f"{paragraph}\n" for paragraph in map(_wrapped, doc.paragraphs)]
        if describe_options(layer):
            parts.append(f"{options_table(layer)}\n")
        if doc.errors:
            parts.append("".join(f"- raises `{error}`: {text}\n" for error, text in doc.errors.items()))
        parts.append(f"```python\n{doc.example}\n```\n")
    return "\n".join(parts)


def _wrapped(paragraph: str) -> str:
    return textwrap.fill(paragraph, 120, break_on_hyphens=False, break_long_words=False)
