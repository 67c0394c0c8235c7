"""What a newcomer is told of a first mistake, and that no message shows a secret."""

from __future__ import annotations

import sys

import pytest

from wsgikit import ContextMiddleware, ErrorPagesMiddleware, Middleware, build_stack, g
from wsgikit.cli.target import load_target
from wsgikit.exceptions import ConfigurationError, OutsideRequestError
from wsgikit.ini.source import find_modules_in

MODULE = """
from wsgikit import Router

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"x"]

def make_app():
    return app

def broken():
    raise RuntimeError("no database: postgresql://bob:geheim@db/x")

def silent(global_conf, **keys):
    raise RuntimeError

def one(environ):
    return []

class Unmade:
    def __call__(self, environ, start_response):
        return []

def layer(app):
    return app

def bad(app, token=None):
    raise ValueError(f"refused {token}")

router = Router("first_app")
"""
TAIL = "[app:a]\nuse = egg:wsgikit#app\napp = first_app:app\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "first_app.py").write_text(MODULE)
    yield tmp_path
    sys.modules.pop("first_app", None)


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (
            "first_app:broken()",
            (
                "first_app:broken(): target: expected a function that returns the application, got "
                "'first_app:broken()': RuntimeError: no database: postgresql://bob:***@db/x (at first_app.py:12)."
            ),
        ),
        (
            "first_app:one",
            (
                "first_app:one: target: expected a WSGI application, app(environ, start_response), got "
                "'first_app:one', a callable that takes (environ). It takes exactly these two."
            ),
        ),
        (
            "first_app:make_app",
            (
                "first_app:make_app: target: expected a WSGI application, app(environ, start_response), got "
                "'first_app:make_app', a callable that takes (). "
                "Write first_app:make_app() if it makes the application."
            ),
        ),
        (
            "first_app:Unmade",
            (
                "first_app:Unmade: target: expected a WSGI application, app(environ, start_response), got "
                "'first_app:Unmade', a class that takes (). Write first_app:Unmade() if it makes the application."
            ),
        ),
        (
            "first_app.py",
            "first_app.py: expected an ini file or module:app, got the path of a Python file. Write first_app:app.",
        ),
        (
            "first_app.py:router",
            (
                "first_app.py:router: expected an ini file or module:app, got the path of a Python file. "
                "Write first_app:router."
            ),
        ),
    ],
    ids=lambda value: value if value.startswith("first_app") and " " not in value else "",
)
def test_a_target_that_is_no_application_is_explained(folder, target, text):
    with pytest.raises(ConfigurationError) as caught:
        load_target(target)
    assert str(caught.value) == text


@pytest.mark.parametrize("target", ["first_app:app", "first_app:make_app()", "first_app:router", "first_app:Unmade()"])
def test_an_application_is_loaded(folder, target):
    assert load_target(target)


