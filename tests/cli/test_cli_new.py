"""``wsgikit new``: each kind of project runs, passes its own tests, and is safe in production."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from wsgikit.cli import main
from wsgikit.cli.new import KINDS

SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef"


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return lambda *arguments: CliRunner().invoke(main, ["new", *arguments])


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_project_passes_its_own_tests_and_the_check(make, kind):
    made = make(f"my_{kind}", "--kind", kind)
    assert made.exit_code == 0, made.output
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore"]
    done = subprocess.run(command, cwd=f"my_{kind}", capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout
    checking = [sys.executable, "-m", "wsgikit.cli", "check", "production.ini"]
    checked = subprocess.run(
        checking, cwd=f"my_{kind}", capture_output=True, text=True, check=False, timeout=60, env={"SECRET_KEY": SECRET}
    )
    assert (checked.returncode, "no problem." in checked.stdout) == (0, True), checked.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_no_placeholder_is_left_and_all_named_files_are_there(make, kind):
    make("mine", "--kind", kind)
    files = {str(path.relative_to("mine")): path.read_text() for path in Path("mine").rglob("*") if path.is_file()}
    assert not [path for path, text in files.items() if "@NAME@" in path + text]
    named = [line.split("`")[1] for line in files["README.md"].splitlines() if line.startswith("| `")]
    assert set(named) <= set(files)


def test_the_secret_is_new_and_only_its_owner_can_read_it(make):
    make("one")
    make("two")
    secrets = [Path(name, "secret.txt").read_text().strip() for name in ("one", "two")]
    assert secrets[0] != secrets[1]
    assert len(secrets[0]) == 64
    assert stat.S_IMODE(Path("one/secret.txt").stat().st_mode) == 0o600
    assert "secret.txt" in Path("one/.gitignore").read_text()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my-site", "new: NAME: expected a name that Python can import, got 'my-site'."),
        ("class", "new: NAME: expected a name that Python can import, got 'class'."),
        ("../site", "new: NAME: expected a name that Python can import, got '../site'."),
        ("json", "new: NAME: expected a name that no installed module has, got 'json'."),
        ("taken", "new: NAME: expected a folder that doesn't exist yet, got 'taken'."),
    ],
)
def test_a_name_that_can_not_work_is_refused(make, name, message):
    Path("taken").mkdir()
    refused = make(name)
    assert refused.exit_code == 1
    assert message in refused.output
    assert list(Path("taken").iterdir()) == []
