"""A target of the command line (an ini file, or ``module:app``) becomes a `Stack`."""

from __future__ import annotations

__all__ = ["is_ini", "load_target", "target_files", "with_settings"]

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from wsgikit.exceptions import ConfigurationError
from wsgikit.ini.applications import load_application
from wsgikit.ini.loading import config_files, load_stack
from wsgikit.onion.stack import Stack

F = TypeVar("F", bound=Callable[..., Any])


def load_target(target: str, settings: Mapping[str, str] | None = None) -> Stack:
    """Load the application that a command was given, as a `Stack`.

    Args:
        target: ``app.ini`` or ``app.ini#name``; ``module:app``, ``module:make_app()``, or ``module`` alone, in which
            ``stack``, ``application`` and ``app`` are looked for, in this order.
        settings: values for ``%(name)s`` in the ini file; they win over its ``[DEFAULT]``.

    Raises:
        ConfigurationError: the target can't be found, or what is there can't work.
    """
    if is_ini(target):
        path, name = split_ini(target)
        return load_stack(path, name, settings)
    file, _, rest = target.partition(":")
    if file.endswith(".py") and os.path.isfile(file):
        module = os.path.normpath(file)[:-3].replace(os.sep, ".")
        raise ConfigurationError(
            f"{target}: expected an ini file or module:app, got the path of a Python file. "
            f"Write {module}:{rest or 'app'}."
        )
    if settings:
        raise ConfigurationError(f"{target}: --set: expected an ini file, got a module. Leave --set out.")
    return Stack.around(load_application(target, target, "target"))


def is_ini(target: str) -> bool:
    """Return whether a target is an ini file rather than a module."""
    path, _ = split_ini(target)
    if path.partition(":")[0].endswith(".py"):
        return False
    return path.endswith((".ini", ".cfg", ".conf")) or os.path.isfile(path) or os.sep in path


def split_ini(target: str) -> tuple[str, str]:
    """Take ``app.ini#name`` apart. The name is ``main`` if there is none."""
    path, _, name = target.partition("#")
    return path, name or "main"


def target_files(target: str) -> list[str]:
    """Return the files besides Python modules whose change means that the target has to be loaded again."""
    return config_files(split_ini(target)[0]) if is_ini(target) else []


def with_settings(command: F) -> F:
    """Give a command ``--set NAME=VALUE``, as often as one likes; it gets them as ``settings``, a dictionary."""
    return click.option(
        "--set",
        "settings",
        metavar="NAME=VALUE",
        multiple=True,
        callback=_as_settings,
        help="A value for %(NAME)s in the ini file; it wins over [DEFAULT]. May be repeated.",
    )(command)


def _as_settings(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for assignment in given:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"expected NAME=VALUE, got {assignment!r}.", context, parameter)
        settings[name] = value
    return settings
