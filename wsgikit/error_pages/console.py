"""Werkzeug's interactive debugger, for a developer at the machine itself. Loaded with ``console=True`` only."""

from __future__ import annotations

__all__ = ["ConsoleErrorPagesMiddleware"]

import io
import logging
from collections import deque
from collections.abc import Iterator
from typing import Any, NoReturn

from werkzeug.debug import DebuggedApplication

from wsgikit.error_pages.middleware import ErrorPagesMiddleware
from wsgikit.error_pages.report import LOGGER
from wsgikit.http.addresses import local_refusal, peer_of
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.reply import Reply
from wsgikit.wsgi import Environ, StartResponse, WSGIApplication

_ERROR = "wsgikit.error_pages.error"
_TEXT = "text/plain; charset=utf-8"
_MOST_ERRORS = 10  # whose frames, with all that they hold, stay for the console


class ConsoleErrorPagesMiddleware(ErrorPagesMiddleware):
    """`ErrorPagesMiddleware` with ``console=True``: it also takes the requests that the debugger's page makes."""

    def __init__(self, app: WSGIApplication, **options: Any) -> None:
        super().__init__(app, **options)
        self.debugger = _Debugger()

    def _begin_in_debug(self, exchange: Exchange) -> WSGIApplication | None:
        """Answer what the debugger's own page asks: its script, a PIN, a line to be run."""
        super()._begin_in_debug(exchange)
        # Werkzeug's page sends __debugger__=yes with each of its requests.
        if "__debugger__=yes" not in exchange.environ.get("QUERY_STRING", ""):
            return None
        return self.debugger if self._console_refusal(exchange.environ) is None else None

    def answer_with_console(self, environ: Environ, error: Exception) -> WSGIApplication | None:
        """Return the debugger's page for an error, or None if the console is refused."""
        reason = self._console_refusal(environ)
        if reason is None:
            environ[_ERROR] = error
            return self.debugger
        if reason not in self.refused:
            self.refused.add(reason)
            logging.getLogger(LOGGER).warning("console=True, but the console is refused: %s.", reason)
        return None

    @staticmethod
    def _console_refusal(environ: Environ) -> str | None:
        if environ.get("wsgi.multiprocess"):
            return "the server runs several processes (wsgi.multiprocess)"
        # debug_hosts doesn't count: a peer that may read tracebacks may not run code. Nor does an unknown peer.
        if peer_of(environ) is None:
            return "the peer is not known"
        return local_refusal(environ)


class _Debugger(DebuggedApplication):
    """Werkzeug's debugger around an application that only raises the error that was met."""

    def __init__(self) -> None:
        super().__init__(_raise, evalex=True, pin_security=True, console_path="")
        self._known: deque[list[int]] = deque()

    def debug_application(self, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        """Show the error that was met; refuse a line to be run that comes without secret and PIN."""
        if _ERROR not in environ:
            yield from Reply(403, "The debugger does not take this request.\n", _TEXT, ())(environ, start_response)
            return
        before = set(self.frames)
        # Werkzeug also writes the traceback to wsgi.errors. It is in the log already, with its id.
        quiet = {**environ, "wsgi.errors": io.StringIO()}
        del environ[_ERROR]
        yield from super().debug_application(quiet, start_response)
        # A frame holds all its locals, the request and its connection among them: those of old errors are let go.
        self._known.append([key for key in self.frames if key not in before])
        while len(self._known) > _MOST_ERRORS:
            for key in self._known.popleft():
                self.frames.pop(key, None)
                self.frame_contexts.pop(key, None)


def _raise(environ: Environ, start_response: StartResponse) -> NoReturn:
    __traceback_hide__ = True  # werkzeug leaves out frames that have it
    raise environ.pop(_ERROR)
