"""The pages in a real browser: folding, copying, keyboard, dark mode, accessibility, no complaints in its console.

Screenshots are written to the folder ``screenshots`` beside this file.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

from wsgikit import ContextMiddleware, ErrorPagesMiddleware, Middleware, build_stack, use

pytestmark = pytest.mark.browser

HERE = pathlib.Path(__file__).parent
SHOTS = HERE / "screenshots"
ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


# ---------------------------------------------------------------------- the application


class Orders(LookupError):
    """No such order."""


def find_order(orders, number):
    customer = {"name": "Ada", "password": "hush-hush"}
    wanted = f"order {number}"
    if number not in orders:
        raise Orders(f"{wanted} of {customer['name']} isn't there")
    return orders[number]


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/group":
        try:
            json.loads("{")
        except ValueError as error:
            error.add_note("The file is from 1998.")
            raise ExceptionGroup("Two things at once", [error, find_error()]) from error
    if path == "/hook":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"fine"]
    if path == "/missing":
        start_response("404 Not Found", [("Content-Length", "0"), ("Content-Type", "text/plain")])
        return []
    try:
        json.loads("{'order': 7}")
    except ValueError as error:
        raise find_error() from error


def find_error():
    try:
        find_order({1: "tea"}, 7)
    except Orders as error:
        return error


class Recorder(Middleware):
    """Leaves word of statements, as a database layer does, and fails on the way out where it is asked to."""

    def before_request(self, exchange):
        exchange.state["wsgikit.sql"] = [
            ("SELECT id, name FROM orders WHERE customer = ?", 0.0017),
            ("SELECT 1", 0.0002),
        ]
        exchange.environ["wsgiorg.routing_args"] = ((), {"route": "/orders/<int:id>", "id": 7})
        exchange.environ["wsgikit.request_id"] = "req-4711"

    def after_request(self, exchange):
        if exchange.environ["PATH_INFO"] == "/hook":
            raise RuntimeError("the session could not be saved")


class Policy(Middleware):
    """A layer outside that sets its own strict policy, with a nonce for what is inside."""

    def before_request(self, exchange):
        exchange.environ["wsgikit.csp_nonce"] = "n0nce"

    def after_request(self, exchange):
        policy = "default-src 'none'; script-src 'nonce-n0nce'; style-src 'nonce-n0nce'; base-uri 'none'"
        exchange.headers.set("Content-Security-Policy", policy)


def stack(**options):
    return build_stack(app, use(ErrorPagesMiddleware, **options), use(ContextMiddleware), use(Recorder))


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, format, *arguments):
        pass


@pytest.fixture(scope="module")
def sites():
    """The addresses of the application for visitors, for developers, and under a policy from outside."""
    options = {"debug": True, "show_locals": True, "editor": "vscode"}
    apps = {
        "visitor": stack(),
        "developer": stack(**options),
        "policy": build_stack(app, use(Policy), use(ErrorPagesMiddleware, **options)),
    }
    servers = [make_server("127.0.0.1", 0, entry, Server, Quiet) for entry in apps.values()]
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    yield {name: f"http://127.0.0.1:{server.server_port}" for name, server in zip(apps, servers, strict=True)}
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        server.server_close()
        thread.join(5)


# ---------------------------------------------------------------------- the browser


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        reason = "no chromium is installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, sites):
    """Open a page and hold it to what every page is held to: no complaint in the console, nothing else is loaded."""
    contexts, complaints, requests = [], [], []

    def open_page(site, path="/", *, scheme="light", width=1200, height=900, **options):
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        # The browser itself notes each answer of status 500 there; that is what we ask for.
        page.on("console", lambda message: complaints.append(message.text) if "status of" not in message.text else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(sites[site] + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints
    assert len(requests) == len(contexts), "a page loads nothing but itself"


def shoot(page, name):
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=str(SHOTS / f"{name}.png"), full_page=True)


def serious(page):
    """Return what axe-core finds of serious and critical weight."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        (violation["id"], [node["html"] for node in violation["nodes"]][:3])
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]


def luminance(page, selector="body"):
    colour = page.evaluate("selector => getComputedStyle(document.querySelector(selector)).backgroundColor", selector)
    return sum(int(part) for part in colour[4:-1].split(",")[:3])


# ---------------------------------------------------------------------- the visitor's page


def wait_until_said(page, text):
    """Wait as playwright's assertions do: a function given as text is evaluated, which the page's policy forbids."""
    from playwright.sync_api import expect

    expect(page.locator("#said")).to_have_text(text)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/missing"], ids=["500", "404"])
def test_the_visitors_page_is_accessible(open_page, path, scheme):
    page = open_page("visitor", path, scheme=scheme)
    shoot(page, f"visitor-{'404' if path == '/missing' else '500'}-{scheme}")
    assert page.locator("h1").count() == 1
    assert "req-4711" in page.inner_text("main")
    assert not serious(page)


def test_the_visitors_page_follows_the_scheme_of_the_system(open_page):
    assert luminance(open_page("visitor", scheme="light")) > 600
    assert luminance(open_page("visitor", scheme="dark")) < 150


