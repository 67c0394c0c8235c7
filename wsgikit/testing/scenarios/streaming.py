"""How a body passes through: whole, in order, one chunk at a time, no later than it was made."""

from __future__ import annotations

__all__ = ["SCENARIOS"]

from collections.abc import Iterable
from typing import Any

from wsgikit.testing.probes import TEXT, Body, Endless, SeparateBody, answering
from wsgikit.testing.scenario import Bench, claim, scenario
from wsgikit.testing.server import Call
from wsgikit.wsgi import Environ


def _claim_content(call: Call, content: bytes) -> None:
    claim(not call.has_failed and call.content == content, f"the body {content!r}", call.describe())


def _claim_pace(call: Call, body: Body) -> None:
    # PEP 3333 "Middleware Handling of Block Boundaries": at least one chunk out for each chunk in. During the call
    # one chunk may be pulled, since a lazy application calls start_response with it.
    claim(
        body.made <= max(call.steps, 1),
        f"no more than {max(call.steps, 1)} chunk(s) taken from the app when the server has {call.steps}",
        f"{body.made} taken",
    )


@scenario
def body_arrives_whole(bench: Bench) -> None:
    """The chunks of a stream arrive all, once and in their order."""
    _claim_content(bench.call(answering(Body(b"one ", b"two ", b"three"))).finish(), b"one two three")


@scenario
def list_body_arrives_whole(bench: Bench) -> None:
    """A list and a tuple are bodies as good as an iterator."""
    _claim_content(bench.call(answering([b"one ", b"two"])).finish(), b"one two")
    _claim_content(bench.call(answering((b"one ", b"two"))).finish(), b"one two")


@scenario
def body_without_close_is_taken(bench: Bench) -> None:
    """A body need have no close()."""
    _claim_content(bench.call(answering(iter([b"one ", b"two"]))).finish(), b"one two")


@scenario
def iterable_is_iterated_once(bench: Bench) -> None:
    """The iterable is asked for an iterator once: a second one begins again, or is empty."""
    body = SeparateBody(b"one ", b"two")
    call = bench.call(answering(body)).finish()
    _claim_content(call, b"one two")
    claim(body.iterations == 1, "one call of the iterable's __iter__", f"{body.iterations} calls")


@scenario
def nothing_is_buffered(bench: Bench) -> None:
    """No chunk is taken from the app before the server asks for it."""
    body = Body(b"one", b"two", b"three", b"four")
    call = bench.call(answering(body))
    _claim_pace(call, body)
    while call.step():
        _claim_pace(call, body)
    call.close()


@scenario
def first_chunk_is_not_delayed(bench: Bench) -> None:
    """The first chunk is sent before the app makes the second."""
    body = Endless()
    call = bench.call(answering(body))
    while not call.received and call.step():
        pass
    call.close()
    claim(bool(call.received), "a first chunk", call.describe())
    claim(body.made == 1, "one chunk taken from the app by then", f"{body.made} taken")


@scenario
def endless_body_streams(bench: Bench) -> None:
    """A body without end is sent for as long as the client stays."""
    body = Endless()
    call = bench.call(answering(body)).take(10)
    call.close()
    claim(not call.has_failed and len(call.received) > 0, "chunks", call.describe())
    _claim_pace(call, body)


@scenario
def empty_chunks_are_kept(bench: Bench) -> None:
    """An empty chunk is passed on: an app gives it to say that it is not done yet."""
    body = Body(b"", b"", b"one ", b"", b"two", b"")
    call = bench.call(answering(body))
    while call.step():
        _claim_pace(call, body)
    call.close()
    _claim_content(call, b"one two")


@scenario
def write_works(bench: Bench) -> None:
    """What is given to write() arrives before the body, in its order."""

    def app(environ: Environ, start_response: Any, /) -> Iterable[bytes]:
        write = start_response("200 OK", list(TEXT))
        write(b"one ")
        write(b"two ")
        return [b"three"]

    _claim_content(bench.call(app).finish(), b"one two three")


@scenario
def write_alone_is_a_body(bench: Bench) -> None:
    """An app may give all of its body to write()."""

    def app(environ: Environ, start_response: Any, /) -> Iterable[bytes]:
        start_response("200 OK", list(TEXT))(b"all")
        return []

    _claim_content(bench.call(app).finish(), b"all")


@scenario
def write_streams(bench: Bench) -> None:
    """What is given to write() has left when it returns (PEP 3333 "The write() Callable")."""
    calls: list[Call] = []
    counts: list[int] = []

    def app(environ: Environ, start_response: Any, /) -> Iterable[bytes]:
        write = start_response("200 OK", list(TEXT))
        for _ in range(3):
            write(b"tick\n")
            counts.append(len(calls[0].content))
        return []

    call = bench.prepare(bench.wrap(app), bench.environ())
    calls.append(call)
    call.start().finish()
    claim(not call.has_failed, "no error", call.describe())
    claim(counts == [5, 10, 15], "5, 10 and 15 bytes out after each write", f"{counts}")


SCENARIOS = (
    body_arrives_whole,
    list_body_arrives_whole,
    body_without_close_is_taken,
    iterable_is_iterated_once,
    nothing_is_buffered,
    first_chunk_is_not_delayed,
    endless_body_streams,
    empty_chunks_are_kept,
    write_works,
    write_alone_is_a_body,
    write_streams,
)
