"""Dates of HTTP: written as IMF-fixdate, read in the three formats that RFC 9110 §5.6.7 names."""

from __future__ import annotations

__all__ = ["format_date", "parse_date"]

import time
from datetime import UTC, date, datetime

# strftime would write the names in the locale of the process.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def format_date(moment: float | date) -> str:
    """Return a moment as IMF-fixdate: ``Sun, 06 Nov 1994 08:49:37 GMT``. Fractions of a second are cut off.

    Args:
        moment: seconds since 1970; a datetime, in UTC if it has no zone; or a date, which is its first moment in UTC.
    """
    if isinstance(moment, datetime):
        aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        fields = aware.timetuple()
    elif isinstance(moment, date):
        fields = moment.timetuple()
    else:
        fields = time.gmtime(moment)
    year, month, day, hour, minute, second, weekday, *_ = fields
    return f"{_DAYS[weekday]}, {day:02d} {_MONTHS[month - 1]} {year:04d} {hour:02d}:{minute:02d}:{second:02d} GMT"


def parse_date(text: str | None) -> datetime | None:
    """Return the date of a header in UTC; None if it is missing or invalid (RFC 9110 §5.6.7: ignored)."""
    if not text:
        return None
    from email.utils import parsedate_to_datetime  # only requests with a date need it

    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    try:
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError:
        return None
