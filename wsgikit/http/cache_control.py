"""Freshness of stored responses (RFC 9111 §4.2) and the directives of ``Cache-Control`` (§5.2)."""

from __future__ import annotations

__all__ = ["count_seconds", "field_names", "freshness_lifetime", "initial_age", "parse_directives"]

import re
from collections.abc import Iterable, Mapping, Sequence

from wsgikit.http.etags import parse_last_modified

# A directive with an optional value. What follows it up to the next comma is not part of it, as in "max-age =5".
_DIRECTIVE = re.compile(
    r"""[\s,]*+(?P<name>[!#$%&'*+\-.^_`|~0-9A-Za-z]++)"""
    r"""(?:=(?:"(?P<quoted>(?:[^"\\]|\\.)*+)"|(?P<value>[^\s,"]*+)))?(?P<rest>[^,]*+)|[^,]++"""
)
# The three formats of RFC 9110 §5.6.7, to the letter: what is near them is invalid, and so stale.
_CLOCK = "[0-2][0-9]:[0-5][0-9]:[0-6][0-9]"
_DATE = re.compile(
    rf"[A-Z][a-z]{{2}}, [0-3][0-9] [A-Z][a-z]{{2}} [0-9]{{4}} {_CLOCK} GMT"
    rf"|[A-Z][a-z]{{5,8}}, [0-3][0-9]-[A-Z][a-z]{{2}}-[0-9]{{2}} {_CLOCK} GMT"
    rf"|[A-Z][a-z]{{2}} [A-Z][a-z]{{2}} [ 0-3][0-9] {_CLOCK} [0-9]{{4}}",
    re.IGNORECASE,
)
_FAR = 2**31  # RFC 9111 §1.2.2: larger numbers count as this one
_DURATIONS = ("max-age", "s-maxage", "stale-while-revalidate", "stale-if-error", "min-fresh")


def parse_directives(values: Iterable[str]) -> dict[str, str | None]:
    """Return the directives of all ``Cache-Control`` lines of a message: names in lower case, values or None.

    Of a duration that is given twice the shorter one counts. A directive that is given with and without a list of
    fields counts without.
    """
    found: dict[str, str | None] = {}
    for match in _DIRECTIVE.finditer(",".join(values)):
        if match["name"] is None:
            continue
        name = match["name"].lower()
        value = match["value"] if match["quoted"] is None else match["quoted"]
        if match["rest"].strip():  # "max-age=5 6", "max-age =5": unreadable
            value = "" if name in _DURATIONS else value
        if name in found:
            value = _merge(name, found[name], value)
        found[name] = value
    return found


def _merge(name: str, first: str | None, second: str | None) -> str | None:
    if name in _DURATIONS:
        return str(min(count_seconds(first) or 0, count_seconds(second) or 0))
    return None if first is None or second is None else f"{first},{second}"


def count_seconds(value: str | None) -> int | None:
    """Return the value of a duration; None if it is missing or no number."""
    if value is None or not value.isascii() or not value.isdigit():
        return None
    return min(int(value[:12]), _FAR)


def field_names(value: str | None) -> set[str]:
    """Return the fields that a directive such as ``no-cache="set-cookie"`` names, in lower case."""
    return {name for part in (value or "").split(",") if (name := part.strip().lower())}


def freshness_lifetime(
    directives: Mapping[str, str | None], expires: Sequence[str], date: str | None, now: float
) -> int | None:
    """Return for how many seconds a response is fresh in a shared cache; None if the response does not say it.

    What can't be read counts as stale (RFC 9111 §4.2.1).

    Args:
        directives: those of the response.
        expires: its ``Expires`` lines.
        date: its ``Date``.
        now: when it was received, in seconds since 1970.
    """
    for name in ("s-maxage", "max-age"):
        if name in directives:
            return count_seconds(directives[name]) or 0
    if not expires:
        return None
    moments = [parse_last_modified(text) if _DATE.fullmatch(text.strip()) else None for text in expires]
    begin = parse_last_modified(date)
    first = min(moment or 0 for moment in moments)
    return max(0, int(first - (now if begin is None else begin)))


def initial_age(ages: Sequence[str], date: str | None, now: float) -> int:
    """Return how old a response is when it is received, in seconds (RFC 9111 §4.2.3).

    Args:
        ages: its ``Age`` lines. Of several values the first counts; one that is no number is ignored (§5.1).
        date: its ``Date``.
        now: in seconds since 1970.
    """
    begin = parse_last_modified(date)
    apparent = 0 if begin is None else max(0, int(now - begin))
    given = count_seconds(ages[0].partition(",")[0].strip()) if ages else None
    return max(apparent, given or 0)
