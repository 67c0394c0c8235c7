"""The head: when it is sent, what is kept of it, and how an error replaces it."""

from __future__ import annotations

__all__ = ["SCENARIOS"]

import sys
from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.util import is_hop_by_hop

from wsgikit.testing.probes import TEXT, Body, Marker, answering
from wsgikit.testing.scenario import Bench, claim, scenario
from wsgikit.testing.server import Call
from wsgikit.wsgi import Environ, HeaderList


def _claim_code(call: Call, code: int) -> None:
    claim(not call.has_failed and call.code == code, f"an answer of {code}", call.describe())


def _claim_no_content(call: Call) -> None:
    claim(not call.has_failed and call.content == b"", "no body", call.describe())


@scenario
def start_response_is_called_during_the_call(bench: Bench) -> None:
    """Where the app calls start_response during the call, the middleware does too."""
    call = bench.call(answering(Body(b"one", b"two")))
    claim(call.has_head, "start_response called when the call returns", "not called yet")
    call.finish()


@scenario
def lazy_start_response_works(bench: Bench) -> None:
    """An app may call start_response as late as with its first chunk: any generator function does."""

    def app(environ: Environ, start_response: Any, /) -> Iterator[bytes]:
        start_response("299 Late", list(TEXT))
        yield b"one "
        yield b"two"

    call = bench.call(app).finish()
    _claim_code(call, 299)
    claim(call.content == b"one two", "the body b'one two'", call.describe())


@scenario
def lazy_start_response_of_an_empty_body_works(bench: Bench) -> None:
    """A generator function that calls start_response and yields nothing is an app too."""

    def app(environ: Environ, start_response: Any, /) -> Iterator[bytes]:
        start_response("299 Late", [*TEXT, ("Content-Length", "0")])
        return
        yield b""

    call = bench.call(app).finish()
    _claim_code(call, 299)
    _claim_no_content(call)


@scenario
def start_response_takes_exc_info(bench: Bench) -> None:
    """The third argument of start_response is taken, and it may be None."""

    def app(environ: Environ, start_response: Any, /) -> Iterable[bytes]:
        start_response("299 Three", list(TEXT), None)
        return [b"three"]

    _claim_code(bench.call(app).finish(), 299)


@scenario
def head_is_plain(bench: Bench) -> None:
    """The head is a str and a list of tuples of str, and the chunks are bytes: these very types."""
    call = bench.call(answering(Body(b"one", b"two"))).finish()
    claim(not call.notes, "a plain status, list, tuples and bytes", "; ".join(call.notes))


@scenario
def status_line_is_kept(bench: Bench) -> None:
    """A status passes as the app wrote it, the words too."""
    status = "299 Words of the App's own"
    call = bench.call(answering([b"text"], status)).finish()
    claim(not call.has_failed and call.status == status, f"the status {status!r}", call.describe())


@scenario
def headers_keep_order_and_case(bench: Bench) -> None:
    """The app's headers keep their order and their case; others may be added."""
    headers = [("X-ZULU", "1"), ("x-alpha", "2"), ("Content-Type", "text/plain"), ("X-mIxEd", "caf\xe9, \"'")]
    call = bench.call(answering([b"text"], headers=headers)).finish()
    _claim_kept(call, headers)


@scenario
def repeated_headers_are_kept(bench: Bench) -> None:
    """Two headers of one name, as two cookies are, stay two and in their order."""
    headers = [*TEXT, ("Set-Cookie", "one=1; Path=/"), ("X-Between", "1"), ("Set-Cookie", "two=2; Path=/")]
    call = bench.call(answering([b"text"], headers=headers)).finish()
    _claim_kept(call, headers)


def _claim_kept(call: Call, headers: HeaderList) -> None:
    kept = [pair for pair in call.headers if pair in headers]
    claim(kept == headers, f"the app's headers {headers}", call.headers if call.has_head else call.describe())


@scenario
def no_hop_by_hop_header_is_added(bench: Bench) -> None:
    """The connection is the server's: no Connection, Transfer-Encoding, … (PEP 3333 "Other HTTP Features")."""
    call = bench.call(answering(Body(b"one", b"two")), SERVER_PROTOCOL="HTTP/1.0").finish()
    added = [name for name, _ in call.headers if is_hop_by_hop(name)]
    claim(not added, "no hop-by-hop header", ", ".join(added))


@scenario
def content_length_is_right(bench: Bench) -> None:
    """If there is a Content-Length, it is one number, that of the bytes sent."""
    headers = [*TEXT, ("Content-Length", "7")]
    for body in ([b"one two"], Body(b"one ", b"two")):
        call = bench.call(answering(body, headers=headers)).finish()
        claim(not call.has_failed, "no error", call.describe())
        lengths = call.get_all("Content-Length")
        claim(
            lengths in ([], [str(len(call.content))]),
            f"no Content-Length, or one of {len(call.content)}",
            f"{lengths}",
        )


