"""What other programs ask of an ini file: its application, its onion, its files, its logging."""

from __future__ import annotations

__all__ = ["config_files", "has_logging", "load_app", "load_stack", "setup_logging"]

import logging.config
import os
from collections.abc import Mapping

from wsgikit.exceptions import ConfigurationError
from wsgikit.ini.loader import IniLoader
from wsgikit.ini.locate import read_with_includes
from wsgikit.ini.mounted import check_mounted
from wsgikit.ini.source import IniFile, find_modules_in, shown_path
from wsgikit.onion.stack import Stack
from wsgikit.wsgi import WSGIApplication


def load_app(path: str, name: str = "main", settings: Mapping[str, str] | None = None) -> WSGIApplication:
    """Load the application that an ini file describes, layers and all.

    It means what ``paste.deploy.loadapp("config:…")`` makes of it, with three differences: a mistake is reported in one
    line that names its place, a ``%`` that begins no ``%(name)s`` may stand as it is, and `settings` hold everywhere.

    Args:
        path: the ini file.
        name: the section, without what is before its colon.
        settings: values for ``%(name)s``; they win over ``[DEFAULT]``.

    Raises:
        ConfigurationError: the file can't be read, or what it says can't work.
    """
    app: WSGIApplication = IniLoader(path, settings).get_app(name)
    return app


def load_stack(path: str, name: str = "main", settings: Mapping[str, str] | None = None) -> Stack:
    """Load the onion that an ini file describes: `load_app`, with the order of its layers checked.

    Raises:
        ConfigurationError: as `load_app`; a layer that can't stand where it is.
    """
    app = load_app(path, name, settings)
    try:
        stack = Stack.around(app)
        check_mounted(stack, "stack")
        return stack
    except ConfigurationError as error:
        file = IniFile(path)
        section = next((s for s in (f"pipeline:{name}", f"composite:{name}", f"app:{name}") if s in file.sections), "")
        raise ConfigurationError(f"{file.where(section, 'pipeline')}: {error}") from error


def config_files(path: str) -> list[str]:
    """Return the files that an ini file is made of, for a reloader to watch: itself, and those it includes.

    Included are those named by ``config:`` and, as secrets change too, by ``file:``.
    """
    found: list[str] = []
    for file in read_with_includes(path):
        found.append(os.path.abspath(file.path))
        for entries in file.sections.values():
            for entry in entries.values():
                for line in entry.text.splitlines():
                    if line.startswith("file:") and not line.startswith("file://"):
                        found.append(os.path.abspath(os.path.join(file.folder, line.removeprefix("file:").strip())))
    return found


def has_logging(path: str) -> bool:
    """Return whether an ini file says how to log."""
    return "loggers" in IniFile(path).sections


def setup_logging(path: str) -> None:
    """Set up logging as the file's ``[loggers]``, ``[handlers]`` and ``[formatters]`` say.

    Loggers that exist already stay as they are. Nothing else in wsgikit touches the configuration of logging.

    Raises:
        ConfigurationError: the file has no such sections, or they are wrong.
    """
    file = IniFile(path)
    if "loggers" not in file.sections:
        raise ConfigurationError(
            f"{file.where()}: loggers: expected a section [loggers] to set up logging by, got none."
        )
    find_modules_in(file.folder)  # your own handlers
    defaults = {"here": file.folder, "__file__": os.path.abspath(path)}
    escaped = {name: value.replace("%", "%%") for name, value in defaults.items()}
    try:
        logging.config.fileConfig(path, defaults=escaped, disable_existing_loggers=False, encoding="utf-8")
    except Exception as error:  # fileConfig lets through whatever a handler's class or a missing key raises
        raise ConfigurationError(
            f"{shown_path(path)} [loggers]: expected a working logging setup, got {error!r}."
        ) from error
