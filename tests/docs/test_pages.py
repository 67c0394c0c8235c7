"""Each page of the documentation is listed, its links work, and each public name has a reference."""

from __future__ import annotations

import re
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

import wsgikit

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("recipes/**/README.md")]
    if "_build" not in path.parts
)


@pytest.fixture(scope="module")
def public_names():
    sys.path.insert(0, str(DOCS / "_extensions"))
    pytest.importorskip("sphinx", reason="needs the extra docs")
    import public_names

    yield public_names
    sys.path.remove(str(DOCS / "_extensions"))


def without_code(page: Path) -> str:
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    headings = re.findall(r"^#+ (.*)$", without_code(page), re.MULTILINE)
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_of_a_page_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", without_code(page)):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in anchors_of(file), target


def test_each_page_is_listed_in_a_table_of_contents():
    listed = set()
    for page in PAGES:
        for block in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            lines = [line for line in block.splitlines() if line and not line.startswith(":")]
            listed |= {str((page.parent / line).resolve()) for line in lines}
    missing = [
        str(page.relative_to(ROOT))
        for page in PAGES
        if not any(fnmatch(str(page.with_suffix("")), pattern) for pattern in listed)
    ]
    assert missing == ["docs/README.md", "docs/index.md"]


def test_each_public_name_has_a_reference(public_names):
    pages = [path.stem for path in (DOCS / "reference/api").glob("*.md")]
    named = [name for page in pages for name in public_names.names_of(page)]
    for name in set(wsgikit.__all__) - public_names.LOCALS:
        assert named.count(f"wsgikit.{name}") == 1, name
    locals_page = (DOCS / "reference/api/locals.md").read_text()
    for name in set(wsgikit.__all__) & public_names.LOCALS:
        assert f"| `{name}` |" in locals_page
    for name in wsgikit.testing.__all__:
        assert f"wsgikit.testing.{name}" in named


def test_a_reference_shows_the_methods_of_our_base_classes_only(public_names):
    assert ":inherited-members: " in public_names.reference_of("wsgikit.Router")
    assert "dict" not in public_names.reference_of("wsgikit.Router")
    assert "BaseRequest" in public_names.reference_of("wsgikit.Request")
    assert ":exclude-members: before_request" in public_names.reference_of("wsgikit.SessionMiddleware")
