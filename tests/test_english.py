"""The prose of the package and its documentation is plain English, as docs/WORDS.md describes it.

Comments, docstrings, messages and pages are measured, folder by folder. A folder may hold no banned phrase, and one
"where" for three "if". LIMITS lists the folders that don't hold this yet: a ratchet, whose numbers may only fall. If
you improve a folder, lower its numbers: `python tests/test_english.py` prints the table as it is.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

BANNED = re.compile(
    r"\b(?:tell whether|say whether|say of|anew|in its stead|at hand|shall|of (?:its|one's|their|his|your) own"
    r"|what there is|(?:is|are|if) told|whoever|let it be|let them be"
    r"|tak(?:e|en|es|ing) (?:it |them )?for (?:a|an|the|one)"
    r"|lest|whence|thence|hence)\b",
    re.IGNORECASE,
)

# Folder: (banned phrases, "where"). A folder is listed if it has a banned phrase or too many "where".
LIMITS = {
    ".": (6, 3),
    "docs/explanation": (5, 20),
    "docs/howto": (7, 27),
    "docs/reference": (6, 34),
    "recipes/errors_by_mail": (2, 1),
    "recipes/errors_to_sentry": (0, 1),
    "recipes/from_beaker": (0, 3),
    "recipes/guestbook_orm": (0, 1),
    "recipes/login": (2, 3),
    "recipes/openid_connect": (1, 0),
    "recipes/page_calls": (0, 1),
    "recipes/quickstart": (0, 1),
    "recipes/strangler": (1, 0),
    "recipes/wrap_an_existing_app": (0, 1),
    "tests/benchmarks": (0, 2),
    "tests/cli": (2, 0),
    "tests": (8, 10),
    "tests/database": (7, 19),
    "tests/error_pages": (4, 6),
    "tests/frameworks": (5, 2),
    "tests/http": (0, 2),
    "tests/middleware": (0, 6),
    "tests/onion": (1, 2),
    "tests/recipes": (1, 0),
    "tests/routing": (0, 7),
    "tests/security": (0, 1),
    "tests/sessions": (6, 6),
    "tests/testing": (0, 1),
    "tests/views": (1, 6),
    "wsgikit": (0, 4),
    "wsgikit/cli": (3, 5),
    "wsgikit/database": (12, 30),
    "wsgikit/error_pages": (5, 18),
    "wsgikit/http": (2, 19),
    "wsgikit/ini": (1, 10),
    "wsgikit/middleware": (5, 16),
    "wsgikit/onion": (9, 15),
    "wsgikit/options": (2, 4),
    "wsgikit/routing": (10, 53),
    "wsgikit/sessions": (3, 36),
    "wsgikit/templating": (0, 3),
    "wsgikit/testing": (2, 7),
    "wsgikit/views": (1, 4),
}

# The glossary and this test quote the words; the list of layers is made from docstrings that are measured.
LEFT_OUT = {Path("docs/WORDS.md"), Path("docs/reference/layers.md"), Path("tests/test_english.py")}


def prose_of_python(source: str) -> str:
    """Return the comments of a module, and its strings of more than one word."""
    comments = [
        token.string
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    ]
    strings = [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value
    ]
    return "\n".join([*comments, *strings])


def prose_of_page(source: str) -> str:
    """Return a Markdown page without its blocks of code and its quoted code."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^ *```.*?^ *```", "", source, flags=re.MULTILINE | re.DOTALL))


def measure(prose: str) -> tuple[int, int, int]:
    """Return how often a banned phrase, "where" and "if" occur. `where:` documents an argument of that name."""
    flat = re.sub(r"\s+(?:# )?", " ", prose)
    return (
        len(BANNED.findall(flat)),
        len(re.findall(r"\bwhere\b(?!:)", flat, re.I)),
        len(re.findall(r"\bif\b", flat, re.I)),
    )


def folder_of(path: Path) -> str:
    """Return the key of a file in LIMITS: its first two folders."""
    return "/".join(path.parts[:-1][:2]) or "."


def files() -> list[Path]:
    """Return the files that hold prose, relative to the root of the repository."""
    found = [path.relative_to(ROOT) for path in ROOT.glob("*.md")]
    for folder in ("wsgikit", "docs", "tests", "recipes"):
        found += [path.relative_to(ROOT) for kind in ("*.py", "*.md") for path in (ROOT / folder).rglob(kind)]
    return sorted(path for path in found if path not in LEFT_OUT and "_build" not in path.parts)


def measures() -> dict[str, list[int]]:
    """Return the sums of `measure` for each folder."""
    sums: dict[str, list[int]] = {}
    for path in files():
        source = (ROOT / path).read_text(encoding="utf-8")
        counted = measure(prose_of_page(source) if path.suffix == ".md" else prose_of_python(source))
        sums[folder_of(path)] = [a + b for a, b in zip(sums.get(folder_of(path), [0, 0, 0]), counted)]
    return sums


@pytest.fixture(scope="module")
def measured() -> dict[str, list[int]]:
    return measures()


def test_the_words_are_counted():
    """Without this, a mistake in the counting would pass every folder."""
    page = "Tell whether it is there, where there is one, if any.\n```\nwhere\n```\nIt is made\nanew. `where`"
    assert measure(prose_of_page(page)) == (2, 1, 1)
    module = '"""Return it, if there."""\nname = "where"  # a place where\n# is\n# told\n'
    assert measure(prose_of_python(module)) == (1, 1, 1)


@pytest.mark.parametrize("folder", sorted({folder_of(path) for path in files()}))
def test_a_folder_has_no_more_banned_phrases(measured, folder):
    allowed, _ = LIMITS.get(folder, (0, 0))
    assert measured[folder][0] <= allowed, "docs/WORDS.md says what to write instead"


@pytest.mark.parametrize("folder", sorted({folder_of(path) for path in files()}))
def test_a_folder_has_no_more_where(measured, folder):
    _, allowed = LIMITS.get(folder, (0, 0))
    _, where, conditions = measured[folder]
    assert where <= max(allowed, conditions / 3), 'write "if" for a condition; "where" is for places'


def _entry(counts: list[int]) -> tuple[int, int] | None:
    """Return the entry of LIMITS that these counts need, or None."""
    phrases, where, conditions = counts
    return (phrases, where) if phrases or where > conditions / 3 else None


if __name__ == "__main__":
    for name, counts in measures().items():
        if entry := _entry(counts):
            print(f'    "{name}": {entry},')
