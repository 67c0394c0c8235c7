"""Something that ``wsgikit check`` found."""

from __future__ import annotations

__all__ = ["Finding"]

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to put right, or (a note) to know of.

    Attributes:
        where: the layer, or file, line, section and key.
        text: what it is and what to do.
        is_note: whether it works, and is only worth knowing.
        topic: what it is about, for the report of ``--deploy``.
    """

    where: str
    text: str
    is_note: bool = False
    topic: str = "other"

    def __str__(self) -> str:
        return f"{'note' if self.is_note else 'problem'}: {self.where}: {self.text}"
