"""The app's iterable is closed once, whatever becomes of the request (PEP 3333 "The Server/Gateway Side")."""

from __future__ import annotations

__all__ = ["SCENARIOS"]

import io
from collections.abc import Iterable, Iterator
from typing import Any

from wsgikit.testing.probes import TEXT, Body, Marker, SeparateBody, answering
from wsgikit.testing.scenario import Bench, claim, scenario
from wsgikit.wsgi import Environ, WSGIApplication


def _claim_one_close(closes: int, what: str = "the app's iterable") -> None:
    claim(closes == 1, f"one close() of {what}", f"{closes} of them")


@scenario
def close_once_after_the_whole_body(bench: Bench) -> None:
    """A body that was sent whole is closed once."""
    body = Body(b"one", b"two")
    bench.call(answering(body)).finish()
    _claim_one_close(body.closes)


@scenario
def close_once_when_the_client_leaves(bench: Bench) -> None:
    """A body that was left after its first chunk is closed once."""
    body = Body(b"one", b"two")
    bench.call(answering(body)).take(1).close()
    _claim_one_close(body.closes)


@scenario
def close_once_when_never_started(bench: Bench) -> None:
    """A body that was never begun is closed once: no `finally` of a generator runs then."""
    body = Body(b"one", b"two")
    bench.call(answering(body)).close()
    _claim_one_close(body.closes)


@scenario
def close_once_when_a_lazy_app_is_never_started(bench: Bench) -> None:
    """A body that would have called start_response with its first chunk is closed once without it."""

    class LazyBody(Body):
        def __next__(self) -> bytes:
            if not self.made:
                starts[0]("200 OK", list(TEXT))
            return super().__next__()

    body = LazyBody(b"one", b"two")
    starts: list[Any] = []

    def app(environ: Environ, start_response: Any, /) -> Iterable[bytes]:
        starts.append(start_response)
        return body

    bench.call(app).close()
    _claim_one_close(body.closes)


@scenario
def close_once_after_an_error_in_the_stream(bench: Bench) -> None:
    """A body that failed after its first chunk is closed once."""
    body = Body(b"one", Marker("in the stream"))
    bench.call(answering(body)).finish()
    _claim_one_close(body.closes)


@scenario
def close_once_after_an_error_in_the_first_chunk(bench: Bench) -> None:
    """A body that failed in its first chunk is closed once, also by a middleware that asked for it in its own call."""
    body = Body(Marker("in the first chunk"))
    bench.call(answering(body)).finish()
    _claim_one_close(body.closes)


@scenario
def close_once_where_no_body_is_sent(bench: Bench) -> None:
    """A body that nobody is to see (HEAD, 204, 304) is closed once."""
    for method, status in (("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")):
        body = Body()
        bench.call(answering(body, status, TEXT if method == "HEAD" else ()), method).finish()
        _claim_one_close(body.closes, f"the app's iterable of a {method} answered by {status}")


@scenario
def close_once_after_write(bench: Bench) -> None:
    """A body that comes after the use of write() is closed once."""
    body = Body(b"two")

    def app(environ: Environ, start_response: Any, /) -> Iterable[bytes]:
        start_response("200 OK", list(TEXT))(b"one ")
        return body

    bench.call(app).finish()
    _claim_one_close(body.closes)


@scenario
def close_of_the_iterable_not_its_iterator(bench: Bench) -> None:
    """What is closed is the iterable that the app returned, not the iterator that was made of it."""
    body = SeparateBody(b"one", b"two")
    bench.call(answering(body)).finish()
    _claim_one_close(body.closes, "the iterable")


@scenario
def falsy_body_is_closed(bench: Bench) -> None:
    """A body that is false (its __len__ is 0) is closed as any other."""

    class EmptyBody(Body):
        def __len__(self) -> int:
            return 0

    body = EmptyBody()
    bench.call(answering(body)).finish()
    _claim_one_close(body.closes)


@scenario
def list_with_close_is_closed(bench: Bench) -> None:
    """A list of a class that has close() is closed as any other body."""

    class ListBody(list[bytes]):
        closes = 0

        def close(self) -> None:
            self.closes += 1

    body = ListBody([b"one", b"two"])
    bench.call(answering(body)).finish()
    _claim_one_close(body.closes)


@scenario
def closing_raises_nothing(bench: Bench) -> None:
    """The close() of a response in which nothing went wrong raises nothing."""
    for take in (0, 1, 2):
        call = bench.call(answering(Body(b"one", b"two"))).take(take).close()
        claim(call.close_error is None, "no error from close()", repr(call.close_error))


@scenario
def failing_close_is_called_once(bench: Bench) -> None:
    """A close() that raises is not called again."""
    body = Body(b"one", b"two", close_error=Marker("in close()"))
    bench.call(answering(body)).finish()
    _claim_one_close(body.closes)


@scenario
def file_wrapper_works(bench: Bench) -> None:
    """A body made by the server's wsgi.file_wrapper is sent whole, and its file closed once."""
    file = _File(b"the content of a file")
    call = bench.call(_file_app(file)).finish()
    claim(not call.has_failed and call.content == file.content, f"the body {file.content!r}", call.describe())
    _claim_one_close(file.closes, "the file")


@scenario
def file_wrapper_is_closed_when_never_sent(bench: Bench) -> None:
    """A body made by the server's wsgi.file_wrapper that was never begun has its file closed once."""
    file = _File(b"the content of a file")
    bench.call(_file_app(file)).close()
    _claim_one_close(file.closes, "the file")


class _File:
    """A file that counts; without an __iter__, so that it is read as a server reads it."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.closes = 0
        self._file = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def close(self) -> None:
        self.closes += 1


def _file_app(file: _File) -> WSGIApplication:
    def app(environ: Environ, start_response: Any, /) -> Iterable[bytes]:
        start_response("200 OK", [*TEXT, ("Content-Length", str(len(file.content)))])
        body: Iterator[bytes] = environ["wsgi.file_wrapper"](file, 7)
        return body

    return app


SCENARIOS = (
    close_once_after_the_whole_body,
    close_once_when_the_client_leaves,
    close_once_when_never_started,
    close_once_when_a_lazy_app_is_never_started,
    close_once_after_an_error_in_the_stream,
    close_once_after_an_error_in_the_first_chunk,
    close_once_where_no_body_is_sent,
    close_once_after_write,
    close_of_the_iterable_not_its_iterator,
    falsy_body_is_closed,
    list_with_close_is_closed,
    closing_raises_nothing,
    failing_close_is_called_once,
    file_wrapper_works,
    file_wrapper_is_closed_when_never_sent,
)
