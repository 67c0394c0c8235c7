"""A preset as one section of an ini file: its own options as keys, those of its layers as ``layer.option``."""

from __future__ import annotations

__all__ = ["PresetFactory"]

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.ini.factories import IniFactory, Section
from wsgikit.ini.scopes import Limit, take_scope
from wsgikit.onion.order import ini_name
from wsgikit.onion.stack import Layer
from wsgikit.options import describe_options
from wsgikit.options.parsing import IGNORED_PREFIX
from wsgikit.options.words import BOOLEANS
from wsgikit.presets import is_layer, layer_class
from wsgikit.wsgi import WSGIApplication

_OFF = {"none", *(word for word, value in BOOLEANS.items() if not value)}
_ON = {word for word, value in BOOLEANS.items() if value}


class PresetFactory(IniFactory):
    """Makes the layers of a preset, for ``paste.filter_factory`` and ``paste.filter_app_factory`` alike.

    A key is an option of the preset (``hosts``), an option of one of its layers (``csrf.field``), or the name of a
    layer: ``csrf = off`` leaves it out, ``compression = on`` adds one.
    """

    def __init__(self, name: str, preset: Callable[..., list[Layer]]) -> None:
        super().__init__(name)
        self._preset = preset
        self._own = {option.name for option in describe_options(preset)} - {"overrides"}

    def make(self, given: tuple[Any, ...], section: Section) -> Any:
        """Make the layers around the application, or a function that will."""
        limit = take_scope(section.texts, section.where)
        limits: dict[str, Limit] = {}
        overrides: dict[str, dict[str, Any] | None] = {}
        layer_of = dict(self._keys_of_layers(section))
        for name in dict.fromkeys(layer_of.values()):
            part = section.part(f"{name}.")
            scope = take_scope(part.texts, part.where)
            if scope is not None:
                limits[name] = scope
            is_off = name not in self._own and name in section.texts and not _is_on(section, name)
            overrides[name] = None if is_off else _options_of(name, part)
        options = section.without(layer_of).options_of(self._preset)
        try:
            layers = self._preset(**options, overrides=overrides)
        except ConfigurationError as error:
            raise section.blame(str(error)) from error

        def wrap(app: WSGIApplication) -> WSGIApplication:
            wrapped = app
            for layer in reversed(layers):
                wrapped = _wrap(layer, wrapped, section, limits)
            return wrapped if limit is None else limit(wrapped, app)

        return wrap(*given) if given else wrap

    def _keys_of_layers(self, section: Section) -> Iterator[tuple[str, str]]:
        """Go through the keys of a section that change, add or remove a layer, each with the name of the layer."""
        for key in section.texts:
            name, dot, _ = key.partition(".")
            if key.startswith(IGNORED_PREFIX):
                continue
            if key == "overrides":
                remedy = "Write the options as keys of the section: csrf.field = token, csrf = off"
                raise ConfigurationError(f"{section.where(key)}: overrides: expected no such key, got one. {remedy}.")
            if dot:
                layer_class(name, section.where(key), key)
                yield key, name
            elif is_layer(name) and name not in self._own:
                yield key, name


def _options_of(name: str, part: Section) -> dict[str, Any]:
    """Return the options of one layer that the section names; the preset may have the required ones."""
    factory = layer_class(name)
    required = {option.name: None for option in describe_options(factory) if option.is_required}
    return part.options_of(partial(factory, **required))


def _is_on(section: Section, name: str) -> bool:
    word = section.texts[name].strip().lower()
    if word not in _OFF | _ON:
        remedy = f"Options of the layer are written {name}.option = …"
        raise ConfigurationError(complaint(section.where(name), name, "on or off", section.texts[name], remedy))
    return word in _ON


def _wrap(layer: Layer, app: WSGIApplication, section: Section, limits: dict[str, Limit]) -> WSGIApplication:
    """Build one layer of a preset, with the place of what is wrong in the error."""
    kind = layer.factory.__name__
    name = ini_name(kind)
    part = section.part(f"{name}.")
    try:
        made = layer.build(app, kind)
    except ConfigurationError as error:
        blamed = part if any(key in str(error) for key in part.texts) else section
        raise blamed.blame(str(error)) from error
    return limits[name](made, app) if name in limits else made
