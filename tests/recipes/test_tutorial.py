"""The tutorial: each step passes its own tests, and the code on its page is the code in its folder."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STEPS = sorted(path for path in (ROOT / "recipes/tutorial").iterdir() if path.is_dir())
PAGES = sorted((ROOT / "docs/tutorial").glob("[0-9]*.md"))


def test_each_step_has_a_page():
    assert [step.name.replace("_", "-") for step in STEPS] == [page.stem for page in PAGES]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_step_passes_its_own_tests(step, tmp_path):
    folder = tmp_path / step.name
    shutil.copytree(step, folder, ignore=shutil.ignore_patterns("__pycache__", "*.db", "uploads"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_is_in_its_folder(page):
    folder = ROOT / "recipes/tutorial" / page.stem.replace("-", "_", 1)
    texts = [path.read_text() for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    blocks = re.findall(r"^```(?:python|html|css|ini|sh|nginx)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        assert any(block in text for text in texts), block
