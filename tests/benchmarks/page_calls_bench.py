"""What a page call costs beside a view of Flask: ``python tests/benchmarks/page_calls_bench.py``."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from harness import compare, environ

from wsgikit import Calls, Exchange, Middleware, PageCallsMiddleware, PageReply, build_stack, use

ARGS = {"text": "All work and no play makes Jack a dull boy.", "stars": 4}


def hello(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"Hello"]


class Nothing(Middleware):
    def before_request(self, exchange: Exchange) -> None:
        pass


def poster(app: Any, path: str, message: Any) -> Callable[[], None]:
    """Make a function that posts JSON once; checks once that it is answered by a 200."""
    body = json.dumps(message).encode()
    template = environ(path, REQUEST_METHOD="POST", CONTENT_TYPE="application/json", CONTENT_LENGTH=str(len(body)))
    seen: list[str] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> None:
        seen.append(status)

    def request() -> None:
        given = template.copy()
        given["wsgi.input"] = io.BytesIO(body)
        answer = app(given, start_response)
        for _ in answer:
            pass
        close = getattr(answer, "close", None)
        if close is not None:
            close()

    request()
    assert seen[0].startswith("200"), seen
    return request


def getter(app: Any) -> Callable[[], None]:
    """Make a function that asks for ``/``."""
    template = environ("/")

    def start_response(status: str, headers: Any, exc_info: Any = None) -> None:
        pass

    def request() -> None:
        app(template.copy(), start_response)

    return request


def main() -> None:
    """Print the tables."""
    from flask import Flask, request

    calls = Calls()

    @calls.function
    def save(text: str, stars: int) -> dict[str, Any]:
        return {"text": text, "stars": stars + 1}

    @calls.function
    def reply(text: str, stars: int) -> PageReply:
        return PageReply(stars).html_append("#notes", text).call("saved", [stars])

    flask = Flask(__name__)

    @flask.post("/save")
    def save_in_flask() -> dict[str, Any]:
        given = request.get_json()
        return {"text": given["text"], "stars": given["stars"] + 1}

    layer = PageCallsMiddleware(hello, functions=calls)
    compare(
        "a call, and JSON by Flask",
        {
            "Flask": poster(flask, "/save", ARGS),
            "page call": poster(layer, "/__calls__", {"call": "save", "args": ARGS}),
            "page call with commands": poster(layer, "/__calls__", {"call": "reply", "args": ARGS}),
        },
        "Flask",
    )
    # An onion of no layer but one that does nothing, so that the engine isn't counted.
    plain = build_stack(hello, use(Nothing))
    both = build_stack(hello, use(Nothing), use(PageCallsMiddleware, functions=calls))
    compare("another request", {"one layer": getter(plain), "and page calls": getter(both)}, "one layer")


if __name__ == "__main__":
    main()
