"""Measures candidates by turns in one process, and prints medians and ratios.

Figures of one machine at one moment mean little: what is compared runs in the same rounds, and the ratio counts.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any


def environ(path: str = "/", **extra: Any) -> dict[str, Any]:
    """A GET request as a server would make it."""
    import io

    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "HTTP_HOST": "localhost",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **extra,
    }


def requester(app: Any, expected: bytes, path: str = "/", **extra: Any) -> Callable[[], None]:
    """Make a function that does one request and throws the response away; checks once that it is the expected one."""
    template = environ(path, **extra)
    seen: list[str] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> None:
        seen.append(status)

    body = app(dict(template), start_response)
    text = b"".join(body)
    if hasattr(body, "close"):
        body.close()
    assert seen == ["200 OK"], (app, seen, text[:300])
    assert text == expected, (app, text[:300])

    def ignore(status: str, headers: Any, exc_info: Any = None) -> None:
        pass

    def request() -> None:
        body = app(template.copy(), ignore)
        for _ in body:
            pass
        if hasattr(body, "close"):
            body.close()

    return request


def compare(
    title: str, candidates: dict[str, Callable[[], object]], reference: str, seconds: float = 2.0, per: int = 1
) -> dict[str, float]:
    """Time the candidates by turns and print a line for each: µs per run, and the ratio to the reference.

    Args:
        reference: the candidate that the others are divided by.
        seconds: how long the whole may take, about.
        per: how many of what is measured one run does.
    """
    rounds = 15
    counts = {}
    for name, function in candidates.items():
        function()
        start = time.perf_counter()
        for _ in range(20):
            function()
        once = max((time.perf_counter() - start) / 20, 1e-8)
        counts[name] = max(int(seconds / rounds / len(candidates) / once), 5)
    times: dict[str, list[float]] = {name: [] for name in candidates}
    gc.collect()
    for _ in range(rounds):
        for name, function in candidates.items():
            loop = range(counts[name])
            start = time.perf_counter()
            for _ in loop:
                function()
            times[name].append((time.perf_counter() - start) / counts[name] / per * 1e6)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"\n{title}")
    for name, median in medians.items():
        ratio = median / medians[reference]
        print(f"  {name:<44} {median:9.3f} µs   best {min(times[name]):9.3f}   × {ratio:7.2f}")
    return medians
