"""The layers of operations keep nothing of a request, whatever its path, user, id or outcome."""

from __future__ import annotations

import gc
import logging
import tracemalloc

import pytest
import sqlalchemy as sa
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from wsgikit import (
    AccessLogMiddleware,
    ContextMiddleware,
    DatabaseMiddleware,
    ErrorPagesMiddleware,
    MetricsMiddleware,
    ProfilerMiddleware,
    RequestIdMiddleware,
    ServerTimingMiddleware,
    SessionMiddleware,
    TracingMiddleware,
    build_stack,
    use,
)

from .conftest import make_environ

KEY = "0123456789abcdef0123456789abcdef0123456789abcdef"
ALLOWED_BYTES = 250_000  # of caches with a limit, such as that of the last 1024 addresses


class Nowhere(SpanExporter):
    def export(self, spans):
        return SpanExportResult.SUCCESS


def app(environ, start_response):
    number = int(environ["PATH_INFO"].rpartition("/")[2])
    kind = number % 5
    if kind == 0:
        environ["wsgikit.db"].execute(sa.text("SELECT 1"))
        environ["wsgikit.session"]["user"] = environ["PATH_INFO"]
    if number % 50 == 1:  # an error page takes as long as thirty other requests
        raise LookupError(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return iter([b"a", b"b"]) if kind > 2 else [b"Hello"]


def drop(record):
    return False


@pytest.fixture
def stack():
    # A filter drops the records after they were made: pytest would keep them.
    loggers = [logging.getLogger(name) for name in ("test_operations_memory", "wsgikit.errors")]
    for logger in loggers:
        logger.addFilter(drop)
    access = loggers[0]
    access.addHandler(logging.NullHandler())
    access.setLevel("INFO")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(Nowhere()))
    yield build_stack(
        app,
        use(RequestIdMiddleware),
        use(AccessLogMiddleware, format="json", logger=access.name),
        use(MetricsMiddleware),
        use(TracingMiddleware, tracer_provider=provider),
        use(ServerTimingMiddleware, layers=True),
        use(ProfilerMiddleware),
        use(ContextMiddleware),
        use(ErrorPagesMiddleware),
        use(SessionMiddleware, secret_key=KEY),
        use(DatabaseMiddleware, url="sqlite://"),
    )
    for logger in loggers:
        logger.removeFilter(drop)
    provider.shutdown()


def run(stack, numbers):
    for number in numbers:
        environ = make_environ(
            path=f"/{number:x}z/{number}",
            REMOTE_ADDR=f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
            REMOTE_USER=f"user{number}",
            HTTP_X_REQUEST_ID=f"{number:020}",
            HTTP_USER_AGENT=f"agent {number}",
        )
        body = stack(environ, lambda status, headers, exc_info=None: lambda data: None)
        if number % 5 == 4:
            next(iter(body))  # and leave
        else:
            for _ in body:
                pass
        getattr(body, "close", bool)()


def grown_bytes(stack, count):
    run(stack, range(1200))  # fills what is filled once
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        run(stack, range(1200, 1200 + count))
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return after - before


@pytest.mark.slow
def test_many_requests_leave_nothing_behind(stack, soak):
    assert grown_bytes(stack, soak(soak(200_000))) < ALLOWED_BYTES
