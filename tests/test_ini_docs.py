"""What the pages on ini files and the command line say is so."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from wsgikit.cli import main
from wsgikit.ini import layer_names, load_stack

DOCS = Path(__file__).parents[1] / "docs"
HOWTO = (DOCS / "howto" / "ini.md").read_text(encoding="utf-8")
INI = (DOCS / "reference" / "ini.md").read_text(encoding="utf-8")
CLI = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```ini\n(.*?)^```", HOWTO, re.MULTILINE | re.DOTALL)

MODULE = """
from wsgikit import Middleware, Router

router = Router("docs_app")

def legacy_app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]

class LimitMiddleware(Middleware):
    def __init__(self, app, *, max_body_bytes: int):
        super().__init__(app)
"""
APP = "\n[app:app]\nuse = egg:wsgikit#app\napp = myapp:legacy_app\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "myapp").mkdir()
    (tmp_path / "myapp" / "__init__.py").write_text(MODULE)
    (tmp_path / "myapp" / "layers.py").write_text("from myapp import LimitMiddleware\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APP_SECRET", "0123456789abcdef" * 3)
    yield tmp_path
    for name in ("myapp", "myapp.layers"):
        sys.modules.pop(name, None)


def layers_of(text: str, settings=None) -> list[str]:
    Path("app.ini").write_text(text)
    with load_stack("app.ini", settings=settings) as stack:
        return [type(layer).__name__.removesuffix("Middleware") for layer in stack.layers]


def test_the_whole_file_loads():
    assert layers_of(BLOCKS[0]) == ["ErrorPages", "Context", "Session", "Database", "Router"]


@pytest.mark.parametrize("block", [b for b in BLOCKS[1:] if "[filter:" in b and "config:" not in b])
def test_every_part_of_a_file_loads(block, folder):
    block = block.replace("/run/secrets/old_session_key", "old_key")
    (folder / "old_key").write_text("fedcba9876543210" * 3)
    names = re.findall(r"^\[filter:(.*)\]", block, re.MULTILINE)
    text = f"[pipeline:main]\npipeline = {' '.join(names)} app\n{block}{APP}"
    assert len(layers_of(text, {"database": "sqlite://"})) == len(names)


def test_the_outer_file_loads_with_the_shared_one(folder):
    (outer,) = [block for block in BLOCKS if "config:" in block]
    (folder / "base.ini").write_text("[filter:errors]\nuse = egg:wsgikit#error_pages\ndebug = yes\n" + APP)
    Path("production.ini").write_text(outer)
    assert load_stack("production.ini").layers[0].debug is False


def test_the_applications_side_by_side_load():
    (block,) = [block for block in BLOCKS if "[composite:" in block]
    text = block + APP.replace("app:app", "app:site") + APP.replace("app:app", "app:admin_with_login")
    Path("app.ini").write_text(text)
    assert list(load_stack("app.ini").app.apps) == ["", "/admin"]


def test_the_reference_names_every_entry_point():
    for name, class_name in layer_names().items():
        assert f"| `{name}` | `{class_name}` | `wsgikit options {name}` |" in INI
    for name in ("layer", "app", "mount", "server"):
        assert f"\n| `{name}` |" in INI


def test_the_reference_of_the_layers_is_current():
    result = CliRunner().invoke(main, ["options", "--markdown"])
    written = (DOCS / "reference" / "layers.md").read_text(encoding="utf-8")
    assert result.output == written, "run: wsgikit options --markdown > docs/reference/layers.md"


def test_the_reference_of_the_layers_says_of_each_option_what_it_does():
    rows = re.findall(r"^\| (?!option|---)(.*) \|$", (DOCS / "reference" / "layers.md").read_text(), re.MULTILINE)
    assert len(rows) > 50
    assert [row for row in rows if row.endswith("|")] == []


def test_the_reference_names_every_command_and_option_of_serve():
    context = click.Context(main)
    for name in main.list_commands(context):
        assert f"| `wsgikit {name} " in CLI or f"| `wsgikit {name}` " in CLI
    serve = main.get_command(context, "serve")
    for parameter in serve.params:
        for option in (*parameter.opts, *parameter.secondary_opts):
            if option.startswith("--"):
                assert f"`{option}" in CLI
