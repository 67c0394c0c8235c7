"""The options of a layer, for the docs and the terminal, made from its signature and docstring: never out of date."""

from __future__ import annotations

__all__ = ["options_list", "options_table"]

import inspect
import textwrap
from collections.abc import Callable

from wsgikit.options.docstrings import parse_docstring
from wsgikit.options.signature import describe_options, signature_of, takes_any_option

_HEAD = ("option", "what may be written", "default", "what it does")
_WIDTH = 100  # columns of the terminal at the most


def options_table(factory: Callable[..., object]) -> str:
    """Return a Markdown table of the options: name, what may be written in an ini file, default, what it does."""
    lines = [_HEAD, tuple("-" * len(cell) for cell in _HEAD)]
    for name, words, default, text in _rows(factory):
        shown = f"`{default}`" if default else "(required)" if default is not None else ""
        lines.append((name if name == "…" else f"`{name}`", words, shown, text))
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def options_list(factory: Callable[..., object]) -> str:
    """Return the options as text for a terminal: what may be written on one line, what it does below."""
    parts = []
    for name, words, default, text in _rows(factory):
        given = "" if default is None else f" (default: {default})" if default else " (required)"
        parts.append(textwrap.fill(f"{name}: {words}{given}", _WIDTH, subsequent_indent="  "))
        if text:
            parts.append(textwrap.fill(text, _WIDTH, initial_indent="    ", subsequent_indent="    "))
    return "\n".join(parts)


def _rows(factory: Callable[..., object]) -> list[tuple[str, str, str | None, str]]:
    """Return name, words, default (empty for a required one, None for further keywords) and text of each option."""
    texts = parse_docstring(factory).arguments
    rows: list[tuple[str, str, str | None, str]] = [
        (option.name, option.words, option.default_text, texts.get(option.name, ""))
        for option in describe_options(factory)
    ]
    if takes_any_option(factory):
        signature = signature_of(factory)
        kinds = signature.parameters.values() if signature is not None else ()
        rest = next((p.name for p in kinds if p.kind is inspect.Parameter.VAR_KEYWORD), "")
        rows.append(("…", "further keywords, passed on", None, texts.get(rest, "")))
    return rows
