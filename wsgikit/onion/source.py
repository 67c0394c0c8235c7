"""A lazy body as a layer reads it."""

from __future__ import annotations

__all__ = ["Source"]

from collections.abc import Callable, Iterable, Iterator
from contextvars import Context
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from wsgikit.onion.length import UNKNOWN

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange


class Source:
    """What `Exchange.body` gives for a lazy body, so that a layer can wrap it.

    It keeps the first chunk that isn't empty until the next is asked for. Where the head is replaced after layers have
    wrapped the body (`start_response` with ``exc_info``, before a chunk has left), they are asked again and read the
    body from its start.

    Args:
        exchange: whose body it is.
        body: the iterable.
        context: where its steps run; None for the context they are asked from.
    """

    __slots__ = ("_body", "_context", "_exchange", "_is_past", "_iterator", "_kept", "_left", "step")

    def __init__(self, exchange: Exchange, body: Iterable[bytes], context: Context | None) -> None:
        self._exchange = exchange
        self._body = body
        self._context = context
        self._kept: tuple[bytes, ...] = ()
        self._is_past = False  # the first chunk that isn't empty was followed by another
        self._iterator: Iterator[bytes] | None = None
        self.step: Callable[[], bytes] | None = None
        self._left: int | None = None  # until the length that the application has announced; None until it is looked at

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        step = self.step or self.begin()
        is_kept = not self._is_past
        if is_kept and self._kept and self._kept[0]:
            self._kept = ()
            self._is_past = self._exchange._is_begun = True
            is_kept = False
        try:
            chunk = step()
        except StopIteration:
            if self._exchange._innermost is self:
                self._exchange._complete()
            raise
        if is_kept:
            self._kept = (chunk,)
        left = self._left
        if left is None:
            left = self._exchange._length_from_inside() if self._exchange._innermost is self else UNKNOWN
        left = self._left = left - len(chunk)
        if left <= 0:
            self._left = UNKNOWN
            self._exchange._complete()
        return chunk

    def begin(self) -> Callable[[], bytes]:
        """Start the body, and return what makes its next chunk."""
        context = self._context
        if context is None:
            iterator = self._iterator = iter(self._body)
            self.step = iterator.__next__
        else:
            iterator = self._iterator = context.run(iter, self._body)
            self.step = partial(context.run, iterator.__next__)
        return self.step

    def again(self, chunks: tuple[bytes, ...] = ()) -> Iterable[bytes]:
        """Return the body from its start; `chunks` are those that its reader has of it already."""
        return self._body if self._iterator is None else chain(self._kept or chunks, self._iterator)
