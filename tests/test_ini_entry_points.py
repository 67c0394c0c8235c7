"""The entry points in pyproject.toml are those that PasteDeploy needs, and each leads to something."""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path

import pytest

import wsgikit
import wsgikit.ini
from wsgikit.ini import layer_names

FILTERS = ("paste.filter_factory", "paste.filter_app_factory")
PRESETS = ("production", "delivery")
OTHERS = {"paste.app_factory": "app", "paste.composite_factory": "mount", "paste.server_runner": "server"}


def declared() -> dict[str, dict[str, str]]:
    pyproject = Path(__file__).parents[1] / "pyproject.toml"
    return tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["entry-points"]


@pytest.mark.parametrize("group", FILTERS)
def test_every_public_middleware_is_an_entry_point_by_its_name(group):
    assert declared()[group] == {name: f"wsgikit.ini:{name}" for name in [*layer_names(), *PRESETS, "layer"]}


@pytest.mark.parametrize(("group", "name"), OTHERS.items())
def test_applications_mounts_and_the_server_are_entry_points(group, name):
    assert declared()[group] == {name: f"wsgikit.ini:{name}"}


def test_the_names_are_the_classes_in_snake_case():
    names = layer_names()
    assert names["error_pages"] == "ErrorPagesMiddleware"
    assert names["session"] == "SessionMiddleware"
    assert "" not in names
    assert set(names.values()) == {n for n in wsgikit.__all__ if n.endswith("Middleware") and n != "Middleware"}


def test_every_installed_entry_point_can_be_loaded():
    entry_points = importlib.metadata.distribution("wsgikit").entry_points
    ours = [entry for entry in entry_points if entry.group.startswith("paste.")]
    assert ours
    for entry in ours:
        assert callable(entry.load()), entry


def test_an_entry_point_is_the_same_object_each_time():
    assert wsgikit.ini.session is wsgikit.ini.session


def test_what_is_no_layer_is_no_attribute():
    with pytest.raises(AttributeError, match="module 'wsgikit.ini' has no attribute 'sesion'"):
        wsgikit.ini.sesion  # noqa: B018


def test_a_factory_can_be_called_by_hand_in_both_forms():
    def app(environ, start_response):
        return []

    assert wsgikit.ini.error_pages(app, {}, debug="yes").debug is True
    assert wsgikit.ini.error_pages({}, debug="yes")(app).debug is True


def test_a_factory_called_by_hand_names_itself_in_errors():
    with pytest.raises(TypeError, match="^egg:wsgikit#error_pages: debgu: unknown option"):
        wsgikit.ini.error_pages({}, debgu="yes")
