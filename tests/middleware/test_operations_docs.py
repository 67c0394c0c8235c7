"""The code of the pages on operations runs, and what they say is so."""

from __future__ import annotations

import io
import json
import logging
import re
from pathlib import Path

import pytest

from wsgikit.middleware.access_log.lines import FIELDS
from wsgikit.testing import TestClient

HOWTO = Path(__file__).parents[2] / "docs" / "howto"
PAGES = ["logs.md", "metrics-and-traces.md"]


def run(page):
    namespace = {"__name__": "page"}
    for block in re.findall(r"^```python\n(.*?)^```", (HOWTO / page).read_text(), re.MULTILINE | re.DOTALL):
        exec(compile(block, page, "exec"), namespace)
    return namespace


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page):
    assert run(page)["stack"]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_pages_that_exist(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (HOWTO / page).read_text()):
        assert (HOWTO / target).exists(), target


@pytest.fixture
def logging_restored():
    loggers = [logging.getLogger(), logging.getLogger("wsgikit.access")]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:], logger.level, logger.propagate = handlers, level, propagate
        logger.setLevel(level)


def test_the_lines_of_a_request_have_one_id(logging_restored):
    page = run("logs.md")
    stream = io.StringIO()
    page["set_up_logging"](stream)
    response = TestClient(page["stack"]).get("/")
    record, line = stream.getvalue().splitlines()
    request_id = response.headers["X-Request-ID"]
    assert record.endswith(f"WARNING shop [{request_id}] no stock left")
    assert json.loads(line)["request_id"] == request_id


def test_the_table_of_the_access_log_has_all_fields_in_order():
    section = (HOWTO / "logs.md").read_text().partition("## What a line has")[2]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    assert tuple(name for cell in cells for name in re.findall(r"`(\w+)`", cell)) == FIELDS


def test_headers_for_other_services_carry_the_id():
    headers = run("logs.md")["headers_for_the_warehouse"]({"wsgikit.request_id": "a" * 20})
    assert headers == {"Accept": "application/json", "X-Request-ID": "a" * 20}


def test_the_table_of_metrics_has_all_that_are_exposed():
    from prometheus_client.parser import text_string_to_metric_families

    text = (HOWTO / "metrics-and-traces.md").read_text()
    section = text.partition("## Metrics")[2].partition("## Traces")[0]
    named = set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE))
    client = TestClient(run("metrics-and-traces.md")["stack"], extra_environ={"REMOTE_ADDR": "127.0.0.1"})
    client.get("/")
    exposed = {family.name for family in text_string_to_metric_families(client.get("/metrics").text)}
    created = {name for name in exposed if name.endswith("_created")}
    assert {re.sub("_total$", "", name) for name in named} == exposed - created


def test_the_page_shows_the_time_of_each_layer():
    client = TestClient(run("metrics-and-traces.md")["stack"], extra_environ={"REMOTE_ADDR": "127.0.0.1"})
    assert "ErrorPagesMiddleware;dur=" in client.get("/").headers["Server-Timing"]
    assert "HTTP/1.1" not in client.get("/?__profile__=text").text
