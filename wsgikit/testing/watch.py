"""Whether the body of the application in the middle was closed, told by that body itself."""

from __future__ import annotations

__all__ = ["BODIES", "WatchedBody", "watch_bodies"]

from collections.abc import Iterable, Iterator
from typing import Any

from wsgikit.wsgi import Environ, WSGIApplication, is_at_rest

BODIES = "wsgikit.testing.bodies"
"""The list in environ that `TestClient` has the bodies of a request put on."""


def watch_bodies(app: WSGIApplication) -> WSGIApplication:
    """Wrap the application in the middle of an onion, so that `TestClient` fails if a layer doesn't close its body.

    A body that has nothing to close (a list, a tuple, what the server's file wrapper made) is passed as it is.

    Example:
        >>> client = TestClient(build_stack(watch_bodies(app), SomebodysMiddleware))
    """

    def watched(environ: Environ, start_response: Any, /) -> Iterable[bytes]:
        body = app(environ, start_response)
        bodies = environ.get(BODIES)
        if bodies is None or is_at_rest(body, environ):
            return body
        watch = WatchedBody(body)
        bodies.append(watch)
        return watch

    return watched


class WatchedBody:
    """A body that counts how often it is closed.

    Attributes:
        closes: that count.
    """

    def __init__(self, body: Iterable[bytes]) -> None:
        self._body = body
        self.closes = 0

    def __repr__(self) -> str:
        return f"the body {self._body!r}"

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        """Count, and close the body."""
        self.closes += 1
        close = getattr(self._body, "close", None)
        if close is not None:
            close()
