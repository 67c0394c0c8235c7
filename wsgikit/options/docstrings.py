"""What a docstring says, in parts: the reference and ``wsgikit options`` are made from it."""

from __future__ import annotations

__all__ = ["Docstring", "parse_docstring"]

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_HEADING = re.compile(r"(Args|Raises|Example|Attributes|Returns)::?\Z")
_ENTRY = re.compile(r"(?P<names>[\w.]+(?:, [\w.]+)*): (?P<text>.*)")


@dataclass(frozen=True, slots=True)
class Docstring:
    """The parts of a docstring, as Markdown.

    Attributes:
        paragraphs: what stands in no section, in its order.
        arguments: what each one is, by its name.
        errors: when each one is raised, by the name of its class.
        example: the code under ``Example::``.
    """

    paragraphs: tuple[str, ...]
    arguments: dict[str, str]
    errors: dict[str, str]
    example: str


def parse_docstring(documented: Callable[..., object]) -> Docstring:
    """Take apart what a class or function says of itself."""
    prose: list[str] = []
    sections: dict[str, list[str]] = {}
    lines = prose
    for line in (inspect.getdoc(documented) or "").splitlines():
        heading = _HEADING.match(line)
        if heading is not None:
            lines = sections.setdefault(heading[1], [])
        elif line and not line[0].isspace() and lines is not prose:
            lines = prose
            lines.append(line)
        else:
            lines.append(line)
    return Docstring(
        paragraphs=tuple(_flowing(part) for part in "\n".join(prose).split("\n\n") if part.strip()),
        arguments=dict(_entries(sections.get("Args", []))),
        errors=dict(_entries(sections.get("Raises", []))),
        example=inspect.cleandoc("\n" + "\n".join(sections.get("Example", []))),
    )


def _entries(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Go through ``name: text`` and the lines that are indented further."""
    entries: list[str] = []
    for line in inspect.cleandoc("\n" + "\n".join(lines)).splitlines():
        if line and not line[0].isspace():
            entries.append(line)
        elif entries:
            entries[-1] += f" {line.strip()}"
    for entry in entries:
        match = _ENTRY.match(entry)
        if match is not None:
            for name in match["names"].split(", "):
                yield name, _flowing(match["text"])


def _flowing(text: str) -> str:
    """Return a paragraph on one line, code in it marked as Markdown has it."""
    return " ".join(text.split()).replace("``", "`")
