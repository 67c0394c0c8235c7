"""The code of README.md and of pages that no room of the package owns runs, and does what they say."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest

import wsgikit
from wsgikit.testing import TestClient

ROOT = Path(__file__).parents[2]
HOWTO = ROOT / "docs" / "howto"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def run(page: str) -> dict[str, object]:
    """Run the Python of a page, and return its names."""
    namespace: dict[str, object] = {"__name__": "page"}
    for block in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        exec(compile(block, "page", "exec", dont_inherit=True), namespace)
    return namespace


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def test_the_readme_puts_layers_around_an_application(monkeypatch):
    monkeypatch.setitem(sys.modules, "yourproject", types.SimpleNamespace(app=app))
    readme = README.replace('secret_key="…"', 'secret_key="9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a"')
    first, preset = run(readme.partition("presets.")[0]), run(readme)
    for names, host in ((first, "localhost"), (preset, "example.com")):
        client = TestClient(names["application"], extra_environ={"HTTP_HOST": host, "wsgi.url_scheme": "https"})
        answer = client.get("/")
        assert answer.text == "hello"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_each_layer_that_the_readme_names_is_there():
    named = set(re.findall(r"`(\w+Middleware)`", README))
    assert {"SessionMiddleware", "CsrfMiddleware"} <= named <= set(wsgikit.__all__)


def test_a_prefix_of_the_proxy_is_in_urls():
    client = TestClient(run((HOWTO / "deploy.md").read_text())["stack"], extra_environ={"REMOTE_ADDR": "127.0.0.1"})
    assert client.get("/", headers={"X-Forwarded-Prefix": "/blog"}).text == "/blog/"
    assert client.get("/").text == "/"


@pytest.fixture
def forms():
    pytest.importorskip("wtforms")
    return TestClient(run((HOWTO / "forms.md").read_text())["stack"], csrf=True)


def test_a_form_of_wtforms_is_checked(forms):
    form = forms.get("/contact").forms["contact"]
    assert "This field is required." in form.submit(status=400).text
    form["name"] = "Ada"
    form.submit(status=302)


def test_an_upload_is_read(forms):
    answer = forms.post("/upload", upload_files=[("document", "a.txt", b"hello")])
    assert answer.json == {"name": "a.txt", "bytes": 5}


def test_a_list_is_shown_in_pages():
    names = run((HOWTO / "pagination.md").read_text())
    stack = names["stack"]
    with stack:
        with stack.app_context():
            names["Base"].metadata.create_all(wsgikit.db.connection())
            wsgikit.db.add_all([names["Product"](name=f"Product {number}") for number in range(25)])
            wsgikit.db.commit()
        client = TestClient(stack)
        first = client.get("/products")
        assert ("Product 19<" in first.text, "Product 20<" in first.text, "Previous" in first.text) == (
            True,
            False,
            False,
        )
        second = first.click("Next")
        assert [part in second.text for part in ("Product 24<", "Next")] == [True, False]
        assert "Product" not in client.get("/products?page=9").text
        client.get("/products?page=0", status=400)


def test_options_and_layers_that_the_page_on_moving_names_are_there():
    page = (HOWTO / "moving.md").read_text()
    for entry in re.findall(r"egg:wsgikit#(\w+)", page):
        assert f'\n{entry} = "wsgikit.ini:{entry}"' in (ROOT / "pyproject.toml").read_text(), entry
    layers = (ROOT / "docs/reference/layers.md").read_text()
    for option in ("idle_timeout_seconds", "retries", "manager", "commit", "secret_key"):
        assert f"| `{option}` |" in layers, option


def test_the_table_for_flasks_test_client_is_true():
    from werkzeug.test import Client

    router = wsgikit.Router("table")
    router.add_url_rule("/form", "form", view_func=lambda: wsgikit.request.form["name"], methods=["POST"])
    router.add_url_rule("/json", "json", view_func=lambda: wsgikit.request.get_json(), methods=["POST"])
    router.add_url_rule("/file", "file", view_func=lambda: wsgikit.request.files["file"].read(), methods=["POST"])
    router.add_url_rule("/old", "old", view_func=lambda: wsgikit.redirect("/new"))
    router.add_url_rule("/new", "new", view_func=lambda: "new")
    stack = wsgikit.build_stack(router, wsgikit.ContextMiddleware)
    client = TestClient(stack)
    assert client.post("/form", {"name": "Ada"}).text == "Ada"
    assert client.post_json("/json", {"a": 1}).json == {"a": 1}
    assert client.post("/file", upload_files=[("file", "a.txt", b"hello")]).body == b"hello"
    assert client.get("/old").follow().text == "new"
    assert client.get("/nowhere", status="*").status_int == 404
    assert Client(stack).get("/old", follow_redirects=True).text == "new"
