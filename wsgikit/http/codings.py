"""Content codings (RFC 9110 §8.4.1): gzip, Brotli and zstd, for bodies at rest and for streams."""

from __future__ import annotations

__all__ = [
    "CODINGS",
    "LEVELS",
    "CodingError",
    "Encoder",
    "TooLongError",
    "compress",
    "decode",
    "load_coding",
    "make_encoder",
]

import importlib
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from io import BytesIO
from typing import Any, Protocol

CODINGS = ("zstd", "br", "gzip")
"""The content codings that can be written and read, the best first."""

LEVELS = {"gzip": 6, "br": 4, "zstd": 3}
"""The levels for responses that are compressed while the visitor waits."""

LEVEL_RANGES = {"gzip": (0, 9), "br": (0, 11), "zstd": (-7, 22)}

_PADDING_BYTES = 100  # what Django takes: https://ieeexplore.ieee.org/document/9754554 ("Heal The Breach")
_PIECE_BYTES = 65_536


class CodingError(ValueError):
    """Data that is not in the content coding that it was said to be in."""


class TooLongError(ValueError):
    """Data that is longer than allowed once it is decoded."""


class Encoder(Protocol):
    """Encodes a stream chunk by chunk. What was fed can be decoded by the client at once."""

    def feed(self, chunk: bytes) -> bytes:
        """Return the chunk, encoded and flushed."""
        ...

    def finish(self) -> bytes:
        """Return the end of the stream."""
        ...


@lru_cache(maxsize=8)
def load_coding(coding: str) -> Any:
    """Return the module that a content coding is made with; None if it isn't installed."""
    names = {
        "gzip": "zlib",
        "br": "brotli",
        "zstd": "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd",
    }
    try:
        return importlib.import_module(names[coding])
    except ImportError:
        return None


class GzipEncoder:
    """The content coding ``gzip``, with no time in it: equal bodies are equal bytes."""

    def __init__(self, level: int) -> None:
        self._deflate = zlib.compressobj(level, zlib.DEFLATED, 31)  # 31: a gzip header, and the largest window

    def feed(self, chunk: bytes) -> bytes:
        """Return the chunk, encoded and flushed."""
        return self._deflate.compress(chunk) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        """Return the end of the stream."""
        return self._deflate.flush()


class PaddedGzipEncoder:
    """gzip with a file name of random length in its header, so that the length of a page tells less (BREACH)."""

    def __init__(self, level: int) -> None:
        import gzip
        import secrets

        self._out = BytesIO()
        name = "a" * (1 + secrets.randbelow(_PADDING_BYTES))
        self._file = gzip.GzipFile(name, "wb", level, self._out, mtime=0)

    def feed(self, chunk: bytes) -> bytes:
        """Return the chunk, encoded and flushed."""
        self._file.write(chunk)
        self._file.flush()
        return self._taken()

    def finish(self) -> bytes:
        """Return the end of the stream."""
        self._file.close()
        return self._taken()

    def _taken(self) -> bytes:
        data = self._out.getvalue()
        self._out.seek(0)
        self._out.truncate()
        return data


class BrotliEncoder:
    """The content coding ``br`` (RFC 7932)."""

    def __init__(self, level: int) -> None:
        self._brotli = load_coding("br").Compressor(quality=level)

    def feed(self, chunk: bytes) -> bytes:
        """Return the chunk, encoded and flushed."""
        return bytes(self._brotli.process(chunk) + self._brotli.flush())

    def finish(self) -> bytes:
        """Return the end of the stream."""
        return bytes(self._brotli.finish())


class ZstdEncoder:
    """The content coding ``zstd`` (RFC 8878)."""

    def __init__(self, level: int) -> None:
        self._zstd = load_coding("zstd").ZstdCompressor(level=level)

    def feed(self, chunk: bytes) -> bytes:
        """Return the chunk, encoded and flushed."""
        return bytes(self._zstd.compress(chunk, self._zstd.FLUSH_BLOCK))

    def finish(self) -> bytes:
        """Return the end of the stream."""
        return bytes(self._zstd.flush(self._zstd.FLUSH_FRAME))


