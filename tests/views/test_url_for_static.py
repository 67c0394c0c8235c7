"""URLs of static files that change with their content."""

from __future__ import annotations

import re

import pytest

from wsgikit import ContextMiddleware, Router, StaticMiddleware, build_stack, url_for, use
from wsgikit.testing import TestClient

HASHED = r"/static/app\.css\?v=[0-9a-f]{10}"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "app.css").write_text("a{}")
    (tmp_path / "main.3f2a9c1b.js").write_text("x")
    return tmp_path


@pytest.fixture
def router(folder):
    router = Router("site", static_folder=str(folder), static_url_path="/static")

    @router.get("/<path:name>")
    def view(name):
        return url_for("static", filename=name, v="auto")

    return router


def ask(router, path, *layers, **environ):
    return TestClient(build_stack(router, use(ContextMiddleware), *layers), extra_environ=environ).get(path)


def test_the_url_has_a_hash_of_the_content(router, folder):
    first = ask(router, "/app.css").text
    assert re.fullmatch(HASHED, first)
    (folder / "app.css").write_text("b{} and more")
    assert ask(router, "/app.css").text != first
    assert router.url_for("static", filename="app.css", v="auto") == ask(router, "/app.css").text
    assert ask(router, first).text == "b{} and more"


def test_the_url_has_the_name_of_the_manifest(router, folder):
    (folder / ".vite").mkdir()
    (folder / ".vite" / "manifest.json").write_text('{"src/main.ts": {"file": "main.3f2a9c1b.js"}}')
    assert ask(router, "/src/main.ts").text == "/static/main.3f2a9c1b.js"
    response = ask(router, "/static/main.3f2a9c1b.js")
    assert response.headers["Cache-Control"] == "max-age=31536000, immutable"


def test_a_file_that_is_missing_has_a_url_without_a_hash(router):
    assert ask(router, "/none.css").text == "/static/none.css"


def test_another_version_is_sent_as_it_is(router):
    assert router.url_for("static", filename="app.css", v="7") == "/static/app.css?v=7"
    assert router.url_for("static", filename="app.css") == "/static/app.css"


def test_files_of_a_static_layer_are_found(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "x y.css").write_text("x")
    router = Router("site", static_folder=None)
    router.add_url_rule("/", "home", lambda: url_for("static", filename="x y.css", v="auto"))
    layer = use(StaticMiddleware, root=tmp_path / "own", prefix="/assets/")
    assert re.fullmatch(r"/assets/x%20y\.css\?v=[0-9a-f]{10}", ask(router, "/", layer).text)
