"""The code of the pages on page calls and event streams runs."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from werkzeug.datastructures import FileStorage

from wsgikit import session, sijax
from wsgikit.testing import TestClient

HOWTO = Path(__file__).parents[2] / "docs" / "howto"


def app(environ, start_response):
    start_response("404 Not Found", [])
    return []


def run(page, **names):
    namespace = {"__name__": "page", "app": app, "session": session, **names}
    for block in re.findall(r"^```python\n(.*?)^```", (HOWTO / page).read_text(), re.MULTILINE | re.DOTALL):
        exec(compile(block, page, "exec"), namespace)
    return namespace


@pytest.mark.parametrize("page", ["page-calls.md", "event-streams.md", "from-sijax.md"])
def test_links_lead_to_pages_that_exist(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (HOWTO / page).read_text()):
        assert (HOWTO / target).exists(), target


def test_the_functions_of_the_page_are_called():
    names = {
        "insert_note": lambda text, tags: len(text),
        "new_note": lambda text: SimpleNamespace(id=7),
        "render_template": lambda name, note: f"<li>{note.id}</li>",
        "FileStorage": FileStorage,
        "VERSION": "1",
    }
    page = run("page-calls.md", **names)
    client = TestClient(page["stack"], extra_environ={"HTTP_X_VERSION": "1"})
    page["calls"].on_after.clear()  # it wants a session
    assert client.post_json("/__calls__", {"call": "save_note", "args": {"text": "Milk"}}).json["value"] == 4
    commands = [["html_append", "#notes", "<li>7</li>"], ["call", "scrollDown", []]]
    added = client.post_json("/__calls__", {"call": "add_note", "args": {"text": "Milk"}}).json
    assert added == {"value": 7, "commands": commands}
    assert client.post_json("/__calls__", {"call": "gone"}).json["commands"] == [["alert", "This page is out of date."]]
    client.extra_environ["HTTP_X_VERSION"] = "0"
    answer = client.post_json("/__calls__", {"call": "save_note", "args": {"text": "Milk"}}).json
    assert answer["commands"] == [["alert", "Please reload."]]


def test_the_streams_of_the_page_send_their_events():
    page = run("event-streams.md", news_after=lambda number: [(number + 1, "fresh")])
    answer = TestClient(page["router"]).get("/news/events", headers={"Last-Event-ID": "4"})
    assert answer.body == b"retry: 3000\n\nid: 5\ndata: fresh\n\n"


def test_the_callback_of_the_page_is_called(monkeypatch):
    monkeypatch.setattr(sijax.calls, "functions", {})
    client = TestClient(run("from-sijax.md")["stack"])
    answer = client.post_json("/__calls__", {"call": "say_hello", "args": ["Ann"]}).json
    assert answer["commands"] == [["alert", "Hello, Ann"], ["html", "#greeting", "Hello"]]
