"""What a scenario of the conformance suite is, and the bench that it is run on."""

from __future__ import annotations

__all__ = ["Bench", "ClaimError", "Factory", "Scenario", "claim", "scenario"]

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from wsgiref.util import FileWrapper

from wsgikit.testing.server import Call
from wsgikit.wsgi import Environ, WSGIApplication

Factory: TypeAlias = Callable[[Any], Any]


class ClaimError(AssertionError):
    """A claim of a scenario did not hold.

    Attributes:
        expected: what would have been right.
        seen: what was there.
    """

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected {expected}, got {seen}")
        self.expected = expected
        self.seen = seen


def claim(holds: bool, expected: str, seen: object) -> None:
    """Fail the scenario if the claim does not hold."""
    if not holds:
        raise ClaimError(expected, str(seen))


class Bench:
    """What a scenario works with: the middleware to look at, requests to send through it.

    Args:
        factory: makes the middleware around an application.
        environ: keys that each request has in addition.
    """

    def __init__(self, factory: Factory, environ: Mapping[str, Any] | None = None) -> None:
        self._factory = factory
        self._extra = dict(environ or {})
        self._calls: list[Call] = []

    def wrap(self, app: WSGIApplication) -> WSGIApplication:
        """Put the middleware around an application."""
        wrapped: WSGIApplication = self._factory(app)
        return wrapped

    def environ(self, method: str = "GET", path: str = "/", data: bytes = b"", **keys: Any) -> Environ:
        """Make the environ of a request, as a server with threads makes it."""
        environ: Environ = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": "localhost",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(data),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
        }
        if data:
            environ["CONTENT_LENGTH"] = str(len(data))
            environ["CONTENT_TYPE"] = "application/octet-stream"
        return {**environ, **self._extra, **keys}

    def prepare(self, wrapped: WSGIApplication, environ: Environ) -> Call:
        """Make a call that has not started, to an application that is wrapped already."""
        call = Call(wrapped, environ)
        self._calls.append(call)
        return call

    def call(self, app: WSGIApplication, method: str = "GET", path: str = "/", data: bytes = b"", **keys: Any) -> Call:
        """Wrap the application and call it once; the body is not touched yet."""
        return self.prepare(self.wrap(app), self.environ(method, path, data, **keys)).start()

    def clean_up(self) -> None:
        """Close what a failed scenario left open."""
        for call in self._calls:
            call.close()


@dataclass(frozen=True)
class Scenario:
    """One scenario: a rule of PEP 3333 or of good sense, and the check of it.

    Attributes:
        name: its name, as `assert_conforms` takes it in ``skip`` and ``expect``.
        rule: the rule, in a sentence.
        function: the check, on a `Bench`.
    """

    name: str
    rule: str
    function: Callable[[Bench], None]

    def __str__(self) -> str:
        return self.name


def scenario(function: Callable[[Bench], None]) -> Scenario:
    """Make a scenario of a check: its name and the first line of its docstring are the scenario's."""
    rule = (function.__doc__ or "").strip().partition("\n")[0]
    return Scenario(function.__name__, rule, function)
