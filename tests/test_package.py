"""The public names of the package, loaded lazily."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import re
from pathlib import Path

import pytest

import wsgikit

# DESIGN: what users rely on to be importable from the package itself.
CONTRACT = """
build_stack use Stack Middleware Exchange Router Request Response request g session db current_app has_request_context
copy_current_context url_for render_template render_template_string stream_template abort redirect jsonify flash
get_flashed_messages send_file ErrorPagesMiddleware ContextMiddleware SessionMiddleware DatabaseMiddleware
RouterMiddleware
""".split()


@pytest.mark.parametrize("name", wsgikit.__all__)
def test_a_public_name_can_be_imported_and_has_a_docstring(name):
    value = getattr(wsgikit, name)
    doc = type(value).__doc__ if type(value).__module__ == "wsgikit" else value.__doc__
    assert (doc or "").strip()


def test_the_names_of_the_contract_are_there():
    assert set(CONTRACT) <= set(wsgikit.__all__)


@pytest.mark.parametrize("name", wsgikit.__all__)
def test_a_public_name_is_the_very_object_of_the_module_it_lives_in(name):
    module = importlib.import_module(wsgikit._HOME_OF[name])
    assert getattr(wsgikit, name) is getattr(module, name)
    assert name in module.__all__


def test_type_checkers_are_shown_the_same_names():
    tree = ast.parse(Path(wsgikit.__file__).read_text())
    shown = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("wsgikit"):
            shown.update({alias.asname: node.module for alias in node.names if alias.asname})
    assert shown == wsgikit._HOME_OF


def test_every_middleware_of_the_package_is_a_public_name():
    from wsgikit.onion.middleware import Middleware

    for path in Path(wsgikit.__file__).parent.rglob("*.py"):
        found = re.findall(r"^class (\w+Middleware)\(Middleware\)", path.read_text(), re.MULTILINE)
        for name in found:
            assert issubclass(getattr(wsgikit, name), Middleware)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'wsgikit' has no attribute 'nonsense'$"):
        wsgikit.nonsense  # noqa: B018
    with pytest.raises(ImportError):
        exec("from wsgikit import nonsense")


def test_dir_lists_the_public_names():
    assert set(wsgikit.__all__) <= set(dir(wsgikit))


def test_a_star_import_gives_the_public_names():
    namespace = {}
    exec("from wsgikit import *", namespace)
    assert set(wsgikit.__all__) <= set(namespace)


def test_the_version_is_that_of_the_distribution():
    assert wsgikit.__version__ == importlib.metadata.version("wsgikit")


def test_the_package_says_that_it_is_typed():
    assert (Path(wsgikit.__file__).parent / "py.typed").exists()


def test_dir_lists_public_names_and_rooms_only():
    import wsgikit.http.headers

    names = {name for name in dir(wsgikit) if not name.startswith("__")}
    assert set(wsgikit.__all__) <= names
    assert "http" in names
    for name in names - set(wsgikit.__all__):
        assert getattr(wsgikit, name).__name__ == f"wsgikit.{name}"  # a module
