"""Choose the form, the language and the content coding of a response by what the client accepts (RFC 9110 §12.5)."""

from __future__ import annotations

__all__ = ["Form", "choose_encoding", "choose_form", "choose_language", "parse_preferences"]

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Literal, TypeAlias

Form: TypeAlias = Literal["html", "json", "text"]

# The media types that stand for each form, the one we send first. The order of the forms is the one for clients
# that take anything (`*/*`): curl, wget, a monitor. They are read by people in a terminal, so text comes first.
_FORMS: dict[Form, tuple[str, ...]] = {
    "text": ("text/plain",),
    "json": ("application/problem+json", "application/json", "application/ld+json", "application/vnd.api+json"),
    "html": ("text/html", "application/xhtml+xml"),
}
# A client may send anything; more entries than this are noise or an attack.
_LONGEST_LIST = 64
# RFC 9110 §12.4.2, and ".2", which Java's client sends.
_WEIGHT = re.compile(r"0?\.[0-9]+|0\.?|1(?:\.0*)?")


def parse_preferences(header: str) -> list[tuple[str, float]]:
    """Return the entries of an ``Accept``-like header in order, each lower-case with its weight.

    An entry with an invalid weight is left out.
    """
    entries: list[tuple[str, float]] = []
    for part in header.split(",", _LONGEST_LIST)[:_LONGEST_LIST]:
        name, *parameters = part.split(";")
        name = name.strip().lower()
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip().lower() == "q":
                weight = float(value) if _WEIGHT.fullmatch(value := value.strip()) else -1.0
        if name and weight >= 0:
            entries.append((name, weight))
    return entries


def choose_form(accept: str | None) -> Form:
    """Choose the form that an ``Accept`` header prefers; text where it prefers none.

    The highest weight wins. Between equal ones a type that is named wins over ``type/*`` over ``*/*``, then the one
    that the client named first.
    """
    if not accept:
        return "text"
    entries = parse_preferences(accept)
    best: Form = "text"
    best_rank: tuple[float, int, int] = (0.0, 0, 0)
    for form, media_types in _FORMS.items():
        rank = max(_rank(media_type, entries) for media_type in media_types)
        if rank > best_rank:
            best, best_rank = form, rank
    return best


def _rank(media_type: str, entries: list[tuple[str, float]]) -> tuple[float, int, int]:
    # RFC 9110 §12.5.1: the most specific entry decides the weight of a type, wherever it stands.
    family = media_type.partition("/")[0] + "/*"
    for specificity, wanted in ((3, media_type), (2, family), (1, "*/*")):
        for place, (name, weight) in enumerate(entries):
            if name == wanted:
                return (weight, specificity, -place) if weight else (0.0, 0, 0)
    return (0.0, 0, 0)


_LONGEST_LANGUAGE = 100  # characters; RFC 5646 §4.4.1 asks for 35


def choose_language(accept_language: str | None, offered: Collection[str], default: str) -> str:
    """Choose the language of `offered` that an ``Accept-Language`` header prefers (RFC 4647 §3.4, lookup).

    ``de-AT`` is served by ``de`` if there is no ``de-AT``; ``pt`` is not served by ``pt-BR``.
    """
    if not accept_language:
        return default
    known = {language.lower(): language for language in offered}
    entries = parse_preferences(accept_language)
    refused = {name for name, weight in entries if not weight}
    for name, weight in sorted(entries, key=lambda entry: -entry[1]):  # stable: order decides between equals
        if not weight:
            continue
        if name == "*" and default.lower() not in refused:
            return default
        # The lookup takes a part off at a time: a long name would take quadratic time.
        while name and len(name) <= _LONGEST_LANGUAGE:
            if name in known and name not in refused:
                return known[name]
            name = name.rpartition("-")[0]
    return default


def choose_encoding(accept_encoding: str | None, offered: Sequence[str]) -> str | None:
    """Choose the content coding that an ``Accept-Encoding`` header prefers (RFC 9110 §12.5.3).

    Args:
        accept_encoding: the header, if there is one.
        offered: the codings that can be sent besides ``identity``, the best first: it decides between equal weights.

    Returns:
        One of `offered`, or ``"identity"``. None if the client accepts neither: it has refused ``identity`` itself.
        ``*`` stands for the first of `offered` that isn't named.
    """
    return _choose_encoding(accept_encoding, tuple(offered)) if accept_encoding else "identity"


@lru_cache(maxsize=256)  # browsers send few different headers
def _choose_encoding(accept_encoding: str, offered: tuple[str, ...]) -> str | None:
    weights: dict[str, float] = {}
    for name, weight in parse_preferences(accept_encoding):
        weights.setdefault(name.removeprefix("x-"), weight)  # x-gzip is gzip (RFC 9110 §8.4.1.3)
    others = weights.get("*", 0.0)
    best, best_weight = "identity", 0.0
    for coding in offered:
        weight = weights.get(coding, others)
        if weight > best_weight:
            best, best_weight = coding, weight
    # Without its own entry identity is acceptable, and is preferred to nothing else.
    is_refused = weights.get("identity", 1.0 if "*" not in weights else others) == 0
    if best_weight == 0:
        return None if is_refused else "identity"
    return "identity" if weights.get("identity", 0.0) > best_weight else best
