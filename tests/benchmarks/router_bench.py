"""What the router adds to a request, and `url_for`. Run with ``python tests/benchmarks/router_bench.py``.

The reference is the same stack without the router, so that the difference is the router's. The table goes to the
terminal; nothing is asserted. On a busy machine the best times count.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from harness import compare, requester

RULES = 1000
HELLO = b"Hello"


def bare(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", "5")])
    return [HELLO]


def make_router(*, hooks: bool = False) -> Any:
    from wsgikit import Router

    router = Router("bench")
    for number in range(RULES):
        router.add_url_rule(f"/section{number}/<int:item>", f"item{number}", lambda item: "Hello")
    router.add_url_rule("/hello", "hello", lambda: "Hello")
    router.add_url_rule("/bytes", "bytes", lambda: b"Hello")
    router.add_url_rule("/tuple", "tuple", lambda: ("Hello", 200))
    if hooks:
        router.before_request(lambda: None)
        router.teardown_request(lambda error: None)
    return router


def requests() -> None:
    """A request through one layer and the router, by what it asks for."""
    from wsgikit import ContextMiddleware, RouterMiddleware, build_stack, use

    router = make_router()
    layered = build_stack(bare, use(ContextMiddleware), use(RouterMiddleware, router=router))
    inside = build_stack(make_router(), use(ContextMiddleware))
    hooked = build_stack(bare, use(ContextMiddleware), use(RouterMiddleware, router=make_router(hooks=True)))
    compare(
        f"One request, {RULES} rules",
        {
            "the layer alone": requester(build_stack(bare, use(ContextMiddleware)), HELLO, "/hello"),
            "falls through": requester(layered, HELLO, "/nothing/of/ours"),
            "a literal rule, text": requester(layered, HELLO, "/hello"),
            "a rule with a number, text": requester(layered, HELLO, "/section777/5"),
            "a literal rule, bytes": requester(layered, HELLO, "/bytes"),
            "a literal rule, text and status": requester(layered, HELLO, "/tuple"),
            "the router as the application": requester(inside, HELLO, "/hello"),
            "the router by itself": requester(router, HELLO, "/hello"),
            "two hooks": requester(hooked, HELLO, "/hello"),
        },
        "the layer alone",
        seconds=4,
    )


def urls() -> None:
    """`url_for` in a request, beside Flask's."""
    import flask

    from wsgikit import ContextMiddleware, RouterMiddleware, build_stack, url_for, use

    router = make_router()
    app = flask.Flask("bench")
    for number in range(RULES):
        app.add_url_rule(f"/section{number}/<int:item>", f"item{number}", lambda item: "Hello")
    stack = build_stack(bare, use(ContextMiddleware), use(RouterMiddleware, router=router))
    with stack.request_context("/hello"), app.test_request_context("/"):
        compare(
            f"url_for, {RULES} rules",
            {
                "Router.map.build": lambda: router.map.build("item777", {"item": 5}),
                "Router.url_for": lambda: router.url_for("item777", item=5),
                "wsgikit.url_for": lambda: url_for("item777", item=5),
                "flask.url_for": lambda: flask.url_for("item777", item=5),
            },
            "wsgikit.url_for",
        )


if __name__ == "__main__":
    requests()
    urls()
