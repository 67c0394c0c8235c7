"""``wsgikit new``: the files of a new project."""

from __future__ import annotations

__all__ = ["command"]

import importlib.util
import keyword
import os
import secrets
from pathlib import Path

import click

from wsgikit.cli.secret import DEFAULT_BYTES
from wsgikit.exceptions import ConfigurationError, complaint

KINDS = {
    "scratch": "pages from templates, with a session and protected forms",
    "wrap": "new pages in front of an application that you have",
    "api": "a JSON API",
}
_STARTER = Path(__file__).parent / "starter"
_PLACEHOLDER = "@NAME@"
# Files of the starter that are named after the project, or whose name would have a meaning in this package.
_RENAMED = {"app.py": f"{_PLACEHOLDER}.py", "test.py": f"test_{_PLACEHOLDER}.py", "gitignore": ".gitignore"}


@click.command("new")
@click.argument("name")
@click.option("--kind", type=click.Choice([*KINDS]), default="scratch", show_default=True, help="What to begin with.")
def command(name: str, kind: str) -> None:
    """Make a project in the new folder NAME.

    It has views, ini files for development and for production, tests, a README and, if it has a session, a secret
    key. KIND is scratch (pages from templates, with a session), wrap (new pages in front of an application that you
    have) or api (a JSON API).
    """
    check_name(name)
    folder = Path(name)
    files = files_of(name, kind)
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    if "file:secret.txt" in files["development.ini"]:
        _write_secret(folder / "secret.txt")
    click.echo(f"Made {name}/, {KINDS[kind]}. Next:\n\n  cd {name}\n  pytest\n  wsgikit serve development.ini")


def check_name(name: str) -> None:
    """Check that a project may have this name: that of a new folder, and of a new module in it.

    Raises:
        ConfigurationError: it can't be imported, hides a module that is installed, or the folder exists.
    """
    if not name.isidentifier() or keyword.iskeyword(name):
        remedy = "Letters, digits and underscores are allowed, such as my_site"
        raise ConfigurationError(complaint("new", "NAME", "a name that Python can import", name, remedy))
    if Path(name).exists():
        raise ConfigurationError(
            complaint("new", "NAME", "a folder that doesn't exist yet", name, "Choose another name")
        )
    # The folder that the command runs in is on the import path: a project there isn't in the way of itself.
    if importlib.util.find_spec(name) is not None:
        remedy = "The module of your project would hide it. Choose another name"
        raise ConfigurationError(complaint("new", "NAME", "a name that no installed module has", name, remedy))


def files_of(name: str, kind: str) -> dict[str, str]:
    """Return the files of a project, the text by the path in its folder. A file of the kind replaces one of all."""
    files = {}
    for part in ("all", kind):
        root = _STARTER / part
        for source in sorted(root.rglob("*.txt")):
            path = source.relative_to(root).as_posix().removesuffix(".txt")
            text = source.read_text(encoding="utf-8")
            files[_RENAMED.get(path, path).replace(_PLACEHOLDER, name)] = text.replace(_PLACEHOLDER, name)
    return files


def _write_secret(path: Path) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "w", encoding="ascii") as opened:
        opened.write(f"{secrets.token_hex(DEFAULT_BYTES)}\n")
