"""All the texts of one section become the options of one factory."""

from __future__ import annotations

__all__ = ["parse_options", "unknown_key"]

from collections.abc import Callable, Mapping
from typing import Any

from wsgikit.exceptions import ConfigurationError, complaint, did_you_mean
from wsgikit.options.masking import HIDDEN, hide_credentials, is_secret
from wsgikit.options.signature import Option, describe_options, listed_options, takes_any_option
from wsgikit.options.text import Unfit, convert
from wsgikit.options.words import comment_hint

IGNORED_PREFIX = "x-"
"""Keys that begin so belong to other tools, and to notes."""

# Keywords that a signature doesn't name have no annotation: they are what they look like.
_GUESSED: Any = Any


def parse_options(
    factory: Callable[..., object],
    texts: Mapping[str, str],
    where: Callable[[str], str] | str,
    *,
    here: Callable[[str], str] | str = ".",
    hint: Callable[[str], str] | None = None,
) -> dict[str, Any]:
    """Make typed options of the texts of a section.

    Args:
        factory: the class or function whose signature declares the options.
        texts: key and text, as they stand in the file.
        where: begins the text of an error; as a function it is given the key, so that it can name the line.
        here: the folder that relative paths start from; as a function it is given the key.
        hint: may say more of an unknown key: in which other section it would be right.

    Raises:
        ConfigurationError: a key that the factory doesn't know, a required one that is missing, or a text that isn't
            what the option wants. It names the key, and what is expected.
    """
    place = where if callable(where) else lambda key: where
    declared = {option.name: option for option in describe_options(factory)}
    takes_any = takes_any_option(factory)
    parsed: dict[str, Any] = {}
    for key, text in texts.items():
        if key.startswith(IGNORED_PREFIX):
            continue
        option = declared.get(key)
        if option is None and not takes_any:
            more = hint(key) if hint is not None else ""
            raise ConfigurationError(unknown_key(key, list(declared), texts, place(key), more))
        annotation = _GUESSED if option is None else option.annotation
        parsed[key] = _parse(key, text, annotation, place(key), here(key) if callable(here) else here)
    missing = [option for option in declared.values() if option.is_required and option.name not in parsed]
    if missing:
        raise ConfigurationError(_missing(missing[0], place("")))
    return parsed


def _parse(key: str, text: str, annotation: Any, where: str, here: str) -> Any:
    try:
        return convert(text, annotation, key, where, here)
    except Unfit as error:
        expected = str(error)
    got = HIDDEN if is_secret(key) else hide_credentials(text.strip())
    raise ConfigurationError(complaint(where, key, expected, got, comment_hint(text))) from None


def unknown_key(key: str, known: list[str], texts: Mapping[str, str], where: str, more: str) -> str:
    """Write the text for a key that a factory doesn't take; `more` may say where it belongs."""
    suggestion = more or did_you_mean(key, [name for name in known if name not in texts] or known)
    expected, listed = listed_options(known, suggestion)
    remedy = more or f"{suggestion} {listed}".strip()
    return complaint(f"{where}: {key}", "unknown option", expected, key, remedy)


def _missing(option: Option, where: str) -> str:
    return f"{where}: {option.name}: expected {option.words}, got nothing. Add {option.name} = … to the section."
