"""What the database layer costs: unused, for one SELECT beside SQLAlchemy by hand, and in memory over many requests.

Run with ``python tests/benchmarks/database_bench.py``. The table goes to the terminal; nothing is asserted.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import sqlalchemy as sa
from harness import compare, environ, requester
from sqlalchemy.orm import Session

from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.onion.middleware import Middleware

REQUESTS = 100_000
QUERY = sa.text("SELECT title FROM post WHERE id = :id")


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
                seconds=4,
            )
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
    tracemalloc.start()
    run(1000)
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    run(REQUESTS - 4000)
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
    print(f"  objects that wait for the garbage collector after 1,000 requests: {left}")


if __name__ == "__main__":
    main()
