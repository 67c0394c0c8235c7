"""`DeadlineMiddleware`: how long a request may take, and a log of where those hang that take longer."""

from __future__ import annotations

__all__ = ["DeadlineMiddleware", "Watchdog", "watchdog"]

import logging
import os
import sys
import threading
import traceback
from math import inf, isfinite
from threading import get_ident
from time import monotonic
from types import FrameType

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.log import log_error
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.refusal import Refusal
from wsgikit.options.flags import check_flags
from wsgikit.wsgi import DEADLINE, REQUEST_ID, THROW_ERRORS, WSGIApplication, name_request

logger = logging.getLogger("wsgikit.deadline")

_DETAIL = "The answer took too long, so the request was given up. Try again later."


class Watchdog:
    """One thread of the process that logs the stack of each request that is over its deadline, once.

    The thread starts with the first request and sleeps until the next deadline, or until there is a request again. A
    forked process starts its own.
    """

    def __init__(self) -> None:
        self._start_over()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._start_over)

    def _start_over(self) -> None:
        self._running: dict[Exchange, tuple[float, int]] = {}  # the deadline and the thread of each
        self._late: set[Exchange] = set()  # those that were logged
        self._wakes_at = inf  # a request whose deadline is earlier wakes the thread
        self._wake = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        """Return how many requests are watched."""
        return len(self._running)

    def watch(self, exchange: Exchange, deadline: float) -> None:
        """Watch a request that runs in this thread, until `forget` is called."""
        self._running[exchange] = (deadline, get_ident())
        if deadline < self._wakes_at:
            self._wake.set()
            if self._thread is None:
                self._start()

    def forget(self, exchange: Exchange) -> None:
        """Stop watching a request; nothing happens if it isn't watched."""
        self._running.pop(exchange, None)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="wsgikit-watchdog", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._wake.clear()
            self._wakes_at = inf  # whatever begins while this looks wakes it again
            self._wakes_at = earliest = self.look(monotonic())
            self._wake.wait(None if earliest == inf else max(0.0, earliest - monotonic()))

    def look(self, now: float) -> float:
        """Log the requests that are late and weren't logged yet; return the next deadline."""
        running = self._running.copy()
        self._late.intersection_update(running)
        earliest = inf
        late = []
        for exchange, (deadline, thread) in running.items():
            if exchange in self._late:
                continue
            if deadline <= now:
                late.append((exchange, now - deadline, thread))
            else:
                earliest = min(earliest, deadline)
        if late:
            frames = sys._current_frames()
            for exchange, seconds, thread in late:
                self._late.add(exchange)
                if exchange in self._running:  # else the thread has gone on to other work
                    _log_late(exchange, seconds, thread, frames.get(thread))
        return earliest


def _log_late(exchange: Exchange, seconds: float, thread: int, frame: FrameType | None) -> None:
    request_id = exchange.environ.get(REQUEST_ID)
    named = name_request(exchange.environ) + (f" ({ascii(request_id)[1:-1]})" if request_id else "")
    # A greenlet has no frame while another runs.
    shown = " its stack can't be read" if frame is None else "\n" + "".join(traceback.format_stack(frame))
    logger.warning(
        "%s: still running %.1f s after its deadline, in thread %d:%s",
        named,
        seconds,
        thread,
        shown,
        extra={"request_id": request_id} if request_id else None,
    )


watchdog = Watchdog()
"""The one of this process."""


class DeadlineMiddleware(Middleware):
    """Give each request a deadline: after it, the database rolls back, and the answer is a 503.

    Use it so that a slow query or a hanging service doesn't hold a connection and a worker for ever. Python code is
    never interrupted: it runs on, a watchdog logs once where it hangs, and the database layer refuses to begin or to
    commit anything. On PostgreSQL and MariaDB the server ends a statement at the deadline. Give pages that need longer
    another layer: ``use(DeadlineMiddleware, seconds=300, only="/reports/*", name="reports")``. A deadline that
    is set already is only ever made shorter, so the default layer needs ``unless="/reports/*"``.

    It isn't for streams: the deadline is that of the head. Time-outs of a client that sends or reads slowly are those
    of the server.

    Place: inside `ErrorPagesMiddleware`, outside of the database. Environ: sets ``wsgikit.deadline``, a number on the
    clock of `time.monotonic`, which views and clients of other services can read.

    Args:
        app: the WSGI application to wrap.
        seconds: how long the response may take, from here to its head.
        dump: whether a watchdog logs the stack of a request that is late, to the logger ``wsgikit.deadline``.

    Raises:
        ConfigurationError: an option that can't work.

    If the deadline has passed and the head hasn't left, the response is dropped for a 503 with ``Retry-After``. If the
    database layer began its commit in time, the answer stands. An exception that is raised after the deadline is logged
    and becomes the 503 as well.

    Example::

        stack = build_stack(app, use(DeadlineMiddleware, seconds=10))
    """

    outside_of = ("DatabaseMiddleware",)

    def __init__(self, app: WSGIApplication, *, seconds: float = 30, dump: bool = True) -> None:
        super().__init__(app)
        where = "DeadlineMiddleware"
        check_flags(where, dump=dump)
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not isfinite(seconds) or seconds <= 0:
            raise ConfigurationError(complaint(where, "seconds", "a number above 0", seconds))
        self.seconds = seconds
        self.dump = dump
        self._refusal = Refusal(503, _DETAIL, [("Retry-After", str(max(1, round(seconds))))])

    def before_request(self, exchange: Exchange) -> None:
        """Set the deadline, and have the watchdog look after the request."""
        environ = exchange.environ
        deadline = monotonic() + self.seconds
        given = environ.get(DEADLINE)
        if given is not None and given < deadline:
            deadline = given
        environ[DEADLINE] = deadline
        if self.dump:
            watchdog.watch(exchange, deadline)

    def after_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Replace a response that comes too late, unless what it reports was committed in time."""
        if self.dump:
            watchdog.forget(exchange)
        deadline = exchange.environ.get(DEADLINE, inf)
        if monotonic() <= deadline:
            return None
        return self._refusal if _is_given_up(exchange, deadline) else None

    def handle_exception(self, exchange: Exchange, error: Exception) -> WSGIApplication | None:
        """Answer an exception that comes too late by a 503; the log has its traceback."""
        deadline = exchange.environ.get(DEADLINE, inf)
        if monotonic() <= deadline or not _is_given_up(exchange, deadline):
            return None
        if exchange.environ.get(THROW_ERRORS):
            return None
        log_error(exchange.environ, error, "after the deadline")
        return self._refusal

    def teardown_request(self, exchange: Exchange) -> None:
        """Forget a request that has ended without a response."""
        if self.dump:
            watchdog.forget(exchange)


def _is_given_up(exchange: Exchange, deadline: float) -> bool:
    """Return whether a late response can and must be replaced."""
    committed = exchange.commit_begun_at
    is_saved = committed is not None and committed <= deadline
    return not exchange.is_head_sent and not is_saved and exchange.status_code != 503
