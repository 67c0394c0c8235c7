"""What an environ may hold, and what of it the app must see."""

from __future__ import annotations

__all__ = ["SCENARIOS"]

from collections.abc import Iterable
from typing import Any

from wsgikit.testing.probes import TEXT, Body
from wsgikit.testing.scenario import Bench, claim, scenario
from wsgikit.testing.server import Call
from wsgikit.wsgi import Environ, WSGIApplication


class _Seen:
    """An app that keeps the environ of each request as it was, and the request's body."""

    def __init__(self) -> None:
        self.environs: list[Environ] = []
        self.data = b""

    def __call__(self, environ: Environ, start_response: Any, /) -> Iterable[bytes]:
        self.environs.append(dict(environ))
        self.data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response("200 OK", list(TEXT))
        return [b"text"]


def _claim_seen(bench: Bench, environ: Environ) -> None:
    """Claim that the app saw these keys, or that the middleware answered for itself, and not by an error."""
    keys = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING")
    sent = {key: environ.get(key, "") for key in keys}
    app = _Seen()
    call = bench.prepare(bench.wrap(app), environ).start().finish()
    if app.environs:
        seen = {key: app.environs[0].get(key, "") for key in keys}
        claim(seen == sent, f"the app called with {sent}", f"{seen}")
    claim(not call.has_failed and 200 <= call.code < 500, "an answer that is no server error", call.describe())


@scenario
def latin1_path_is_kept(bench: Bench) -> None:
    """PATH_INFO is bytes in a str (PEP 3333 "Unicode Issues"): the UTF-8 of an é is two characters."""
    _claim_seen(bench, bench.environ(path="/caf\xc3\xa9"))


@scenario
def undecodable_path_is_no_server_error(bench: Bench) -> None:
    """PATH_INFO need not be UTF-8, nor printable."""
    for path in ("/\xff\xfe", "/a\x00b", "/%", "/\x85"):
        _claim_seen(bench, bench.environ(path=path))


@scenario
def empty_path_is_kept(bench: Bench) -> None:
    """PATH_INFO is empty at the very place that an app is mounted at."""
    _claim_seen(bench, bench.environ(path="", SCRIPT_NAME="/mounted"))


@scenario
def double_slashes_are_kept(bench: Bench) -> None:
    """PATH_INFO may have slashes side by side, at its beginning too."""
    for path in ("//", "//host.example/a", "/a//b/"):
        _claim_seen(bench, bench.environ(path=path))


@scenario
def script_name_is_kept(bench: Bench) -> None:
    """SCRIPT_NAME and PATH_INFO are passed on as the two halves that they are."""
    _claim_seen(bench, bench.environ(path="/page", SCRIPT_NAME="/caf\xc3\xa9/app"))


@scenario
def query_string_is_kept(bench: Bench) -> None:
    """QUERY_STRING is passed on, whatever is in it."""
    for query in ("a=1&a=2", "%ff=%zz&&=&\xe9", "?"):
        _claim_seen(bench, bench.environ(QUERY_STRING=query))


@scenario
def small_environ_is_enough(bench: Bench) -> None:
    """No key is needed but those that PEP 3333 says a server must give."""
    environ = bench.environ()
    for key in ("SCRIPT_NAME", "QUERY_STRING", "REMOTE_ADDR", "HTTP_HOST", "wsgi.file_wrapper"):
        environ.pop(key, None)
    _claim_seen(bench, environ)


@scenario
def request_body_reaches_the_app(bench: Bench) -> None:
    """What the client sends can be read by the app, and CONTENT_LENGTH is right."""
    app = _Seen()
    call = bench.call(app, "POST", data=b"\x00\xff the data")
    call.finish()
    claim(app.data == b"\x00\xff the data", "the request's body read by the app", f"{app.data!r}, {call.describe()}")


@scenario
def keys_of_the_server_reach_the_app(bench: Bench) -> None:
    """Keys that the middleware does not know are passed on, the very objects."""
    app = _Seen()
    thing = object()
    environ = {**bench.environ(HTTP_X_STRANGE="1"), "server.thing": thing}
    call = bench.prepare(bench.wrap(app), environ).start().finish()
    seen = app.environs[0] if app.environs else {}
    claim(
        seen.get("server.thing") is thing and seen.get("HTTP_X_STRANGE") == "1",
        "server.thing and HTTP_X_STRANGE in the app's environ",
        f"{sorted(seen)}" if seen else call.describe(),
    )


@scenario
def app_may_rewrite_the_path(bench: Bench) -> None:
    """Bottle and Django put decoded text into PATH_INFO: nothing that reads it afterwards may fail by that."""

    def app(environ: Environ, start_response: Any, /) -> Iterable[bytes]:
        environ["PATH_INFO"] = "/\u4f60\u597d"
        environ["SCRIPT_NAME"] = "/\u20ac"
        start_response("200 OK", list(TEXT))
        return Body(b"one ", b"two")

    call = bench.call(app, path="/\xe4\xbd\xa0").finish()
    claim(not call.has_failed and call.code == 200, "the app's answer", call.describe())


@scenario
def app_is_called_once(bench: Bench) -> None:
    """A request that went well calls the app once."""
    app = _Seen()
    call: Call = bench.call(_streaming(app)).finish()
    claim(len(app.environs) == 1, "one call of the app", f"{len(app.environs)} calls, {call.describe()}")


def _streaming(inner: WSGIApplication) -> WSGIApplication:
    return lambda environ, start_response: Body(*inner(environ, start_response))


SCENARIOS = (
    latin1_path_is_kept,
    undecodable_path_is_no_server_error,
    empty_path_is_kept,
    double_slashes_are_kept,
    script_name_is_kept,
    query_string_is_kept,
    small_environ_is_enough,
    request_body_reaches_the_app,
    keys_of_the_server_reach_the_app,
    app_may_rewrite_the_path,
    app_is_called_once,
)
