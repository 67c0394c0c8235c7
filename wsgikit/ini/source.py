"""An ini file as it was written: its sections and keys with their lines, so that an error can name the place."""

from __future__ import annotations

__all__ = ["IniFile", "Place", "find_modules_in", "shown_path"]

import configparser
import difflib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from wsgikit.exceptions import ConfigurationError

DEFAULT = "DEFAULT"

# What PasteDeploy reads itself; the rest of a section's keys goes to its factory.
_STRUCTURE = {"use", "filter-with", "require", "next", "pipeline"}
_SECTION = re.compile(r"\[(?P<name>.+)\]")
_OPTION = re.compile(r"(?P<key>.*?)\s*[=:]")


@dataclass(frozen=True, slots=True)
class Entry:
    """A key's text, not interpolated, and its line."""

    text: str
    line: int


class IniFile:
    """One ini file, read but not interpreted.

    Attributes:
        path: as it was given.
        folder: where it lies; relative paths in it start there.
        text: what it holds.
        sections: of each section its keys, ``[DEFAULT]`` among them.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.folder = os.path.dirname(os.path.abspath(path))
        text = self.text = _read(path)
        _check_syntax(path, text)
        self.sections: dict[str, dict[str, Entry]] = {DEFAULT: {}}
        self._lines: dict[str, int] = {}
        for section, key, entry in _scan(text):
            keys = self.sections.setdefault(section, {})
            if key:
                keys[key] = entry
            else:
                self._lines[section] = entry.line

    def where(self, section: str = "", key: str = "") -> str:
        """Return ``app.ini:12 [filter:session]``, the line being the key's if there is such, else the section's."""
        line = self._lines.get(section)
        if key:
            entry = self.sections.get(section, {}).get(key)
            line = entry.line if entry is not None else line
        place = shown_path(self.path) if line is None else f"{shown_path(self.path)}:{line}"
        return f"{place} [{section}]" if section else place

    def options_of(self, section: str) -> dict[str, Entry]:
        """Return the keys of a section that are meant for its factory."""
        return {
            key: entry
            for key, entry in self.sections.get(section, {}).items()
            if key not in _STRUCTURE and not key.startswith(("set ", "get ", "paste."))
        }

    def included_path(self, uri: str) -> str:
        """Return the file that ``config:other.ini#name`` means: relative to this one, not to the working folder.

        PasteDeploy takes ``%20`` in it for a blank. A file that has the very name is preferred.
        """
        path = uri.partition(":")[2].partition("#")[0].strip()
        literal = os.path.join(self.folder, path)
        return literal if os.path.exists(literal) else os.path.join(self.folder, unquote(path))


@dataclass(frozen=True, slots=True)
class Place:
    """Where the options of one factory were written: a section, and those that it takes the rest from by ``use``."""

    parts: tuple[tuple[IniFile, str], ...]

    def where(self, key: str = "") -> str:
        """Name the section, and the line of the key in the outermost one that has it."""
        for file, section in self.parts:
            entries = file.sections.get(section, {})
            if key in entries:
                return file.where(section, key)
            if f"get {key}" in entries:
                return file.where(section, f"get {key}")
        file, section = self.parts[0]
        return file.where(section)

    def elsewhere(self, key: str) -> str:
        """Name another section of the same files that has this key, for who put it into the wrong one."""
        own = {section for _, section in self.parts}
        for file, _ in self.parts:
            for section in file.sections:
                if section not in own and section != DEFAULT and key in file.options_of(section):
                    return f"It is a key of {file.where(section, key)}"
        return ""


def find_modules_in(folder: str) -> None:
    """Have modules found that lie beside an ini file, wherever the process was started."""
    if folder not in sys.path:
        # After the standard library, which a json.py beside the file must not replace, and before what is installed.
        installed = (n for n, path in enumerate(sys.path) if path.endswith(("site-packages", "dist-packages")))
        sys.path.insert(next(installed, len(sys.path)), folder)


def shown_path(path: str) -> str:
    """Return a path as short as it can be given: relative if it lies below the working folder."""
    relative = os.path.relpath(path)
    return os.path.abspath(path) if relative.startswith(os.pardir) else relative


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")  # Windows editors begin a file with a mark
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{shown_path(path)}: expected UTF-8 text, got byte {error.start} that isn't."
        ) from None
    except OSError as error:
        folder = os.path.dirname(path) or "."
        known = [name for name in os.listdir(folder) if name.endswith(".ini")] if os.path.isdir(folder) else []
        near = difflib.get_close_matches(os.path.basename(path), known, n=1)
        suggestion = f" Did you mean {shown_path(os.path.join(folder, near[0]))!r}?" if near else ""
        raise ConfigurationError(
            f"{shown_path(path)}: expected an ini file that can be read, got: {error.strerror}.{suggestion}"
        ) from None


def _check_syntax(path: str, text: str) -> None:
    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys keep their case, as in PasteDeploy
    shown = shown_path(path)
    try:
        parser.read_string(text)
    except configparser.DuplicateOptionError as error:
        raise ConfigurationError(
            f"{shown}:{error.lineno} [{error.section}]: {error.option}: expected each key once, got it twice. "
            "Remove one of them."
        ) from None
    except configparser.DuplicateSectionError as error:
        raise ConfigurationError(
            f"{shown}:{error.lineno} [{error.section}]: expected each section once, got it twice. Put them together."
        ) from None
    except configparser.MissingSectionHeaderError as error:
        raise ConfigurationError(
            f"{shown}:{error.lineno}: expected a [section] before the first key, got {_shown(error.line)}."
        ) from None
    except configparser.ParsingError as error:
        line = error.errors[0][0]
        written = _shown(text.splitlines()[line - 1])
        raise ConfigurationError(
            f"{shown}:{line}: expected key = value, a [section] or a comment, got {written}."
        ) from None


def _shown(line: str) -> str:
    """Return what may be shown of a line that can't be read: its key at most, as the rest may be a secret."""
    key, sign, _ = line.strip().partition("=")
    if line.strip().startswith("["):
        return repr(line.strip())
    return f"{key.strip()!r} and a value" if sign else f"a line of {len(line.strip())} characters without '='"


def _scan(text: str) -> Iterator[tuple[str, str, Entry]]:
    """Go through sections (with an empty key) and keys, as configparser would; the syntax is known to be right."""
    section = key = ""
    indent, first = 0, 0
    lines: list[str] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith(("#", ";")):
            continue
        depth = len(raw) - len(raw.lstrip())
        if key and depth > indent:
            lines.append(line)
            continue
        if key:
            yield section, key, Entry("\n".join(lines).strip(), first)
        indent, key = depth, ""
        header = _SECTION.match(line)
        if header is not None:
            section = header["name"]
            yield section, "", Entry("", number)
            continue
        option = _OPTION.match(line)
        if option is not None:
            key, first = option["key"], number
            lines = [line[option.end() :].strip()]
    if key:
        yield section, key, Entry("\n".join(lines).strip(), first)
