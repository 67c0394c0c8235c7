"""The code of the pages on security runs, and what they say is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wsgikit.ini import load_stack
from wsgikit.testing import TestClient

HOWTO = Path(__file__).parents[2] / "docs" / "howto"
PAGES = ["secure.md", "proxy.md", "csrf.md", "limits.md", "login.md"]
HTTPS = {"wsgi.url_scheme": "https", "HTTP_HOST": "www.example.com:443", "REMOTE_ADDR": "127.0.0.1"}


def run(page):
    namespace = {"__name__": "page"}
    for block in re.findall(r"^```python\n(.*?)^```", (HOWTO / page).read_text(), re.MULTILINE | re.DOTALL):
        exec(compile(block, page, "exec"), namespace)
    return namespace


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page):
    assert run(page)["stack"]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_pages_that_exist(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (HOWTO / page).read_text()):
        assert (HOWTO / target).exists(), target


def test_the_legacy_application_is_secured():
    client = TestClient(run("secure.md")["stack"], extra_environ=HTTPS)
    response = client.get("/")
    assert response.headers["Set-Cookie"] == "sid=1; Path=/; SameSite=Lax; HttpOnly; Secure"
    assert "Content-Security-Policy" not in response.headers
    assert "script-src 'self'" in response.headers["Content-Security-Policy-Report-Only"]
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert client.get("/", extra_environ={"HTTP_HOST": "example.com"}, status=308)
    client.post("/", {}, headers={"Origin": "https://evil.example"}, status=403)


def test_the_client_behind_the_proxy_is_known():
    environ = {"HTTP_HOST": "example.com:443", "REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_PROTO": "https"}
    client = TestClient(run("proxy.md")["stack"], extra_environ=environ)
    assert client.get("/", headers={"X-Forwarded-For": "6.6.6.6, 192.0.2.1"}).text == "192.0.2.1 by https"


def test_the_preset_of_the_page_secures_the_application():
    client = TestClient(run("secure.md")["secured"], extra_environ={**HTTPS, "REMOTE_ADDR": "192.0.2.1"})
    response = client.get("/")
    assert "Content-Security-Policy" not in response.headers
    assert "script-src 'self'" in response.headers["Content-Security-Policy-Report-Only"]
    client.post("/hooks/a", {}, headers={"Origin": "https://evil.example"}, status=200)
    client.post("/", {}, headers={"Origin": "https://evil.example"}, status=403)


def test_the_ini_section_of_the_page_makes_the_same_layers(tmp_path, monkeypatch):
    (block,) = re.findall(r"^```ini\n(.*?)^```", (HOWTO / "secure.md").read_text(), re.MULTILINE | re.DOTALL)
    monkeypatch.setenv("APP_SECRET", "0123456789abcdef0123456789abcdef")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "secure_page_app.py").write_text("def app(environ, start_response): ...\n")
    app = "[app:app]\nuse = egg:wsgikit#app\napp = secure_page_app:app\n"
    (tmp_path / "app.ini").write_text(f"[pipeline:main]\npipeline = site app\n{app}{block}")
    layers = [type(layer) for layer in load_stack(str(tmp_path / "app.ini")).layers]
    assert layers == [type(layer) for layer in run("secure.md")["secured"].layers]


def test_the_login_page_shows_a_login_that_works():
    namespace = run("login.md")
    client = TestClient(namespace["stack"])
    form = client.get("/account", headers={"Accept": "text/html"}, status=303).headers["Location"]
    client.post(form, {"name": "ann", "password": "wrong"}, status=401)
    response = client.post(form, {"name": "ann", "password": "sesame", "remember": "1"}, status=303)
    assert response.follow().text == "Account of ann"
    client.get("/admin", status=403)
    namespace["USERS"]["1"].epoch += 1
    assert client.get("/").text == "Hello"
    api = TestClient(namespace["api"])
    assert api.get("/", status=401)
    assert api.get("/account", headers={"Authorization": "Bearer key-of-the-shop"}).text == "Account of ann"
