"""Where views meet what is around them: bodies that recurse, several ranges, coroutines and contexts."""

from __future__ import annotations

import contextvars
import json
from decimal import Decimal

import pytest

from wsgikit import ContextMiddleware, ErrorPagesMiddleware, Router, build_stack, request, send_file, url_for, use
from wsgikit.views import JsonProvider


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"1" * 5000, b"", b"\xff"], ids=["deep", "a long number", "empty", "no text"]
)
def test_json_that_cannot_be_read_is_the_visitors_error(client, body):
    router = Router("site")
    router.add_url_rule("/", "read", lambda: repr(request.get_json()), methods=["POST"])
    assert client(router).post("/", body, content_type="application/json", expect_errors=True).status_int == 400


class Exact(JsonProvider):
    def loads(self, text):
        return json.loads(text, parse_float=Decimal)


def test_json_is_read_as_the_router_reads_it(client):
    router = Router("site", json=Exact())
    router.add_url_rule("/", "read", lambda: repr(request.json), methods=["POST"])
    assert client(router).post("/", b"[0.10]", content_type="application/json").text == "[Decimal('0.10')]"


RANGES = {
    "one": ("bytes=2-4", 206, b"234"),
    "several": ("bytes=0-1,4-5", 200, b"0123456789"),
    "one that is not there": ("bytes=50-", 416, None),
}


@pytest.mark.parametrize(("ranges", "status", "body"), RANGES.values(), ids=RANGES.keys())
def test_a_file_is_sent_by_one_range_or_whole(client, tmp_path, ranges, status, body):
    (tmp_path / "a.txt").write_bytes(b"0123456789")
    router = Router("site")
    router.add_url_rule("/", "file", lambda: send_file(tmp_path / "a.txt"))
    response = client(router).get("/", headers={"Range": ranges}, expect_errors=True)
    assert response.status_int == status
    assert body is None or response.body == body


language = contextvars.ContextVar("language", default="none")


def test_what_a_coroutine_hook_sets_is_seen_by_the_view_and_not_by_other_requests(client):
    router = Router("site")

    @router.before_request
    async def choose():
        if "lang" in request.args:
            language.set(request.args["lang"])

    @router.get("/sync")
    def sync():
        return language.get()

    @router.get("/async")
    async def coroutine():
        return language.get()

    app = client(build_stack(router, use(ContextMiddleware)))
    for path in ("/sync", "/async"):
        assert app.get(f"{path}?lang=de").text == "de"
        assert app.get(path).text == "none"
    assert language.get() == "none"


def test_the_urls_of_three_routers_in_each_other(client):
    top, middle, inner = Router("top"), Router("middle"), Router("inner")
    top.add_url_rule("/", "home", lambda: url_for("middle.inner.page", name="a b"))
    middle.add_url_rule("/", "start", lambda: url_for("inner.page", name="x"))
    inner.add_url_rule("/<name>", "page", lambda name: f"{url_for('home', _external=True)} {url_for('middle.start')}")
    middle.mount("/i", inner)
    top.mount("/mü", build_stack(middle))
    app = client(build_stack(top, use(ErrorPagesMiddleware), use(ContextMiddleware)), SCRIPT_NAME="/base")
    assert app.get("/").text == "/base/m%C3%BC/i/a%20b"
    assert app.get("/m%C3%BC/").text == "/base/m%C3%BC/i/x"
    assert app.get("/m%C3%BC/i/a").text == "http://localhost/base/ /base/m%C3%BC/"
