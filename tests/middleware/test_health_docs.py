"""The page on health and shutdown: its code runs, and its commands exist."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner
from werkzeug.test import Client

from wsgikit.cli import main

PAGE = (Path(__file__).parents[2] / "docs/howto/health-and-shutdown.md").read_text(encoding="utf-8")


def test_the_code_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    exec(compile(blocks[0], "page", "exec"), namespace)
    assert Client(namespace["stack"]).get("/readyz").json["checks"]["mail_server_answers"]["status"] == "ok"
    for block in blocks[1:]:
        exec(compile(block, "page", "exec"), namespace)
    assert namespace["seconds_left"]({"wsgikit.deadline": 0}) == 0.0


def test_the_commands_and_options_of_the_page_exist():
    for command, option in re.findall(r"wsgikit (drain|serve)\b[^`\n\"]*?(--\w+)", PAGE):
        assert option in CliRunner().invoke(main, [command, "--help"]).output


def test_the_code_of_the_page_on_the_inspector_runs_and_its_pictures_exist():
    folder = Path(__file__).parents[2] / "docs/howto"
    page = (folder / "inspector.md").read_text(encoding="utf-8")
    namespace = {}
    for block in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        exec(compile(block, "inspector.md", "exec"), namespace)
    assert Client(namespace["stack"]).get("/__onion__").status_code == 200
    pictures = re.findall(r"!\[.+\]\((.+)\)", page)
    assert len(pictures) == 4
    assert all((folder / picture).is_file() for picture in pictures)
