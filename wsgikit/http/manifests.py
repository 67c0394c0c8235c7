"""Fingerprinted names of files: from the manifest that a build tool wrote, or from the content."""

from __future__ import annotations

__all__ = ["YEAR_SECONDS", "fingerprint", "is_fingerprinted", "load_manifest", "versioned"]

import hashlib
import json
import os
import re
from functools import lru_cache
from typing import Any

from wsgikit.http.folders import find_file

YEAR_SECONDS = 31_536_000
"""For how long a file is kept that never changes under its name."""

_HASH = re.compile(
    r"(?:^|[.\-_~])"
    r"(?!(?:19|20)[0-9]+(?:[.\-_~]|$))(?!1[0-9]{9}(?:[0-9]{3})?(?:[.\-_~]|$))"  # 20240131, and seconds since 1970
    r"[0-9a-f]{8,}(?=[.\-_~]|$)"
)


def is_fingerprinted(path: str) -> bool:
    """Return whether the name of a file has a hash of its content in it: at least 8 hexadecimal digits.

    Digits that look like a date or a time are none.
    """
    return _HASH.search(path.rpartition("/")[2]) is not None


_NAMES = (os.path.join(".vite", "manifest.json"), "manifest.json", "staticfiles.json")
"""Where Vite, webpack and Django's ManifestStaticFilesStorage write theirs."""


def load_manifest(root: str) -> dict[str, str]:
    """Return the fingerprinted path of each file that a manifest in a folder names; empty if there is none.

    Formats: that of Vite (``{"src/main.ts": {"file": "assets/main.4f3c.js"}}``), of Django (``{"paths": {…}}``) and
    of webpack (``{"main.js": "main.4f3c.js"}``). A web app manifest, which may have the same name, is none.
    """
    for name in _NAMES:
        path = os.path.join(root, name)
        try:
            modified = os.stat(path).st_mtime_ns
        except OSError:
            continue
        found = _load(root, path, modified)
        if found:
            return found
    return {}


@lru_cache(maxsize=32)
def _load(root: str, path: str, modified: int) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError):
        return {}
    if isinstance(content, dict) and isinstance(content.get("paths"), dict):
        content = content["paths"]
    return _entries(root, content) if isinstance(content, dict) else {}


def _entries(root: str, content: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, entry in content.items():
        if isinstance(entry, dict):
            for file in [entry.get("file"), *_texts(entry.get("css")), *_texts(entry.get("assets"))]:
                if isinstance(file, str):
                    found.setdefault(name if file == entry.get("file") else file, file)
        elif isinstance(entry, str) and os.path.isfile(os.path.join(root, entry.lstrip("/"))):
            found[name] = entry.lstrip("/")
    return found


def _texts(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def fingerprint(file: str) -> str | None:
    """Return ten hexadecimal digits that depend on the content of a file; None if it can't be read."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return _fingerprint(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4096)
def _fingerprint(file: str, modified: int, size: int) -> str | None:
    try:
        with open(file, "rb") as opened:
            return hashlib.file_digest(opened, "blake2b").hexdigest()[:10]
    except OSError:
        return None


def versioned(root: str, path: str) -> tuple[str, str | None] | None:
    """Return the path and the value of ``v=`` that change with the content of a file.

    Args:
        root: the folder.
        path: of the file in it, or its name in the folder's manifest.

    Returns:
        The fingerprinted path and None if a manifest names it; else the path and a hash. None if there is no file.
    """
    hashed = load_manifest(root).get(path)
    if hashed is not None:
        return hashed, None
    file = find_file(root, path)
    return None if file is None else (path, fingerprint(file))
