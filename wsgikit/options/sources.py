"""Values that don't stand in the file: ``env:NAME`` and ``file:PATH``."""

from __future__ import annotations

__all__ = ["empty_sources", "resolve_source"]

import os
import re
from pathlib import Path

from wsgikit.exceptions import ConfigurationError, did_you_mean
from wsgikit.options.masking import is_secret

# A variable of another program is seldom meant: only a slip of the finger is guessed.
_LIKENESS = 0.85
_ENV = re.compile(r"env:\s*(\w+)\Z", re.ASCII)


def resolve_source(text: str, name: str, where: str, here: str, is_item: bool = False) -> str | None:
    """Return the value that ``env:NAME`` or ``file:PATH`` stands for, or None if the text is neither.

    The value is taken as it is: no ``%`` in it is looked at, and it is not resolved again. Of a file the last line
    break is left out, which editors and ``echo`` add. A text that begins with ``file://`` is a URL.

    Raises:
        ConfigurationError: the variable isn't set, or the file can't be read.
    """
    text = text.strip()
    if text.startswith("env:"):
        return _of_environment(text, name, where)
    if text.startswith("file:") and not text.startswith("file://") and (is_item or "\n" not in text):
        return _of_file(text.removeprefix("file:").strip(), name, where, here)
    return None


def empty_sources(text: str, here: str) -> list[str]:
    """Return the ``env:`` and ``file:`` among the lines of a value that are there and hold nothing."""
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if resolve_source(line, "", "", here, is_item=True) == ""]


def _of_environment(text: str, name: str, where: str) -> str | None:
    match = _ENV.match(text)
    if match is None:
        if "\n" in text:  # a list with one source on each line
            return None
        raise ConfigurationError(
            f"{where}: {name}: expected env: and the name of one environment variable, got {text!r}. "
            f"Write several on a line each."
        )
    value = os.environ.get(match[1])
    if value is None:
        suggestion = did_you_mean(match[1], os.environ, likeness=_LIKENESS)
        remedy = "Set it before the server starts."
        if is_secret(name) and "secret" in name:  # a password is somebody else's to make; no full stop after a command
            remedy = f"Make one before the server starts: export {match[1]}=$(wsgikit secret)"
        text = f"{where}: {name}: expected the environment variable {match[1]} to be set, got nothing."
        raise ConfigurationError(" ".join(filter(None, (text, suggestion, remedy))))
    return value


def _of_file(path: str, name: str, where: str, here: str) -> str:
    file = Path(here, path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # a path may hold what none can; UnicodeDecodeError is a ValueError
        is_text = not isinstance(error, UnicodeDecodeError)
        reason = getattr(error, "strerror", None) or (str(error) if is_text else "it is not UTF-8 text")
        raise ConfigurationError(
            f"{where}: {name}: expected a file that can be read, got {str(file)!r}: {reason}. "
            "A relative path starts from the folder of the ini file."
        ) from error
    return text[:-1].removesuffix("\r") if text.endswith("\n") else text
