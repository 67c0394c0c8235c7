"""A target of the command line (an ini file, or ``module:app``) becomes a `Stack`."""

from __future__ import annotations

__all__ = ["is_ini", "load_target", "target_files"]

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.options import load_dotted

if TYPE_CHECKING:
    from wsgikit.onion.stack import Stack
    from wsgikit.wsgi import WSGIApplication

# What is looked for where a target names a module only.
_USUAL_NAMES = ("stack", "app", "application")
_CALL = re.compile(r"(?P<name>.+)\(\)\Z")


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
        from wsgikit.ini import load_stack  # brings PasteDeploy, which module:app doesn't need

        path, _, name = target.partition("#")
        return load_stack(path, name or "main", settings)
    if settings:
        raise ConfigurationError(f"{target}: --set: expected an ini file, got a module. Leave --set out.")
    return _stack_of(_load_app(target), target)


def is_ini(target: str) -> bool:
    """Tell whether a target is an ini file rather than a module."""
    path = target.partition("#")[0]
    return path.endswith((".ini", ".cfg", ".conf")) or os.path.isfile(path) or os.sep in path


def target_files(target: str) -> list[str]:
    """Return the files besides Python modules whose change means that the target has to be loaded again."""
    if not is_ini(target):
        return []
    from wsgikit.ini import config_files

    return config_files(target.partition("#")[0])


def _load_app(target: str) -> object:
    called = _CALL.match(target)
    name = called["name"] if called else target
    if ":" not in name:
        module = load_dotted(name, where=target, what="target")
        found = next((getattr(module, usual) for usual in _USUAL_NAMES if hasattr(module, usual)), None)
        if found is None:
            raise ConfigurationError(
                f"{target}: expected a module with one of {', '.join(_USUAL_NAMES)}, got one with none of them. "
                f"Write {target}:name."
            )
        return found
    app = load_dotted(name, where=target, what="target")
    return app() if called and callable(app) else app


def _stack_of(app: object, target: str) -> Stack:
    from wsgikit.onion.stack import Stack  # what comes before needs no engine

    if not callable(app):
        raise ConfigurationError(complaint(target, "target", "a WSGI application", app, "Name one that can be called"))
    return Stack.around(cast("WSGIApplication", app))
