"""What the delivery layers cost, beside WhiteNoise, Flask-Compress, Starlette and Falcon.

``python tests/benchmarks/delivery_bench.py [words]``; a word picks the tables whose name has it.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper

sys.path.insert(0, str(Path(__file__).parent))

from harness import compare, environ, requester

from wsgikit import (
    CacheMiddleware,
    CompressionMiddleware,
    ConditionalMiddleware,
    IdempotencyMiddleware,
    MethodOverrideMiddleware,
    SendfileMiddleware,
    StaticMiddleware,
)

PAGE = b"<p>All work and no play makes Jack a dull boy.</p>\n" * 200


def page(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(PAGE)))])
    return [PAGE]


def hello(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"Hello"]


def caller(app: Any, status: str, **extra: Any) -> Callable[[], None]:
    """Make a function that does one request; checks once that it has the status."""
    template = environ(**extra)
    seen: list[str] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> None:
        seen.append(status)

    def request() -> None:
        body = app(template.copy(), start_response)
        for _ in body:
            pass
        if hasattr(body, "close"):
            body.close()

    request()
    assert seen[0].startswith(status), seen
    return request


def static() -> None:
    """A hashed file of 10 KiB, and a miss."""
    from whitenoise import WhiteNoise

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "app.3f2a9c1b4d5e.js").write_bytes(b"x" * 10_240)
        ours = StaticMiddleware(hello, root=folder)
        theirs = WhiteNoise(hello, root=folder, prefix="static/")
        path = "/static/app.3f2a9c1b4d5e.js"
        wrapper = {"wsgi.file_wrapper": FileWrapper}
        for title, extra in (
            ("a hashed static file", {}),
            ("its 304 by date", {"HTTP_IF_MODIFIED_SINCE": "Fri, 01 Jan 2100 00:00:00 GMT"}),
        ):
            status = "200"
            if extra:
                head: list[Any] = []
                for _ in ours(environ(path, **wrapper), lambda *given: head.append(given)):
                    pass
                extra = {"HTTP_IF_NONE_MATCH": dict(head[0][1])["ETag"]}
                their_head: list[Any] = []
                for _ in theirs(environ(path, **wrapper), lambda *given: their_head.append(given)):
                    pass
                their_extra = {"HTTP_IF_NONE_MATCH": dict(their_head[0][1])["ETag"]}
                status, title = "304", "its 304 by tag"
            else:
                their_extra = {}
            compare(
                title,
                {
                    "WhiteNoise": caller(theirs, status, path=path, **wrapper, **their_extra),
                    "wsgikit": caller(ours, status, path=path, **wrapper, **extra),
                },
                "WhiteNoise",
            )
        compare(
            "a path that is no static file",
            {
                "bare": requester(hello, b"Hello"),
                "WhiteNoise": requester(theirs, b"Hello"),
                "wsgikit": requester(ours, b"Hello"),
            },
            "WhiteNoise",
        )


def compression() -> None:
    """gzip of 10 KiB of HTML, beside what zlib alone takes."""
    import flask
    from flask_compress import Compress
    from starlette.middleware.gzip import GZipMiddleware

    app = flask.Flask("benchmark")
    app.add_url_rule("/", "page", lambda: PAGE)
    app.config.update(COMPRESS_ALGORITHM="gzip", COMPRESS_LEVEL=6)
    Compress(app)
    plain = flask.Flask("benchmark")
    plain.add_url_rule("/", "page", lambda: PAGE)
    loop = asyncio.new_event_loop()

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": PAGE})

    starlette = GZipMiddleware(asgi, compresslevel=6)
    scope = {"type": "http", "headers": [(b"accept-encoding", b"gzip")]}

    async def ignore(message: Any = None) -> None:
        return None

    def alone() -> None:
        deflate = zlib.compressobj(6, zlib.DEFLATED, 31)
        deflate.compress(PAGE)
        deflate.flush()

    accepting = {"HTTP_ACCEPT_ENCODING": "gzip"}
    compare(
        "gzip of a page of 10 KiB",
        {
            "zlib alone": alone,
            "bare app": caller(page, "200"),
            "wsgikit": caller(CompressionMiddleware(page), "200", **accepting),
            "Starlette (ASGI)": lambda: loop.run_until_complete(starlette(scope, ignore, ignore)),
            "Flask": caller(plain, "200"),
            "Flask, Flask-Compress": caller(app, "200", **accepting),
            "Flask, wsgikit": caller(CompressionMiddleware(plain), "200", **accepting),
        },
        "zlib alone",
    )
    loop.close()


def conditional() -> None:
    """A 304 by entity tag, beside Falcon's bare hello."""
    import falcon

    class Resource:
        def on_get(self, request: Any, response: Any) -> None:
            response.content_type = "text/plain"
            response.data = b"Hello"

    falcon_app = falcon.App()
    falcon_app.add_route("/", Resource())
    layer = ConditionalMiddleware(hello)
    head: list[Any] = []
    for _ in layer(environ(), lambda *given: head.append(given)):
        pass
    compare(
        "a 304 by entity tag",
        {
            "Falcon, hello": requester(falcon_app, b"Hello"),
            "wsgikit, 304": caller(layer, "304", HTTP_IF_NONE_MATCH=dict(head[0][1])["ETag"]),
            "wsgikit, 200 with a tag": requester(layer, b"Hello"),
        },
        "Falcon, hello",
    )


