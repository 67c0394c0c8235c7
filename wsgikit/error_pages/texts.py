"""The words of the visitor's page, in the languages that come with wsgikit, and in those that a user adds."""

from __future__ import annotations

__all__ = ["DEFAULT_LANGUAGE", "Texts", "load_texts", "texts_for"]

import configparser
import os
import re
from collections.abc import Mapping
from functools import cache
from typing import TypeAlias

from wsgikit.exceptions import ConfigurationError, complaint

Texts: TypeAlias = Mapping[str, Mapping[str, str]]
"""language → {``"404"`` or ``"5xx"``: ``"Title|Sentence."``, or a label: its words}."""

DEFAULT_LANGUAGE = "en"
_LABELS = ("error_id", "request_id", "home")
_STATUS = re.compile(r"[45](?:\d\d|xx)")
_OURS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "texts.ini")


def load_texts(given: Texts | str | os.PathLike[str] | None) -> Texts:
    """Return our languages with the ones of the user laid over them.

    Args:
        given: a mapping, or the path of an ini file of the form of ours: a section for each language.

    Raises:
        ConfigurationError: the file can't be read, or a key or value is of another form.
    """
    ours = _our_texts()
    if given is None:
        return ours
    merged = {language: dict(words) for language, words in ours.items()}
    for language, words in (given if isinstance(given, Mapping) else _read(os.fspath(given))).items():
        if not isinstance(words, Mapping):
            raise _wrong(f"texts[{language!r}]", "a mapping such as {'404': 'Title|Sentence.'}", words)
        checked = {str(key): _checked(language, str(key), value) for key, value in words.items()}
        merged.setdefault(language, {}).update(checked)
    return merged


def texts_for(texts: Texts, language: str, status_code: int) -> tuple[str, str, dict[str, str]]:
    """Return the title, the sentence and the labels for a status; English where a language lacks one."""
    english, own = texts[DEFAULT_LANGUAGE], texts.get(language, {})
    status, family = str(status_code), f"{status_code // 100}xx"
    chosen = own.get(status) or own.get(family) or english.get(status) or english.get(family) or english["5xx"]
    title, _, sentence = chosen.partition("|")
    return title, sentence, {label: own.get(label, english[label]) for label in _LABELS}


@cache
def _our_texts() -> dict[str, dict[str, str]]:
    return _read(_OURS)


def _read(path: str) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=(";", "#"))
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
    except (OSError, ValueError, configparser.Error) as error:
        raise _wrong("texts", f"an ini file with a section for each language ({error})", path) from error
    return {language: dict(parser[language]) for language in parser.sections()}


def _checked(language: str, key: str, value: object) -> str:
    where = f"texts[{language!r}]"
    is_status = _STATUS.fullmatch(key) is not None
    if not is_status and key not in _LABELS:
        raise _wrong(where, f"a status, '4xx', '5xx' or one of {', '.join(_LABELS)}", key)
    if not isinstance(value, str) or (is_status and "|" not in value):
        raise _wrong(f"{where}[{key!r}]", "'Title|Sentence.'" if is_status else "a text", value)
    return value


def _wrong(what: str, expected: str, got: object) -> ConfigurationError:
    return ConfigurationError(complaint("ErrorPagesMiddleware", what, expected, got))
