"""The pages on static files and compression: their code builds, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import wsgikit

HOWTO = Path(__file__).parents[2] / "docs" / "howto"


@pytest.mark.parametrize("name", ["static.md", "compress.md", "cache.md", "idempotency.md"])
def test_the_code_of_a_page_builds(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "index.html").write_text("<p>home")
    page = (HOWTO / name).read_text()
    page = page.replace(', "pyramid_debugtoolbar:static"', "")
    namespace = {key: getattr(wsgikit, key) for key in wsgikit.__all__}
    router = wsgikit.Router("site")
    namespace |= {
        "secret_key": "0123456789abcdef" * 4,
        "router": router,
        "load": lambda number: None,
        "app": router,
        "api": router,
    }
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        code = block if not block.startswith("use(") else f"stack = build_stack(app, {block})"
        exec(compile(code, name, "exec"), namespace)


@pytest.mark.parametrize("name", ["static.md", "compress.md", "cache.md", "idempotency.md"])
def test_links_lead_to_pages_that_exist(name):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (HOWTO / name).read_text()):
        assert (HOWTO / target).exists(), target
