"""The migration from Beaker: each step runs from its ini file, and the shop answers the same."""

import sys
from pathlib import Path

import pytest
from webtest import TestApp

FOLDER = Path(__file__).parents[2] / "recipes" / "from_beaker"


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a copy of a step, so that its database is made elsewhere."""
    monkeypatch.setenv("SHOP_SECRET", "9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a")
    for path in FOLDER.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_text(path.read_text())
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("app", "app_after"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    layers = []

    def load(name):
        from paste.deploy import loadapp

        app = loadapp(f"config:{tmp_path / name}")
        layers.append(app)
        return TestApp(app)

    yield load
    for layer in layers:
        if hasattr(layer, "close"):
            layer.close()
    for name in ("app", "app_after"):
        sys.modules.pop(name, None)


def shop(client):
    answers = []
    for url in ("/", "/login?name=ada", "/add?item=tea", "/add?item=milk", "/", "/logout", "/"):
        answers.append(client.get(url).text)
    return answers


EXPECTED = [
    "stranger has nothing",
    "ada has nothing",
    "ada has tea",
    "ada has tea, milk",
    "ada has tea, milk",
    "stranger has nothing",
    "stranger has nothing",
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_shop_as_it_was_runs_on_beaker(load):
    assert shop(load("1_beaker.ini")) == EXPECTED


@pytest.mark.parametrize("step", ["2_unchanged.ini", "3_moved.ini"])
def test_each_step_of_the_migration_answers_the_same_without_a_warning(load, step):
    assert shop(load(step)) == EXPECTED


def test_the_first_step_needs_no_change_of_the_application():
    assert "beaker.session" in (FOLDER / "app.py").read_text()
    assert "wsgikit" not in (FOLDER / "app.py").read_text()


def test_what_was_in_the_cart_before_the_login_comes_along_after_the_move(load):
    client = load("3_moved.ini")
    client.get("/add?item=tea")
    before = client.cookies["shop"]
    assert client.get("/login?name=ada").text == "ada has tea"
    assert client.cookies["shop"] != before
