"""Where views meet what is around them: bodies that recurse, several ranges, coroutines and contexts."""

from __future__ import annotations

import asyncio
import contextvars
import json
from decimal import Decimal

import pytest
import werkzeug

from wsgikit import (
    ContextMiddleware,
    ErrorPagesMiddleware,
    Response,
    Router,
    build_stack,
    request,
    send_file,
    url_for,
    use,
)
from wsgikit.exceptions import ApplicationError
from wsgikit.onion.visit import make_environ
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
    "several": ("bytes=0-1,4-5", 206, None),
    "one that is not there": ("bytes=50-", 416, None),
}


@pytest.mark.parametrize(("ranges", "status", "body"), RANGES.values(), ids=RANGES.keys())
def test_a_file_is_sent_by_ranges(client, tmp_path, ranges, status, body):
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


def test_a_coroutine_view_inside_a_running_loop_says_what_to_do():
    """No coroutine is left behind unawaited: that would be a warning, and so a failure of this test."""
    router = Router("site")

    @router.get("/")
    async def page():
        return "page"

    async def caller():
        return router(make_environ("/"), lambda *head: None)

    with pytest.raises(ApplicationError, match=r"page: event loop: .* another thread: asyncio.to_thread\(…\)"):
        asyncio.run(caller())

    async def threaded():
        return b"".join(await asyncio.to_thread(router, make_environ("/"), lambda *head: None))

    assert asyncio.run(threaded()) == b"page"


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


# ---------------------------------------------------------------------- bodies that hold something


class Held:
    """A body that holds something until it is closed."""

    def __init__(self, *chunks, fails=False):
        self.chunks, self.fails, self.closes = chunks or (b"held",), fails, 0

    def __iter__(self):
        if self.fails:
            raise ValueError("the body failed")
        return iter(self.chunks)

    def close(self):
        self.closes += 1


def application(body):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return body

    return app


def fail(response):
    raise ValueError("the hook failed")


def wrap(response):
    source = response.app_iter
    response.app_iter = (chunk.upper() for chunk in source)  # it doesn't close what it wraps
    return response


def wrap_and_close(response):
    source = response.app_iter

    def wrapped():
        try:
            yield from source
        finally:
            source.close()

    response.app_iter = wrapped()
    return response


def read(response):
    assert response.body in (b"held", b"")  # Werkzeug's response has none for HEAD
    return response


def put(response):
    response.body = b"another"
    return response


def head(response):
    response.headers["X-Name"] = "value"
    return response


HOOKS = {
    "leaves it": (lambda response: response, b"held"),
    "changes the head": (head, b"held"),
    "reads it": (read, b"held"),
    "puts another in its place": (put, b"another"),
    "returns another response": (lambda response: "another", b"another"),
    "returns a response around it": (lambda response: Response(response.app_iter), b"held"),
    "wraps it": (wrap, b"HELD"),
    "wraps and closes it": (wrap_and_close, b"held"),
    "fails": (fail, None),
    "returns nothing": (lambda response: None, None),
}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(("hook", "sent"), HOOKS.values(), ids=HOOKS.keys())
@pytest.mark.parametrize("make", [application, werkzeug.Response, Response], ids=["WSGI", "Werkzeug", "ours"])
def test_a_body_is_closed_once_whatever_a_hook_does_with_it(client, make, hook, sent, method):
    body = Held()
    router = Router("site")
    router.after_request(hook)
    router.add_url_rule("/", "view", lambda: make(body))
    response = client(build_stack(router, use(ErrorPagesMiddleware))).request("/", method=method, expect_errors=True)
    assert response.status_int == (500 if sent is None else 200)
    assert sent is None or response.body == (sent if method == "GET" else b"")
    assert body.closes == 1


def test_a_hook_leaves_the_file_wrapper_of_the_server_as_it_is(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"0123456789")
    made = []

    class Wrapper(Held):
        def __init__(self, file, size=0):
            super().__init__()
            file.close()
            made.append(self)

    router = Router("site")
    router.after_request(head)
    router.add_url_rule("/", "file", lambda: tmp_path / "a.txt")
    environ = {**make_environ("/"), "wsgi.file_wrapper": Wrapper}
    assert router(environ, lambda *head: None) is made[0]


def test_a_body_that_fails_before_its_head_is_closed(client):
    class Lazy(Held):
        def __call__(self, environ, start_response):
            return self

    body = Lazy(fails=True)
    router = Router("site")
    router.after_request(head)
    router.add_url_rule("/", "view", lambda: body)
    response = client(build_stack(router, use(ErrorPagesMiddleware))).get("/", expect_errors=True)
    assert (response.status_int, body.closes) == (500, 1)


@pytest.mark.parametrize("hooked", [False, True])
@pytest.mark.parametrize("status", [204, 304])
def test_an_application_that_is_given_a_status_without_a_body_sends_none(client, status, hooked):
    body = Held()
    router = Router("site")
    if hooked:
        router.after_request(head)
    router.add_url_rule("/", "view", lambda: (application(body), status))
    response = client(router).get("/")
    assert (response.status_int, response.body, body.closes) == (status, b"", 1)
    assert "Content-Type" not in response.headers
