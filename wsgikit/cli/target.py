"""A target of the command line (an ini file, or ``module:app``) becomes a `Stack`."""

from __future__ import annotations

__all__ = ["is_ini", "load_target", "target_files"]

import os
from collections.abc import Mapping

from wsgikit.exceptions import ConfigurationError
from wsgikit.ini.applications import load_application
from wsgikit.ini.loading import config_files, load_stack
from wsgikit.onion.stack import Stack


def load_target(target: str, settings: Mapping[str, str] | None = None) -> Stack:
    """Load the application that a command was given, as a `Stack`.

    Args:
        target: ``app.ini`` or ``app.ini#name``; ``module:app``, ``module:make_app()``, or ``module`` alone, in which
            ``stack``, ``app`` and ``application`` are looked for.
        settings: values for ``%(name)s`` in the ini file; they win over its ``[DEFAULT]``.

    Raises:
        ConfigurationError: the target can't be found, or what is there can't work.
    """
    if is_ini(target):
        path, _, name = target.partition("#")
        return load_stack(path, name or "main", settings)
    if settings:
        raise ConfigurationError(f"{target}: --set: expected an ini file, got a module. Leave --set out.")
    return Stack.around(load_application(target, target, "target"))


def is_ini(target: str) -> bool:
    """Tell whether a target is an ini file rather than a module."""
    path = target.partition("#")[0]
    return path.endswith((".ini", ".cfg", ".conf")) or os.path.isfile(path) or os.sep in path


def target_files(target: str) -> list[str]:
    """Return the files besides Python modules whose change means that the target has to be loaded again."""
    if not is_ini(target):
        return []
    return config_files(target.partition("#")[0])
