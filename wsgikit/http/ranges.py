"""Ranges of bytes (RFC 9110 §14): which parts of a representation a request asks for, and how they are sent."""

from __future__ import annotations

__all__ = ["MAX_RANGES", "Span", "SpanReader", "frame_spans", "is_range_current", "parse_ranges", "read_spans"]

import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, NamedTuple

from wsgikit.http.etags import parse_last_modified

MAX_RANGES = 100
"""More ranges than this in one request are ignored: the answer is the whole (CVE-2026-34826)."""

CHUNK_BYTES = 65_536
"""How much of a file is read at a time: what WSGI servers read from a file."""

_RANGE = re.compile(r"([0-9]*)\s*-\s*([0-9]*)")
# No file is larger. int() refuses texts of more than 4,300 digits.
_LONGEST_NUMBER = 18


class Span(NamedTuple):
    """A part of a representation: from `start` up to, not including, `stop`."""

    start: int
    stop: int


def parse_ranges(header: str, size: int) -> list[Span] | None:
    """Return the parts that a ``Range`` header asks for, overlapping and adjacent ones merged, in the order asked for.

    Args:
        header: the header's value.
        size: the size of the representation in bytes.

    Returns:
        None if the header has to be ignored: an unknown unit, no valid range in it, or more than `MAX_RANGES`. An
        empty list if no range can be satisfied, which is a 416. A member that is invalid or can't be satisfied is left
        out if there are others.
    """
    unit, equals, members = header.partition("=")
    # More commas than this can't be a list of at most MAX_RANGES ranges.
    if not equals or unit.lower() != "bytes" or members.count(",") > 2 * MAX_RANGES:
        return None
    found: list[Span] = []
    is_valid = False
    for member in members.split(","):
        match = _RANGE.fullmatch(member.strip())
        span = None if match is None else _resolve(match[1], match[2], size)
        if span is not None:
            is_valid = True
            if span.start < span.stop:
                found.append(span)
    if not is_valid or len(found) > MAX_RANGES:
        return None
    return merge(found)


def _resolve(first: str, last: str, size: int) -> Span | None:
    """Return the part that one range stands for; an empty one if it can't be satisfied, None if it is invalid."""
    start, stop = _number(first), _number(last)
    if start is None:
        if stop is None:
            return None
        if size == 0 and stop:
            return None  # satisfiable (RFC 9110 §14.1.2), though no Content-Range can express it: send the whole
        return Span(max(size - stop, 0), size)
    if start >= size:
        return Span(size, size)
    if stop is None:
        return Span(start, size)
    return None if stop < start else Span(start, min(stop + 1, size))


def _number(digits: str) -> int | None:
    if not digits:
        return None
    return int(digits) if len(digits) <= _LONGEST_NUMBER else 10**_LONGEST_NUMBER


def merge(spans: Sequence[Span]) -> list[Span]:
    """Merge overlapping and adjacent parts. The order is that in which each was first asked for."""
    merged: list[tuple[int, Span]] = []
    for place, span in sorted(enumerate(spans), key=lambda item: item[1]):
        if merged and span.start <= merged[-1][1].stop:
            first, before = merged[-1]
            merged[-1] = (min(first, place), Span(before.start, max(before.stop, span.stop)))
        else:
            merged.append((place, span))
    return [span for _, span in sorted(merged)]


def is_range_current(if_range: str | None, etag: str | None, last_modified: int | None) -> bool:
    """Return whether an ``If-Range`` header lets ranges be sent: the client's other parts are of the same bytes.

    A weak tag never does, on either side (RFC 9110 §13.1.5). A date has to be the exact one.
    """
    if if_range is None:
        return True
    if_range = if_range.strip()
    if if_range.startswith(('"', "W/")):
        return if_range == etag and not if_range.startswith("W/")
    return last_modified is not None and parse_last_modified(if_range) == last_modified


def frame_spans(
    spans: Sequence[Span], size: int, content_type: str | None
) -> tuple[list[bytes | Span], list[tuple[str, str]]]:
    """Return what to send for parts of a representation, in order, and the headers that describe it.

    One part is sent as it is, several as ``multipart/byteranges`` (RFC 9110 §14.6).
    """
    if len(spans) == 1:
        (only,) = spans
        pairs = [] if content_type is None else [("Content-Type", content_type)]
        pairs += [
            ("Content-Range", f"bytes {only.start}-{only.stop - 1}/{size}"),
            ("Content-Length", str(only.stop - only.start)),
        ]
        return [only], pairs
    boundary = secrets.token_hex(16)
    parts: list[bytes | Span] = []
    type_line = "" if content_type is None else f"Content-Type: {content_type}\r\n"
    for span in spans:
        head = f"--{boundary}\r\n{type_line}Content-Range: bytes {span.start}-{span.stop - 1}/{size}\r\n\r\n"
        parts += [head.encode("latin-1"), span, b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    length = sum(len(part) if isinstance(part, bytes) else part.stop - part.start for part in parts)
    return parts, [
        ("Content-Type", f"multipart/byteranges; boundary={boundary}"),
        ("Content-Length", str(length)),
    ]


def read_spans(file: IO[bytes], parts: Iterable[bytes | Span], offset: int = 0) -> Iterator[bytes]:
    """Read parts of a file, chunk by chunk.

    Args:
        file: open for reading, and seekable.
        parts: bytes are passed on as they are.
        offset: where in the file the representation begins.
    """
    for part in parts:
        if isinstance(part, bytes):
            yield part
            continue
        file.seek(offset + part.start)
        remaining = part.stop - part.start
        while remaining:
            chunk = file.read(min(CHUNK_BYTES, remaining))
            if not chunk:  # the file has become shorter
                return
            remaining -= len(chunk)
            yield chunk


class SpanReader:
    """The body of a 206 from a file: an iterable, and a file for ``wsgi.file_wrapper`` that has no descriptor.

    `file` is the whole, for a layer that has the server in front send it.

    Args:
        file: open for reading, and seekable; closed with this.
        parts: what `frame_spans` returned.
        offset: where in the file the representation begins.
        close: what to call in place of the file's own ``close``.
        content_type: that of the whole.
    """

    __slots__ = ("_chunks", "close", "content_type", "file")

    def __init__(
        self,
        file: IO[bytes],
        parts: Iterable[bytes | Span],
        offset: int = 0,
        close: Callable[[], object] | None = None,
        content_type: str | None = None,
    ) -> None:
        self.file = file
        self.content_type = content_type
        self._chunks = read_spans(file, parts, offset)
        self.close = close or file.close

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def read(self, size: int = CHUNK_BYTES) -> bytes:
        """Return the next piece, whose size is at most that of a chunk; nothing at the end."""
        return next(self._chunks, b"")
