"""The headers of a response: a list of pairs in which order, case and repetition are kept (RFC 9110 §5).

No dict is ever made of them: a dict loses the second ``Set-Cookie``.
"""

from __future__ import annotations

__all__ = ["Headers", "checked", "is_latin", "merge_vary"]

import re
from collections.abc import Iterable, Iterator, MutableSequence
from typing import overload

from wsgikit.exceptions import ApplicationError, complaint

# RFC 9110 §5.5: CR, LF and NUL in a value would end the field and begin another (response splitting).
_FORBIDDEN = re.compile(r"[\r\n\0]")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class Headers(MutableSequence[tuple[str, str]]):
    """The head of a response as layers change it: a list of ``(name, value)`` that can also be asked by name.

    Names are compared without regard to case and kept as they were written.

    Args:
        items: the pairs to begin with; the list is copied, so the one an application passed stays as it was. They are
            taken as they are, for what an application sent is the server's to judge: `of` checks them.

    Raises:
        ApplicationError: a name or value that is put in can't stand in a head.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._items = list(items)

    @classmethod
    def of(cls, items: Iterable[tuple[str, str]]) -> Headers:
        """Make one of pairs that are ours to answer for: each is checked."""
        return cls([checked(*pair) for pair in items])

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the value of the first header of this name."""
        name = name.lower()
        for key, value in self._items:
            if key.lower() == name:
                return value
        return default

    def get_all(self, name: str) -> list[str]:
        """Return the values of all headers of this name, in order."""
        name = name.lower()
        return [value for key, value in self._items if key.lower() == name]

    def has(self, name: str) -> bool:
        """Return whether there is a header of this name."""
        return self.get(name) is not None

    def add(self, name: str, value: str) -> None:
        """Append a header, next to any others of its name."""
        self._items.append(checked(name, value))

    def set(self, name: str, value: str) -> None:
        """Put the value in the place of the first header of this name, remove the others; append if none is."""
        pair = checked(name, value)
        wanted = name.lower()
        kept: list[tuple[str, str]] = []
        placed = False
        for item in self._items:
            if item[0].lower() != wanted:
                kept.append(item)
            elif not placed:
                kept.append(pair)
                placed = True
        if not placed:
            kept.append(pair)
        self._items[:] = kept

    def setdefault(self, name: str, value: str) -> str:
        """Return the value of the header, which is added first if there is none."""
        present = self.get(name)
        if present is None:
            self.add(name, value)
            return value
        return present

    def discard(self, name: str) -> None:
        """Remove all headers of this name; none need be there."""
        wanted = name.lower()
        self._items[:] = [item for item in self._items if item[0].lower() != wanted]

    def remove(self, value: str | tuple[str, str]) -> None:
        """Remove all headers of a name, or one exact pair."""
        if isinstance(value, str):
            self.discard(value)
        else:
            self._items.remove(value)

    def vary(self, *names: str) -> None:
        """Say that the response depends on these request headers: merged into one ``Vary``, never doubled."""
        merged = merge_vary(self.get_all("Vary"), names)
        if merged is not None:
            self.set("Vary", merged)

    @overload
    def __getitem__(self, index: int) -> tuple[str, str]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[str, str]]: ...
    @overload
    def __getitem__(self, index: str) -> str: ...
    def __getitem__(self, index: int | slice | str) -> tuple[str, str] | list[tuple[str, str]] | str:
        """Return a pair or a slice of the list; by a name, the value of its first header, or raise `KeyError`."""
        if isinstance(index, str):
            value = self.get(index)
            if value is None:
                raise KeyError(index)
            return value
        return self._items[index]

    @overload
    def __setitem__(self, index: int, value: tuple[str, str]) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[tuple[str, str]]) -> None: ...
    @overload
    def __setitem__(self, index: str, value: str) -> None: ...
    def __setitem__(self, index: int | slice | str, value: object) -> None:
        """Replace a pair or a slice of the list; by a name, do as `set` does."""
        if isinstance(index, str):
            self.set(index, value)  # type: ignore[arg-type]  # by overload
        elif isinstance(index, slice):
            self._items[index] = [checked(*pair) for pair in value]  # type: ignore[attr-defined]  # by overload
        else:
            self._items[index] = checked(*value)  # type: ignore[misc]  # by overload

    def __delitem__(self, index: int | slice | str) -> None:
        """Remove from the list by index; by a name, do as `discard` does."""
        if isinstance(index, str):
            self.discard(index)
        else:
            del self._items[index]

    def insert(self, index: int, value: tuple[str, str]) -> None:
        """Put a pair before the one at `index`."""
        self._items.insert(index, checked(*value))

    def __contains__(self, item: object) -> bool:
        return self.has(item) if isinstance(item, str) else item in self._items

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Headers):
            return self._items == other._items
        return self._items == other

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"Headers({self._items!r})"

    def as_list(self) -> list[tuple[str, str]]:
        """Return the list itself, as `start_response` takes it."""
        return self._items


def merge_vary(present: Iterable[str], names: Iterable[str]) -> str | None:
    """Return the ``Vary`` value that has `present` and `names`, or None if nothing is to be changed.

    ``*`` stands for all names (RFC 9110 §12.5.5), so nothing is added to it.
    """
    present = list(present)
    known = [word for value in present for word in (part.strip() for part in value.split(",")) if word]
    if "*" in known:
        return None
    seen = {word.lower() for word in known}
    missing = [name for name in names if name.lower() not in seen]
    if not missing:
        return None
    return ", ".join([*known, *missing])


def is_latin(text: str) -> bool:
    """Return whether a text can be in a head: PEP 3333 "Unicode Issues" has its letters stand for bytes."""
    return text.isascii() or max(text) <= "\xff"


def checked(name: str, value: str) -> tuple[str, str]:
    """Return the pair if it can stand in a head.

    Raises:
        ApplicationError: the name is no token, or the value isn't text, has other letters than latin-1's or would end
            the field.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ApplicationError(complaint("headers", "name", "a token of RFC 9110 §5.6.2", name))
    if not isinstance(value, str):
        raise ApplicationError(complaint("headers", name, "a str", type(value).__name__, "Convert it with str()"))
    if _FORBIDDEN.search(value):
        # The value may be a cookie: it is shown neither here nor below.
        raise ApplicationError(
            complaint("headers", name, "a value without CR, LF or NUL", "a value with one", "Quote or remove it")
        )
    if not is_latin(value):
        remedy = "Percent-encode it; a file name as filename*=UTF-8''…"  # RFC 8187
        raise ApplicationError(complaint("headers", name, "latin-1 text (PEP 3333)", "other letters", remedy))
    return name, value
