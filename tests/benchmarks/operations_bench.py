"""What the layers of the group "operations" cost a request, over the bare application in the same run."""

from __future__ import annotations

import gc
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from harness import requester

from wsgikit import (
    AccessLogMiddleware,
    DeadlineMiddleware,
    HealthMiddleware,
    InspectorMiddleware,
    MaintenanceMiddleware,
    MetricsMiddleware,
    ProfilerMiddleware,
    RequestIdMiddleware,
    ServerTimingMiddleware,
    TracingMiddleware,
    build_stack,
    use,
)

ROUNDS = 40
CALLS = 1000


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"Hello"]


def seconds_of(request: Callable[[], None]) -> float:
    gc.disable()  # as timeit
    began = time.thread_time()
    for _ in range(CALLS):
        request()
    seconds = time.thread_time() - began
    gc.enable()
    return seconds / CALLS


def logger_of(name: str) -> str:
    logger = logging.getLogger(name)
    logger.addHandler(logging.NullHandler())
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return name


# Name: the layer, and the bar in microseconds.
LAYERS: dict[str, tuple[Any, float]] = {
    "request id": (use(RequestIdMiddleware), 2),
    "access log, json": (use(AccessLogMiddleware, format="json", logger=logger_of("bench.json")), 8),
    "access log, combined": (use(AccessLogMiddleware, logger=logger_of("bench.combined")), 8),
    "metrics": (use(MetricsMiddleware), 4),
    "tracing without a provider": (use(TracingMiddleware), 0.5),
    "server timing, not shown": (use(ServerTimingMiddleware, allow="10.0.0.0/8"), 2),
    "server timing, shown": (use(ServerTimingMiddleware, allow="127.0.0.1"), 2),
    "profiler, not asked for": (use(ProfilerMiddleware), 0.3),
    "health": (use(HealthMiddleware), 0.3),
    "maintenance, off": (use(MaintenanceMiddleware, flag="/nowhere/flag"), 0.3),
    "deadline": (use(DeadlineMiddleware), 1),
    "inspector": (use(InspectorMiddleware), 30),
}


def operations() -> None:
    """Time each layer around a layer that does nothing, interleaved with that layer alone."""
    from wsgikit import Middleware

    class Nothing(Middleware):
        def before_request(self, exchange: Any) -> None:
            pass

    stacks = {"": requester(build_stack(app, use(Nothing)), b"Hello")}
    for name, (layer, _) in LAYERS.items():
        stacks[name] = requester(build_stack(app, layer, use(Nothing)), b"Hello")
    # The least of many rounds, in time of the processor: what else the machine does only adds to it.
    least = dict.fromkeys(stacks, float("inf"))
    for _ in range(ROUNDS):
        for name, request in stacks.items():
            least[name] = min(least[name], seconds_of(request))
    print("\nWhat a layer of the group operations adds to a request, in µs (least; bar)")
    for name, (_, bar) in LAYERS.items():
        print(f"  {name:<32} {(least[name] - least['']) * 1e6:6.2f}  {bar:5.1f}")


if __name__ == "__main__":
    operations()
