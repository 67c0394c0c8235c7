"""The factories that PasteDeploy calls: one for each layer, one for applications, one that mounts several."""

from __future__ import annotations

__all__ = [
    "AppFactory",
    "IniFactory",
    "LayerFactory",
    "MountFactory",
    "Section",
    "ServerFactory",
    "app_section",
    "layer_names",
    "layer_section",
    "mount_section",
]

import os
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, cast

import wsgikit
from wsgikit.exceptions import ConfigurationError
from wsgikit.ini.applications import PrefixMounts, load_application
from wsgikit.ini.locate import locate
from wsgikit.ini.scopes import take_scope
from wsgikit.ini.source import Place, find_modules_in
from wsgikit.onion.order import ini_name
from wsgikit.options import load_dotted, parse_options
from wsgikit.options.dotted import reason_of
from wsgikit.options.masking import HIDDEN, hide_credentials
from wsgikit.options.parsing import IGNORED_PREFIX
from wsgikit.options.sources import empty_sources, resolve_source
from wsgikit.wsgi import WSGIApplication

_SUFFIX = "Middleware"
_SHORTEST_HIDDEN = 4  # characters: shorter values stand in any text by chance


def layer_names() -> dict[str, str]:
    """Return the ini name of every public middleware with its class's: ``{"session": "SessionMiddleware", …}``."""
    classes = [name for name in wsgikit.__all__ if name.endswith(_SUFFIX) and name != _SUFFIX]
    return {ini_name(name): name for name in classes}


class IniFactory:
    """What an entry point gives PasteDeploy. It knows, or finds, where its options were written."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, /, *given: Any, **texts: str) -> Any:
        """Be called by PasteDeploy: ``given`` depends on the entry point's group, ``texts`` are the section's keys."""
        return self.call(given, texts, None)

    def call(self, given: tuple[Any, ...], texts: dict[str, str], place: Place | None) -> Any:
        """Make what this factory makes.

        Args:
            given: the positional arguments; the global configuration is the last of them.
            texts: the section's keys.
            place: where they were written, or None if the caller can't know.
        """
        global_conf = given[-1]
        if global_conf.get("here"):
            find_modules_in(global_conf["here"])
        return self.make(given[:-1], Section(self.name, global_conf, texts, place or self._locate(global_conf, texts)))

    def make(self, given: tuple[Any, ...], section: Section) -> Any:
        """Make it from a section whose place is known as well as it can be."""
        raise NotImplementedError

    def _locate(self, global_conf: Mapping[str, Any], texts: dict[str, str]) -> Place | None:
        return locate(global_conf, self.name, texts)


class Section:
    """The texts that a factory was called with, and the place in the file that they come from.

    Attributes:
        texts: the keys with their texts.
        global_conf: PasteDeploy's global configuration.
    """

    def __init__(
        self, name: str, global_conf: Mapping[str, Any], texts: dict[str, str], place: Place | None, prefix: str = ""
    ) -> None:
        self.global_conf = global_conf
        self.texts = texts
        self._place = place
        self._name = name
        self._prefix = prefix
        if not prefix:
            self._check_nothing_is_lost()

    def part(self, prefix: str) -> Section:
        """Return the keys that begin with a prefix, without it, as a section."""
        texts = {key.removeprefix(prefix): text for key, text in self.texts.items() if key.startswith(prefix)}
        return Section(self._name, self.global_conf, texts, self._place, prefix)

    def without(self, keys: Collection[str]) -> Section:
        """Return the section without these keys."""
        texts = {key: text for key, text in self.texts.items() if key not in keys}
        return Section(self._name, self.global_conf, texts, self._place)

    def where(self, key: str = "") -> str:
        """Name the file, line and section of a key."""
        if self._place is None:
            return f"egg:wsgikit#{self._name}"
        return self._place.where(self._prefix + key if key else "")

    def here(self, key: str) -> str:
        """Return the folder that a relative path in this key's value starts from."""
        if self._place is not None:
            for file, section in self._place.parts:
                if self._prefix + key in file.sections.get(section, {}):
                    return file.folder
        return str(self.global_conf.get("here") or os.getcwd())

    def options_of(self, factory: Callable[..., object]) -> dict[str, Any]:
        """Make typed options of the texts."""
        return parse_options(factory, self.texts, self.where, here=self.here, hint=self._elsewhere)

    def blame(self, text: str) -> ConfigurationError:
        """Return the error of a constructor with the place of the option it names in front."""
        named = next((key for key in self.texts if re.search(rf"(?<![\w-]){re.escape(key)}(?![\w-])", text)), "")
        text = hide_credentials(self._without_sources(text))
        for source in empty_sources(self.texts.get(named, ""), self.here(named)):
            text += f" {source} is empty."
        return ConfigurationError(f"{self.where(named or 'factory')}: {text}")

    def _without_sources(self, text: str) -> str:
        """Hide the values of ``env:`` and ``file:``, which stand outside of the ini file because they are secret."""
        for key, value in self.texts.items():
            for line in value.splitlines():
                found = resolve_source(line, key, self.where(key), self.here(key), is_item=True)
                if found and len(found) >= _SHORTEST_HIDDEN:
                    text = text.replace(repr(found), HIDDEN).replace(found, HIDDEN)
        return text

    def _elsewhere(self, key: str) -> str:
        return self._place.elsewhere(self._prefix + key) if self._place is not None else ""

    def _check_nothing_is_lost(self) -> None:
        """Report a key that PasteDeploy dropped because ``[DEFAULT]`` has one of the same name."""
        for file, section in self._place.parts if self._place is not None else ():
            for key in file.options_of(section):
                is_lost = key not in self.texts and key in self.global_conf
                if is_lost and not key.startswith(IGNORED_PREFIX):
                    raise ConfigurationError(
                        f"{file.where(section, key)}: {key}: expected a key that neither [DEFAULT] nor a setting "
                        f"from outside has, got one that they have: PasteDeploy then leaves it out of the section. "
                        f"Rename the other one, and fetch it by 'get {key} = <its new name>'."
                    )


