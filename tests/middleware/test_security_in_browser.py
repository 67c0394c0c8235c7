"""csrf, CORS and Content-Security-Policy in a real browser, across two origins (two ports)."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

from wsgikit import (
    ContextMiddleware,
    CorsMiddleware,
    CsrfMiddleware,
    ErrorPagesMiddleware,
    Router,
    SecurityHeadersMiddleware,
    SessionMiddleware,
    build_stack,
    render_template_string,
    use,
)
from wsgikit.middleware.security_headers import NONCE

pytestmark = pytest.mark.browser

SECRET = "bcd4b7f9e6a0d1c2b3e4f5a9f2c1c5e3a8"
ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
PAGE = """<!doctype html><title>page</title>
<form method="post" action="/save">{{ csrf_field() }}<button>Send</button></form>
<script nonce="{{ csp_nonce() }}">document.title = "with nonce"</script>
<script>document.title = "without nonce"</script>
"""


def make_site(friend):
    router = Router("site")

    @router.get("/")
    def page():
        return render_template_string(PAGE)

    @router.post("/save")
    def save():
        return "<title>saved</title>"

    @router.route("/api", methods=["GET", "PUT"])
    def api():
        return {"answer": 42}

    @router.get("/broken")
    def broken():
        raise ValueError("broken")

    csp = {"script-src": ["'self'", NONCE], "style-src": ["'self'", NONCE]}

    def stack_of(**options):
        return build_stack(
            router,
            ContextMiddleware,
            use(SecurityHeadersMiddleware, csp=csp, csp_upgrade="https"),
            use(CorsMiddleware, origins=[friend], methods=["GET", "PUT"], headers=["Content-Type"]),
            use(ErrorPagesMiddleware, **options),
            use(SessionMiddleware, secret_key=SECRET),
            use(CsrfMiddleware, trusted_origins=[friend]),
        )

    return stack_of


def other_site(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    target = environ["QUERY_STRING"]
    return [f'<form method="post" action="{target}/save"><button>Send</button></form>'.encode()]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, format, *arguments):
        pass


@pytest.fixture(scope="module")
def sites():
    """Addresses: the site, the same with tracebacks, a friend that it trusts, and a stranger."""
    servers = {name: make_server("127.0.0.1", 0, other_site, Server, Quiet) for name in ("friend", "stranger")}
    friend = f"http://127.0.0.1:{servers['friend'].server_port}"
    make = make_site(friend)
    servers["site"] = make_server("127.0.0.1", 0, make(), Server, Quiet)
    servers["debug"] = make_server("127.0.0.1", 0, make(debug=True), Server, Quiet)
    threads = [threading.Thread(target=each.serve_forever, args=(0.05,), daemon=True) for each in servers.values()]
    for thread in threads:
        thread.start()
    yield {name: f"http://127.0.0.1:{server.server_port}" for name, server in servers.items()}
    for server, thread in zip(servers.values(), threads, strict=True):
        server.shutdown()
        server.server_close()
        thread.join(5)


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
def open_page(browser):
    contexts = []

    def open_page(address):
        context = browser.new_context()
        contexts.append(context)
        page = context.new_page()
        page.complaints = []
        page.on(
            "console", lambda message: page.complaints.append(message.text) if "status of" not in message.text else 0
        )
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(autouse=True)
def quiet():
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def test_only_a_script_with_the_nonce_runs(open_page, sites):
    page = open_page(sites["site"])
    assert page.title() == "with nonce"
    assert len(page.complaints) == 1, page.complaints
    assert "Content Security Policy" in page.complaints[0]


def test_our_own_form_is_sent(open_page, sites):
    page = open_page(sites["site"])
    page.click("button")
    page.wait_for_url("**/save")
    assert page.title() == "saved"


@pytest.mark.parametrize(("who", "title"), [("friend", "saved"), ("stranger", None)])
def test_a_form_of_another_origin_is_sent_only_by_one_that_is_trusted(open_page, sites, who, title):
    page = open_page(f"{sites[who]}/?{sites['site']}")
    with page.expect_navigation() as navigation:
        page.click("button")
    assert navigation.value.status == (403 if title is None else 200)
    if title is not None:
        assert page.title() == title


FETCH = """async (url) => {
    const options = {method: "PUT", headers: {"Content-Type": "application/json"}, body: "{}"}
    try { return await (await fetch(url, options)).json() } catch (error) { return error.name }
}"""


@pytest.mark.parametrize(("who", "answer"), [("friend", {"answer": 42}), ("stranger", "TypeError")])
def test_only_a_page_of_an_allowed_origin_can_read_an_answer(open_page, sites, who, answer):
    page = open_page(sites[who])
    assert page.evaluate(FETCH, sites["site"] + "/api") == answer


@pytest.mark.parametrize("site", ["site", "debug"])
def test_our_error_pages_violate_no_policy(open_page, sites, site):
    page = open_page(sites[site] + "/broken")
    assert page.locator("h1").count() == 1
    assert page.complaints == []
