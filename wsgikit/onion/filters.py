"""Filters of a body: what changes it chunk for chunk, without holding it."""

from __future__ import annotations

__all__ = ["BodyFilter", "Filtered", "as_filter", "feed_first", "filter_list"]

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, cast

from wsgikit.exceptions import ApplicationError, complaint


class BodyFilter(Protocol):
    """A filter with a state, such as a compressor. Exactly one of `finish` and `abandon` is called, once."""

    def feed(self, chunk: bytes, /) -> bytes:
        """Return what takes the place of a chunk, which isn't empty. It may be empty."""
        ...

    def finish(self) -> bytes:
        """Return what follows the last chunk; it may be empty."""
        ...

    def abandon(self) -> object:
        """Give back what the filter holds: the rest of the body is not sent."""


class _Function:
    """A function chunk → chunk as a filter."""

    __slots__ = ("feed",)

    def __init__(self, function: Callable[[bytes], bytes]) -> None:
        self.feed = function

    def finish(self) -> bytes:
        return b""

    def abandon(self) -> None:
        """Hold nothing."""


def as_filter(given: Any) -> BodyFilter:
    """Return a filter for a function or an object.

    Raises:
        ApplicationError: it is neither a function nor an object with the three methods.
    """
    if all(callable(getattr(given, name, None)) for name in ("feed", "finish", "abandon")):
        return cast("BodyFilter", given)
    if callable(given):
        return cast("BodyFilter", _Function(cast("Callable[[bytes], bytes]", given)))
    expected = "a function of a chunk, or an object with feed(chunk), finish() and abandon()"
    raise ApplicationError(complaint("exchange.filter_body", "filter", expected, given))


def filter_list(body: Sequence[bytes], body_filter: BodyFilter) -> list[bytes]:
    """Return a list as a filter changes it."""
    filtered = Filtered(body_filter)
    filtered.attach(body)
    try:
        return list(filtered)
    finally:
        filtered.close()


def feed_first(body_filter: BodyFilter, chunk: bytes) -> bytes:
    """Return a chunk that isn't empty as a filter changes it; abandon the filter if it fails."""
    try:
        return _checked(body_filter.feed(chunk), body_filter)
    except BaseException:
        body_filter.abandon()
        raise


class Filtered:
    """A body that passes filters, the first one first.

    Args:
        first: the first filter; `add` adds more until the body is begun.
    """

    __slots__ = ("_filters", "_is_at_end", "_open", "_source", "_step")

    def __init__(self, first: BodyFilter) -> None:
        self._filters = [first]
        self._open = [first]  # neither finished nor abandoned
        self._source: Iterable[bytes] = ()
        self._step: Callable[[], bytes] | None = None
        self._is_at_end = False  # of the source

    @property
    def is_begun(self) -> bool:
        """Whether a chunk was asked for."""
        return self._step is not None

    def add(self, body_filter: BodyFilter) -> None:
        """Let the body pass another filter, after those that it passes already."""
        self._filters.append(body_filter)
        self._open.append(body_filter)

    def attach(self, source: Iterable[bytes]) -> None:
        """Set the body that is filtered."""
        self._source = source

    def feed(self, chunk: bytes) -> bytes:
        """Return a chunk as the filters change it. An empty one passes as it is."""
        return _through(self._filters, chunk)

    def __iter__(self) -> Filtered:
        return self

    def __next__(self) -> bytes:
        if not self._is_at_end:
            step = self._step
            if step is None:
                step = self._step = iter(self._source).__next__
            try:
                chunk = step()
            except StopIteration:
                self._is_at_end = True
            else:
                return self.feed(chunk)
        while self._open:
            body_filter = self._open.pop(0)
            chunk = _checked(body_filter.finish() or b"", body_filter)
            if chunk:
                return _through(self._open, chunk)
        raise StopIteration

    def close(self) -> None:
        """Abandon the filters that aren't finished; the first error is raised at the end."""
        error: BaseException | None = None
        while self._open:
            try:
                self._open.pop().abandon()
            except BaseException as another:  # noqa: BLE001  # raised when all are abandoned
                error = error or another
        try:
            if error is not None:
                raise error
        finally:
            del error  # its traceback leads to this frame


def _through(filters: Iterable[BodyFilter], chunk: bytes) -> bytes:
    for body_filter in filters:
        if chunk:
            chunk = _checked(body_filter.feed(chunk), body_filter)
    return chunk


def _checked(chunk: Any, body_filter: object) -> bytes:
    if isinstance(chunk, bytes):
        return chunk
    of = body_filter.feed if isinstance(body_filter, _Function) else body_filter
    raise ApplicationError(complaint("exchange.filter_body", f"result of {of!r}", "bytes", chunk))
