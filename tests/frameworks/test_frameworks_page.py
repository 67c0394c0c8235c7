"""The code of docs/howto/frameworks.md runs, and its table is true."""

from __future__ import annotations

import re
from pathlib import Path

import sqlalchemy as sa

from wsgikit import DatabaseMiddleware
from wsgikit.testing import TestClient

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "frameworks.md"


def test_the_example_counts_visits_and_notes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    namespace = {"__name__": "shop"}
    exec(compile(block, "frameworks.md", "exec"), namespace)
    with namespace["application"] as stack:
        with stack.find(DatabaseMiddleware).engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT)"))
        client = TestClient(stack)
        assert client.get("/").text == "1 visits, 0 notes"
        assert client.post("/notes", {"text": "hello"}).status_int == 302
        assert client.get("/").text == "2 visits, 1 notes"


def test_links_lead_to_pages_that_are_there():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", PAGE.read_text()):
        assert (PAGE.parent / target).exists(), target
