"""Our own loader in front of PasteDeploy: the same meaning, the places of mistakes, and `%` signs that may stay.

PasteDeploy remains the reference for what a file means. This loader is its own `ConfigLoader` with checks before each
step, so that a mistake is reported in one line, with the file, the line, the section and the key.
"""

from __future__ import annotations

__all__ = ["IniLoader"]

import importlib.metadata
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from paste.deploy.loadwsgi import APP, FILTER, FILTER_APP, SERVER, ConfigLoader, NicerConfigParser, loadcontext

from wsgikit.exceptions import ConfigurationError, did_you_mean, sentence
from wsgikit.ini.factories import IniFactory
from wsgikit.ini.interpolation import Interpolation
from wsgikit.ini.scopes import take_scope
from wsgikit.ini.source import IniFile, Place, find_modules_in, shown_path
from wsgikit.options import describe_options, load_dotted
from wsgikit.options.dotted import reason_of
from wsgikit.options.parsing import unknown_key
from wsgikit.options.signature import takes_any_option
from wsgikit.options.words import comment_hint

if TYPE_CHECKING:
    from wsgikit.wsgi import WSGIApplication

_KIND_WORDS = {APP: "an application", FILTER: "a filter", SERVER: "a server"}


class IniLoader(ConfigLoader):  # type: ignore[misc]  # PasteDeploy has no types
    """Loads what an ini file describes.

    Args:
        path: the ini file.
        settings: values for ``%(name)s`` that win over ``[DEFAULT]``.
        visiting: the sections that lead here, when one file includes another.
    """

    def __init__(
        self, path: str, settings: Mapping[str, str] | None = None, visiting: list[tuple[IniFile, str]] | None = None
    ) -> None:
        self.file = IniFile(path)
        find_modules_in(self.file.folder)
        # As PasteDeploy's own constructor, which would read the file in the encoding of the locale.
        self.filename = path
        defaults = {"here": self.file.folder, "__file__": os.path.abspath(path)}
        self.parser = NicerConfigParser(path, defaults=defaults)
        self.parser.optionxform = str  # pyright: ignore[reportAttributeAccessIssue]  # as PasteDeploy does
        self.parser.read_string(self.file.text, path)
        self._settings = dict(settings or {})
        self._visiting = [] if visiting is None else visiting
        # PasteDeploy would let [DEFAULT] win within %(name)s, and the settings elsewhere.
        parser: Any = self.parser
        parser._defaults.update(self._settings)
        parser._interpolation = Interpolation(self.file, set(self._settings))

    # ------------------------------------------------------------------ what PasteDeploy asks for

    def get_app(self, name: str | None = None, global_conf: Mapping[str, str] | None = None) -> Any:
        """Load an application; a composite asks for its parts here while it is being made."""
        context = self.get_context(APP, name, global_conf)
        self._visiting.append((self.file, self._section_of(APP, name)))
        try:
            return context.create()
        finally:
            self._visiting.pop()

    def get_context(self, object_type: Any, name: str | None = None, global_conf: Any = None) -> Any:
        """Find out what a section or a ``use`` means."""
        if self.absolute_name(name):
            assert name is not None  # for type checkers
            return self._context_of_uri(object_type, name, global_conf)
        section = self.find_config_section(object_type, name)
        self._check_not_circular(section)
        self._visiting.append((self.file, section))
        try:
            self._check_borrowed(section, global_conf)
            if section.startswith("pipeline:"):
                self._check_pipeline(section)
            return super().get_context(object_type, name, global_conf)
        finally:
            self._visiting.pop()

    def find_config_section(self, object_type: Any, name: str | None = None) -> str:
        """Return the name of the section, or say what was probably meant."""
        prefixes = [prefix for alternatives in object_type.config_prefixes for prefix in alternatives]
        found = [s for prefix in prefixes for s in self._find_sections(self.parser.sections(), prefix, name)]
        if len(found) == 1:
            return str(found[0])
        wanted = name or "main"
        if found:
            shown = " and ".join(f"[{section}]" for section in found)
            raise self._error("", f"expected one section of the name {wanted!r}, got {shown}. Rename one of them")
        raise self._error("", self._no_section(object_type, prefixes, wanted), wanted)

    def _context_from_use(
        self, object_type: Any, local_conf: dict[str, str], global_conf: Any, global_additions: Any, section: str
    ) -> Any:
        use = local_conf["use"]
        if section.startswith("filter-app:") and use.startswith("call:"):
            raise self._error(
                "use",
                f"expected egg: or the name of a [filter:…] section, got {use!r}: PasteDeploy can't tell what kind of "
                f"factory it is. Write [filter:x] with use = {use}, and use = x here",
            )
        context = super()._context_from_use(object_type, local_conf, global_conf, global_additions, section)
        return self._placed(context, section)

    def _context_from_explicit(
        self, object_type: Any, local_conf: dict[str, str], global_conf: Any, global_addition: Any, section: str
    ) -> Any:
        keys = [key for key in local_conf if key.startswith("paste.")]
        if not keys:
            known = "use = egg:wsgikit#name, or use = call:module:factory"
            raise self._error("", f"use: expected what the section is made by, got nothing. Add {known}")
        load_dotted(local_conf[keys[0]], self.file.where(section, keys[0]), keys[0])
        context = super()._context_from_explicit(object_type, local_conf, global_conf, global_addition, section)
        return self._placed(context, section)

    # ------------------------------------------------------------------ checks

    def _check_not_circular(self, section: str) -> None:
        here = (os.path.abspath(self.file.path), section)
        way = [(os.path.abspath(file.path), visited) for file, visited in self._visiting]
        if here in way:
            chain = [*way[way.index(here) :], here]
            shown = " → ".join(
                f"[{name}]" if path == here[0] else f"[{name}] of {shown_path(path)}" for path, name in chain
            )
            raise self._error("", f"expected sections that don't lead back to themselves, got {shown}")

    def _check_borrowed(self, section: str, global_conf: Mapping[str, str] | None) -> None:
        """Check that what the section takes from elsewhere is there: ``get x = y``, ``require = distribution``."""
        entries = self.file.sections[section]
        known = {**self.parser.defaults(), **(global_conf or {})}
        own = {key[4:].strip() for key in entries if key.startswith("set ")}
        for key, entry in entries.items():
            if key.startswith("get ") and entry.text not in known and entry.text not in own:
                suggestion = did_you_mean(entry.text, known)
                text = f"{key}: expected a key of [DEFAULT], got {entry.text!r}"
                raise self._error(key, f"{text}. {suggestion}" if suggestion else text)
        for name in entries["require"].text.split() if "require" in entries else ():
            try:
                importlib.metadata.distribution(name)
            except importlib.metadata.PackageNotFoundError:
                text = f"require: expected an installed distribution, got {name!r}"
                raise self._error("require", text) from None

    def _check_pipeline(self, section: str) -> None:
        entries = self.file.sections[section]
        extra = [key for key in self.file.options_of(section) if key not in self.parser.defaults()]
        if extra:
            raise self._error(
                extra[0],
                f"{extra[0]}: expected no key but pipeline in a pipeline, got {extra[0]!r}. "
                "Put it into the section of the filter it belongs to",
            )
        names = entries["pipeline"].text.split() if "pipeline" in entries else []
        if not names:
            raise self._error(
                "pipeline",
                "pipeline: expected the filters' names and at last the application's, got nothing. "
                "Write pipeline = filter1 filter2 app",
            )
        if comment := next((name for name in names if name.startswith((";", "#"))), ""):
            raise self._error("pipeline", f"pipeline: expected the names of sections, got {comment!r}")
        for position, name in enumerate(names):
            if not self.absolute_name(name):
                self._check_kind(name, is_last=position == len(names) - 1)

    def _check_kind(self, name: str, *, is_last: bool) -> None:
        apps = [s for alternatives in APP.config_prefixes for p in alternatives for s in self._sections(p, name)]
        filters = self._sections("filter", name)
        if is_last and filters and not apps:
            raise self._error(
                "pipeline",
                f"pipeline: expected the application at the end, got {name!r}, which is a filter ([{filters[0]}]). "
                "Put the application after it",
            )
        if not is_last and apps and not filters:
            raise self._error(
                "pipeline",
                f"pipeline: expected a filter before the end, got {name!r}, which is an application ([{apps[0]}]). "
                "Put it at the end, after the filters",
            )

    # ------------------------------------------------------------------ what `use` leads to

    def _context_of_uri(self, object_type: Any, uri: str, global_conf: Any) -> Any:
        scheme = uri.partition(":")[0].lower()
        if scheme == "config":
            path = self.file.included_path(uri)
            try:
                loader = IniLoader(path, self._settings, self._visiting)
            except ConfigurationError as error:
                raise ConfigurationError(f"{self._where('use')}: use: {error}") from error
            return loader.get_context(object_type, uri.partition("#")[2].strip() or "main", global_conf)
        if scheme == "call":
            load_dotted(uri.partition(":")[2], self._where("use"), "use")
        elif scheme == "egg":
            self._check_egg(object_type, uri)
        else:
            raise self._error("use", f"use: expected egg:, call:, config: or the name of a section, got {uri!r}")
        return loadcontext(object_type, uri, relative_to=self.file.folder, global_conf=global_conf)

    def _check_egg(self, object_type: Any, uri: str) -> None:
        distribution, _, name = uri.partition(":")[2].partition("#")
        name = name or "main"
        groups = [group for alternatives in object_type.egg_protocols for group in alternatives]
        try:
            entry_points = importlib.metadata.distribution(distribution).entry_points
        except (importlib.metadata.PackageNotFoundError, ValueError):
            known = {d.metadata["Name"] for d in importlib.metadata.distributions() if d.metadata["Name"]}
            suggestion = did_you_mean(distribution, known) or "Install it"
            raise self._error(
                "use",
                f"use: expected an installed distribution, got {uri!r}: there is no {distribution!r}. {suggestion}",
            ) from None
        entry = next((e for e in entry_points if e.group in groups and e.name == name), None)
        if entry is None:
            raise self._error("use", _no_entry_point(uri, name, groups, entry_points, _KIND_WORDS[object_type]))
        load_dotted(entry.value, self._where("use"), f"use: {uri}")

    # ------------------------------------------------------------------ words

    def _placed(self, context: Any, section: str) -> Any:
        made = context.object
        parts = ((self.file, section),)
        if isinstance(made, _Placed):
            context.object = _Placed(made.factory, parts + made.place.parts, made.kind)
        elif made is not None:
            context.object = _Placed(made, parts, context.object_type)
        return context

    def _no_section(self, object_type: Any, prefixes: list[str], name: str) -> str:
        text = f"expected a section [{prefixes[0]}:{name}], got none of that name."
        other = next((s for s in self.parser.sections() if s.partition(":")[2].strip() == name), None)
        if other is not None:
            return f"{text} There is [{other}], but {_KIND_WORDS[object_type]} is wanted here"
        known = [s.partition(":")[2].strip() for s in self.parser.sections() if s.partition(":")[0] in prefixes]
        same = next((k for k in known if k.lower() == name.lower()), None)
        hint = f"Did you mean {same!r}?" if same else did_you_mean(name, known)
        if not hint and not self._visiting:  # the one that the file is asked for
            others = f"Name another: {', '.join(f'{self.file.where()}#{other}' for other in known)}"
            hint = others if known else f"Add it, or [pipeline:{name}]"
        return f"{text} {hint}".strip()

    def _sections(self, prefix: str, name: str) -> list[str]:
        return list(self._find_sections(self.parser.sections(), prefix, name))

    def _section_of(self, object_type: Any, name: str | None) -> str:
        return str(name) if self.absolute_name(name) else self.find_config_section(object_type, name)

    def _where(self, key: str) -> str:
        if not self._visiting:
            return self.file.where()
        file, section = self._visiting[-1]
        return file.where(section, key)

    def _error(self, key: str, text: str, name: str = "") -> ConfigurationError:
        if not key and self._visiting:  # the key that led to where we are: the one that names it
            file, section = self._visiting[-1]
            entries = file.sections.get(section, {})
            naming = [k for k, entry in entries.items() if name in entry.text.split()]
            key = next((k for k in [*naming, "pipeline", "use", "next", "filter-with"] if k in entries), "")
            text = f"{key}: {text}" if key and not text.startswith(f"{key}:") else text
        return ConfigurationError(f"{self._where(key)}: {sentence(text)} {self._comment_hint(key)}".rstrip())

    def _comment_hint(self, key: str) -> str:
        file, section = self._visiting[-1] if self._visiting else (self.file, "")
        entry = file.sections.get(section, {}).get(key)
        return "" if entry is None else comment_hint(entry.text)


