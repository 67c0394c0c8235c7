"""What the layer's options may be, checked while it is built. Those of the engine are checked where it is made."""

from __future__ import annotations

__all__ = ["check_choices", "check_name", "check_numbers", "methods_of", "paths_of"]

import re
from collections.abc import Sequence

from wsgikit.exceptions import ConfigurationError, complaint

_CHOICES = {"kind": ("session", "connection"), "release": ("complete", "response", "close")}
_TAKEN = ("attempt", "attempts", "commit", "primary")  # environ keys of another meaning end so
_METHOD = re.compile(r"[A-Z][A-Z-]*")  # stricter than RFC 9110 §9.1: a list in one text is no method


def check_numbers(where: str, **options: object) -> None:
    """Raise where one of the options is neither None nor a number from 0 on."""
    for name, value in options.items():
        if value is not None and (type(value) not in (int, float) or value < 0):  # type: ignore[operator]  # a number
            raise ConfigurationError(complaint(where, name, "0 or more", value))


def check_choices(where: str, **options: object) -> None:
    """Raise where one of the options is none of the words that it may be."""
    for name, value in options.items():
        if value not in _CHOICES[name]:
            *first, last = map(repr, _CHOICES[name])
            raise ConfigurationError(complaint(where, name, f"{', '.join(first)} or {last}", value))


def check_name(where: str, name: str) -> None:
    """Raise if a database can't have this name."""
    if not name or name in _TAKEN:
        taken = ", ".join(map(repr, _TAKEN))
        raise ConfigurationError(complaint(where, "name", f"a name of the database, other than {taken}", name))


def methods_of(where: str, methods: Sequence[str]) -> frozenset[str]:
    """Return the methods that may be repeated, in capitals; a text is one of them."""
    listed = [methods] if isinstance(methods, str) else list(methods)
    for method in listed:
        if not isinstance(method, str) or not _METHOD.fullmatch(method.upper()):
            raise ConfigurationError(
                complaint(where, "retry_methods", "names of methods", method, "Try ['GET', 'POST']")
            )
    return frozenset(method.upper() for method in listed)


def paths_of(where: str, paths: Sequence[str]) -> tuple[str, ...]:
    """Return beginnings of paths; a text is one of them."""
    listed = (paths,) if isinstance(paths, str) else tuple(paths)
    for path in listed:
        if not isinstance(path, str) or not path.startswith("/"):
            remedy = f"Try '/{path}'" if isinstance(path, str) else ""
            raise ConfigurationError(complaint(where, "exclude_paths", "paths that begin with a slash", path, remedy))
    return listed
