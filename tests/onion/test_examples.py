"""Five middlewares as a user would write them, each in at most thirty lines, and each held to the conformance suite."""

from __future__ import annotations

import hashlib
import inspect
import secrets
import zlib

import pytest

from wsgikit import ErrorPagesMiddleware, Middleware, Router, RouterMiddleware, build_stack, policy, reply, use
from wsgikit.testing import TestClient, assert_conforms


class SecurityHeaders(Middleware):
    """Adds headers to each response, error pages of outer layers included, unless the application has set them."""

    def __init__(self, app, *, headers=(("X-Content-Type-Options", "nosniff"), ("X-Frame-Options", "DENY"))):
        super().__init__(app)
        self.headers = tuple(headers)

    def before_request(self, exchange):
        exchange.on_response(self.add)

    def add(self, exchange):
        for name, value in self.headers:
            exchange.headers.setdefault(name, value)


class RequestId(Middleware):
    """Gives each request an id, for the log and for the client."""

    provides = ("wsgikit.request_id",)

    def before_request(self, exchange):
        request_id = exchange.environ["wsgikit.request_id"] = secrets.token_hex(8)
        exchange.on_response(lambda exchange: exchange.headers.set("X-Request-Id", request_id))


class Deflater:
    """A filter that compresses chunk for chunk, and sends on what it has after each."""

    def __init__(self):
        self.compressor = zlib.compressobj(wbits=31)

    def feed(self, chunk):
        return self.compressor.compress(chunk) + self.compressor.flush(zlib.Z_SYNC_FLUSH)

    def finish(self):
        return self.compressor.flush()

    def abandon(self):
        self.compressor = None


class Compression(Middleware):
    """Compresses text for clients that accept gzip, streams included."""

    def after_request(self, exchange):
        headers = exchange.headers
        if exchange.status_code != 200 or headers.has("Content-Encoding") or headers.has("Content-Range"):
            return
        if not (headers.get("Content-Type") or "").startswith("text/") or exchange.policy.get("compress") is False:
            return
        headers.vary("Accept-Encoding")
        if "gzip" in exchange.environ.get("HTTP_ACCEPT_ENCODING", ""):
            headers.set("Content-Encoding", "gzip")
            if (headers.get("ETag") or "").startswith('"'):
                headers.set("ETag", f"W/{headers['ETag']}")
            exchange.filter_body(Deflater())


class Conditional(Middleware):
    """Answers 304 to a client that has the body already."""

    def after_request(self, exchange):
        if exchange.environ["REQUEST_METHOD"] != "GET" or exchange.status_code != 200:
            return
        headers = exchange.headers
        if not headers.has("ETag"):
            if exchange.is_streaming or type(exchange.body) not in (list, tuple):
                return  # its bytes aren't known before the head leaves
            headers.set("ETag", f'"{hashlib.sha256(b"".join(exchange.body)).hexdigest()[:32]}"')
        known = exchange.environ.get("HTTP_IF_NONE_MATCH", "").replace("W/", "").split(", ")
        if headers["ETag"].removeprefix("W/") in known:
            exchange.status = "304 Not Modified"
            for name in ("Content-Length", "Content-Type"):
                headers.discard(name)
            exchange.body = []


class Csrf(Middleware):
    """Refuses unsafe requests of other sites, unless the policy of the view has `csrf` off."""

    request_policy = ("csrf",)
    refused = staticmethod(reply(403, "This request came from another site.\n"))

    def before_view(self, exchange):
        environ = exchange.environ
        if environ["REQUEST_METHOD"] in ("GET", "HEAD", "OPTIONS") or exchange.policy.get("csrf") is False:
            return None
        return None if environ.get("HTTP_SEC_FETCH_SITE") in ("same-origin", "none", None) else self.refused


EXAMPLES = (SecurityHeaders, RequestId, Compression, Conditional, Csrf)


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_conforms(example):
    assert_conforms(example)


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_has_at_most_thirty_lines(example):
    classes = [example, Deflater] if example is Compression else [example]
    assert sum(len(inspect.getsource(each).rstrip().splitlines()) for each in classes) <= 30


@pytest.fixture
def client():
    router = Router("examples")
    router.get("/text")(lambda: "text " * 100)
    router.post("/text", endpoint="post")(lambda: "posted")

    router.post("/hook", endpoint="hook")(policy(csrf=False)(lambda: "hooked"))

    @router.get("/stream")
    def stream():
        from wsgikit import Response

        return Response((b"chunk " for _ in range(3)), content_type="text/plain")

    @router.get("/fail")
    def fail():
        raise ValueError

    def missing(environ, start_response):
        start_response("404 Not Found", [])
        return []

    layers = [use(RequestId), use(SecurityHeaders), use(ErrorPagesMiddleware), use(Compression), use(Conditional)]
    return TestClient(build_stack(missing, *layers, use(Csrf), use(RouterMiddleware, router=router)))


def test_examples_work_together(client):
    answer = client.get("/text", headers={"Accept-Encoding": "gzip"})
    assert answer.body == b"text " * 100  # the client has decompressed it
    assert answer.headers["ETag"].startswith("W/")
    again = client.get("/text", headers={"If-None-Match": answer.headers["ETag"]}, status=304)
    assert again.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Request-Id"] != again.headers["X-Request-Id"]


def test_stream_is_compressed_chunk_for_chunk(client):
    with client.stream("/stream", headers={"Accept-Encoding": "gzip"}) as answer:
        inflater = zlib.decompressobj(wbits=31)
        assert inflater.decompress(next(iter(answer))) == b"chunk "


def test_error_page_has_the_headers_of_the_outer_layers(client):
    answer = client.get("/fail", status=500)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert len(answer.headers["X-Request-Id"]) == 16


@pytest.mark.parametrize(("path", "status"), [("/text", 403), ("/hook", 200)])
def test_csrf_example_follows_the_policy_of_the_view(path, status, client):
    client.post(path, headers={"Sec-Fetch-Site": "cross-site"}, status=status)
    client.post(path, headers={"Sec-Fetch-Site": "same-origin"}, status=200)
