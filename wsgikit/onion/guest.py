"""Requests of Flask's test client in a ``with`` block, which run in the context of the test.

Flask keeps the contexts of such a request open until the next one or the end of the block, so that the test can read
``flask.request``. It enters and leaves them in the test's own `contextvars.Context`, so the request has to run there.
"""

from __future__ import annotations

__all__ = ["PRESERVES_CONTEXT", "stay"]

from collections.abc import Callable
from typing import TYPE_CHECKING

from wsgikit.onion.ending import CURRENT

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange

PRESERVES_CONTEXT = "werkzeug.debug.preserve_context"
"""In environ: a function of the test client that takes a context manager to be left later."""


class _Stay:
    """Leaves the exchange in `CURRENT` until the test client leaves the request."""

    def __init__(self, exchange: Exchange) -> None:
        self._tokens = [CURRENT.set(exchange)]

    def __enter__(self) -> None:
        """Do nothing: the exchange has been set."""

    def __exit__(self, *_: object) -> None:
        if self._tokens:  # not if an error ended it
            CURRENT.reset(self._tokens.pop())


def stay(exchange: Exchange, turn: Callable[[Exchange], None]) -> None:
    """Call ``turn(exchange)`` in the context of the caller. The test client ends the stay; an error ends it at once."""
    left = _Stay(exchange)
    preserve = exchange.environ[PRESERVES_CONTEXT]
    if callable(preserve):
        preserve(left)  # before an onion inside does: the client leaves the last one first
    try:
        turn(exchange)
    except BaseException:
        left.__exit__()
        raise
    if not callable(preserve):
        left.__exit__()
