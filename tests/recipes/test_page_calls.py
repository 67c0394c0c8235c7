"""The recipe in a browser, around Flask and around Django: an error in the console fails the test."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

import pytest

expect = pytest.importorskip("playwright.sync_api").expect
RECIPE = Path(__file__).parents[2] / "recipes" / "page_calls"
ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
SECRET = "bcd4b7f9e6a0d1c2b3e4f5a9f2c1c5e3a8"

pytestmark = [pytest.mark.browser, pytest.mark.server]


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no chromium is installed")
        pytest.skip("no chromium is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(params=["with_flask", "with_django"])
def site(request, require_service, start_server, tmp_path):
    require_service("redis")
    stream = f"wsgikit-test-chat-{uuid.uuid4()}"
    command = [
        "gunicorn",
        "--bind=127.0.0.1:{port}",
        "--worker-class=gthread",
        "--threads=20",
        "--graceful-timeout=1",
        f"{request.param}:app",
    ]
    yield start_server(
        command,
        RECIPE,
        tmp_path / "server.log",
        SECRET_KEY=SECRET,
        DATABASE_URL=f"sqlite:///{tmp_path}/notes.db",
        CHAT_STREAM=stream,
    )
    import redis

    with redis.Redis() as store:
        store.delete(stream)


@pytest.fixture
def open_page(browser, site):
    context = browser.new_context()
    complaints = []

    def open_page(path):
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.complaints = complaints
        answer = page.goto(site + path)
        assert "script-src 'self';" in answer.headers["content-security-policy"]
        return page

    yield open_page
    context.close()
    assert complaints == []


def test_notes_are_saved_shown_counted_and_deleted(open_page):
    page = open_page("/")
    for text in ("<b>one</b>", "two words"):
        page.fill("input[name=note]", text)
        page.click("#new button")
        page.get_by_text(f"Saved: {text}").wait_for()
    assert page.locator("#notes b").count() == 0, "what a visitor wrote is text"
    page.click("#count")
    expect(page.locator("#words")).to_have_text("3")
    assert page.text_content("#progress") == "2 of 2"
    page.click("#notes li:first-child button")
    expect(page.locator("#notes li")).to_have_count(1)
    page.reload()
    page.locator("#notes li").wait_for()
    assert page.text_content("#notes li").startswith("two words")


def test_a_refused_note_is_shown_and_not_saved(open_page):
    page = open_page("/")
    page.click("#new button")
    page.get_by_text("A note needs a text.").wait_for()
    # Chromium itself reports the status of each failed request.
    assert len(page.complaints) == 1
    assert "status of 422" in page.complaints.pop()
    assert page.locator("#notes li").count() == 0


def test_a_message_of_one_page_appears_in_another(open_page):
    first, second = open_page("/chat"), open_page("/chat")
    for page in (first, second):
        page.get_by_text("connected").wait_for()
    first.fill("input[name=message]", "<i>hello</i>")
    first.click("#say button")
    for page in (first, second):
        page.locator("#messages li").wait_for()
        assert page.text_content("#messages li") == "<i>hello</i>"
    expect(first.locator("input[name=message]")).to_have_value("")


def test_an_upload_moves_its_bar_and_shows_the_result(open_page):
    page = open_page("/upload")
    page.set_input_files("input[type=file]", {"name": "a.bin", "mimeType": "x/y", "buffer": b"x" * 3_000_000})
    page.click("button")
    page.get_by_text("a.bin: 3000000 bytes").wait_for()
    assert page.evaluate("() => bar.value === bar.max && bar.max > 3000000")