@pytest.mark.parametrize(
    ("ini", "text"),
    [
        pytest.param(
            "[app:main]\nuse = call:first_app:silent\n",
            "app.ini:2 [app:main]: expected a factory that takes what the section has, got RuntimeError "
            "(at first_app.py:15).",
            id="an error without text",
        ),
        pytest.param(
            "[pipeline:main]\npipeline = f a\n[filter:f]\nuse = call:first_app:layer\n" + TAIL,
            "app.ini:4 [filter:f]: use: expected a factory that returns a function of the application, got "
            "first_app:layer, which returned an object of dict. A function of the form app -> app: "
            "use = egg:wsgikit#layer, and factory = first_app:layer.",
            id="call: with a function app -> app",
        ),
        pytest.param(
            "[pipeline:main]\npipeline = a ; the app\n" + TAIL,
            "app.ini:2 [pipeline:main]: pipeline: expected the names of sections, got ';'. A comment stands on a line "
            "of its own: ';' within a line is part of the value.",
            id="a comment in a pipeline",
        ),
        pytest.param(
            "[app:main]\nuse = egg:wsgikit#app\napp = first_app:app # mine\n",
            "app.ini:3 [app:main]: app: expected a dotted name (package.module:attribute), got 'first_app:app # mine'. "
            "A comment stands on a line of its own: '#' within a line is part of the value.",
            id="a comment after a name",
        ),
        pytest.param(
            "[pipeline:main]\npipeline = f a\n[filter:f]\nuse = egg:wsgikit#layer\n\nfactory = first_app:bad\n" + TAIL,
            "app.ini:6 [filter:f]: bad: ValueError: refused None (at first_app.py:28).",
            id="the line of a factory",
        ),
        pytest.param(
            "[pipeline:main]\npipeline = f a\n[filter:f]\nuse = egg:wsgikit#layer\nfactory = first_app:bad\n"
            "token = env:FIRST_TOKEN\n" + TAIL,
            "app.ini:5 [filter:f]: bad: ValueError: refused *** (at first_app.py:28).",
            id="the value of env: is hidden",
        ),
        pytest.param(
            "[DEFAULT]\na = geheim%(b)s\nb = %(a)s\n[app:main]\nuse = egg:wsgikit#app\napp = %(a)s\n",
            "app.ini:2 [DEFAULT]: a: expected values that don't name each other in a circle, got %(a)s, which leads "
            "back to itself.",
            id="a circle",
        ),
        pytest.param(
            "[app:main]\ngeheim\n",
            "app.ini:2: expected key = value, a [section] or a comment, got a line of 6 characters without '='.",
            id="a line without =",
        ),
        pytest.param(
            "[pipeline:prod]\npipeline = a\n" + TAIL,
            "app.ini: expected a section [app:main], got none of that name. Name another: app.ini#prod, app.ini#a.",
            id="no main",
        ),
    ],
)
def test_a_mistake_in_an_ini_file_is_explained(folder, monkeypatch, ini, text):
    monkeypatch.setenv("FIRST_TOKEN", "geheim-4711")
    (folder / "app.ini").write_text(ini)
    with pytest.raises(ConfigurationError) as caught:
        load_target("app.ini")
    assert str(caught.value) == text


def test_a_file_with_a_byte_order_mark_is_read(folder):
    (folder / "app.ini").write_text("[app:main]\nuse = egg:wsgikit#app\napp = first_app:app\n", encoding="utf-8-sig")
    assert load_target("app.ini")


def test_modules_beside_an_ini_file_do_not_replace_the_standard_library(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", ["/usr/lib/python3", "/usr/lib/site-packages", "/opt/dist-packages"])
    find_modules_in(str(tmp_path))
    assert sys.path == ["/usr/lib/python3", str(tmp_path), "/usr/lib/site-packages", "/opt/dist-packages"]


@pytest.mark.parametrize("kind", [ContextMiddleware, ErrorPagesMiddleware])
def test_a_layer_made_without_its_application_is_explained(kind):
    with pytest.raises(ConfigurationError) as caught:
        build_stack(lambda environ, start_response: [], kind())
    name = kind.__name__
    assert str(caught.value) == (
        f"{name}: app: expected the application to wrap, got nothing. In a stack write use({name}, …), elsewhere "
        f"{name}(app, …)."
    )


def test_a_type_error_inside_a_constructor_stays_what_it_is():
    class Odd(Middleware):
        def __init__(self):
            len()

    with pytest.raises(TypeError, match="len"):
        Odd()


def test_a_local_without_its_layer_names_the_layer():
    def app(environ, start_response):
        return g.name

    with pytest.raises(OutsideRequestError) as caught:
        app({"wsgi.version": (1, 0)}, None)
    assert str(caught.value) == (
        "g: used in a request that ContextMiddleware is not around. Requests have it if ContextMiddleware is in the "
        "stack: add use(ContextMiddleware), outside of the layers and views that use it."
    )
