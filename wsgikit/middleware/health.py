"""`HealthMiddleware`: pages for load balancers and orchestrators, and the count of running requests for a clean end."""

from __future__ import annotations

__all__ = ["Check", "HealthMiddleware", "Result", "report_of"]

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any, NamedTuple

from wsgikit.exceptions import ConfigurationError, complaint, did_you_mean
from wsgikit.http.addresses import parse_allow
from wsgikit.onion import drain_file as files
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.stack import Stack, layers_of
from wsgikit.wsgi import STACK, Environ, WSGIApplication

logger = logging.getLogger("wsgikit.health")

_KNOWN_CHECKS = ("database", "session")
_POLL_SECONDS = 0.02  # between two looks at what is still running
_NO_STORE = ("Cache-Control", "no-store")


class Result(NamedTuple):
    """What came of a check.

    Attributes:
        error: why it failed, or None.
        seconds: how long it took, or has taken so far.
    """

    error: str | None
    seconds: float


def report_of(results: Mapping[str, Result], is_draining: bool, in_flight: int, has_details: bool) -> dict[str, Any]:
    """Return what the readiness page says, as a JSON object.

    Args:
        results: of the checks, by name.
        is_draining: whether the process is about to end.
        in_flight: how many requests are running.
        has_details: whether the client may see more than the status.
    """
    is_ready = not is_draining and all(result.error is None for result in results.values())
    report: dict[str, Any] = {"status": "ok" if is_ready else "unavailable"}
    if has_details:
        report["draining"] = is_draining
        report["in_flight"] = in_flight
        report["checks"] = {
            name: {
                "status": "ok" if result.error is None else "unavailable",
                "duration_ms": round(result.seconds * 1000, 3),
                **({} if result.error is None else {"error": result.error}),
            }
            for name, result in results.items()
        }
    return report


class Check:
    """A function that raises if something doesn't answer, run in a thread so that it can be given up.

    At most one run is under way: who asks meanwhile waits for it. So a service that hangs costs one thread.
    """

    def __init__(self, name: str, function: Callable[[], object]) -> None:
        self.name = name
        self._function = function
        self._lock = threading.Lock()
        self._run: _Run | None = None

    def start(self) -> _Run:
        """Return the run that is under way, or begin one."""
        with self._lock:
            run = self._run
            if run is None or run.is_done.is_set():
                run = self._run = _Run()
                threading.Thread(
                    target=run.call, args=(self._function,), name=f"wsgikit-health-{self.name}", daemon=True
                ).start()
            return run


class _Run:
    def __init__(self) -> None:
        self.is_done = threading.Event()
        self._began = monotonic()
        self._result: Result | None = None

    def call(self, function: Callable[[], object]) -> None:
        error = None
        try:
            function()
        except Exception as raised:  # noqa: BLE001  # any of them is the answer
            error = f"{type(raised).__name__}: {' '.join(str(raised).split())[:500]}"
        self._result = Result(error, monotonic() - self._began)
        self.is_done.set()

    def wait(self, seconds: float) -> Result:
        if self.is_done.wait(max(0.0, seconds)) and self._result is not None:
            return self._result
        return Result("timed out", monotonic() - self._began)


class _State:
    """What changes while the process runs."""

    def __init__(self) -> None:
        self.is_draining = False
        self.failing: frozenset[str] = frozenset()  # the checks that failed last, so that a change is logged once
        self.checks: list[Check] | None = None
        self.lock = threading.Lock()
        self.is_warm = False


