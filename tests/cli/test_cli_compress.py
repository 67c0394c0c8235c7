"""``wsgikit compress``."""

from __future__ import annotations

import gzip
import os

import brotli
import pytest
from click.testing import CliRunner

from wsgikit.cli import main
from wsgikit.http.codings import load_coding

TEXT = b"All work and no play makes Jack a dull boy. " * 50


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("app.js", "in/style.css", "photo.png", ".hidden.js"):
        (tmp_path / name).write_bytes(TEXT)
    (tmp_path / "small.js").write_bytes(b"x" * 499)
    (tmp_path / "noise.txt").write_bytes(os.urandom(2000))
    return tmp_path


def run(*args):
    return CliRunner().invoke(main, ["compress", *map(str, args)])


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_forms_are_written_beside_the_files(folder):
    before = names(folder)
    result = run(folder)
    assert result.exit_code == 0, result.output
    assert sorted(set(names(folder)) - set(before)) == [
        *("app.js.br", "app.js.gz", "app.js.zst", "in/style.css.br", "in/style.css.gz", "in/style.css.zst"),
    ]
    assert "3 files: 6 forms written (zstd, br, gzip)" in result.output
    assert gzip.decompress((folder / "app.js.gz").read_bytes()) == TEXT
    assert brotli.decompress((folder / "app.js.br").read_bytes()) == TEXT
    assert load_coding("zstd").decompress((folder / "app.js.zst").read_bytes()) == TEXT


def test_the_forms_have_the_time_and_the_rights_of_the_file(folder):
    os.utime(folder / "app.js", ns=(1_700_000_000_123_456_789, 1_700_000_000_123_456_789))
    (folder / "app.js").chmod(0o640)
    run(folder)
    status = (folder / "app.js.gz").stat()
    assert status.st_mtime_ns == (folder / "app.js").stat().st_mtime_ns
    assert status.st_mode & 0o777 == 0o640


def test_a_second_run_writes_only_what_changed(folder):
    run(folder)
    assert "0 forms written" in run(folder).output
    (folder / "app.js").write_bytes(TEXT + b"changed")
    os.utime(folder / "app.js", (2_000_000_000, 2_000_000_000))
    assert "3 forms written" in run(folder).output
    assert gzip.decompress((folder / "app.js.gz").read_bytes()) == TEXT + b"changed"


def test_a_form_that_no_longer_helps_is_removed(folder):
    run(folder)
    (folder / "app.js").write_bytes(os.urandom(2000))
    os.utime(folder / "app.js", (2_000_000_000, 2_000_000_000))
    run(folder)
    assert not (folder / "app.js.gz").exists()


def test_codings_and_size_are_options(folder):
    run(folder, "--encodings", "gzip", "--min-bytes", "100")
    assert (folder / "small.js.gz").exists()
    assert not (folder / "app.js.br").exists()


@pytest.mark.parametrize(
    ("args", "text"),
    [(["--encodings", "lzma"], "expected some of zstd, br, gzip, got 'lzma'"), (["--min-bytes", "-1"], "min-bytes")],
    ids=["coding", "size"],
)
def test_a_wrong_option_is_named(folder, args, text):
    result = run(folder, *args)
    assert result.exit_code == 2
    assert text in result.output


def test_a_missing_folder_is_named():
    assert run("/nowhere").exit_code == 2


def test_a_folder_under_a_write_that_fails_keeps_its_files(folder, monkeypatch):
    before = names(folder)
    monkeypatch.setattr(os, "replace", lambda *args: (_ for _ in ()).throw(OSError("disk full")))
    assert run(folder).exit_code == 1
    assert names(folder) == before
