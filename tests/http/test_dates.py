"""Dates of HTTP."""

from __future__ import annotations

import datetime as dt

import pytest
import werkzeug.http
from hypothesis import given
from hypothesis import strategies as st

from wsgikit.http.dates import format_date, parse_date

MOMENT = dt.datetime(1994, 11, 6, 8, 49, 37, tzinfo=dt.UTC)  # the example of RFC 9110 §5.6.7


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (784111777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (784111777.9, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (MOMENT, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (MOMENT.replace(tzinfo=None), "Sun, 06 Nov 1994 08:49:37 GMT"),
        (MOMENT.astimezone(dt.timezone(dt.timedelta(hours=-5))), "Sun, 06 Nov 1994 08:49:37 GMT"),
        (MOMENT.replace(microsecond=999999), "Sun, 06 Nov 1994 08:49:37 GMT"),
        (MOMENT.date(), "Sun, 06 Nov 1994 00:00:00 GMT"),
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
    ],
    ids=str,
)
def test_a_moment_is_written_as_imf_fixdate(moment, text):
    assert format_date(moment) == text


@given(st.integers(0, 4_000_000_000))
def test_what_is_written_is_read_again_and_is_werkzeugs(seconds):
    text = format_date(seconds)
    assert text == werkzeug.http.http_date(seconds)
    assert parse_date(text) == dt.datetime.fromtimestamp(seconds, dt.UTC)


@pytest.mark.parametrize(
    "text", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
)
def test_the_three_formats_are_read(text):
    assert parse_date(text) == MOMENT


@pytest.mark.parametrize(
    "text",
    [None, "", "x", "0", "-1", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 99999 08:49:37 GMT", "\0", "1994-11-06"]
    + ["Fri, 31 Dec 9999 23:59:59 -0100"],
)
def test_an_invalid_date_is_ignored(text):
    assert parse_date(text) is None


@given(st.text())
def test_no_text_makes_reading_a_date_fail(text):
    parse_date(text)
