"""An error is not lost: it goes on to the server or becomes an answer that says so."""

from __future__ import annotations

__all__ = ["SCENARIOS"]

from collections.abc import Iterable
from typing import Any

from wsgikit.testing.probes import TEXT, Body, Marker, answering
from wsgikit.testing.scenario import Bench, claim, scenario
from wsgikit.testing.server import Call
from wsgikit.wsgi import Environ, WSGIApplication


def _raising(error: BaseException, *, after_start: bool = False) -> WSGIApplication:
    def app(environ: Environ, start_response: Any, /) -> Iterable[bytes]:
        if after_start:
            start_response("200 OK", list(TEXT))
        raise error

    return app


def _claim_told(call: Call) -> None:
    claim(call.has_failed or call.code >= 500, "an error raised to the server, or an answer of 5xx", call.describe())


@scenario
def error_in_the_app_is_not_lost(bench: Bench) -> None:
    """An error that the app raises reaches the server, or becomes a 5xx."""
    _claim_told(bench.call(_raising(Marker("in the app"))).finish())


@scenario
def error_after_start_response_is_not_lost(bench: Bench) -> None:
    """An error that the app raises after start_response reaches the server, or becomes a 5xx: no 200 stands."""
    _claim_told(bench.call(_raising(Marker("after start_response"), after_start=True)).finish())


@scenario
def error_in_the_first_chunk_is_not_lost(bench: Bench) -> None:
    """An error of the body before anything was sent reaches the server, or becomes a 5xx."""
    _claim_told(bench.call(answering(Body(Marker("in the first chunk")))).finish())


@scenario
def error_in_the_stream_reaches_the_server(bench: Bench) -> None:
    """An error after the first chunk is raised to the server, which cuts the connection; nothing is appended."""
    call = bench.call(answering(Body(b"one ", Marker("in the stream")))).finish()
    claim(call.has_failed, "an error raised to the server", call.describe())
    claim(call.content == b"one ", "nothing but the body b'one '", f"{call.content!r}")


@scenario
def error_after_write_reaches_the_server(bench: Bench) -> None:
    """An error after the first write(), which sends the head, is raised to the server; nothing is appended."""

    def app(environ: Environ, start_response: Any, /) -> Iterable[bytes]:
        start_response("200 OK", list(TEXT))(b"one ")
        raise Marker("after write()")

    call = bench.call(app).finish()
    claim(call.has_failed, "an error raised to the server", call.describe())
    claim(call.content == b"one ", "nothing but the body b'one '", f"{call.content!r}")


@scenario
def error_page_for_head_has_no_body(bench: Bench) -> None:
    """A page that is made of an error has no body where the request is HEAD."""
    call = bench.call(_raising(Marker("in the app")), "HEAD").finish()
    claim(call.has_failed or call.content == b"", "no body", call.describe())


_BASE_EXCEPTIONS = (SystemExit, KeyboardInterrupt, GeneratorExit)


@scenario
def base_exceptions_pass_the_call(bench: Bench) -> None:
    """SystemExit, KeyboardInterrupt and GeneratorExit out of the app are not caught."""
    for kind in _BASE_EXCEPTIONS:
        error = kind("in the app")
        call = bench.call(_raising(error)).finish()
        claim(call.error is error, f"this very {kind.__name__} raised to the server", call.describe())


@scenario
def base_exceptions_pass_the_stream(bench: Bench) -> None:
    """SystemExit, KeyboardInterrupt and GeneratorExit out of a body are not caught, and it is closed once."""
    for kind in _BASE_EXCEPTIONS:
        error = kind("in the stream")
        body = Body(b"one ", error)
        call = bench.call(answering(body)).finish()
        claim(call.error is error, f"this very {kind.__name__} raised to the server", call.describe())
        claim(body.closes == 1, "one close() of the app's iterable", f"{body.closes} of them")


SCENARIOS = (
    error_in_the_app_is_not_lost,
    error_after_start_response_is_not_lost,
    error_in_the_first_chunk_is_not_lost,
    error_in_the_stream_reaches_the_server,
    error_after_write_reaches_the_server,
    error_page_for_head_has_no_body,
    base_exceptions_pass_the_call,
    base_exceptions_pass_the_stream,
)
