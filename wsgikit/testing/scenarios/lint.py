"""The validators that others wrote, on both sides of the middleware at once."""

from __future__ import annotations

__all__ = ["SCENARIOS"]

import warnings
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any
from wsgiref.validate import validator

from wsgikit.testing.probes import TEXT, Body
from wsgikit.testing.scenario import Bench, Scenario, claim, scenario
from wsgikit.wsgi import Environ, WSGIApplication

_Lint = Callable[[Any], Any]


def _list_app(environ: Environ, start_response: Any, /) -> Iterable[bytes]:
    data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [*TEXT, ("Content-Length", str(4 + len(data)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [b"text", data]


def _stream_app(environ: Environ, start_response: Any, /) -> Iterable[bytes]:
    start_response("200 OK", list(TEXT))
    return Body(b"one ", b"", b"two")


def _empty_app(environ: Environ, start_response: Any, /) -> Iterable[bytes]:
    start_response("204 No Content", [])
    return []


_REQUESTS: tuple[tuple[str, WSGIApplication, bytes], ...] = (
    ("GET", _list_app, b""),
    ("HEAD", _list_app, b""),
    ("POST", _list_app, b"the data"),
    ("GET", _stream_app, b""),
    ("GET", _empty_app, b""),
)


def _claim_valid(bench: Bench, lint: _Lint) -> None:
    for method, app, data in _REQUESTS:
        what = f"{method} of {app.__name__.strip('_')}"
        inside: list[Any] = []
        complaints: list[AssertionError] = []
        wrapped = bench.wrap(_watched(lint(app), inside, complaints))
        call = bench.prepare(lint(wrapped), bench.environ(method, "/", data)).start().finish()
        if call.close_error is not None and call.error is None:
            call.error = call.close_error
        unclosed = [body for body in inside if not body.closed]
        for body in [*inside, call.body]:
            if body is not None:
                body.closed = True  # A validator that is collected unclosed raises where nobody can catch it.
        claim(not complaints, f"no complaint on the app's side ({what})", complaints and complaints[0])
        claim(
            not call.has_failed and 200 <= call.code < 300,
            f"no complaint on the server's side ({what})",
            call.describe(),
        )
        claim(not unclosed, f"the app's body closed ({what})", "not closed")


def _watched(app: WSGIApplication, bodies: list[Any], complaints: list[AssertionError]) -> WSGIApplication:
    # A middleware that makes a page of each error would hide the validator's.
    def watched(environ: Environ, start_response: Any, /) -> Iterable[bytes]:
        try:
            bodies.append(app(environ, start_response))
        except AssertionError as error:
            complaints.append(error)
            raise
        body: Iterable[bytes] = bodies[-1]
        return body

    return watched


@scenario
def passes_wsgiref_validate(bench: Bench) -> None:
    """The standard library's validator has no complaint, on either side of the middleware."""
    _claim_valid(bench, validator)


@scenario
def passes_webtest_lint(bench: Bench) -> None:
    """WebTest's lint has no complaint, on either side of the middleware (where WebTest is installed)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of webob, which imports the cgi module
        from webtest.lint import middleware  # an optional package

    _claim_valid(bench, middleware)


SCENARIOS: tuple[Scenario, ...] = (
    passes_wsgiref_validate,
    *((passes_webtest_lint,) if find_spec("webtest") is not None else ()),
)
