"""The code of docs/howto/operations.md runs, and does what the page says."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from wsgikit.testing import TestClient

PAGE = Path(__file__).parents[1] / "docs" / "howto" / "operations.md"


@pytest.fixture(scope="module")
def names():
    namespace = {}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        exec(compile(block, "operations.md", "exec"), namespace)
    return namespace


def test_a_database_that_cannot_be_reached_is_a_503_and_a_record(names, caplog):
    TestClient(names["stack"]).get("/", status=503)
    (record,) = [record for record in caplog.records if record.name == "wsgikit.errors"]
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("GET /: DatabaseUnreachableError in the application: 503 ")
    assert "DatabaseMiddleware 'default': GET /: expected a connection to sqlite:////nowhere/at_all.db" in caplog.text


def test_links_lead_to_headings_that_are_there():
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]+)#?([^)]*)\)", PAGE.read_text("utf-8")):
        page = (PAGE.parent / target).read_text("utf-8")
        headings = {
            re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", page, re.M)
        }
        assert not anchor or anchor in headings, (target, anchor)
