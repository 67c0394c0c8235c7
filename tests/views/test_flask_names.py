"""The table of Flask's names covers all of them, and what it points to is there."""

from __future__ import annotations

import importlib
import runpy
from pathlib import Path

import pytest

HERE = Path(__file__).parent
names = runpy.run_path(str(HERE / "flask_names.py"))
PAGE = HERE.parents[1] / "docs" / "reference" / "flask-names.md"
# What instances have: set in __init__, so not to be found on the class.
OF_INSTANCES = {
    "Router": {
        "hooks",
        "map",
        "extensions",
        "json",
        "static_folder",
        "import_name",
        "name",
        "root_path",
        "static_url_path",
    }
    | {"template_folder", "template_options", "url_build_error_handlers"},
    "Templates": {"environment"},
    "Request": {"environ"},
    "Response": {"conditional_response"},
}


def find(path):
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        for part in parts[count:]:
            if part in OF_INSTANCES.get(getattr(thing, "__name__", ""), ()):
                return True
            thing = getattr(thing, part)
        return thing
    raise LookupError(path)


@pytest.mark.parametrize("title", names["TABLES"])
def test_the_table_covers_every_public_name(title):
    missing = names["flask_names"]()[title] - set(names["TABLES"][title])
    assert not missing, f"names of Flask without a row: {sorted(missing)}"


@pytest.mark.parametrize("title", names["TABLES"])
def test_every_place_that_the_table_names_is_there(title):
    for name, (where, note) in names["TABLES"][title].items():
        if where is None or where == names["LATER"]:
            assert note, f"{name} has no equivalent and no note"
        else:
            assert find(where) is not None, f"{name}: {where}"


def test_the_page_is_the_table():
    assert PAGE.read_text(encoding="utf-8") == names["page"](), "run: python tests/views/flask_names.py > " + str(PAGE)
