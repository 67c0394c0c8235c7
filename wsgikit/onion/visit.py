"""Being in an onion without a request from outside: for scripts, shells, tests and work in the background.

The layers that provide something (a session, a connection, a route) are entered and left again. No view runs and no
response is made, so nothing is committed that wasn't committed explicitly.
"""

from __future__ import annotations

__all__ = ["make_environ", "visit"]

import io
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes, urlsplit

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.onion.ending import CURRENT
from wsgikit.onion.engine import Onion
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.wsgi import EXCHANGE, Environ


@contextmanager
def visit(
    layers: Iterable[Any],
    environ: Environ,
    entering: Sequence[Callable[[Exchange], object]] = (),
    leaving: Sequence[Callable[[Exchange], object]] = (),
) -> Iterator[Exchange]:
    """Enter those of the layers that provide something, and leave them at the end of the block.

    Args:
        layers: of one stack, outermost first.
        environ: a complete environ; layers write to it.
        entering: called when the layers are entered, before the block.
        leaving: called at the end of the block, before the layers are left.

    Raises:
        ConfigurationError: no layer binds the locals.
    """
    ours = [layer for layer in layers if isinstance(layer, Middleware) and _takes_part(layer, environ)]
    if not any(layer.own_context for layer in ours):
        remedy = "Add use(ContextMiddleware) to the stack"
        raise ConfigurationError(complaint("stack", "layers", "a ContextMiddleware among them", None, remedy))
    visited = Onion(_one_context([layer for layer in ours if layer.provides or layer.own_context]), _no_app)
    exchange = Exchange(visited, environ, _no_app)
    environ[EXCHANGE] = exchange
    token = CURRENT.set(exchange)
    entered: list[Middleware] = []
    try:
        try:
            for layer in visited.layers:
                entered.append(layer)
                layer.before_request(exchange)
            for enter in entering:
                enter(exchange)
            yield exchange
            exchange.is_complete = True
        except Exception as error:
            exchange.error = error
            raise
        finally:
            exchange._teardown = ((), (*leaving, *(layer.teardown_request for layer in reversed(entered))))
            is_complete = exchange.is_complete
            exchange._finish()
            if is_complete:
                exchange._raise_failure()
    finally:
        try:
            CURRENT.reset(token)
        except ValueError:
            pass  # the block ended in another context than it began in: a generator that two threads stepped


def make_environ(path: str = "/") -> Environ:
    """Make the environ of a GET request for a path, with or without a query string, or for a whole URL."""
    url = urlsplit(path)
    host = url.hostname or "localhost"
    port = url.port or (443 if url.scheme == "https" else 80)
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        # PEP 3333: the bytes of the path, each as one character
        "PATH_INFO": unquote_to_bytes(url.path or "/").decode("latin-1"),
        "QUERY_STRING": url.query,
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "HTTP_HOST": url.netloc or "localhost",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme or "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def _takes_part(layer: Middleware, environ: Environ) -> bool:
    scope = layer.__wsgikit_scope__
    return scope is None or scope.matches(environ)


def _one_context(layers: list[Middleware]) -> list[Middleware]:
    """Leave out all but the first layer that has a context: one visit is in one."""
    first = next(layer for layer in layers if layer.own_context)
    return [layer for layer in layers if layer is first or not layer.own_context]


def _no_app(*_: object) -> NoReturn:
    raise AssertionError("a visit calls no application")