_ENCODERS: dict[str, Callable[[int], Encoder]] = {"gzip": GzipEncoder, "br": BrotliEncoder, "zstd": ZstdEncoder}


def make_encoder(coding: str, level: int, *, is_padded: bool = False) -> Encoder:
    """Return what encodes a stream."""
    return PaddedGzipEncoder(level) if is_padded else _ENCODERS[coding](level)


def compress(data: bytes, coding: str, level: int, *, is_padded: bool = False) -> bytes:
    """Return a whole body in a content coding."""
    if is_padded:
        encoder = PaddedGzipEncoder(level)
        return encoder.feed(data) + encoder.finish()
    if coding == "br":
        return bytes(load_coding("br").compress(data, quality=level))
    if coding == "zstd":
        return bytes(load_coding("zstd").compress(data, level))
    deflate = zlib.compressobj(level, zlib.DEFLATED, 31)
    return deflate.compress(data) + deflate.flush()


# ---------------------------------------------------------------------- reading


def decode(chunks: Iterable[bytes], coding: str, limit: int) -> Iterator[bytes]:
    """Decode data piece by piece.

    Args:
        chunks: the encoded data.
        coding: one of `CODINGS`, or ``deflate``.
        limit: how many bytes there may be, encoded or decoded.

    Raises:
        CodingError: the data is not in this coding, or ends too early, or goes on after its end.
        TooLongError: there are more.
    """
    step, is_done = _DECODERS[coding]()
    read = made = 0
    for chunk in chunks:
        read += len(chunk)
        pending: bytes | None = chunk or None
        while pending is not None:
            try:
                piece, pending = step(pending)
            except Exception as error:  # noqa: BLE001  # each library has its own error
                raise CodingError(f"not in the content coding {coding}: {error}") from None
            made += len(piece)
            if max(read, made) > limit:
                raise TooLongError(f"more than {limit} bytes")
            if piece:
                yield piece
    if not is_done() and read:
        raise CodingError(f"the data in the content coding {coding} ends too early")


# Makes a piece of data; what has to be given again comes second, or None.
_Step = Callable[[bytes], tuple[bytes, bytes | None]]


def _zlib_decoder(window: int) -> tuple[_Step, Callable[[], bool]]:
    inflate = zlib.decompressobj(window)

    def step(data: bytes) -> tuple[bytes, bytes | None]:
        if inflate.eof and data:
            raise CodingError("data after the end")
        piece = inflate.decompress(data, _PIECE_BYTES)
        if inflate.unused_data:
            raise CodingError("data after the end")
        rest = inflate.unconsumed_tail
        return piece, rest if rest or len(piece) == _PIECE_BYTES else None

    return step, lambda: inflate.eof


def _brotli_decoder() -> tuple[_Step, Callable[[], bool]]:
    brotli = load_coding("br").Decompressor()

    def step(data: bytes) -> tuple[bytes, bytes | None]:
        if brotli.is_finished():
            raise CodingError("data after the end")
        piece = bytes(brotli.process(data, output_buffer_limit=_PIECE_BYTES))
        # It keeps what is beyond the limit, and has given all only if it gives nothing.
        return piece, b"" if piece and not brotli.is_finished() else None

    return step, brotli.is_finished


def _zstd_decoder() -> tuple[_Step, Callable[[], bool]]:
    zstd = load_coding("zstd").ZstdDecompressor()

    def step(data: bytes) -> tuple[bytes, bytes | None]:
        if zstd.eof:
            raise CodingError("data after the end")
        piece = bytes(zstd.decompress(data, _PIECE_BYTES))
        if zstd.unused_data:
            raise CodingError("data after the end")
        return piece, None if zstd.eof or zstd.needs_input else b""

    return step, lambda: bool(zstd.eof)


_DECODERS: dict[str, Callable[[], tuple[_Step, Callable[[], bool]]]] = {
    "gzip": lambda: _zlib_decoder(31),
    "deflate": lambda: _zlib_decoder(15),
    "br": _brotli_decoder,
    "zstd": _zstd_decoder,
}
