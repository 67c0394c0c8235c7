"""What the limits and logins cost a request that they have nothing to do with, and one that they count.

``python tests/benchmarks/limits_bench.py``
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from harness import compare, requester

from wsgikit import AuthenticationMiddleware, BodyLimitMiddleware, Middleware, RateLimitMiddleware
from wsgikit.middleware.authentication import Bearer


class Nothing(Middleware):
    """A layer whose hooks do nothing."""

    def before_request(self, exchange: Any) -> None:
        pass

    def before_view(self, exchange: Any) -> None:
        pass

    def after_request(self, exchange: Any) -> None:
        pass


def hello(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"Hello"]


def counted() -> None:
    """What a counted request costs, beside the library alone."""
    from limits import parse
    from limits.storage import MemoryStorage
    from limits.strategies import FixedWindowRateLimiter

    item, limiter = parse("1000000/second"), FixedWindowRateLimiter(MemoryStorage())

    def alone() -> None:
        limiter.hit(item, "192.0.2.1")
        limiter.get_window_stats(item, "192.0.2.1")

    layer = RateLimitMiddleware(hello, limits="1000000/second")
    compare("a counted request", {"limits alone": alone, "rate limit": requester(layer, b"Hello")}, "limits alone")


def idle() -> None:
    """What each layer costs if it has nothing to do, beside a layer with the same hooks."""
    compare(
        "a limit with nothing to do",
        {
            "no layer": requester(hello, b"Hello"),
            "hooks that do nothing": requester(Nothing(hello), b"Hello"),
            "authentication": requester(AuthenticationMiddleware(hello, schemes=[Bearer(str)]), b"Hello"),
            "body limit": requester(BodyLimitMiddleware(hello), b"Hello"),
            "rate limit, an address on the safelist": requester(
                RateLimitMiddleware(hello, limits="1/day", safelist=["127.0.0.0/8"]), b"Hello"
            ),
        },
        "hooks that do nothing",
    )


if __name__ == "__main__":
    idle()
    counted()
