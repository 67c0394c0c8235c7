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
USAGE = sorted(path.name for path in HERE.glob("*_usage.py"))
MISTAKES = sorted(path.name for path in HERE.glob("*_mistakes.py"))


@pytest.fixture(scope="module", params=CHECKERS)
def errors(request) -> dict[str, dict[int, str]]:
    """The errors in each file, by line. A checker reads all files in one run: most of its time goes into its start."""
    checker = request.param
    pytest.importorskip(checker, reason=f"{checker} is not installed")
    command = [*CHECKERS[checker], *(str(HERE / file) for file in [*USAGE, *MISTAKES])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    found: dict[str, dict[int, str]] = {file: {} for file in [*USAGE, *MISTAKES]}
    for file, line, text in re.findall(r"(\w+\.py):(\d+):(?:\d+)?([^\n]*error[^\n]*)", done.stdout):
        found.setdefault(file, {})[int(line)] = text
    if not any(found.values()):  # there are mistakes to be found, so the checker itself failed
        if checker == "pyright" and done.returncode > 1:  # it fetches node, which a machine may not let it
            pytest.skip(f"pyright can't run here: {done.stderr.strip()[:200]}")
        pytest.fail(f"{checker} found nothing:\n{done.stdout}{done.stderr}")
    return found


@pytest.mark.parametrize("file", USAGE)
def test_what_users_write_has_no_type_error(errors, file):
    assert errors[file] == {}


@pytest.mark.parametrize("file", MISTAKES)
def test_a_mistake_is_an_error_where_it_is_written(errors, file):
    lines = (HERE / file).read_text(encoding="utf-8").splitlines()
    expected = {number for number, line in enumerate(lines, 1) if "# E:" in line}
    assert set(errors[file]) == expected, errors[file]
