"""One table: what happens, which hooks run, what the client gets, what is logged.

The table in docs/reference/error-table.md is made here, from what really happens. When a row changes on purpose, run
this file as a program to write it again.
"""

from __future__ import annotations

import io
import logging
import pathlib

import pytest
import werkzeug.exceptions

from wsgikit import ErrorPagesMiddleware, Middleware, build_stack, use

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "reference" / "error-table.md"
SIGNS = {"before_request": "→", "after_request": "←", "handle_exception": "!", "teardown_request": "×"}
PLAIN = [("Content-Type", "text/plain")]


class Watcher(Middleware):
    """Writes down which of its hooks ran, and fails in one where it is asked to."""

    def __init__(self, app, *, label, journal, fails=None):
        super().__init__(app)
        self.label = label
        self.journal = journal
        self.fails = fails

    def note(self, hook):
        self.journal.append(f"{SIGNS[hook]}{self.label}")
        if self.fails == hook:
            raise RuntimeError(f"in {self.label}.{hook}")

    def before_request(self, exchange):
        self.note("before_request")

    def after_request(self, exchange):
        self.note("after_request")

    def handle_exception(self, exchange, error):
        self.note("handle_exception")

    def teardown_request(self, exchange):
        self.note("teardown_request")


# ---------------------------------------------------------------------- what an application does


def ok(environ, start_response):
    start_response("200 OK", PLAIN)
    return [b"fine"]


def returned(environ, start_response):
    start_response("404 Not Found", PLAIN)
    return [b"the app's own"]


def returned_empty(environ, start_response):
    start_response("404 Not Found", PLAIN)
    return []


def raised_http(environ, start_response):
    raise werkzeug.exceptions.NotFound


def raised_http_500(environ, start_response):
    raise werkzeug.exceptions.ServiceUnavailable


def raised_mapped(environ, start_response):
    raise PermissionError


def raised(environ, start_response):
    raise ValueError


def raised_after_head(environ, start_response):
    start_response("200 OK", PLAIN)
    raise ValueError


def raised_exit(environ, start_response):
    raise SystemExit


def left(environ, start_response):
    raise werkzeug.exceptions.ClientDisconnected