class HealthMiddleware(Middleware):
    """Answer health checks: whether the process lives, and whether it is ready for requests.

    Use it behind a load balancer, in a container, on App Engine. ``/livez`` says that the process answers: an
    orchestrator restarts one that doesn't. ``/readyz`` says that it may get requests: it is a 503 if a check fails,
    and from the moment that the process is asked to end, so that a load balancer turns to others before the process
    stops listening. ``/_ah/warmup`` calls `Stack.warmup` once. It isn't monitoring: a failing check here takes the
    process out of service, so check only what all requests need.

    Place: outermost, so that no log, limit or maintenance page sees these requests. Environ: reads ``PATH_INFO``.

    Args:
        app: the WSGI application to wrap.
        live: the path that says whether the process lives. None leaves it out.
        ready: the path that says whether it is ready. None leaves it out.
        checks: what readiness depends on: ``"database"`` and ``"session"`` ask the layers of that kind in the stack (a
            stack without one has nothing to ask), a function raises if something doesn't answer.
        timeout_seconds: how long the checks may take together. One that takes longer counts as failed.
        allow: who sees the details, such as the error of a check: ``"local"`` for requests from this machine,
            addresses and networks. Others see the status only.
        warmup: the path that warms the stack up. None leaves it out.
        drain_file: the path of the file by which ``wsgikit drain`` asks the process to drain. None is a path made of
            the working folder; name one if several instances share a folder. A file that is there when the process
            begins doesn't count.

    Raises:
        ConfigurationError: an option that can't work.

    `Stack.drain`, SIGTERM under ``wsgikit serve``, and ``wsgikit drain`` turn readiness to 503. Requests are answered
    as before. A check that begins to fail is logged once, and once more when it works again.

    Example::

        stack = build_stack(app, use(HealthMiddleware, checks=["database"]))
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        live: str | None = "/livez",
        ready: str | None = "/readyz",
        checks: str | Callable[[], object] | Sequence[str | Callable[[], object]] = _KNOWN_CHECKS,
        timeout_seconds: float = 2,
        allow: str | Iterable[str] = "local",
        warmup: str | None = "/_ah/warmup",
        drain_file: str | None = None,
    ) -> None:
        super().__init__(app)
        where = "HealthMiddleware"
        pages = {"live": (live, self._live), "ready": (ready, self._ready), "warmup": (warmup, self._warm_up)}
        self._pages = _checked_pages(where, pages)
        self.checks = _checked_checks(where, checks)
        if isinstance(timeout_seconds, bool) or not isinstance(timeout_seconds, (int, float)) or timeout_seconds <= 0:
            raise ConfigurationError(complaint(where, "timeout_seconds", "a number above 0", timeout_seconds))
        self.timeout_seconds = timeout_seconds
        self.allow = parse_allow(where, "allow", allow)
        if drain_file is not None and (not isinstance(drain_file, str) or not drain_file):
            raise ConfigurationError(complaint(where, "drain_file", "the path of a file", drain_file))
        self.drain_file = os.path.abspath(drain_file or files.default_path())
        paths = dict.fromkeys((self.drain_file, os.environ.get(files.VARIABLE) or self.drain_file))
        self._files = tuple(files.DrainFile(path) for path in paths)
        self._running: set[Exchange] = set()
        self._state = _State()
        self._use_fast_hooks()

    def _use_fast_hooks(self) -> None:
        enter, leave, pages = self._running.add, self._running.discard, self._pages

        def before_request(exchange: Exchange) -> WSGIApplication | None:
            path = exchange.environ.get("PATH_INFO")
            if path in pages:
                return pages[path](exchange)
            enter(exchange)
            return None

        def teardown_request(exchange: Exchange) -> None:
            leave(exchange)

        self._hasten(HealthMiddleware, before_request, teardown_request)

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Answer a health check, or count the request."""
        page = self._pages.get(exchange.environ.get("PATH_INFO", ""))
        if page is not None:
            return page(exchange)
        self._running.add(exchange)
        return None

    def teardown_request(self, exchange: Exchange) -> None:
        """Count the request no longer."""
        self._running.discard(exchange)

    @property
    def in_flight(self) -> int:
        """How many requests are running. Health checks don't count."""
        return len(self._running)

    @property
    def is_draining(self) -> bool:
        """Whether the process was asked to drain."""
        return self._state.is_draining or any(file.is_written for file in self._files)

    def drain(self, timeout_seconds: float = 30) -> bool:
        """Turn readiness to 503 and wait for the running requests; return whether all ended (see `Stack.drain`)."""
        self._state.is_draining = True
        end = monotonic() + timeout_seconds
        while self._running and (left := end - monotonic()) > 0:
            time.sleep(min(_POLL_SECONDS, left))
        return not self._running

    __wsgikit_drain__ = drain

    # ------------------------------------------------------------------ the pages

    def _live(self, exchange: Exchange) -> WSGIApplication:
        return _answer(exchange, {"status": "ok"})

    def _ready(self, exchange: Exchange) -> WSGIApplication:
        environ = exchange.environ
        has_details = self.allow.permits(environ)
        is_draining = self.is_draining
        results = {} if is_draining and not has_details else self._run_checks(environ)
        return _answer(exchange, report_of(results, is_draining, len(self._running), has_details))

    def _warm_up(self, exchange: Exchange) -> WSGIApplication:
        state = self._state
        with state.lock:
            if not state.is_warm:
                stack = exchange.environ.get(STACK)
                (stack if isinstance(stack, Stack) else Stack.around(self)).warmup()
                state.is_warm = True
        return _answer(exchange, {"status": "ok"})

    def _run_checks(self, environ: Environ) -> dict[str, Result]:
        state = self._state
        checks = state.checks
        if checks is None:
            checks = state.checks = self._find_checks()
        end = monotonic() + self.timeout_seconds
        runs = [(check.name, check.start()) for check in checks]
        results = {name: run.wait(end - monotonic()) for name, run in runs}
        failing = frozenset(name for name, result in results.items() if result.error is not None)
        before, state.failing = state.failing, failing
        for name in failing - before:
            logger.error("Not ready: %s: %s", name, results[name].error)
        for name in before - failing:
            logger.warning("%s answers again.", name)
        return results

    def _find_checks(self) -> list[Check]:
        """Return the checks of the layers inside and the functions that were given, each with another name."""
        found: list[tuple[str, Callable[[], object]]] = []
        inside = [layer for layer in layers_of(self) if isinstance(layer, Middleware)]
        for check in self.checks:
            if callable(check):
                found.append((getattr(check, "__qualname__", type(check).__name__), check))
            else:
                found += [(check, layer.check_health) for layer in inside if layer.health_name == check]
        counts: dict[str, int] = {}
        checks = []
        for name, function in found:
            counts[name] = counts.get(name, 0) + 1
            checks.append(Check(name if counts[name] == 1 else f"{name} #{counts[name]}", function))
        return checks


