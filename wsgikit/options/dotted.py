"""An object by its dotted name, and an error that says which part of the name is wrong."""

from __future__ import annotations

__all__ = ["failure", "is_dotted_name", "load_dotted", "reason_of"]

import importlib
import os
import re
from types import ModuleType

from wsgikit.exceptions import ConfigurationError, did_you_mean
from wsgikit.options.masking import hide_credentials
from wsgikit.options.words import comment_hint

_OURS = os.path.dirname(os.path.dirname(__file__)) + os.sep
_WORD = r"[^\W\d]\w*"
_DOTTED = re.compile(rf"{_WORD}(?:\.{_WORD})*(?P<attribute>:{_WORD}(?:\.{_WORD})*)?\Z")


def is_dotted_name(text: str, *, with_colon: bool = False) -> bool:
    """Return whether a text is ``module:attribute`` or, unless `with_colon`, ``module.attribute``."""
    match = _DOTTED.match(text)
    return match is not None and (match["attribute"] is not None or (not with_colon and "." in text))


def load_dotted(name: str, where: str, what: str) -> object:
    """Import what a dotted name stands for.

    Args:
        name: ``module:attribute``, ``module:class.method``, ``module.attribute``, or a module alone.
        where: begins the error's text: a file with line and section, or a target.
        what: the option's name, as the user wrote it.

    Raises:
        ConfigurationError: no such module, one that fails while it is imported, or no such attribute in it.
    """
    if _DOTTED.match(name) is None:
        raise ConfigurationError(
            f"{where}: {what}: expected a dotted name (package.module:attribute), got {name!r}."
            + (f" {hint}" if (hint := comment_hint(name)) else "")
        )
    module_name, colon, path = name.partition(":")
    if colon:
        return _follow(_import(module_name, name, where, what), path, name, where, what)
    # Without a colon the module is the longest beginning that can be imported.
    words = name.split(".")
    for count in range(len(words), 0, -1):
        module = _import_or_none(".".join(words[:count]), name, where, what)
        if module is not None:
            return _follow(module, ".".join(words[count:]), name, where, what)
    raise _no_module(name, words[0], where, what)


def _import(module_name: str, name: str, where: str, what: str) -> ModuleType:
    module = _import_or_none(module_name, name, where, what)
    if module is None:
        words = module_name.split(".")
        missing = next(
            beginning
            for count in range(1, len(words) + 1)
            if _import_or_none(beginning := ".".join(words[:count]), name, where, what) is None
        )
        raise _no_module(name, missing, where, what)
    return module


def _import_or_none(module_name: str, name: str, where: str, what: str) -> ModuleType | None:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            return None
        raise _failed(name, error, where, what) from error
    except Exception as error:  # a module may raise anything while it is imported, and each needs its place
        raise _failed(name, error, where, what) from error


def _follow(module: ModuleType, path: str, name: str, where: str, what: str) -> object:
    found: object = module
    seen = module.__name__
    for word in path.split(".") if path else ():
        try:
            found = getattr(found, word)
        except AttributeError:
            suggestion = did_you_mean(word, [known for known in dir(found) if not known.startswith("_")])
            raise ConfigurationError(
                f"{where}: {what}: expected an attribute of {seen}, got {name!r}: it has no {word!r}."
                + (f" {suggestion}" if suggestion else "")
            ) from None
        seen += f".{word}"
    return found


def _no_module(name: str, missing: str, where: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"{where}: {what}: expected a module that can be imported, got {name!r}: there is no module {missing!r}. "
        "Install it, or put its folder on PYTHONPATH."
    )


def _failed(name: str, error: Exception, where: str, what: str) -> ConfigurationError:
    return failure(f"{where}: {what}: expected a module that can be imported, got", name, error)


def failure(text: str, name: str, error: BaseException) -> ConfigurationError:
    """Return the error for code of the user's that failed: the class, the text and the line of its exception.

    Args:
        text: what was expected, up to "got".
        name: the dotted name that the code has.
        error: what it raised.
    """
    return ConfigurationError(f"{text} {name!r}: {reason_of(error)}.")


def reason_of(error: BaseException) -> str:
    """Return the class and text of an exception, and the line of the user's code that it came out of."""
    place = _place_of(error)
    text = hide_credentials(" ".join(str(error).split()).rstrip("."))
    return type(error).__name__ + (f": {text}" if text else "") + (f" (at {place})" if place else "")


def _place_of(error: BaseException) -> str:
    """Return the file and line of the user's code that an error came out of; a `SyntaxError` names its own."""
    if isinstance(error, SyntaxError):
        return ""
    import sysconfig  # only for errors
    import traceback

    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    frames = [(file, line) for file, line in frames if not file.startswith((_OURS, "<frozen "))]
    installed = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "purelib", "platlib"))
    own = [place for place in frames if not place[0].startswith(installed)]
    if not frames:
        return ""
    file, line = (own or frames)[-1]
    relative = os.path.relpath(file)
    return f"{file if relative.startswith(os.pardir) else relative}:{line}"
