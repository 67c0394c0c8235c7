"""The code of docs/howto/database.md runs, from top to bottom, and its tests pass."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "database.md"


def test_the_code_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("database_page")
    monkeypatch.setitem(sys.modules, "database_page", module)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) > 8
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), module.__dict__)
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()
    client = module.TestClient(module.stack)
    client.post("/order", status=201)
    client.post("/try", status=422)
    assert client.get("/").json == ["order", "tried"]
    assert capsys.readouterr().out == "now the mail can be sent\n"
    module.stack.close()
