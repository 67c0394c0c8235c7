"""The layers of operations around the frameworks that people have."""

from __future__ import annotations

import json
import logging

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from wsgikit import (
    AccessLogMiddleware,
    ContextMiddleware,
    MetricsMiddleware,
    ProfilerMiddleware,
    RequestIdMiddleware,
    ServerTimingMiddleware,
    TracingMiddleware,
    build_stack,
    use,
)
from wsgikit.testing import TestClient

from .test_delivery_frameworks import FRAMEWORKS


@pytest.fixture(params=FRAMEWORKS, ids=lambda make: make.__name__.removeprefix("of_"))
def app(request):
    return request.param()


@pytest.fixture
def lines():
    found = []

    class Handler(logging.Handler):
        def emit(self, record):
            found.append(json.loads(record.getMessage()))

    logger = logging.getLogger("wsgikit.access")
    handler = Handler()
    logger.addHandler(handler)
    logger.setLevel("INFO")
    yield found
    logger.removeHandler(handler)
    logger.setLevel("NOTSET")


def test_each_layer_reports_a_request_of_each_framework(app, lines):
    spans = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    stack = build_stack(
        app,
        use(RequestIdMiddleware),
        use(AccessLogMiddleware, format="json"),
        use(MetricsMiddleware),
        use(TracingMiddleware, tracer_provider=provider),
        use(ServerTimingMiddleware, layers=True),
        use(ProfilerMiddleware),
        use(ContextMiddleware),
    )
    client = TestClient(stack, extra_environ={"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost"})
    paths = ["/", "/nothing/here"]
    answers = [client.get(path, expect_errors=True) for path in paths]
    profile = client.get("/?__profile__=text", expect_errors=True)

    assert len(lines) == 3
    for path, answer, line, span in zip(paths, answers, lines, spans.get_finished_spans(), strict=False):
        assert (line["path"], line["status"], line["bytes"]) == (path, answer.status_int, len(answer.body))
        assert (line["outcome"], line["answered_by"]) == ("complete", "application")
        assert line["request_id"] == answer.headers["X-Request-ID"]
        assert span.attributes["http.response.status_code"] == answer.status_int
        assert "total;dur=" in answer.headers["Server-Timing"]
    assert lines[2]["answered_by"] == "ProfilerMiddleware"
    assert profile.status_int == 200
    counted = 0
    for family in text_string_to_metric_families(client.get("/metrics").text):
        if family.name == "http_requests":
            counted = sum(sample.value for sample in family.samples if sample.name == "http_requests_total")
    assert counted == 3
    provider.shutdown()
