"""Finds the section that a factory was called for. PasteDeploy tells a factory the file, but not the section."""

from __future__ import annotations

__all__ = ["locate", "read_with_includes", "trace_use"]

import os
from collections.abc import Mapping

from wsgikit.exceptions import ConfigurationError
from wsgikit.ini.source import DEFAULT, IniFile, Place

# Where `use = name` may lead, by the kind of section that says it.
_KINDS = {
    "app": ("app", "application", "composite", "composit", "pipeline", "filter-app"),
    "filter": ("filter",),
    "server": ("server",),
}
_KIND_OF = {
    "application": "app",
    "composite": "app",
    "composit": "app",
    "pipeline": "app",
    "filter-app": "filter",
}


def read_with_includes(path: str) -> list[IniFile]:
    """Read an ini file and those that it names by ``config:``, each once. Those that can't be read are left out."""
    found: dict[str, IniFile] = {}
    waiting = [path]
    while waiting:
        path = os.path.abspath(waiting.pop())
        if path in found:
            continue
        try:
            file = found[path] = IniFile(path)
        except ConfigurationError:
            continue  # whoever loads it says so
        for entries in file.sections.values():
            for entry in entries.values():
                waiting += [file.included_path(word) for word in entry.text.split() if word.startswith("config:")]
    return list(found.values())


def locate(global_conf: Mapping[str, str], name: str, texts: Mapping[str, str]) -> Place | None:
    """Find the section for which ``egg:wsgikit#name`` was called with these texts.

    Several sections may use the same factory: the one whose keys and values fit best is taken.
    """
    path = global_conf.get("__file__")
    if path is None:
        return None
    best: tuple[tuple[bool, int], Place] | None = None
    for file in read_with_includes(path):
        for section in file.sections:
            way, end = trace_use(file, section)
            if not _is_entry_point(end, name):
                continue
            place = Place(tuple(way))
            likeness = _likeness(place, texts, global_conf)
            if best is None or likeness > best[0]:
                best = (likeness, place)
    return best[1] if best is not None else None


def trace_use(file: IniFile, section: str) -> tuple[list[tuple[IniFile, str]], str]:
    """Follow ``use`` from a section: the sections on the way, and the ``egg:`` or ``call:`` at its end, if any."""
    way: list[tuple[IniFile, str]] = []
    while (entries := file.sections.get(section)) is not None and section != DEFAULT:
        if any((file.path, section) == (other.path, seen) for other, seen in way):
            break
        way.append((file, section))
        explicit = next((entry.text for key, entry in entries.items() if key.startswith("paste.")), "")
        use = entries["use"].text if "use" in entries else ""
        if explicit or use.startswith(("egg:", "call:")):
            return way, use or explicit
        if use.startswith("config:"):
            try:
                file = IniFile(file.included_path(use))
            except ConfigurationError:
                break
            use = use.partition("#")[2].strip() or "main"
        section = _section_named(file, use, section.partition(":")[0])
    return way, ""


def _section_named(file: IniFile, name: str, kind: str) -> str:
    kind = _KIND_OF.get(kind, kind)
    candidates = [f"{prefix}:{name}" for prefix in _KINDS.get(kind, ())]
    return next((candidate for candidate in candidates if candidate in file.sections), "")


def _is_entry_point(use: str, name: str) -> bool:
    distribution, _, entry = use.removeprefix("egg:").partition("#")
    return (distribution.strip().lower(), entry.strip()) == ("wsgikit", name) or use.strip() == f"wsgikit.ini:{name}"


def _likeness(place: Place, texts: Mapping[str, str], global_conf: Mapping[str, str]) -> tuple[bool, int]:
    written = {
        key: entry.text for file, section in reversed(place.parts) for key, entry in file.options_of(section).items()
    }
    borrowed = {key[4:].strip() for file, section in place.parts for key in file.sections[section] if key[:4] == "get "}
    # PasteDeploy leaves out what [DEFAULT] has too, and values may be interpolated: only the keys are sure.
    has_the_keys = written.keys() - global_conf.keys() <= texts.keys() <= written.keys() | borrowed
    return has_the_keys, sum(written.get(key) == text for key, text in texts.items())
