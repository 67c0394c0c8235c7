"""Requests that are under way together, on threads or by turns, know nothing of each other."""

from __future__ import annotations

__all__ = ["SCENARIOS"]

import threading
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

from wsgikit.testing.probes import TEXT, Body, answering
from wsgikit.testing.scenario import Bench, claim, scenario
from wsgikit.testing.server import Call
from wsgikit.wsgi import Environ, WSGIApplication

_THREADS = 50
# A thread that has not come this far by then is held up by another: a lock is held over a whole request.
_PATIENCE_SECONDS = 5.0


def _echo(environ: Environ, start_response: Any, /) -> Iterable[bytes]:
    """Answer with the request's own name, in the head and in each chunk."""
    name = environ["HTTP_X_NAME"]
    start_response("200 OK", [*TEXT, ("X-Name", name)])
    return Body(*[name.encode()] * 3)


def _claim_own(call: Call, name: str) -> None:
    claim(not call.has_failed, f"the answer to request {name}", call.describe())
    claim(
        call.get_all("X-Name") == [name] and call.content == name.encode() * 3,
        f"the answer to request {name}",
        f"X-Name {call.get_all('X-Name')} and {call.content!r}",
    )


def _on_a_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(_PATIENCE_SECONDS)


@scenario
def requests_on_threads_do_not_mix(bench: Bench) -> None:
    """Fifty requests on fifty threads, all under way at once, get each its own answer."""
    app = bench.wrap(_echo)
    meeting = threading.Barrier(_THREADS)
    calls = [bench.prepare(app, bench.environ(HTTP_X_NAME=str(number))) for number in range(_THREADS)]

    def serve(call: Call) -> None:
        for step in (call.start, call.step, call.step, call.finish):
            step()
            try:
                meeting.wait(_PATIENCE_SECONDS)
            except threading.BrokenBarrierError:
                pass  # One failed, which its own call shows.

    threads = [threading.Thread(target=serve, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_PATIENCE_SECONDS)
    for number, call in enumerate(calls):
        _claim_own(call, str(number))


@scenario
def requests_by_turns_do_not_mix(bench: Bench) -> None:
    """Three requests whose bodies are taken by turns on one thread get each its own answer."""
    app = bench.wrap(_echo)
    calls = [bench.prepare(app, bench.environ(HTTP_X_NAME=name)) for name in "abc"]
    for call in calls:
        call.start()
    for _ in range(4):
        for call in calls:
            call.step()
    for call in calls:
        call.close()
    for call, name in zip(calls, "abc", strict=True):
        _claim_own(call, name)
        claim(call.close_error is None, "no error from close()", repr(call.close_error))


@scenario
def abandoned_request_does_not_poison_the_next(bench: Bench) -> None:
    """A request whose body was left unfinished and unclosed has no effect on the next on its thread."""
    app = bench.wrap(_echo)
    abandoned = bench.prepare(app, bench.environ(HTTP_X_NAME="abandoned")).start().take(1)
    call = bench.prepare(app, bench.environ(HTTP_X_NAME="next")).start().finish()
    _claim_own(call, "next")
    abandoned.close()


@scenario
def request_inside_a_request_is_its_own(bench: Bench) -> None:
    """An app may send a request through the middleware while it answers one, its environ a copy or a new one."""
    for is_copy in (True, False):
        wrapped: list[WSGIApplication] = []

        def app(environ: Environ, start_response: Any, /, *, is_copy: bool = is_copy, onion: Any = wrapped) -> Any:
            if environ["HTTP_X_NAME"] == "outer":
                own = dict(environ) if is_copy else bench.environ()
                _claim_own(bench.prepare(onion[0], {**own, "HTTP_X_NAME": "inner"}).start().finish(), "inner")
            return _echo(environ, start_response)

        wrapped.append(bench.wrap(app))
        _claim_own(bench.prepare(wrapped[0], bench.environ(HTTP_X_NAME="outer")).start().finish(), "outer")


@scenario
def steps_may_be_on_other_threads(bench: Bench) -> None:
    """Each chunk of a body may be taken, and the body closed, on its own thread."""
    body = Body(b"one ", b"two ", b"three")
    call = bench.prepare(bench.wrap(answering(body)), bench.environ())
    for work in (call.start, call.step, call.step, call.step, call.step, call.close):
        _on_a_thread(work)
    claim(not call.has_failed and call.content == b"one two three", "the body b'one two three'", call.describe())
    claim(call.close_error is None, "no error from close()", repr(call.close_error))
    claim(body.closes == 1, "one close() of the app's iterable", f"{body.closes} of them")


@scenario
def close_may_be_on_another_thread(bench: Bench) -> None:
    """A stream that the client left may be closed by another thread than the one it began on."""
    body = Body(b"one ", b"two")
    call = bench.call(answering(body)).take(1)
    _on_a_thread(call.close)
    claim(call.close_error is None, "no error from close()", repr(call.close_error))
    claim(body.closes == 1, "one close() of the app's iterable", f"{body.closes} of them")


@scenario
def instances_share_nothing(bench: Bench) -> None:
    """Two of the middleware in one process serve each its own app."""
    apps = [
        bench.wrap(answering(Body(*[name] * 3), headers=[*TEXT, ("X-Name", name.decode())])) for name in (b"a", b"b")
    ]
    calls = [bench.prepare(app, bench.environ()) for app in apps]
    for call in calls:
        call.start()
    for _ in range(4):
        for call in calls:
            call.step()
    for call, name in zip(calls, "ab", strict=True):
        call.close()
        _claim_own(call, name)


@scenario
def request_leaves_nothing_on_the_instance(bench: Bench) -> None:
    """What belongs to a request is not kept in attributes of the middleware, nor in variables around it."""
    app = bench.wrap(_echo)
    # The first request may fill a cache.
    bench.prepare(app, bench.environ(HTTP_X_NAME="first")).start().finish()
    before = _attributes(app)
    call = bench.prepare(app, bench.environ("POST", "/second", b"data", HTTP_X_NAME="second"))
    for moment, step in (("call", call.start), ("first chunk", call.step), ("end", call.finish)):
        step()
        changed = _changed(before, _attributes(app))
        claim(not changed, "the attributes as before the request", f"{', '.join(changed)} changed by its {moment}")


# An object and what it keeps, along the chain of callables that a stack of layers is.
_Attributes = dict[str, object]
_DEEPEST = 12


def _attributes(layer: object, path: str = "", seen: frozenset[int] = frozenset()) -> _Attributes:
    own: _Attributes = {}
    if isinstance(layer, type) or layer is _echo or id(layer) in seen or len(seen) > _DEEPEST:
        return own
    name = path or type(layer).__name__
    own.update({f"{name}.{key}": value for key, value in getattr(layer, "__dict__", {}).items()})
    for kind in type(layer).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if hasattr(layer, slot):
                own[f"{name}.{slot}"] = getattr(layer, slot)
    if isinstance(layer, FunctionType) and layer.__closure__:
        for variable, cell in zip(layer.__code__.co_freevars, layer.__closure__, strict=True):
            own[f"{name} {variable}"] = cell.cell_contents
    for key, value in list(own.items()):
        if callable(value):
            own.update(_attributes(value, key, seen | {id(layer)}))
    return own


def _changed(before: _Attributes, after: _Attributes) -> list[str]:
    missing = object()
    simple = (int, float, str, bytes, tuple)
    changed = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key, missing), after.get(key, missing)
        if old is not new and not (isinstance(old, simple) and isinstance(new, simple) and old == new):
            changed.append(key)
    return changed


SCENARIOS = (
    requests_on_threads_do_not_mix,
    requests_by_turns_do_not_mix,
    abandoned_request_does_not_poison_the_next,
    request_inside_a_request_is_its_own,
    steps_may_be_on_other_threads,
    close_may_be_on_another_thread,
    instances_share_nothing,
    request_leaves_nothing_on_the_instance,
)