def cache() -> None:
    """A page from the cache, beside Falcon's bare hello; and what a page costs that isn't stored."""
    import falcon

    class Resource:
        def on_get(self, request: Any, response: Any) -> None:
            response.content_type = "text/plain"
            response.data = b"Hello"

    def fresh(environ: Any, start_response: Any) -> list[bytes]:
        headers = [("Content-Type", "text/plain"), ("Content-Length", "5"), ("Cache-Control", "max-age=86400")]
        start_response("200 OK", [*headers, ("ETag", '"a"')])
        return [b"Hello"]

    def varying(environ: Any, start_response: Any) -> list[bytes]:
        headers = [("Content-Type", "text/plain"), ("Content-Length", "5"), ("Cache-Control", "max-age=86400")]
        start_response("200 OK", [*headers, ("Vary", "Accept-Encoding")])
        return [b"Hello"]

    falcon_app = falcon.App()
    falcon_app.add_route("/", Resource())
    layer = CacheMiddleware(fresh)
    compare(
        "a page from the cache",
        {
            "Falcon, hello": requester(falcon_app, b"Hello"),
            "wsgikit, a hit": requester(layer, b"Hello"),
            "wsgikit, a hit by Accept-Encoding": requester(
                CacheMiddleware(varying), b"Hello", HTTP_ACCEPT_ENCODING="gzip, br"
            ),
            "wsgikit, 304": caller(layer, "304", HTTP_IF_NONE_MATCH='"a"'),
            "bare app": requester(hello, b"Hello"),
            "wsgikit, a page that isn't stored": requester(CacheMiddleware(hello), b"Hello"),
            "wsgikit, a POST": caller(CacheMiddleware(hello), "200", REQUEST_METHOD="POST"),
        },
        "Falcon, hello",
    )


def idle() -> None:
    """What each layer costs if it has nothing to do: the difference to a layer without hooks."""
    from wsgikit import Middleware

    class Nothing(Middleware):
        def before_request(self, exchange: Any) -> None:
            pass

        def after_request(self, exchange: Any) -> None:
            pass

    def image(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "image/png"), ("ETag", '"a"'), ("Content-Length", "5")])
        return [b"Hello"]

    with tempfile.TemporaryDirectory() as folder:
        compare(
            "a layer with nothing to do",
            {
                "no layer": requester(image, b"Hello"),
                "hooks that do nothing": requester(Nothing(image), b"Hello"),
                "static": requester(StaticMiddleware(image, root=folder), b"Hello"),
                "compression": requester(CompressionMiddleware(image), b"Hello", HTTP_ACCEPT_ENCODING="gzip"),
                "conditional": requester(ConditionalMiddleware(image), b"Hello"),
                "idempotency": requester(IdempotencyMiddleware(image), b"Hello"),
                "method override": requester(MethodOverrideMiddleware(image), b"Hello"),
                "sendfile": requester(SendfileMiddleware(image, kind="x-sendfile", mappings={folder: "/x"}), b"Hello"),
            },
            "hooks that do nothing",
        )


BENCHMARKS = {"static": static, "compression": compression, "conditional": conditional, "cache": cache, "idle": idle}


if __name__ == "__main__":
    words = sys.argv[1:]
    for name, benchmark in BENCHMARKS.items():
        if not words or any(word in name for word in words):
            benchmark()
