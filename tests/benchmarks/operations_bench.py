"""What the layers of the group "operations" cost a request, over the bare application in the same run."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from wsgikit import (
    AccessLogMiddleware,
    MetricsMiddleware,
    ProfilerMiddleware,
    RequestIdMiddleware,
    ServerTimingMiddleware,
    TracingMiddleware,
    build_stack,
    use,
)
from wsgikit.onion.visit import make_environ

ROUNDS = 15
CALLS = 2000


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"Hello"]


def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], None]:
    return lambda data: None


def seconds_of(stack: Any) -> float:
    environs = [make_environ("/") for _ in range(CALLS)]
    began = time.thread_time()
    for environ in environs:
        stack(environ, start_response)
    return (time.thread_time() - began) / CALLS


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
}


def operations() -> None:
    """Time each layer around a layer that does nothing, interleaved with that layer alone."""
    from wsgikit import Middleware

    class Nothing(Middleware):
        def before_request(self, exchange: Any) -> None:
            pass

    base = build_stack(app, use(Nothing))
    print("\nWhat a layer of the group operations adds to a request, in µs (least; bar)")
    for name, (layer, bar) in LAYERS.items():
        stack = build_stack(app, layer, use(Nothing))
        # The least of many rounds, in time of the processor: what else the machine does only adds to it.
        pairs = [(seconds_of(stack), seconds_of(base)) for _ in range(ROUNDS)]
        added = min(of_stack for of_stack, _ in pairs) - min(of_base for _, of_base in pairs)
        print(f"  {name:<32} {added * 1e6:6.2f}  {bar:5.1f}")


if __name__ == "__main__":
    operations()