class LayerFactory(IniFactory):
    """Makes a layer, for ``paste.filter_factory`` and ``paste.filter_app_factory`` alike.

    PasteDeploy calls the first with the global configuration and the second with an application before it.
    """

    def __init__(self, name: str, factory: Callable[..., WSGIApplication] | None = None) -> None:
        super().__init__(name)
        self._factory = factory

    def make(self, given: tuple[Any, ...], section: Section) -> Any:
        """Make the layer around the application, or a function that will."""
        factory = self._factory or self._named(section)
        limit = take_scope(section.texts, section.where)
        options = section.options_of(factory)

        def wrap(app: WSGIApplication) -> WSGIApplication:
            try:
                layer = factory(app, **options)
            except ConfigurationError as error:
                raise section.blame(str(error)) from error
            except Exception as error:  # a layer of somebody else's may raise anything; what it lacks is the place
                raise section.blame(f"{_name_of(factory)}: {reason_of(error)}.") from error
            return layer if limit is None else limit(layer, app)

        return wrap(*given) if given else wrap

    def _named(self, section: Section) -> Callable[..., WSGIApplication]:
        """Return the class or function that the section names: a layer of the user's own."""
        name = section.texts.pop("factory", None)
        if name is None:
            raise ConfigurationError(
                f"{section.where()}: factory: expected a dotted name (package.module:attribute), got nothing. "
                "Add factory = … to the section."
            )
        where = section.where("factory")
        factory = load_dotted(name.strip(), where, "factory")
        if not callable(factory):
            raise ConfigurationError(f"{where}: factory: expected a class or function that takes an app, got {name!r}.")
        return cast("Callable[..., WSGIApplication]", factory)


class AppFactory(IniFactory):
    """Names the application in the middle, for ``paste.app_factory``: a `Router`, or any WSGI application."""

    def make(self, given: tuple[Any, ...], section: Section) -> WSGIApplication:
        """Import the application."""
        options = section.options_of(app_section)
        return load_application(options["app"], section.where("app"), "app")


class MountFactory(IniFactory):
    """Puts several applications side by side, for ``paste.composite_factory``: each key is a prefix."""

    def make(self, given: tuple[Any, ...], section: Section) -> WSGIApplication:
        """Load each application of the section, and put it at its prefix."""
        (loader,) = given
        apps: dict[str, WSGIApplication] = {}
        for prefix, name in section.texts.items():
            if prefix.startswith(IGNORED_PREFIX):
                continue
            if not prefix.startswith("/"):
                raise ConfigurationError(
                    f"{section.where(prefix)}: {prefix}: expected a prefix that begins with '/', got {prefix!r}. "
                    "Write / = name of an app, /admin = name of another."
                )
            try:
                apps[prefix] = loader.get_app(name.strip(), global_conf=section.global_conf)
            except LookupError as error:
                raise ConfigurationError(f"{section.where(prefix)}: {prefix}: {error.args[0]}") from error
        if not apps:
            raise ConfigurationError(
                f"{section.where()}: expected at least one prefix, got none. Add / = name of an app."
            )
        return PrefixMounts(apps)


class ServerFactory(IniFactory):
    """Runs a server, for ``paste.server_runner``."""

    def make(self, given: tuple[Any, ...], section: Section) -> None:
        """Serve until the process ends."""
        from wsgikit.ini.servers import run_server  # brings a server, which loading an application doesn't need

        (app,) = given
        run_server(app, **section.options_of(run_server))


def _name_of(factory: Any) -> str:
    return str(getattr(factory, "__qualname__", type(factory).__qualname__))


# ---------------------------------------------------------------------- what may be written if no layer says it


def app_section(_: object, *, app: str) -> None:
    """Names the application in the middle: a `Router`, or any WSGI application.

    Args:
        app: ``module:app``, ``module:make_app()``, or ``module`` alone, in which ``stack``, ``application`` and
            ``app`` are looked for, in this order.
    """


def layer_section(_: object, *, factory: str, **options: Any) -> None:
    """Names a layer that isn't part of wsgikit: anything that takes an application and returns one.

    Args:
        factory: the dotted name of the class or function.
        options: the other keys are its keywords. Their types are those of its annotations.
    """


def mount_section(_: object, **prefixes: str) -> None:
    """Puts several applications side by side.

    Args:
        prefixes: each key is a prefix that begins with a slash, its value the name of an application's section:
            ``/admin = admin``. ``/`` takes what no other has.
    """
