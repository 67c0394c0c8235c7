"""The recipe observability: its formats are read by the parsers of Prometheus and OpenTelemetry."""

from __future__ import annotations

import importlib.util
import json
import logging
import re
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from wsgikit.middleware.request_id import outgoing_headers
from wsgikit.testing import TestClient

FOLDER = Path(__file__).parents[2] / "recipes" / "observability"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture(scope="module")
def shop():
    spec = importlib.util.spec_from_file_location("observability_app", FOLDER / "app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def spans():
    return InMemorySpanExporter()


@pytest.fixture
def client(shop, spans):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    with shop.make_stack(registry=CollectorRegistry(), tracer_provider=provider) as stack:
        yield TestClient(stack, extra_environ={"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost"})
    provider.shutdown()


@pytest.fixture
def lines():
    found = []

    class Handler(logging.Handler):
        def emit(self, record):
            found.append(record.getMessage())

    logger = logging.getLogger("wsgikit.access")
    handler = Handler()
    logger.addHandler(handler)
    logger.setLevel("INFO")
    yield found
    logger.removeHandler(handler)
    logger.setLevel("NOTSET")


@pytest.mark.parametrize(("parse", "accept"), [(parse_text, "text/plain"), (parse_openmetrics, OPENMETRICS)])
def test_the_numbers_are_read_by_the_parsers_of_prometheus(client, parse, accept):
    client.get("/articles/7")
    client.get("/articles/8")
    families = {family.name: family for family in parse(client.get("/metrics", headers={"Accept": accept}).text)}
    (sample,) = (
        sample
        for name in ("http_requests", "http_requests_total")
        for sample in getattr(families.get(name), "samples", ())
        if sample.name == "http_requests_total"
    )
    assert sample.labels == {"method": "GET", "route": "/articles/<int:number>", "status": "200"}
    assert sample.value == 2


def test_the_line_the_span_and_the_response_have_one_id(client, spans, lines):
    response = client.get("/articles/7", headers={"traceparent": TRACEPARENT})
    assert response.text == "Article 7"
    line = json.loads(lines[0])
    statement, server = spans.get_finished_spans()
    assert line["request_id"] == response.headers["X-Request-ID"] == server.attributes["wsgikit.request_id"] == TRACE
    assert (line["route"], line["db_statements"]) == ("/articles/<int:number>", 1)
    assert statement.parent.span_id == server.context.span_id
    exported = json.loads(server.to_json())
    assert exported["context"]["trace_id"] == f"0x{TRACE}"
    assert exported["attributes"]["http.route"] == "/articles/<int:number>"


def test_an_error_is_in_all_three(client, spans, lines):
    response = client.get("/broken", status=500)
    assert json.loads(lines[0])["answered_by"] == "ErrorPagesMiddleware"
    (server,) = spans.get_finished_spans()
    assert server.attributes["error.type"] == "LookupError"
    assert response.headers["X-Request-ID"] in response.text
    assert 'status="500"' in client.get("/metrics").text


def test_headers_for_other_services_are_read_by_opentelemetry(client):
    headers = outgoing_headers({"HTTP_TRACEPARENT": TRACEPARENT})
    context = TraceContextTextMapPropagator().extract(headers)
    span = trace.get_current_span(context).get_span_context()
    assert span.is_valid
    assert f"{span.trace_id:032x}" == TRACE
    assert span.trace_flags.sampled


def test_the_browser_sees_where_the_time_went(client):
    names = re.findall(r"([\w]+);dur=", client.get("/articles/7").headers["Server-Timing"])
    assert names[:2] == ["total", "db"]
    assert "DatabaseMiddleware" in names


def test_the_dashboard_asks_only_for_series_that_exist(client):
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    client.get("/articles/7")
    known = {family.name for family in parse_text(client.get("/metrics").text)}
    asked = set()
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            asked.update(re.findall(r"\b(?:http|wsgikit)_[a-z_]+", target["expr"]))
    assert {re.sub("_(total|bucket|sum|count)$", "", name) for name in asked} <= known
    assert {panel["id"] for panel in dashboard["panels"]} == set(range(1, 11))


def test_records_have_the_request_id(shop, client, capsys):
    root, access = logging.getLogger(), logging.getLogger("wsgikit.access")
    before = root.handlers[:], root.level, access.handlers[:], access.level, access.propagate
    try:
        root.handlers[:] = []
        shop.set_up_logging()
        client.get("/articles/7", headers={"X-Request-ID": "a" * 20})
    finally:
        root.handlers[:], level, access.handlers[:], access_level, access.propagate = before
        root.setLevel(level)
        access.setLevel(access_level)
    out, err = capsys.readouterr()
    assert json.loads(out)["request_id"] == "a" * 20
    assert f"INFO shop [{'a' * 20}] article 7 was looked at" in err