def stream(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"one "
    yield b"two"


def stream_before(environ, start_response):
    start_response("200 OK", PLAIN)

    def body():
        raise ValueError
        yield b""

    return body()


def stream_after(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"one "
    raise ValueError


def written(environ, start_response):
    start_response("200 OK", PLAIN)(b"one ")
    raise ValueError


def left_in_stream(environ, start_response):
    """Answer a client that goes away after the first chunk."""
    return stream(environ, start_response)


class FailsToClose:
    def __init__(self, chunks):
        self.chunks = iter(chunks)

    def __iter__(self):
        return self.chunks

    def close(self):
        raise ValueError


def close_fails(environ, start_response):
    start_response("200 OK", PLAIN)
    return FailsToClose([b"one ", b"two"])


APPS = {
    "ok": ok,
    "ok, as a stream": stream,
    "HTTP error returned": returned,
    "HTTP error returned without a body": returned_empty,
    "HTTP error raised (404)": raised_http,
    "HTTP error raised (503)": raised_http_500,
    "raised, and named in `statuses` (403)": raised_mapped,
    "unhandled": raised,
    "unhandled, after `start_response`": raised_after_head,
    "raised in the stream, before the first chunk": stream_before,
    "raised in the stream, after the first chunk": stream_after,
    "raised after `write()`": written,
    "raised in the body's `close()`": close_fails,
    "the client left while the body of the request was read": left,
    "the client left in the stream, after the first chunk": left_in_stream,
    "`SystemExit`": raised_exit,
}


def rows():
    """Yield what happens, and who does it: an application, or a hook of a layer."""
    for what, app in APPS.items():
        yield what, app, None, None
    for layer in ("outer", "middle", "inner"):
        for hook in SIGNS:
            app = raised if hook == "handle_exception" else ok
            suffix = ", told of an error of the application" if hook == "handle_exception" else ""
            yield f"raised in `{hook}` of {layer}{suffix}", app, layer, hook


ROWS = list(rows())

# ---------------------------------------------------------------------- what is seen


class Keeper(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        raised_type = record.exc_info[0].__name__ if record.exc_info else None
        where = f" in {record.layer}.{record.hook}" if getattr(record, "layer", None) else ""
        traceback = f"{raised_type}{where}, with traceback" if raised_type else record.getMessage().partition(": ")[2]
        self.lines.append(f"{record.levelname}: {traceback}")


def observe(app, layer, hook):
    """Run one request as a server does; return the hooks, what the client got, and the log."""
    journal = []
    keeper = Keeper()

    def watcher(label):
        return use(Watcher, name=label, label=label, journal=journal, fails=hook if layer == label else None)

    def innermost(environ, start_response):
        journal.append("app")
        return app(environ, start_response)

    stack = build_stack(
        innermost,
        watcher("outer"),
        use(ErrorPagesMiddleware, statuses={PermissionError: 403}),
        watcher("middle"),
        watcher("inner"),
    )
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multiprocess": False,
    }
    heads, chunks, problem = [], [], None

    def start_response(status, headers, exc_info=None):
        assert not heads or (exc_info and not any(chunks))
        heads.append(status)
        return chunks.append

    logger = logging.getLogger("wsgikit")
    level = logger.level
    logger.addHandler(keeper)
    logger.setLevel(logging.DEBUG)
    body = ()
    try:
        body = stack(environ, start_response)
        for chunk in body:
            chunks.append(chunk)
            if app is left_in_stream:
                break
    except BaseException as error:  # noqa: BLE001 - a server sees them all
        problem = type(error).__name__
    try:
        getattr(body, "close", lambda: None)()
    except BaseException as error:  # noqa: BLE001
        problem = f"{type(error).__name__} from `close()`"
    logger.removeHandler(keeper)
    logger.setLevel(level)
    return journal, _client(heads, b"".join(chunks).decode(), problem), keeper.lines


def _client(heads, text, problem):
    if not heads or (problem and not text):
        return f"the server's own answer to {problem}"
    status = heads[-1]
    if "Error id" in text or text.startswith(f"{status}\n"):
        got = f"{status}: our page"
        got += " with the error id" if "Error id" in text else ""
    else:
        got = f"{status}: {text.strip()!r}"
    if problem:
        got += f"; the server is told of {problem}" if "close" in problem else f", then the connection ends ({problem})"
    return got


# ---------------------------------------------------------------------- the page

HEAD = """# What happens to an error: the table

<!-- Made by tests/error_pages/test_error_table.py from what it sees. Don't edit: run that file. -->

The onion is `outer`, `ErrorPagesMiddleware(statuses={PermissionError: 403})`, `middle`, `inner`, and an application.
`outer` stands for what belongs outside of the error pages: layers that add headers to every response.

| sign | hook |
|---|---|
| → | `before_request` |
| ← | `after_request` |
| ! | `handle_exception` |
| × | `teardown_request` |

Three rules explain all rows. A layer's `after_request` runs where a response came out of it, whether the application
made that response or a layer further in did; it doesn't run where an exception passed. `teardown_request` of each layer
that was entered runs once, whatever happened. And what was sent stays sent: after the first chunk, an error is logged
once and given to the server.

| what happens | what ran, in order | the client got | the log |
|---|---|---|---|
"""


def make_page():
    lines = []
    for what, app, layer, hook in ROWS:
        journal, client, log = observe(app, layer, hook)
        lines.append(f"| {what} | {' '.join(journal)} | {client} | {'<br>'.join(log) or '–'} |\n")
    return HEAD + "".join(lines)


def test_the_table_in_the_docs_is_what_happens():
    assert PAGE.read_text("utf-8") == make_page(), f"run {pathlib.Path(__file__).name} as a program"


@pytest.mark.parametrize(("what", "app", "layer", "hook"), ROWS, ids=[row[0].replace("`", "") for row in ROWS])
def test_every_row_keeps_the_rules(what, app, layer, hook):
    journal, client, log = observe(app, layer, hook)
    entered = [entry[1:] for entry in journal if entry[0] == "→"]
    assert [entry[1:] for entry in journal if entry[0] == "×"] == entered[::-1], "each teardown once, inside out"
    last = max(index for index, entry in enumerate(journal) if entry[0] != "×")
    assert all(entry[0] != "×" for entry in journal[: last + 1]), "and nothing after it"
    failures = [line for line in log if line.startswith("ERROR")]
    hides_another = hook == "handle_exception" and layer != "outer"
    assert len(failures) <= (2 if hides_another else 1), "one error, one record"


if __name__ == "__main__":
    PAGE.write_text(make_page(), "utf-8")