def test_the_visitors_page_speaks_german_and_fits_a_telephone(open_page):
    page = open_page("visitor", "/missing", width=360, height=640, locale="de-DE")
    shoot(page, "visitor-404-german-telephone")
    assert page.inner_text("h1") == "Seite nicht gefunden"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_visitors_page_can_be_read_without_styles(open_page):
    page = open_page("visitor")
    page.evaluate("document.querySelector('style').remove()")
    shoot(page, "visitor-500-without-styles")
    lines = [line for line in page.inner_text("body").splitlines() if line]
    assert lines[:2] == ["500", "Something went wrong"]
    assert lines[3] == "To the home page"
    assert not serious(page)


def test_the_home_link_is_reached_and_used_by_keyboard(open_page):
    page = open_page("visitor", "/missing")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the home page"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


# ---------------------------------------------------------------------- the traceback page


@pytest.mark.parametrize(
    ("path", "scheme"),
    [("/", "light"), ("/", "dark"), ("/group", "light"), ("/hook", "dark")],
    ids=["chain, light", "chain, dark", "group", "hook"],
)
def test_the_traceback_page_is_accessible(open_page, path, scheme):
    page = open_page("developer", path, scheme=scheme)
    name = path.strip("/") or "chain"
    shoot(page, f"traceback-{name}-{scheme}")
    page.click("text=Open all frames")
    for summary in page.locator("details.locals > summary").all():
        summary.click()
    if name == "chain":
        shoot(page, f"traceback-{name}-all-open-{scheme}")
    assert not serious(page)


def test_the_traceback_page_fits_a_telephone(open_page):
    page = open_page("developer", width=390, height=844)
    shoot(page, "traceback-telephone")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_traceback_page_follows_the_scheme_of_the_system(open_page):
    assert luminance(open_page("developer", scheme="light")) > 600
    assert luminance(open_page("developer", scheme="dark")) < 150


def test_own_frames_are_open_and_library_frames_fold_out(open_page):
    page = open_page("developer")
    assert page.locator("text=raise Orders").first.is_visible()
    folded = page.locator("details.folded").first
    assert not folded.evaluate("fold => fold.open")
    folded.locator("summary").first.click()
    assert folded.evaluate("fold => fold.open")
    assert folded.locator("details.frame").first.is_visible()


def test_all_frames_open_and_fold_again(open_page):
    page = open_page("developer")
    button = page.locator("#unfold")
    before = page.locator("details.frame[open]").count()
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator("details.frame:not([open]), details.folded:not([open])").count() == 0
    wait_until_said(page, "All frames are open.")
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert page.locator("details.frame[open]").count() == before
    assert page.locator("details.folded[open]").count() == 0


def test_locals_fold_out_and_secrets_are_hidden(open_page):
    page = open_page("developer")
    frame = page.locator("details.frame", has_text="find_order").first
    frame.locator("details.locals > summary").click()
    assert frame.locator("tr", has_text="wanted").locator("td").inner_text() == "'order 7'"
    assert frame.locator("tr", has_text="customer").locator("td").inner_text() == "{'name': 'Ada', 'password': ••••••}"
    assert "hush" not in page.content()


def test_the_error_is_copied_as_markdown(open_page):
    page = open_page("developer", permissions=["clipboard-read", "clipboard-write"])
    page.click("#copy")
    wait_until_said(page, "Copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("## ")
    assert "order 7 of Ada isn't there" in copied
    assert "Traceback (most recent call last):" in copied
    assert "  ErrorPagesMiddleware(" in copied


def test_the_error_is_copied_where_there_is_no_clipboard_interface(open_page):
    page = open_page("developer")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.click("#copy")
    wait_until_said(page, "Copied.")
    assert page.evaluate("document.activeElement.id") == "copy"
    assert not page.locator("details.markdown").evaluate("fold => fold.open")


def test_it_is_used_by_keyboard_alone(open_page):
    page = open_page("developer")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "copy"
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.locator("#unfold").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    fold = page.evaluate_handle("document.activeElement.parentElement")
    was_open = fold.evaluate("fold => fold.open")
    page.keyboard.press("Enter")
    assert fold.evaluate("fold => fold.open") is not was_open
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")  # the source can be scrolled by keyboard, too
    assert page.evaluate("document.activeElement.tagName") in ("PRE", "SUMMARY")


def test_it_can_be_used_without_script(open_page):
    page = open_page("developer", java_script_enabled=False)
    assert page.locator("#copy").is_hidden(), "what needs the script isn't there"
    page.locator("details.folded > summary").first.click()
    assert page.locator("details.folded details.frame").first.is_visible()
    page.locator("details.markdown > summary").click()
    assert page.locator("#markdown").is_visible()


def test_it_works_under_a_strict_policy_from_outside(open_page):
    page = open_page("policy")
    assert luminance(page) > 600
    page.click("#unfold")
    assert page.locator("#unfold").get_attribute("aria-pressed") == "true"


def test_frames_link_to_the_editor(open_page):
    link = open_page("developer").locator("text=Open in editor").first
    assert link.get_attribute("href").startswith(f"vscode://file{HERE}/test_pages_in_browser.py:")
