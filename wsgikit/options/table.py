"""The options of a layer as a table, for the docs and the terminal: made from the signature, so never out of date."""

from __future__ import annotations

__all__ = ["options_table"]

from collections.abc import Callable

from wsgikit.options.signature import describe_options, takes_any_option

_HEAD = ("option", "what may be written", "default")


def options_table(factory: Callable[..., object]) -> str:
    """Return a Markdown table of the options: name, what may be written in an ini file, default."""
    rows = [
        (
            f"`{option.name}`",
            option.words.replace("|", "\\|"),
            "(required)" if option.is_required else f"`{option.default_text}`",
        )
        for option in describe_options(factory)
    ]
    if takes_any_option(factory):
        rows.append(("…", "further keywords, passed on", ""))
    widths = [max(len(row[column]) for row in [_HEAD, *rows]) for column in range(len(_HEAD))]
    lines = [_HEAD, tuple("-" * width for width in widths), *rows]
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |" for line in lines
    )
