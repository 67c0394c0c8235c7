"""What the limits cost a request that they have nothing to do with, and one that they count.

``python tests/benchmarks/limits_bench.py``
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from harness import compare, requester

from wsgikit import BodyLimitMiddleware, Middleware


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


def idle() -> None:
    """What each layer costs if it has nothing to do, beside a layer with the same hooks."""
    compare(
        "a limit with nothing to do",
        {
            "no layer": requester(hello, b"Hello"),
            "hooks that do nothing": requester(Nothing(hello), b"Hello"),
            "body limit": requester(BodyLimitMiddleware(hello), b"Hello"),
        },
        "hooks that do nothing",
    )


if __name__ == "__main__":
    idle()
