"""A built single-page app in a real browser, under a strict policy: what goes over the network."""

from __future__ import annotations

import io
import json
import os
import shutil
import threading
import wave

import pytest
import waitress

from wsgikit import (
    CompressionMiddleware,
    ConditionalMiddleware,
    SecurityHeadersMiddleware,
    StaticMiddleware,
    build_stack,
    use,
)
from wsgikit.cli.compress import compress_file, files_to_compress

pytestmark = pytest.mark.browser

ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
# What Vite writes into dist/, names and all.
INDEX = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Shop</title><link rel="icon" href="data:,">
<script type="module" crossorigin src="/assets/index-3f2a9c1b.js"></script>
<link rel="stylesheet" crossorigin href="/assets/index-8d41e0aa.css"></head>
<body><div id="app"></div><video id="clip" preload="metadata" src="/clip-5ce1f00d.wav"></video></body></html>
"""
SCRIPT = (
    """
const data = await (await fetch("/api/items")).json();
document.querySelector("#app").textContent = `${location.pathname}: ${data.items.length} items`;
"""
    + "// a long comment that compresses well\n" * 100
)
STYLE = "body { color: rgb(1, 2, 3) }\n" * 100


def api(environ, start_response):
    content = json.dumps({"items": ["tea"] * 500}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
    return [content]


def clip():
    """Return 20 seconds of silence."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(bytes(2 * 44_100 * 20))
    return out.getvalue()


@pytest.fixture
def site(tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text(INDEX)
    (tmp_path / "assets" / "index-3f2a9c1b.js").write_text(SCRIPT)
    (tmp_path / "assets" / "index-8d41e0aa.css").write_text(STYLE)
    (tmp_path / "clip-5ce1f00d.wav").write_bytes(clip())
    for file in files_to_compress(str(tmp_path), 500):
        compress_file(file, ["br", "gzip"])
    stack = build_stack(
        api,
        use(SecurityHeadersMiddleware, csp={"default-src": ["'self'"], "img-src": ["'self'", "data:"]}),
        use(StaticMiddleware, root=tmp_path, prefix="/", index="index.html", fallback="index.html"),
        use(CompressionMiddleware),
        use(ConditionalMiddleware),
    )
    requests = []

    def noting(environ, start_response):
        def start(status, headers, exc_info=None):
            requests.append((environ["PATH_INFO"], environ.get("HTTP_RANGE", ""), status))
            return start_response(status, headers, exc_info)

        return stack(environ, start)

    # HTTP/1.1: browsers use entity tags of no older version.
    server = waitress.create_server(noting, host="127.0.0.1", port=0, threads=8)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield f"http://127.0.0.1:{server.effective_port}", requests
    server.trigger.pull_trigger(server.close)  # in the thread that listens
    thread.join(10)
    server.task_dispatcher.shutdown()


@pytest.fixture
def page():
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        reason = "no chromium is installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser.new_page()
        browser.close()


def test_a_built_front_end_runs_and_is_not_sent_twice(site, page):
    site, requests = site
    complaints, seen = [], {}
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("response", lambda response: seen.setdefault(response.url.removeprefix(site), []).append(response))

    page.goto(f"{site}/users/7")
    page.wait_for_selector("text='/users/7: 500 items'")
    style = page.evaluate("() => getComputedStyle(document.body).color")
    assert style == "rgb(1, 2, 3)"
    document = seen["/users/7"][0]
    script, sheet = seen["/assets/index-3f2a9c1b.js"][0], seen["/assets/index-8d41e0aa.css"][0]
    assert document.headers["cache-control"] == "no-cache"
    for response in (script, sheet):
        assert response.status == 200
        assert response.headers["content-encoding"] == "br"
        assert response.headers["cache-control"] == "max-age=31536000, immutable"
    assert seen["/api/items"][0].headers["content-encoding"] in ("br", "zstd")

    page.evaluate("() => { const clip = document.querySelector('#clip'); clip.currentTime = 15 }")
    page.wait_for_function("() => document.querySelector('#clip').currentTime >= 15")
    assert 206 in [response.status for response in seen["/clip-5ce1f00d.wav"]]

    page.reload()
    page.wait_for_selector("text='/users/7: 500 items'")
    assert ("/users/7", "", "304 Not Modified") in requests
    assert ("/api/items", "", "304 Not Modified") in requests
    page.goto(f"{site}/orders")
    page.wait_for_selector("text='/orders: 500 items'")
    asked = [path for path, _, _ in requests]
    assert asked.count("/assets/index-3f2a9c1b.js") == asked.count("/assets/index-8d41e0aa.css") == 1
    assert any(path.endswith(".wav") and given.startswith("bytes=") for path, given, _ in requests)
    assert complaints == []