@scenario
def head_request_has_no_body(bench: Bench) -> None:
    """HEAD: no body is added, and the Content-Length is that of GET's."""
    call = bench.call(answering([], headers=[*TEXT, ("Content-Length", "7")]), "HEAD").finish()
    _claim_no_content(call)
    lengths = call.get_all("Content-Length")
    claim(lengths in ([], ["7"]), "no Content-Length, or the app's of 7", f"{lengths}")


@scenario
def no_content_has_no_body(bench: Bench) -> None:
    """204: no body, and no Content-Length (RFC 9110 §8.6)."""
    call = bench.call(answering([], "204 No Content", [])).finish()
    _claim_code(call, 204)
    _claim_no_content(call)
    lengths = call.get_all("Content-Length")
    claim(not lengths, "no Content-Length", f"{lengths}")


@scenario
def not_modified_has_no_body(bench: Bench) -> None:
    """304: no body, and the validator is kept."""
    call = bench.call(answering([], "304 Not Modified", [("ETag", '"one"')])).finish()
    _claim_code(call, 304)
    _claim_no_content(call)
    claim(call.get_all("ETag") == ['"one"'], "the app's ETag", f"{call.get_all('ETag')}")


@scenario
def first_head_may_have_exc_info(bench: Bench) -> None:
    """The page that an app makes of its error may be its first start_response, with exc_info."""

    def app(environ: Environ, start_response: Any, /) -> Iterable[bytes]:
        try:
            raise Marker("before start_response")
        except Marker:
            start_response("503 First", list(TEXT), sys.exc_info())
            return [b"an error page"]

    _claim_code(bench.call(app).finish(), 503)


@scenario
def exc_info_replaces_the_head(bench: Bench) -> None:
    """A second start_response with exc_info replaces a head that has not left."""

    def app(environ: Environ, start_response: Any, /) -> Iterable[bytes]:
        start_response("200 OK", list(TEXT))
        try:
            raise Marker("after start_response")
        except Marker:
            start_response("503 Replaced", list(TEXT), sys.exc_info())
            return [b"an error page"]

    _claim_code(bench.call(app).finish(), 503)


@scenario
def exc_info_replaces_the_head_of_a_stream(bench: Bench) -> None:
    """A body that fails before its first chunk replaces the head, which is with the server already."""

    def app(environ: Environ, start_response: Any, /) -> Iterable[bytes]:
        start_response("200 OK", list(TEXT))
        return body(start_response)

    def body(start_response: Any) -> Iterator[bytes]:
        try:
            raise Marker("before the first chunk")
        except Marker:
            start_response("503 Replaced", list(TEXT), sys.exc_info())
            yield b"an error page"

    _claim_code(bench.call(app).finish(), 503)


@scenario
def exc_info_replaces_the_head_after_an_empty_chunk(bench: Bench) -> None:
    """An empty chunk sends no head: the head leaves with the first chunk that has something in it."""

    def app(environ: Environ, start_response: Any, /) -> Iterator[bytes]:
        start_response("200 OK", list(TEXT))
        yield b""
        try:
            raise Marker("after an empty chunk")
        except Marker:
            start_response("503 Replaced", list(TEXT), sys.exc_info())
            yield b"an error page"

    _claim_code(bench.call(app).finish(), 503)


@scenario
def exc_info_is_raised_again_after_the_head(bench: Bench) -> None:
    """A second start_response with exc_info raises that error if the head has left."""
    error = Marker("after the first chunk")
    raised: list[BaseException] = []

    def app(environ: Environ, start_response: Any, /) -> Iterator[bytes]:
        start_response("200 OK", list(TEXT))
        yield b"one "
        try:
            raise error
        except Marker:
            try:
                start_response("503 Replaced", list(TEXT), sys.exc_info())
            except BaseException as again:
                raised.append(again)
                raise
        yield b"a page in the middle of a page"

    call = bench.call(app).finish()
    claim(raised == [error], f"start_response raising {error!r}", f"{raised or 'nothing raised'}")
    claim(call.content == b"one ", "b'one ' sent and nothing after it", call.describe())


SCENARIOS = (
    start_response_is_called_during_the_call,
    lazy_start_response_works,
    lazy_start_response_of_an_empty_body_works,
    start_response_takes_exc_info,
    head_is_plain,
    status_line_is_kept,
    headers_keep_order_and_case,
    repeated_headers_are_kept,
    no_hop_by_hop_header_is_added,
    content_length_is_right,
    head_request_has_no_body,
    no_content_has_no_body,
    not_modified_has_no_body,
    first_head_may_have_exc_info,
    exc_info_replaces_the_head,
    exc_info_replaces_the_head_of_a_stream,
    exc_info_replaces_the_head_after_an_empty_chunk,
    exc_info_is_raised_again_after_the_head,
)
