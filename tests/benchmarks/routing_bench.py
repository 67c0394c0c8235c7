"""Routing beside Werkzeug, Falcon and Bottle, at 10, 100, 1,000 and 10,000 rules, in one run.

Run with ``python tests/benchmarks/routing_bench.py [number of rules …]``. The table goes to the terminal; nothing is
asserted. Half of the rules are literal, half have a placeholder; all are asked for the last rule that was added.
Falcon and Bottle stop at 1,000 rules, as they take minutes to build 10,000; on a busy machine the best times count.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from harness import compare

PER = 100
_loop = range(PER)
Find = Callable[[str], object]


def _texts(count: int, variable: str) -> list[str]:
    half = max(count // 2, 1)
    literal = [f"/section{number % 100}/page{number}" for number in range(half)]
    dynamic = [f"/section{number % 100}/item{number}/{variable}" for number in range(half)]
    return [text for pair in zip(literal, dynamic, strict=True) for text in pair]


def _timed(name: str, make: Callable[[], Any], times: dict[str, float]) -> Any:
    gc.collect()
    start = time.perf_counter()
    made = make()
    times[name] = time.perf_counter() - start
    return made


def wsgikit_map(count: int) -> Any:
    """Our map, with what its first match and first URL make."""
    from wsgikit.routing.matcher import RouteMap
    from wsgikit.routing.rules import Rule

    table = RouteMap([Rule(text, endpoint=text, methods=["GET"]) for text in _texts(count, "<int:id>")])
    table.find("/")
    return table


def werkzeug_map(count: int) -> Any:
    from werkzeug.routing import Map, Rule

    table = Map([Rule(text, endpoint=text, methods=["GET"]) for text in _texts(count, "<int:id>")])
    table.update()
    return table.bind("localhost")


def bottle_router(count: int) -> Any:
    import bottle

    router = bottle.Router()
    for text in _texts(count, "<id:int>"):
        router.add(text, "GET", text, name=text)
    return router


def falcon_router(count: int) -> Any:
    from falcon.routing import CompiledRouter

    class Resource:
        def on_get(self, request: Any, response: Any, **values: Any) -> None: ...

    router = CompiledRouter()
    resource = Resource()
    for text in _texts(count, "{id:int}"):
        router.add_route(text, resource)
    router.find("/")  # compiles
    return router


def _times(call: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        for _ in _loop:
            call()

    return run


def _quiet(call: Callable[[], object], *errors: type[Exception]) -> Callable[[], object]:
    def run() -> object:
        try:
            return call()
        except errors:
            return None

    return run


def measure(count: int) -> None:
    """Measure building, matching and URLs at one number of rules."""
    import bottle
    from werkzeug.exceptions import NotFound

    made: dict[str, float] = {}
    ours = _timed("wsgikit", lambda: wsgikit_map(count), made)
    theirs = _timed("Werkzeug", lambda: werkzeug_map(count), made)
    router = _timed("Bottle", lambda: bottle_router(count), made) if count <= 1000 else None
    falcon = _timed("Falcon", lambda: falcon_router(count), made) if count <= 1000 else None
    print(f"\n{count} rules built")
    for name, seconds in made.items():
        print(f"  {name:<44} {seconds * 1000:9.1f} ms   × {seconds / made['wsgikit']:9.2f}")

    last = max(count // 2, 1) - 1
    literal = f"/section{last % 100}/page{last}"
    dynamic = f"/section{last % 100}/item{last}/42"
    endpoint = f"/section{last % 100}/item{last}/<int:id>"
    assert ours.find(literal).endpoint == theirs.match(literal)[0] == literal
    assert ours.find(dynamic).values == theirs.match(dynamic)[1] == {"id": 42}

    def bottled(path: str) -> dict[str, Any]:
        return {"PATH_INFO": path, "REQUEST_METHOD": "GET"}

    for what, path in {
        "a literal path": literal,
        "a path with a number": dynamic,
        "no rule: another application's": "/legacy/page",
        "no rule: deep in ours": f"/section{last % 100}/item{last}/x",
    }.items():
        environ = bottled(path)
        candidates: dict[str, Callable[[], object]] = {
            "wsgikit find": lambda path=path: ours.find(path),  # type: ignore[misc]
            "wsgikit find_environ": lambda environ=environ: ours.find_environ(environ),  # type: ignore[misc]
            "Werkzeug": _quiet(lambda path=path: theirs.match(path), NotFound),  # type: ignore[misc]
        }
        if router is not None:
            candidates["Bottle"] = _quiet(lambda environ=environ: router.match(environ), bottle.HTTPError)  # type: ignore[misc]
        if falcon is not None:
            candidates["Falcon"] = lambda path=path: falcon.find(path)  # type: ignore[misc]
        compare(
            f"{count} rules, {what} ({path})",
            {name: _times(call) for name, call in candidates.items()},
            reference="wsgikit find",
            seconds=1.5,
            per=PER,
        )
    builders: dict[str, Callable[[], object]] = {
        "wsgikit build": lambda: ours.build(endpoint, {"id": 42}),
        "Werkzeug": lambda: theirs.build(endpoint, {"id": 42}),
    }
    if router is not None:
        name = endpoint.replace("<int:id>", "<id:int>")
        builders["Bottle"] = lambda: router.build(name, id=42)
    compare(
        f"{count} rules, a URL with a number",
        {name: _times(call) for name, call in builders.items()},
        reference="wsgikit build",
        seconds=1,
        per=PER,
    )


if __name__ == "__main__":
    print(f"Python {sys.version.split()[0]}")
    for number in [int(word) for word in sys.argv[1:]] or [10, 100, 1000, 10_000]:
        measure(number)
