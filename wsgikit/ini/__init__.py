"""An onion from an ini file, through stock PasteDeploy or our own loader.

The entry points of every layer are attributes of this module (``wsgikit.ini:session``, ``wsgikit.ini:error_pages``),
made from the list of public middleware classes: a new class needs nothing here, only its two lines in pyproject.toml.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgikit.ini.factories import layer_names as layer_names
    from wsgikit.ini.loading import config_files as config_files
    from wsgikit.ini.loading import has_logging as has_logging
    from wsgikit.ini.loading import load_app as load_app
    from wsgikit.ini.loading import load_stack as load_stack
    from wsgikit.ini.loading import setup_logging as setup_logging

__all__ = ["config_files", "has_logging", "layer_names", "load_app", "load_stack", "setup_logging"]

_HOMES = {
    "config_files": "loading",
    "has_logging": "loading",
    "layer_names": "factories",
    "load_app": "loading",
    "load_stack": "loading",
    "setup_logging": "loading",
}


def __getattr__(name: str) -> Any:
    """Return a function of this room, or the factory that PasteDeploy's entry point of that name asks for."""
    home = _HOMES.get(name)
    value = _factory(name) if home is None else getattr(importlib.import_module(f"wsgikit.ini.{home}"), name)
    globals()[name] = value
    return value


def _factory(name: str) -> Any:
    # At the first use of an entry point; `from wsgikit.ini import factories` would ask __getattr__ first.
    factories = importlib.import_module("wsgikit.ini.factories")
    if name in ("production", "delivery"):
        preset = getattr(importlib.import_module("wsgikit.presets"), name)
        return importlib.import_module("wsgikit.ini.presets").PresetFactory(name, preset)
    special = {
        "app": factories.AppFactory,
        "layer": factories.LayerFactory,
        "mount": factories.MountFactory,
        "server": factories.ServerFactory,
    }
    if name in special:
        return special[name](name)
    class_name = factories.layer_names().get(name)
    if class_name is None:
        raise AttributeError(f"module 'wsgikit.ini' has no attribute {name!r}")
    return factories.LayerFactory(name, getattr(importlib.import_module("wsgikit"), class_name))
