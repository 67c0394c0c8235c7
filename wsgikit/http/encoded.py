"""Bodies of text or bytes, as the bytes that WSGI wants."""

from __future__ import annotations

__all__ = ["EncodedStream", "as_bytes"]

from collections.abc import Callable, Iterable
from typing import Any

from wsgikit.exceptions import ApplicationError, complaint


class EncodedStream:
    """A lazy body of text or bytes, as bytes: chunk for chunk, closed with the source."""

    __slots__ = ("close", "source", "step")

    def __init__(self, source: Iterable[Any]) -> None:
        self.source = source
        self.step: Callable[[], Any] | None = None
        self.close: Callable[[], object] = getattr(source, "close", _nothing)

    def __iter__(self) -> EncodedStream:
        return self

    def __next__(self) -> bytes:
        step = self.step
        if step is None:
            # iter() here and not before: an iterable may begin its work in it, and belongs to the request's context.
            step = self.step = iter(self.source).__next__
        chunk = step()
        return chunk if type(chunk) is bytes else as_bytes(chunk)


def as_bytes(chunk: Any) -> bytes:
    """Return a chunk of text or bytes as bytes.

    Raises:
        ApplicationError: it is neither. `bytes()` would make so many zeros of a number.
    """
    if isinstance(chunk, str):
        return chunk.encode()
    if isinstance(chunk, (bytes, bytearray, memoryview)):
        return bytes(chunk)
    raise ApplicationError(complaint("body", "chunk", "text or bytes", chunk, "Convert it with str()"))


def _nothing() -> None:
    pass