def _answer(exchange: Exchange, report: dict[str, Any]) -> WSGIApplication:
    import json  # only these pages need it

    if exchange.environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return exchange.reply(405, "", headers=[("Allow", "GET, HEAD"), _NO_STORE])
    status = 200 if report["status"] == "ok" else 503
    return exchange.reply(status, json.dumps(report) + "\n", "application/json", [_NO_STORE])


def _checked_pages(
    where: str, pages: Mapping[str, tuple[Any, Callable[[Exchange], WSGIApplication]]]
) -> dict[str, Callable[[Exchange], WSGIApplication]]:
    checked: dict[str, Callable[[Exchange], WSGIApplication]] = {}
    for option, (path, page) in pages.items():
        if path is None:
            continue
        if not isinstance(path, str) or not path.startswith("/"):
            raise ConfigurationError(complaint(where, option, "a path that begins with a slash, or None", path))
        if path in checked:
            raise ConfigurationError(complaint(where, option, "another path than the pages before it have", path))
        checked[path] = page
    return checked


def _checked_checks(where: str, checks: Any) -> tuple[str | Callable[[], object], ...]:
    given = (checks,) if isinstance(checks, str) or callable(checks) else tuple(checks)
    for check in given:
        if not callable(check) and check not in _KNOWN_CHECKS:
            expected = f"{' or '.join(map(repr, _KNOWN_CHECKS))}, or a function"
            remedy = did_you_mean(check, _KNOWN_CHECKS) if isinstance(check, str) else ""
            raise ConfigurationError(complaint(where, "checks", expected, check, remedy))
    return given
