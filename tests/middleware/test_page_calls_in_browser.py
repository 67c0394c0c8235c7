"""The client module in a browser, under ``script-src 'self'`` and a nonce for one script of the page."""

from __future__ import annotations

import os
import shutil
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from werkzeug.datastructures import FileStorage

from wsgikit import (
    ContextMiddleware,
    CsrfMiddleware,
    ErrorPagesMiddleware,
    PageCallsMiddleware,
    PageReply,
    Router,
    SecurityHeadersMiddleware,
    SessionMiddleware,
    abort,
    build_stack,
    render_template_string,
    sijax,
    use,
)
from wsgikit.middleware.security_headers import NONCE

expect = pytest.importorskip("playwright.sync_api").expect
pytestmark = pytest.mark.browser

SECRET = "bcd4b7f9e6a0d1c2b3e4f5a9f2c1c5e3a8"
ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
PAGE = """<!doctype html><title>page</title><link rel="icon" href="data:,">
{% if nonce %}<script nonce="{{ csp_nonce() }}">window.own = 1</script>{% endif %}
<script type="module" src="/__calls__/client.js"></script>
<script type="module" src="/page.js"></script>
<div id="a" title="b">old</div><div class="c"></div><div class="c"></div>
<form id="form" data-call="echo" data-target="#result">
  <input name="text" value="x"><input name="tags[]" value="one"><input name="__proto__" value="polluted">
  <input name="two" value="1"><input name="two" value="2"><input type="file" name="none">
  <button name="pressed" value="yes">Send</button>
</form>
<p id="result"></p>
<button id="button" data-call="fail">Fail</button>
<form id="up"><input type="file" name="photo" id="photo"><button>Up</button></form>
"""
SCRIPT = """
import * as client from "/__calls__/client.js";
import "/__calls__/sijax.js";
window.client = client;
window.attempt = async (name, args, options) => {
  try { return { value: await client.call(name, args, options) }; }
  catch (error) { return { name: error.name, status: error.status, problem: error.problem, message: error.message }; }
};
"""
# A script in inserted HTML that would run if the client made it run, and a handler that the policy stops.
HOSTILE = "<b>new</b><script>window.pwned = 1</script>"


@pytest.fixture(scope="module")
def calls():
    calls = sijax.Sijax()
    calls.gone = threading.Event()

    @calls.function
    def echo(**fields):
        return repr(sorted(fields.items()))

    @calls.function
    def commands():
        return (
            PageReply("value")
            .html("#a", HOSTILE)
            .html_append("#a", "<i>end</i>")
            .html_prepend("#a", "<i>begin</i>")
            .css(".c", "color", "rgb(1, 2, 3)")
            .attr(".c", "title", "m")
            .attr_append(".c", "title", "z")
            .attr_prepend(".c", "title", "a")
            .remove("#button")
            .call("own", [1, [2]])
        )

    @calls.function
    def leads(url: str):
        reply = PageReply()
        reply.commands.append(["redirect", url])  # past the check of the server
        return reply

    calls.add("script", lambda: PageReply("ran").script("window.pwned = 2"))
    calls.add("unregistered", lambda: PageReply().call("alert", [1]))
    calls.add("inherited", lambda: PageReply().call("constructor", ["x"]))

    @calls.function
    def typed(number: int):
        return number

    @calls.function
    def fail():
        abort(409, "Taken.")

    @calls.function
    def broken():
        raise LookupError("secret")

    @calls.function
    def stream(upto: int):
        for number in range(upto):
            yield PageReply().html("#a", str(number))
            yield {"n": number}
        return "end"

    @calls.function
    def stopped():
        yield 1
        abort(410, "Stopped.")

    @calls.function
    def endless():
        try:
            while True:
                yield "x" * 100_000
        finally:
            calls.gone.set()

    @calls.function
    def measure(photo: FileStorage, title: str = ""):
        return [photo.filename, len(photo.read()), title]

    calls.register_callback("hello", lambda obj_response, name: obj_response.html("#a", name))
    calls.register_upload_callback("up", lambda obj_response, files, fields: obj_response.html("#a", str([*files])))
    return calls


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, format, *arguments):
        pass


