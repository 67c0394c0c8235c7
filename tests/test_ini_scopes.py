"""`only` and `unless` in an ini file, for layers of ours and of others."""

from __future__ import annotations

import sys

import pytest
from paste.deploy import loadapp

from wsgikit.exceptions import ConfigurationError
from wsgikit.ini import load_app, load_stack
from wsgikit.testing import TestClient

MODULE = """
from wsgikit import Middleware

class Layer(Middleware):
    def after_request(self, exchange):
        exchange.headers.add("Mark", "yes")

def shout(global_conf):
    def make(app):
        def wrapped(environ, start_response):
            body = app(environ, start_response)
            try:
                return [b"".join(body).upper()]
            finally:
                getattr(body, "close", str)()
        return wrapped
    return make

def is_mine(environ):
    return environ["PATH_INFO"] == "/mine"

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
"""

INI = """[pipeline:main]
pipeline = layer other app
[filter:layer]
use = egg:wsgikit#layer
factory = ini_scoped:Layer
only = {only}
unless = *.map, POST /in/hook
[filter:other]
{other}
only = /in/*
[app:app]
use = egg:wsgikit#app
app = ini_scoped:app
"""
OURS = "use = egg:wsgikit#error_pages"
THEIRS = "paste.filter_factory = ini_scoped:shout"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write the ini file, with a module beside it; return its path."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "ini_scoped.py").write_text(MODULE)

    def write(only="/in/*", other=OURS):
        path = tmp_path / "app.ini"
        path.write_text(INI.format(only=only, other=other))
        return str(path)

    yield write
    sys.modules.pop("ini_scoped", None)


LOADERS = {
    "our loader": load_app,
    "our loader, as a stack": load_stack,
    "stock PasteDeploy": lambda path: loadapp(f"config:{path}"),
}


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
def test_a_layer_takes_part_in_its_scope_only(load, write):
    client = TestClient(load(write()))
    assert client.get("/in/x").headers.get("Mark") == "yes"
    assert client.post("/in/x").headers.get("Mark") == "yes"
    for response in (client.get("/out"), client.get("/in/x.map"), client.post("/in/hook")):
        assert "Mark" not in response.headers


def test_lists_and_dotted_names_may_be_mixed(write):
    client = TestClient(load_app(write(only="/a, /b\n  ini_scoped:is_mine")))
    marked = [path for path in ("/a", "/b", "/mine", "/c") if "Mark" in client.get(path).headers]
    assert marked == ["/a", "/b", "/mine"]


def test_a_filter_of_others_is_limited_by_our_loader(write):
    client = TestClient(load_stack(write(other=THEIRS)))
    assert client.get("/in/x").text == "OK"
    assert client.get("/out").text == "ok"


@pytest.mark.parametrize(
    ("only", "text"),
    [("/a/*/b", "only: expected a path such as '/api/*'"), ("ini_scoped:nothing", "only: ")],
)
def test_a_mistake_is_reported_with_its_place(write, only, text):
    with pytest.raises(ConfigurationError, match=r"app\.ini:6 \[filter:layer\]") as caught:
        load_app(write(only=only))
    assert text in str(caught.value)