class _Placed:
    """A factory, and the section whose options it is to be called with."""

    def __init__(self, factory: Any, place: tuple[tuple[IniFile, str], ...] | Place, kind: object = None) -> None:
        self.factory = factory
        self.kind = kind
        self.place = place if isinstance(place, Place) else Place(place)

    def __call__(self, /, *given: Any, **texts: str) -> Any:
        if isinstance(self.factory, IniFactory):
            return self.factory.call(given, texts, self.place)
        limit = take_scope(texts, self.place.where) if self.is_filter else None
        made: Any = self._make(given, texts)
        if not callable(made) and self.kind is not SERVER:
            raise ConfigurationError(f"{self.place.where('use')}: use: {self._not_callable(made, len(given))}")
        if limit is None:
            return made
        if len(given) > 1:  # a filter_app_factory: the application is the first argument
            return limit(cast("WSGIApplication", made), given[0])
        wrap = cast("Callable[[WSGIApplication], WSGIApplication]", made)
        return lambda app: limit(wrap(app), app)

    @property
    def is_filter(self) -> bool:
        return self.kind in (FILTER, FILTER_APP)

    def _not_callable(self, made: object, given: int) -> str:
        name = f"{getattr(self.factory, '__module__', '')}:{getattr(self.factory, '__qualname__', 'function')}"
        got = f"expected a factory that returns {{}}, got {name}, which returned an object of {type(made).__name__}."
        if self.kind is FILTER:
            remedy = f"A function of the form app -> app: use = egg:wsgikit#layer, and factory = {name}."
            return f"{got.format('a function of the application')} {remedy}"
        return f"{got.format('an application')} It is called with the keys of [DEFAULT] first."

    def _make(self, given: tuple[Any, ...], texts: dict[str, str]) -> Any:
        try:
            return self.factory(*given, **texts)
        except ConfigurationError as error:
            raise ConfigurationError(f"{self.place.where()}: {error}") from error
        except Exception as error:  # somebody's factory may raise anything; what it lacks is the place
            self._check_known(len(given), texts, error)
            key = next((key for key in texts if f"'{key}'" in str(error)), "")
            raise ConfigurationError(
                f"{self.place.where(key or 'use')}: expected a factory that takes what the section has, "
                f"got {reason_of(error)}."
            ) from error

    def _check_known(self, positional: int, texts: dict[str, str], error: Exception) -> None:
        """Describe what is wrong if a factory was called with keys that it doesn't take."""
        if not isinstance(error, TypeError) or takes_any_option(self.factory):
            return
        known = [option.name for option in describe_options(self.factory, positional)]
        for key in texts:
            if key not in known:
                raise ConfigurationError(
                    unknown_key(key, known, texts, self.place.where(key), self.place.elsewhere(key))
                ) from error


def _no_entry_point(uri: str, name: str, groups: list[str], entry_points: Any, kind: str) -> str:
    known = sorted({entry.name for entry in entry_points if entry.group in groups})
    other = next((e for e in entry_points if e.name == name and e.group.startswith("paste.")), None)
    text = f"use: expected {kind} ({' or '.join(groups)}), got {uri!r}"
    if other is not None:
        return f"{text}, which is of the group {other.group}. Use it in a section of that kind"
    listed = f"one of {', '.join(known)}" if known else "none"
    suggestion = did_you_mean(name, known)
    return f"{text}: the distribution has {listed}" + (f". {suggestion}" if suggestion else "")
