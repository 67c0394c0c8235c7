"""What the database layer costs: unused, for one SELECT beside SQLAlchemy by hand, and in memory over many requests.

Run with ``python tests/benchmarks/database_bench.py``. The table goes to the terminal; nothing is asserted.
"""

from __future__ import annotations

import gc
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import sqlalchemy as sa
from harness import environ, requester
from sqlalchemy.orm import Session

from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.onion.middleware import Middleware

REQUESTS = 100_000
ROUNDS = 40
QUERY = sa.text("SELECT title FROM post WHERE id = :id")


def compare(title: str, candidates: dict[str, Callable[[], object]], reference: str) -> dict[str, float]:
    """Time the candidates by turns, by the processor's clock: a busy machine says nearly what a quiet one does."""
    counts = {}
    for name, function in candidates.items():
        function()
        start = time.thread_time()
        for _ in range(50):
            function()
        counts[name] = max(int(0.02 / max((time.thread_time() - start) / 50, 1e-7)), 10)
    times: dict[str, list[float]] = {name: [] for name in candidates}
    gc.collect()
    for _ in range(ROUNDS):
        for name, function in candidates.items():
            loop = range(counts[name])
            start = time.thread_time()
            for _ in loop:
                function()
            times[name].append((time.thread_time() - start) / counts[name] * 1e6)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"\n{title}")
    for name, median in medians.items():
        best, best_of_reference = min(times[name]), min(times[reference])
        print(
            f"  {name:<28} {median:9.3f} µs × {median / medians[reference]:5.2f}"
            f"   best {best:9.3f} µs × {best / best_of_reference:5.2f}"
        )
    return {name: min(values) for name, values in times.items()}


class Nothing(Middleware):
    """A layer without hooks: what the engine costs by itself."""


def bare(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    return [b"seven"]


def selecting(environ: Any, start_response: Any) -> list[bytes]:
    title = environ["wsgikit.db"].execute(QUERY, {"id": 7}).scalar()
    start_response("200 OK", [("Content-Length", "5")])
    return [title.encode()]


def by_hand(open_: Callable[[], Any]) -> Callable[..., list[bytes]]:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        with open_() as db:
            title = db.execute(QUERY, {"id": 7}).scalar()
            db.commit()
        start_response("200 OK", [("Content-Length", "5")])
        return [title.encode()]

    return app


def main() -> None:
    url = f"sqlite:///{tempfile.mkdtemp()}/benchmark.db"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE post (id INTEGER PRIMARY KEY, title TEXT)"))
        connection.execute(sa.text("INSERT INTO post VALUES (7, 'seven')"))
    unused = compare(
        "a request that leaves the database alone",
        {
            "a layer without hooks": requester(Nothing(bare), b"seven"),
            "DatabaseMiddleware": requester(DatabaseMiddleware(bare, url=url), b"seven"),
        },
        "a layer without hooks",
    )
    print(f"  the layer by itself: {unused['DatabaseMiddleware'] - unused['a layer without hooks']:.3f} µs")
    # The same engine on both sides: SQLite's transactions as sqlite3 has them, and as url= has them.
    layer = DatabaseMiddleware(selecting, url=url)
    for title, one in (("sqlite3's own transactions", engine), ("real transactions", layer.engine)):
        for kind, open_ in (("session", lambda one=one: Session(one)), ("connection", one.connect)):
            compare(
                f"one SELECT, {title}, {kind}",
                {
                    "by hand": requester(by_hand(open_), b"seven"),
                    "DatabaseMiddleware": requester(DatabaseMiddleware(selecting, engine=one, kind=kind), b"seven"),
                },
                "by hand",
            )
    if "quick" not in sys.argv:
        memory(layer)


def memory(layer: Any) -> None:
    """Print what is allocated after the first thousand requests and after all of them."""
    template = environ()

    def run(count: int) -> None:
        for number in range(count):
            body = layer(template.copy(), lambda status, headers, exc_info=None: None)
            if number % 10 == 0 and hasattr(body, "close"):
                body.close()

    run(1000)
    gc.collect()
    resident = _resident_kib()
    tracemalloc.start()
    run(1000)
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    run(REQUESTS - 4000)
    gc.collect()
    grown = _resident_kib() - resident
    tracemalloc.start()
    run(1000)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    gc.disable()
    objects = len(gc.get_objects())
    run(1000)
    left = len(gc.get_objects()) - objects
    gc.enable()
    print(f"\nmemory over {REQUESTS:,} requests with a SELECT")
    print(f"  left by 1,000 requests at the beginning {before / 1024:.1f} KiB, at the end {after / 1024:.1f} KiB")
    print(f"  the process grew by {grown} KiB")
    print(f"  objects that wait for the garbage collector after 1,000 requests: {left}")


def _resident_kib() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


if __name__ == "__main__":
    main()
