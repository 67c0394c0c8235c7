"""The quickstart as its reader runs it: by the command line, from its ini file, in a copy of its folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from wsgikit import Router, presets

RECIPE = Path(__file__).parents[2] / "recipes" / "quickstart"
PRESET = presets.production(secret_key="x", hosts="localhost", database_url="sqlite://", router=Router("guestbook"))
pytestmark = pytest.mark.server


@pytest.fixture
def folder(tmp_path) -> Path:
    copy = tmp_path / "quickstart"
    shutil.copytree(RECIPE, copy, ignore=shutil.ignore_patterns("secret.txt", "*.db", "__pycache__"))
    return copy


@pytest.fixture
def wsgikit(folder):
    import sys

    def run(*words: str) -> str:
        command = [str(Path(sys.executable).parent / "wsgikit"), *words]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def url(folder, wsgikit, start_server, tmp_path) -> str:
    (folder / "secret.txt").write_text(wsgikit("secret"))
    command = ["wsgikit", "serve", "guestbook.ini", "--no-reload", "--port={port}"]
    return start_server(command, folder, tmp_path / "serve.log")


def token_in(page: httpx.Response) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def test_show_prints_the_onion_of_the_quickstart(folder, wsgikit):
    (folder / "secret.txt").write_text(wsgikit("secret"))
    onion = wsgikit("show", "guestbook.ini")
    names = re.findall(r"→ (\w+)", onion)
    assert names == [layer.factory.__name__ for layer in PRESET]
    assert (folder / "secret.txt").read_text().strip() not in onion
    assert onion.rstrip().endswith("guestbook.legacy")


def test_a_visitor_signs_and_is_known_and_can_be_forgotten(url):
    with httpx.Client(base_url=url, follow_redirects=True, timeout=30) as client:
        page = client.get("/")
        assert "No one has signed yet" in page.text
        form = {"name": "Ann <3", "message": "A <b>fine</b> onion", "csrf_token": token_in(page)}
        page = client.post("/sign", data=form)
        assert [answer.status_code for answer in page.history] == [302]
        assert "Thank you, Ann &lt;3." in page.text
        assert "A &lt;b&gt;fine&lt;/b&gt; onion" in page.text
        assert "You are Ann &lt;3." in page.text
        assert "Thank you" not in client.get("/").text, "a message is shown once"
        assert client.get("/entry/1").status_code == 200
        page = client.post("/forget", data={"csrf_token": token_in(page)})
        assert "Nobody has signed from this browser" in page.text


def test_a_form_without_its_token_changes_nothing(url):
    with httpx.Client(base_url=url, timeout=30) as client:
        client.get("/")  # the form's token makes a session
        refused = client.post("/sign", data={"name": "Eve", "message": "spam"}, headers={"Accept": "text/plain"})
        assert refused.status_code == 403
        assert "token-missing" in refused.text
        assert "spam" not in client.get("/").text


def test_what_no_route_takes_is_answered_by_the_application_inside(url):
    about = httpx.get(f"{url}/about", timeout=30)
    assert about.text == "This page is served by the application inside, as it always was.\n"
    missing = httpx.get(f"{url}/nowhere", headers={"Accept": "text/html"}, timeout=30)
    assert missing.status_code == 404
    assert "<html" in missing.text, "an empty 404 of the application inside gets a page"


@pytest.mark.browser
def test_the_pages_work_in_a_browser_under_the_policy_of_the_preset(url):
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        reason = "no chromium is installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    complaints: list[str] = []
    with sync_playwright() as playwright:
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        page = browser.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(url)
        page.fill("input[name=name]", "Ann")
        page.fill("textarea", "Hello")
        page.click("form.sign button")
        assert "Thank you, Ann." in page.inner_text("main")
        assert page.evaluate("getComputedStyle(document.querySelector('header')).display") != "inline"
        page.goto(f"{url}/nowhere")
        assert page.locator("h1").count() == 1
        browser.close()
    assert [text for text in complaints if "status of 404" not in text] == []