@pytest.fixture(scope="module")
def site(calls):
    router = Router("site")

    @router.get("/")
    @router.get("/<nonce>")
    def page(nonce=""):
        return render_template_string(PAGE, nonce=nonce == "nonce")

    @router.get("/page.js")
    def script():
        return SCRIPT, {"Content-Type": "text/javascript"}

    stack = build_stack(
        router,
        ContextMiddleware,
        ErrorPagesMiddleware,
        use(
            SecurityHeadersMiddleware, csp={"script-src": ["'self'", NONCE], "style-src": "'self'"}, csp_upgrade="https"
        ),
        use(SessionMiddleware, secret_key=SECRET),
        CsrfMiddleware,
        use(PageCallsMiddleware, functions=calls),
    )
    server = make_server("127.0.0.1", 0, stack, Server, Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(5)


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


@pytest.fixture
def page(browser, site):
    """The page, in which an error in the console fails the test; a test takes out those that it expects."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text) if "status of 4" not in message.text else 0)
    page.on("pageerror", lambda error: page.complaints.append(error.message))
    page.goto(site)
    yield page
    context.close()
    assert page.complaints == []


def attempt(page, name, args=None, options="{}"):
    return page.evaluate(f"([name, args]) => attempt(name, args, {options})", [name, args or {}])


def test_the_commands_change_the_page_and_no_script_in_it_runs(page):
    page.evaluate("() => client.register('own', (one, two) => { window.got = [one, two]; })")
    assert attempt(page, "commands") == {"value": "value"}
    assert page.locator("#a").inner_html() == f"<i>begin</i>{HOSTILE}<i>end</i>"
    assert page.evaluate("() => window.pwned") is None
    assert page.evaluate("() => [...document.querySelectorAll('.c')].map((e) => e.title + e.style.color)") == (
        ["amzrgb(1, 2, 3)"] * 2
    )
    assert page.locator("#button").count() == 0
    assert page.evaluate("() => window.got") == [1, [2]]


@pytest.mark.parametrize("url", ["javascript:window.pwned=1", "data:text/html,x", "blob:x"])
def test_a_redirect_to_a_script_is_refused_by_the_page(page, url):
    answer = attempt(page, "leads", {"url": url})
    assert (answer["name"], answer["status"]) == ("CallError", 0)
    assert page.evaluate("() => window.pwned") is None


def test_a_redirect_leads_to_another_page(page, site):
    with page.expect_navigation():
        page.evaluate("() => { client.call('leads', {url: '/other?x'}); }")
    assert page.url == f"{site}/other?x"


def test_a_script_runs_only_in_a_page_with_a_nonce(page, site):
    assert attempt(page, "script")["message"] == "A script needs a page with a nonce."
    page.goto(f"{site}/nonce")
    page.wait_for_load_state("networkidle")
    assert attempt(page, "script") == {"value": "ran"}
    assert page.evaluate("() => window.pwned") == 2


@pytest.mark.parametrize("name", ["unregistered", "inherited"])
def test_a_reply_calls_only_functions_that_the_page_registered(page, name):
    assert "has registered no function" in attempt(page, name)["message"]


def test_errors_have_the_problem_of_the_site(page):
    assert attempt(page, "fail")["problem"] == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "Taken.",
    }
    assert attempt(page, "typed", {"number": "x"})["problem"]["errors"][0]["loc"] == ["args", "number"]
    assert attempt(page, "nothing")["status"] == 404


def test_an_error_of_the_function_is_a_500_without_its_text(page, caplog):
    answer = attempt(page, "broken")
    assert (answer["name"], answer["status"]) == ("CallError", 500)
    assert "secret" not in str(answer)
    assert "status of 500" in page.complaints.pop()


def test_no_answer_is_an_error_without_a_status(page):
    page.evaluate("() => client.configure({endpoint: 'http://127.0.0.1:9/'})")
    answer = attempt(page, "fail")
    assert (answer["name"], answer["status"], answer["message"]) == ("CallError", 0, "No answer came.")
    assert page.complaints
    page.complaints.clear()  # the browser reports the policy that forbids the address


def test_a_stream_runs_its_commands_and_hands_out_its_items(page):
    answer = page.evaluate(
        "async () => { const items = []; const value = await client.call('stream', {upto: 3},"
        " {onitem: (item) => items.push(item.n)}); return [value, items]; }"
    )
    assert answer == ["end", [0, 1, 2]]
    assert page.text_content("#a") == "2"


def test_a_stream_that_fails_rejects_with_its_problem(page, caplog):
    assert attempt(page, "stopped")["problem"]["detail"] == "Stopped."
    page.complaints.clear()  # the browser may report that the connection broke off


def test_an_aborted_stream_ends_the_function(page, calls):
    answer = page.evaluate(
        "async () => { const stop = new AbortController(); try { await client.call('endless', {},"
        " {signal: stop.signal, onitem: () => stop.abort()}); } catch (error) { return error.name; } }"
    )
    assert answer == "AbortError"
    assert calls.gone.wait(15)


def test_a_call_whose_signal_was_aborted_before_is_not_sent(page):
    assert attempt(page, "fail", options="{signal: AbortSignal.abort()}")["name"] == "AbortError"


def test_a_form_calls_with_its_values_and_no_prototype_is_touched(page):
    page.click("#form button")
    expect(page.locator("#result")).not_to_be_empty()
    assert page.text_content("#result") == repr(
        [("__proto__", "polluted"), ("pressed", "yes"), ("tags", ["one"]), ("text", "x"), ("two", ["1", "2"])]
    )
    assert page.evaluate("() => ({}).polluted ?? Object.keys(Object.prototype).length") == 0
    assert page.evaluate("() => client.getFormValues('#form').text") == "x"


def test_an_error_of_a_button_is_an_event_that_can_be_handled(page):
    page.evaluate(
        "() => document.addEventListener('call:error', (event) => {"
        " event.preventDefault(); result.textContent = event.detail.message; })"
    )
    page.click("#button")
    expect(page.locator("#result")).to_have_text("Taken.")
    assert page.get_attribute("#button", "aria-busy") is None


def test_an_error_that_nobody_handles_is_reported(page):
    with page.expect_event("pageerror"):
        page.click("#button")
    assert page.complaints == ["Taken."]
    page.complaints.clear()


def test_a_file_is_uploaded_with_progress(page):
    page.set_input_files("#photo", {"name": "a.png", "mimeType": "image/png", "buffer": b"x" * 200_000})
    answer = page.evaluate(
        "async () => { const seen = []; const value = await client.call('measure',"
        " {photo: photo.files, title: 'x'}, {onprogress: ({loaded, total}) => seen.push(loaded / total)});"
        " return [value, seen.at(-1)]; }"
    )
    assert answer == [["a.png", 200_000, "x"], 1]
    assert page.evaluate("() => client.call('measure', {photo: photo.files[0]})") == ["a.png", 200_000, ""]
    name = "() => client.call('measure', {photo: photo.files}, {onprogress() {}, signal: AbortSignal.abort()})"
    assert page.evaluate(f"async () => {{ try {{ await ({name})(); }} catch (error) {{ return error.name; }} }}") == (
        "AbortError"
    )


def test_the_names_of_sijax_work(page):
    page.evaluate("() => Sijax.request('hello', ['Ann'])")
    expect(page.locator("#a")).to_have_text("Ann")
    assert page.evaluate("() => Sijax.getFormValues('#form').text") == "x"
    page.evaluate("() => sjxUpload.registerForm({formId: 'up'})")
    page.set_input_files("#photo", {"name": "a.png", "mimeType": "image/png", "buffer": b"x"})
    page.click("#up button")
    expect(page.locator("#a")).to_have_text("['photo']")
