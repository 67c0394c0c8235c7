"""``%(name)s`` in an ini file, as our own loader reads it: a ``%`` that begins no ``%(name)s`` is a ``%``."""

from __future__ import annotations

__all__ = ["Interpolation", "find_bare_percents"]

import configparser
import re
from collections.abc import Iterator, Mapping
from typing import Any

from wsgikit.exceptions import ConfigurationError, did_you_mean
from wsgikit.ini.source import DEFAULT, IniFile

_TOKEN = re.compile(r"%%|%\((?P<name>[^()]+)\)s|%\(")
_DEEPEST = 10  # as configparser has it: values that name one another


class Interpolation(configparser.Interpolation):
    """Replaces ``%(name)s`` from the section and ``[DEFAULT]``, and says if it can't.

    Values from outside the file are taken as they are: the folder's own name, which may hold a ``%``, and what was
    set on the command line.
    """

    def __init__(self, file: IniFile, outside: set[str]) -> None:
        self._file = file
        self._outside = outside | {"here", "__file__"}

    def before_get(self, parser: Any, section: str, option: str, value: str, defaults: Mapping[str, str]) -> str:
        """Return the value of an option as it is to be used."""
        if option in self._outside and section == DEFAULT:
            return value
        return self._replaced(section, option, value, defaults, 1)

    def _replaced(self, section: str, option: str, value: str, known: Mapping[str, str], depth: int) -> str:
        if "%" not in value:
            return value
        if depth > _DEEPEST:
            raise ConfigurationError(
                f"{self._file.where(section, option)}: {option}: expected values that don't name each other in "
                f"a circle, got %({option})s, which leads back to itself."
            )

        def replace(token: re.Match[str]) -> str:
            name = token["name"]
            if token[0] == "%%":
                return "%"
            if name is None:
                raise ConfigurationError(
                    f"{self._file.where(section, option)}: {option}: expected %(name)s, got a '%(' without its ')s'. "
                    "Write %% for a percent sign."
                )
            if name not in known:
                raise ConfigurationError(self._unknown_name(section, option, name, known))
            if name in self._outside:
                return known[name]
            return self._replaced(section, option, known[name], known, depth + 1)

        return _TOKEN.sub(replace, value)

    def _unknown_name(self, section: str, option: str, name: str, known: Mapping[str, str]) -> str:
        text = (
            f"{self._file.where(section, option)}: {option}: expected a name that this section or [DEFAULT] has, "
            f"got %({name})s."
        )
        if any(f"set {name}" in keys for keys in self._file.sections.values()):
            return f"{text} PasteDeploy doesn't interpolate what 'set {name}' sets. Put it into [DEFAULT]."
        suggestion = did_you_mean(name, known)
        return f"{text} {suggestion or 'Write %% for a percent sign.'}"


def find_bare_percents(file: IniFile) -> Iterator[tuple[str, str]]:
    """Go through the section and key of each value with a ``%`` that stock PasteDeploy would stumble over."""
    for section, entries in file.sections.items():
        if section.partition("_")[0] in ("formatter", "handler", "logger"):
            continue  # for logging.config, which has its own rules
        for key, entry in entries.items():
            if "%" in _TOKEN.sub("", entry.text):
                yield section, key
