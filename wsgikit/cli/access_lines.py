"""The access log of ``wsgikit serve``."""

from __future__ import annotations

__all__ = ["FORMATS", "with_access_log"]

import logging
import sys

from wsgikit.middleware.access_log.middleware import AccessLogMiddleware
from wsgikit.onion.stack import Stack
from wsgikit.wsgi import WSGIApplication

FORMATS = ("json", "combined", "off")
_LOGGER = "wsgikit.access"


def with_access_log(stack: Stack, format: str) -> WSGIApplication:
    """Return a stack with an access log around it that goes to standard output.

    Args:
        stack: what is served. If it has an access log itself, it is returned as it is.
        format: ``"json"``, ``"combined"``, or ``"off"`` for no log.

    If somebody has given the logger ``wsgikit.access`` a handler, its lines go there.
    """
    if format == "off" or stack.find(AccessLogMiddleware) is not None:
        return stack
    logger = logging.getLogger(_LOGGER)
    if not logger.hasHandlers():
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
        logger.setLevel(logging.INFO)
    return _Logged(stack, format=format, logger=_LOGGER)


class _Logged(AccessLogMiddleware):
    """The access log around a stack, which it closes."""

    def close(self) -> None:
        """Close the stack."""
        self.app.close()  # type: ignore[attr-defined]  # `with_access_log` passes a stack
