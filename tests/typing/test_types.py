"""The types of stacks and of the router hold for users: mypy in strict mode and pyright agree."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CHECKERS = {
    "mypy": [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--follow-imports=silent"],
    "pyright": [sys.executable, "-m", "pyright", "--pythonversion", "3.11"],
}


def run(checker: str, file: str) -> tuple[int, str]:
    pytest.importorskip(checker, reason=f"{checker} is not installed")
    command = [*CHECKERS[checker], str(HERE / file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    if checker == "pyright" and "error" not in done.stdout and done.returncode > 1:
        pytest.skip(f"pyright can't run here: {done.stderr.strip()[:200]}")
    return done.returncode, done.stdout


@pytest.mark.parametrize("file", ["routing_usage.py", "stack_usage.py"])
@pytest.mark.parametrize("checker", CHECKERS)
def test_what_users_write_has_no_type_error(checker, file):
    status, output = run(checker, file)
    assert status == 0, output


@pytest.mark.parametrize("file", ["routing_mistakes.py", "stack_mistakes.py"])
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_mistake_is_an_error_where_it_is_written(checker, file):
    _, output = run(checker, file)
    found = {int(line) for line in re.findall(rf"{re.escape(file)}:(\d+):(?:\d+)?[^\n]*error", output)}
    lines = (HERE / file).read_text(encoding="utf-8").splitlines()
    expected = {number for number, line in enumerate(lines, 1) if "# E:" in line}
    assert found == expected, output
