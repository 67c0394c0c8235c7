"""Ranges of bytes."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgikit.http.ranges import (
    MAX_RANGES,
    Span,
    SpanReader,
    frame_spans,
    is_range_current,
    parse_ranges,
    read_spans,
)

IGNORED, UNSATISFIABLE = None, []

# The cases of github.com/jshttp/range-parser, test/range-parser.js, with `combine: true`. Its -2 is None here, its -1
# an empty list; ends are inclusive there and exclusive here.
RANGE_PARSER = {
    "": (200, IGNORED),
    "bytes=100200": (200, IGNORED),
    "bytes=,100200": (200, IGNORED),
    "malformed": (200, IGNORED),
    "bytes=x-100": (200, IGNORED),
    "bytes=100-x": (200, IGNORED),
    "bytes=--100": (200, IGNORED),
    "bytes=100--200": (200, IGNORED),
    "bytes=-": (200, IGNORED),
    "bytes= - ": (200, IGNORED),
    "bytes=": (200, IGNORED),
    "bytes=,": (200, IGNORED),
    "bytes= , , ": (200, IGNORED),
    "bytes=100-200-300": (200, IGNORED),
    "bytes=-100-150": (200, IGNORED),
    "bytes=01a-150": (200, IGNORED),
    "bytes=100-15b0": (200, IGNORED),
    "bytes=y-v,x-": (200, IGNORED),
    "bytes=abc-def,ghi-jkl": (200, IGNORED),
    "bytes=500-600": (200, UNSATISFIABLE),
    "bytes=500-600,601-700": (200, UNSATISFIABLE),
    "bytes=500-20": (200, UNSATISFIABLE),
    "bytes=500-999,1000-1499": (200, UNSATISFIABLE),
    "bytes=abc-def,500-999": (200, UNSATISFIABLE),
    "bytes=500-999,xyz-uvw": (200, UNSATISFIABLE),
    "bytes=0-499": (200, [(0, 200)]),
    "bytes=40-80": (1000, [(40, 81)]),
    "bytes=-400": (1000, [(600, 1000)]),
    "bytes=400-": (1000, [(400, 1000)]),
    "bytes=0-": (1000, [(0, 1000)]),
    "bytes=0-0": (1000, [(0, 1)]),
    "bytes=-1": (1000, [(999, 1000)]),
    "bytes=100-200,x-": (1000, [(100, 201)]),
    "bytes=x-,0-100,y-": (1000, [(0, 101)]),
    "bytes=0-50,abc-def,100-150": (1000, [(0, 51), (100, 151)]),
    "bytes=40-80,81-90,-1": (1000, [(40, 91), (999, 1000)]),
    "bytes=0-499,1000-,500-999": (200, [(0, 200)]),
    "bytes=   40-80 , 81-90 , -1 ": (1000, [(40, 91), (999, 1000)]),
    "items=0-5": (1000, IGNORED),
    "bytes=0-4,90-99,5-75,100-199,101-102": (150, [(0, 76), (90, 150)]),
    "bytes=-1,20-100,0-1,101-120": (150, [(149, 150), (20, 121), (0, 2)]),
}


@pytest.mark.parametrize(("header", "size", "expected"), [(h, *row) for h, row in RANGE_PARSER.items()])
def test_the_cases_of_jshttp_range_parser(header, size, expected):
    assert parse_ranges(header, size) == expected


FURTHER = {
    "a suffix longer than the file": ("bytes=-100", 10, [(0, 10)]),
    "an empty suffix": ("bytes=-0", 10, UNSATISFIABLE),
    "from the end": ("bytes=10-", 10, UNSATISFIABLE),
    "backwards": ("bytes=5-2", 10, IGNORED),
    "unit in capitals": ("BYTES=0-3", 10, [(0, 4)]),
    "a blank before the sign": ("bytes =0-3", 10, IGNORED),
    "a plus": ("bytes=+1-3", 10, IGNORED),
    "digits of another script": ("bytes=１-3", 10, IGNORED),
    "twenty digits": ("bytes=0-99999999999999999999", 10, [(0, 10)]),
    "5,000 digits": (f"bytes=0-{'9' * 5000}", 10, [(0, 10)]),
    "start of 5,000 digits": (f"bytes={'9' * 5000}-", 10, UNSATISFIABLE),
    "of an empty file": ("bytes=0-", 0, UNSATISFIABLE),
    "suffix of an empty file": ("bytes=-5", 0, IGNORED),
    "as many as may be": ("bytes=" + ",".join(f"{2 * n}-{2 * n}" for n in range(100)), 1000, None),
    "one too many": ("bytes=" + ",".join(f"{2 * n}-{2 * n}" for n in range(101)), 1000, IGNORED),
    "100,000 ranges": ("bytes=" + "0-," * 100_000, 1000, IGNORED),
}


@pytest.mark.parametrize(("header", "size", "expected"), FURTHER.values(), ids=FURTHER.keys())
def test_a_range_is_read(header, size, expected):
    found = parse_ranges(header, size)
    if header == FURTHER["as many as may be"][0]:
        assert found is not None
        assert len(found) == MAX_RANGES
    else:
        assert found == expected


@given(
    size=st.integers(0, 60),
    ranges=st.lists(st.tuples(st.none() | st.integers(0, 70), st.none() | st.integers(0, 70)), min_size=1, max_size=8),
)
def test_what_is_asked_for_and_there_is_sent_once(size, ranges):
    header = "bytes=" + ",".join(f"{'' if a is None else a}-{'' if b is None else b}" for a, b in ranges)
    spans = parse_ranges(header, size)
    wanted = set()
    for first, last in ranges:
        if first is None and last is not None:
            wanted |= set(range(max(size - last, 0), size))
        elif first is not None and (last is None or last >= first):
            wanted |= set(range(first, size if last is None else min(last + 1, size)))
    sent = [byte for span in spans or () for byte in range(*span)]
    assert len(sent) == len(set(sent))
    assert set(sent) == wanted


IF_RANGE = {
    "absent": (None, '"a"', True),
    "the tag": ('"a"', '"a"', True),
    "another tag": ('"b"', '"a"', False),
    "a weak tag": ('W/"a"', '"a"', False),
    "weak on both sides": ('W/"a"', 'W/"a"', False),
    "no tag": ('"a"', None, False),
    "the date": ("Tue, 14 Nov 2023 22:13:20 GMT", None, True),
    "a later date": ("Tue, 14 Nov 2023 22:13:21 GMT", None, False),
    "no date": ("tomorrow", None, False),
    "empty": ("", None, False),
}


@pytest.mark.parametrize(("header", "etag", "expected"), IF_RANGE.values(), ids=IF_RANGE.keys())
def test_if_range_lets_ranges_be_sent_for_the_same_bytes_only(header, etag, expected):
    assert is_range_current(header, etag, 1_700_000_000) is expected


def test_one_part_is_sent_as_it_is():
    parts, headers = frame_spans([Span(2, 5)], 10, "text/plain")
    assert parts == [(2, 5)]
    assert headers == [("Content-Type", "text/plain"), ("Content-Range", "bytes 2-4/10"), ("Content-Length", "3")]


def test_several_parts_are_sent_as_multipart():
    parts, headers = frame_spans([Span(0, 2), Span(7, 10)], 10, "text/plain")
    fields = dict(headers)
    boundary = fields["Content-Type"].partition("boundary=")[2]
    body = b"".join(read_spans(io.BytesIO(b"0123456789"), parts))
    assert body.decode() == (
        f"--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n"
        f"--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 7-9/10\r\n\r\n789\r\n"
        f"--{boundary}--\r\n"
    )
    assert fields["Content-Length"] == str(len(body))


def test_a_file_is_read_from_its_offset_in_chunks_and_closed():
    file = io.BytesIO(b"--" + b"x" * 200_000 + b"end")
    body = SpanReader(file, [Span(1, 200_003)], offset=2)
    chunks = list(body)
    assert b"".join(chunks) == b"x" * 199_999 + b"end"
    assert len(chunks) == 4
    body.close()
    assert file.closed


def test_a_file_that_became_shorter_ends_the_body():
    assert b"".join(read_spans(io.BytesIO(b"0123"), [Span(2, 9)])) == b"23"
