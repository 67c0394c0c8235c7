"""The page of the inspector in Chromium: live, by keyboard, on a phone, in the dark, without complaints of axe.

The screenshots of docs/howto/inspector.md are written by one of these tests if ``WSGIKIT_SCREENSHOTS`` is set.
"""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from sqlalchemy import text

from wsgikit import (
    ContextMiddleware,
    DatabaseMiddleware,
    ErrorPagesMiddleware,
    InspectorMiddleware,
    Router,
    SecurityHeadersMiddleware,
    SessionMiddleware,
    build_stack,
    db,
    session,
    use,
)

pytestmark = pytest.mark.browser

IMAGES = Path(__file__).parents[2] / "docs" / "images"
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
router = Router("shop")
begun, may_end = threading.Event(), threading.Event()


@router.get("/orders/<int:number>")
def order(number):
    db.execute(text("SELECT :number AS id, 'tea' AS name"), {"number": number})
    for line in range(4):
        db.execute(text("SELECT :line AS line, 2 AS amount"), {"line": line})
    session["last_order"] = number
    return "order"


@router.get("/basket")
def basket():
    return f"{session.get('last_order')} <script>"


@router.get("/broken/<name>")
def broken(name):
    raise LookupError(f"no such order: {name}")


@router.get("/slow")
def slow():
    begun.set()
    may_end.wait(30)
    return "slow"


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    server_version = "Werkzeug/3"  # a server that hands proxy headers on: requests count as from this machine
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *arguments):
        pass

    def get_environ(self):
        return {**super().get_environ(), "SERVER_SOFTWARE": "Werkzeug/3"}


class Application:
    """Lets requests count as of the development server, whatever wsgiref says."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        environ["SERVER_SOFTWARE"] = "Werkzeug/3"
        environ["SERVER_PROTOCOL"] = "HTTP/1.1"
        return self.app(environ, start_response)


@pytest.fixture(scope="module")
def site():
    stack = build_stack(
        router,
        use(InspectorMiddleware),
        use(ContextMiddleware),
        use(ErrorPagesMiddleware),
        use(SecurityHeadersMiddleware),
        use(SessionMiddleware, secret_key="0123456789abcdef0123456789abcdef"),
        use(DatabaseMiddleware, url="sqlite://"),
    )
    server = make_server("127.0.0.1", 0, Application(stack), server_class=Server, handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    stack.close()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None and not os.environ.get("CI"):
        pytest.skip("there is no Chromium here")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, site):
    """A function that opens the inspector, with options of Playwright's context; the console must stay silent."""
    contexts, complaints = [], []

    def open_page(address="/__onion__", **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(site + address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def visit(page, *paths):
    """Make requests of the site, beside the page."""
    for path in paths:
        page.request.get(page.url.partition("/__onion__")[0] + path)


VISITED = ("/orders/7", "/basket", "/broken/tea", "/orders/8?page=2&token=abcdef", "/missing")


def assert_accessible(page):
    from axe_playwright_python.sync_playwright import Axe

    violations = Axe().run(page).response["violations"]
    serious = [violation for violation in violations if violation["impact"] in ("serious", "critical")]
    assert [(each["id"], each["nodes"][0]["html"]) for each in serious] == []


def save(page, name):
    if os.environ.get("WSGIKIT_SCREENSHOTS"):
        IMAGES.mkdir(exist_ok=True)
        page.screenshot(path=IMAGES / name)


def test_requests_appear_while_the_page_is_open(open_page):
    page = open_page()
    page.get_by_text("Live").wait_for()
    visit(page, "/orders/1234")
    page.get_by_role("link", name="/orders/1234").wait_for()
    page.get_by_role("button", name="Pause").click()
    visit(page, "/orders/5678")
    assert page.get_by_role("link", name="/orders/5678").count() == 0
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("link", name="/orders/5678").wait_for()
    page.get_by_label("Filter").fill("1234")
    page.get_by_role("link", name="/orders/5678").wait_for(state="detached")
    assert page.get_by_role("link", name="/orders/1234").count() == 1


def test_a_request_is_opened_by_keyboard_and_shows_what_happened(open_page):
    page = open_page()
    visit(page, "/orders/77")
    page.get_by_role("link", name="/orders/77").wait_for()
    page.get_by_role("link", name="/orders/77").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="GET /orders/77").wait_for()
    assert page.evaluate("document.activeElement.id") == "detail-title"
    shown = page.locator("#detail").inner_text()
    for wanted in ("SessionMiddleware", "4 times", "added Set-Cookie", "last_order", "curl -X GET", "in order"):
        assert wanted in shown
    page.get_by_role("link", name="All requests").click()
    page.get_by_role("heading", name="Last requests").wait_for()


def test_text_of_a_request_never_becomes_markup(open_page):
    page = open_page()
    visit(page, "/broken/%3Cimg%20src=x%20onerror=alert(1)%3E")
    page.get_by_text("<img src=x").first.wait_for()
    assert page.locator("main img").count() == 0


def test_a_request_that_is_gone_says_so(open_page):
    page = open_page()
    page.get_by_text("Live").wait_for()
    page.goto(page.url.partition("#")[0] + "#/running")
    page.get_by_text("No request is running.").wait_for()


def test_running_requests_are_shown_with_their_stack(open_page, site):
    import urllib.request

    begun.clear()
    may_end.clear()
    visitor = threading.Thread(target=lambda: urllib.request.urlopen(f"{site}/slow", timeout=60).read())
    visitor.start()
    try:
        assert begun.wait(20)
        page = open_page("/__onion__#/running")
        page.get_by_role("heading", name="GET /slow").wait_for()
        assert "in slow: may_end.wait(30)" in page.locator("#running pre").inner_text()
        assert_accessible(page)
    finally:
        may_end.set()
        visitor.join(20)


SIZES = {
    "light": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "has_touch": True},
}


@pytest.mark.parametrize("name", SIZES)
def test_list_and_request_are_accessible_and_fit_the_screen(open_page, name):
    page = open_page(**SIZES[name])
    page.get_by_text("Live").wait_for()
    visit(page, *VISITED)
    page.get_by_role("link", name="/missing").first.wait_for()
    assert_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    if name == "light":
        save(page, "inspector-list.png")
    if name == "phone":
        save(page, "inspector-phone.png")
    page.get_by_role("link", name="/orders/8").first.click()
    page.get_by_role("heading", name="GET /orders/8").wait_for()
    assert "abcdef" not in page.content()
    assert_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    if name != "phone":
        save(page, "inspector-request.png" if name == "light" else "inspector-dark.png")
