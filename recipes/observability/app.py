"""A shop that shows what it does: logs, metrics and traces."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import sqlalchemy as sa

import wsgikit
from wsgikit import (
    AccessLogMiddleware,
    ContextMiddleware,
    DatabaseMiddleware,
    ErrorPagesMiddleware,
    MetricsMiddleware,
    ProxyHeadersMiddleware,
    RequestIdMiddleware,
    Router,
    ServerTimingMiddleware,
    Stack,
    TracingMiddleware,
    build_stack,
    use,
)
from wsgikit.middleware.request_id import RequestIdFilter

router = Router("shop")
log = logging.getLogger("shop")


@router.get("/")
def index() -> str:
    return "Hello"


@router.get("/articles/<int:number>")
def article(number: int) -> str:
    title = wsgikit.db.execute(sa.text("SELECT 'Article ' || :number"), {"number": number}).scalar()
    log.info("article %d was looked at", number)
    return str(title)


@router.get("/broken")
def broken() -> str:
    raise LookupError("there is no such article")


def make_stack(*, registry: Any = None, tracer_provider: Any = None) -> Stack:
    """Put the layers around the shop. Tests give a registry and a provider; a site uses the defaults."""
    return build_stack(
        router,
        use(RequestIdMiddleware),
        use(AccessLogMiddleware, format="json", slow_seconds=2),
        use(ProxyHeadersMiddleware, trusted_proxies=["127.0.0.1"]),
        use(MetricsMiddleware, registry=registry, allow=["local", "10.0.0.0/8"]),
        use(TracingMiddleware, tracer_provider=tracer_provider, exclude="/metrics"),
        use(ServerTimingMiddleware, layers=True),
        use(ContextMiddleware),
        use(ErrorPagesMiddleware),
        use(DatabaseMiddleware, url=os.environ.get("DATABASE_URL", "sqlite://")),
    )


def set_up_logging() -> None:
    """Send access lines to standard output, and other records with the request id to standard error."""
    access = logging.getLogger("wsgikit.access")
    lines = logging.StreamHandler(sys.stdout)
    lines.setFormatter(logging.Formatter("%(message)s"))
    access.addHandler(lines)
    access.setLevel(logging.INFO)
    access.propagate = False
    records = logging.StreamHandler()
    records.addFilter(RequestIdFilter())
    records.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[records])


def make_application() -> Stack:
    """Set up logging and traces, and return the stack."""
    set_up_logging()
    if "OTEL_EXPORTER_OTLP_ENDPOINT" in os.environ:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(provider)
    return make_stack()
