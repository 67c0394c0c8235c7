"""Bodies that are known as a whole before the head leaves."""

from __future__ import annotations

__all__ = ["take_whole"]

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange


def take_whole(exchange: Exchange, max_bytes: int) -> Sequence[bytes] | None:
    """Return the chunks of a body that is at rest, or complete with its first chunk; None for any other.

    The bodies of Flask's and Django's ordinary responses are lazy objects whose only chunk is as long as their
    Content-Length. Such a body is pulled to its first chunk, which the engine would do before the head leaves, and
    becomes a body at rest.

    Args:
        exchange: in `after_request`.
        max_bytes: a lazy body that is longer is not pulled.
    """
    body = exchange.body
    if type(body) is list or type(body) is tuple:
        return body
    if body is None or not exchange.is_streaming or exchange.environ["REQUEST_METHOD"] == "HEAD":
        return None
    given = exchange.headers.get("Content-Length")
    if given is None or not given.isascii() or not given.isdigit() or not 0 < int(given[:18]) <= max_bytes:
        return None
    length = int(given)
    iterator: Iterator[bytes] = iter(body)
    for first in iterator:
        if len(first) == length:
            exchange.body = whole = [first]
            return whole
        rest: Iterable[bytes] = chain((first,), iterator)
        exchange.body = rest
        break
    return None
