"""What a session is in transit, and what a cookie format does with it."""

from __future__ import annotations

__all__ = ["CookieFormat", "Envelope", "compress", "decompress"]

import zlib
from abc import ABC, abstractmethod
from typing import Any

# Below this, zlib takes ten times as long as all the rest and saves next to nothing.
_WORTH_COMPRESSING_BYTES = 1024
# A cookie is at most 4 KB, and deflate makes at most 1032 of one: this is far above what an honest one can hold.
_MOST_BYTES = 1 << 20


class Envelope:
    """A session's data with what is known about it; the two are never mixed.

    Attributes:
        data: what the application put in.
        created: when the session began, in seconds since 1970.
        saved: when it was last written.
        id: its id, or None in formats that have none.
        permanent: whether the browser keeps it when it is closed; None if the format doesn't say.
        is_current: whether the first secret signed it.
    """

    __slots__ = ("created", "data", "id", "is_current", "permanent", "saved")

    def __init__(
        self,
        data: dict[str, Any],
        created: float,
        saved: float,
        id: str | None = None,  # noqa: A002  # the word that users have for it
        permanent: bool | None = False,
        is_current: bool = True,
    ) -> None:
        self.data = data
        self.created = created
        self.saved = saved
        self.id = id
        self.permanent = permanent
        self.is_current = is_current


class CookieFormat(ABC):
    """How a session is written into the value of a cookie.

    Attributes:
        has_created: whether the cookie says when the session began, without which no absolute timeout can be held.
        permanent_key: the key of the data that says whether the session is permanent, if the format has it there.
    """

    has_created = False
    permanent_key: str | None = None

    @abstractmethod
    def load(self, value: str) -> Envelope | None:
        """Return what the cookie holds, or None if it isn't one of ours. Never raises, whatever a client sends."""

    @abstractmethod
    def dump(self, envelope: Envelope) -> str:
        """Return the value of the cookie.

        Raises:
            SessionValueError: the data holds something that the format can't write.
        """


def compress(data: bytes, at_least: int = _WORTH_COMPRESSING_BYTES) -> bytes | None:
    """Return the data compressed, or None if that doesn't make it smaller, or it would be too much to unpack."""
    if not at_least <= len(data) < _MOST_BYTES:
        return None
    compressed = zlib.compress(data)
    return compressed if len(compressed) < len(data) - 1 else None


def decompress(data: bytes) -> bytes:
    """Undo `compress`.

    Raises:
        ValueError: it isn't compressed data, or too much comes out of it.
    """
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(data, _MOST_BYTES)
    except zlib.error as error:
        raise ValueError("not compressed data") from error
    if stream.unconsumed_tail:
        raise ValueError("too large when decompressed")
    return plain
