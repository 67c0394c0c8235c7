"""Modules that lie beside an ini file are found, whoever loads it and from wherever."""

from __future__ import annotations

import sys

import pytest
from paste.deploy import loadapp

from wsgikit.ini import load_app, load_stack

MODULE = """
from wsgikit import Middleware

class Layer(Middleware):
    pass

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"beside"]

def make_app(global_conf):
    return app
"""

INI = """[pipeline:main]
pipeline = layer app
[filter:layer]
use = egg:wsgikit#layer
factory = ini_beside:Layer
[app:app]
use = egg:wsgikit#app
app = ini_beside:app
"""


@pytest.fixture
def ini(tmp_path, monkeypatch):
    """An ini file with a module beside it; the working folder is another."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "ini_beside.py").write_text(MODULE)
    path = tmp_path / "deploy" / "app.ini"
    path.write_text(INI)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield path
    sys.modules.pop("ini_beside", None)


LOADERS = {
    "our loader": lambda path: load_app(str(path)),
    "our loader, as a stack": lambda path: load_stack(str(path)),
    "stock PasteDeploy": lambda path: loadapp(f"config:{path}"),
}


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
def test_a_module_beside_the_file_is_found(load, ini):
    assert callable(load(ini))
    assert sys.modules["ini_beside"].__file__ == str(ini.parent / "ini_beside.py")


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
def test_the_folder_is_put_on_the_path_once(load, ini):
    load(ini)
    load(ini)
    assert sys.path.count(str(ini.parent)) == 1


def test_a_factory_of_your_own_beside_the_file_is_found_by_our_loader(ini):
    ini.write_text("[app:main]\nuse = call:ini_beside:make_app\n")
    assert load_app(str(ini)) is sys.modules["ini_beside"].app


def test_a_handler_of_logging_beside_the_file_is_found(ini):
    from wsgikit.ini import setup_logging

    (ini.parent / "ini_beside.py").write_text("import logging\nclass Handler(logging.NullHandler):\n    pass\n")
    ini.write_text(
        "[loggers]\nkeys = root\n[handlers]\nkeys = own\n[formatters]\nkeys =\n"
        "[logger_root]\nhandlers =\n[logger_own]\n[handler_own]\nclass = ini_beside.Handler\nargs = ()\n"
    )
    setup_logging(str(ini))
    assert "ini_beside" in sys.modules
