"""Which files of a folder visitors may have: the rules for paths, symlinks and precompressed siblings."""

from __future__ import annotations

__all__ = ["CODINGS", "find_file", "find_siblings", "is_public_path", "walk_files"]

import os
import re
import stat
from collections.abc import Iterator

CODINGS = {"zstd": ".zst", "br": ".br", "gzip": ".gz"}
"""The content codings that a file may be stored in beside itself, and what their names end with."""

_WELL_KNOWN = ".well-known"  # RFC 8615: the one name with a dot that is made for visitors
# Windows opens a device by these names, in any folder and with any extension.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?:[ .:].*)?", re.IGNORECASE)
_FORBIDDEN = re.compile(r"[\0\\]" if os.name == "posix" else r"[\0\\:]")


def is_public_path(path: str) -> bool:
    """Return whether a path of a URL, relative to a folder, may name a file for visitors.

    Hidden files, names of devices, ``..``, empty segments, NUL and backslashes may not.
    """
    if _FORBIDDEN.search(path):
        return False
    for segment in path.removeprefix(_WELL_KNOWN + "/").split("/"):
        if not segment or segment.startswith(".") or _DEVICE.fullmatch(segment):
            return False
    return True


def find_file(root: str, path: str) -> str | None:
    """Return the file at a path of a URL inside a folder; None if there is none that visitors may have.

    Args:
        root: the folder.
        path: relative to it, decoded; from the visitor.
    """
    if not is_public_path(path):
        return None
    found = os.path.join(root, *path.split("/"))
    return found if os.path.isfile(found) and _is_inside(found, os.path.realpath(root)) else None


def _is_inside(path: str, root: str) -> bool:
    """Return whether a file really lies in a folder: a symlink may lead out of it. `root` is a real path."""
    return os.path.realpath(path).startswith(os.path.join(root, ""))


def walk_files(root: str) -> Iterator[tuple[str, str]]:
    """Go through the files of a folder that visitors may have: the path of a URL, and the file.

    Symlinks are followed if they stay inside.
    """
    real = os.path.realpath(root)
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        here = os.path.realpath(folder)
        if here in seen or not os.path.join(here, "").startswith(os.path.join(real, "")):
            folders.clear()
            continue
        seen.add(here)
        folders.sort()  # the same order on every machine
        for name in sorted(names):
            file = os.path.join(folder, name)
            path = os.path.relpath(file, root).replace(os.sep, "/")
            if is_public_path(path) and os.path.isfile(file) and _is_inside(file, real):
                yield path, file


def find_siblings(file: str, modified: float) -> dict[str, str]:
    """Return the compressed forms that lie beside a file, by content coding.

    One older than the file is left out, and so is a symlink to another folder than the file's: it may lead out of what
    visitors may have.

    Args:
        file: the file.
        modified: its time in seconds since 1970.
    """
    found = {}
    for coding, ending in CODINGS.items():
        try:
            status = os.stat(file + ending)
        except OSError:
            continue
        # Whole seconds: archives and some file systems keep no fractions.
        is_current = stat.S_ISREG(status.st_mode) and int(status.st_mtime) >= int(modified)
        if is_current and _folder_of(file + ending) == _folder_of(file):
            found[coding] = file + ending
    return found


def _folder_of(file: str) -> str:
    return os.path.dirname(os.path.realpath(file))
