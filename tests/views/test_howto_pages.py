"""The pages on routes, views and templates: their code runs and does what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from webtest import TestApp

DOCS = Path(__file__).parents[2] / "docs" / "howto"


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A function that runs the code of a page and returns its names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "hello.html").write_text("Hello {{ name }}, from {{ sender or 'nobody' }}")

    def run(name):
        text = (DOCS / name).read_text(encoding="utf-8")
        code = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
        names: dict[str, object] = {"__name__": "howto"}
        exec(compile(code, name, "exec", dont_inherit=True), names)
        return names

    return run


def test_the_page_on_routes(page):
    names = page("routing.md")
    app = TestApp(names["app"], lint=True)
    assert app.get("/post/7").text == "Post 7, at /post/7"
    assert app.post("/post/").status_int == 201
    assert app.get("/search?q=tea").text == "You look for tea."
    both = TestApp(names["app_with_new_pages"], lint=True)
    assert (both.get("/new").text, both.get("/other").text) == ("a new page", "the old application")
    from wsgikit import ContextMiddleware, build_stack, use

    site = TestApp(build_stack(names["site"], use(ContextMiddleware)), lint=True)
    assert (site.get("/blog/1").text, site.get("/news/1").text) == ("/blog/2", "/news/2")
    assert site.get("/old/x").text == "the old application"
    assert site.get("/nowhere", status=404).text == "There is nothing here."


def test_the_page_on_views(page):
    app = TestApp(page("views.md")["app"], lint=True)
    assert app.get("/posts/1").json == {"id": 1, "title": "first"}
    assert app.get("/count").text == "0\n1\n2\n"
    assert app.get("/login?next=//evil.example", status=400)
    assert app.get("/docs").headers["Location"] == "https://example.org/docs"
    assert app.get("/visit").headers["Set-Cookie"].startswith("seen=yes")
    assert app.get("/counter/x").text == "count of x"
    assert app.post_json("/api/posts", {"title": "third"}).headers["Location"] == "/api/posts/3"
    assert app.get("/api/posts").json["total"] == 3
    assert app.get("/api/posts/9", status=404).content_type == "application/problem+json"


def test_the_page_on_templates(page):
    names = page("templates.md")
    assert TestApp(names["app"], lint=True).get("/a<").text == "<h1>The Shop</h1>a&lt;: 12.50 €"
    assert TestApp(names["other"], lint=True).get("/").text == "Hello Ann, from nobody"
    assert names["text"] == "Hello Ben, from The Shop"
