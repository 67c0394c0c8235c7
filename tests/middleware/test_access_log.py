"""`AccessLogMiddleware`: one line a request, whatever happens to it, and nothing that a visitor could forge."""

from __future__ import annotations

import io
import json
import logging
import random
import re
from wsgiref.util import FileWrapper

import pytest
import sqlalchemy as sa

from wsgikit import (
    AccessListMiddleware,
    AccessLogMiddleware,
    ContextMiddleware,
    DatabaseMiddleware,
    ErrorPagesMiddleware,
    RequestIdMiddleware,
    Router,
    RouterMiddleware,
    SessionMiddleware,
    build_stack,
    use,
)
from wsgikit.exceptions import ConfigurationError
from wsgikit.http.masked_query import mask_query, mask_url_query
from wsgikit.middleware.access_log.lines import FIELDS
from wsgikit.testing import assert_conforms

from .conftest import make_environ

KEY = "0123456789abcdef0123456789abcdef0123456789abcdef"


@pytest.fixture
def lines():
    """The lines of the access log, with their levels."""
    found = []

    class Handler(logging.Handler):
        def emit(self, record):
            found.append(self.format(record))
            levels.append(record.levelname)

    levels = []
    found_logger = logging.getLogger("wsgikit.access")
    handler = Handler()
    found_logger.addHandler(handler)
    found_logger.setLevel("INFO")
    found_logger.propagate = False
    lines = Lines()
    lines.texts, lines.levels = found, levels
    yield lines
    found_logger.removeHandler(handler)
    found_logger.setLevel("NOTSET")
    found_logger.propagate = True


class Lines:
    def one(self):
        (text,) = self.texts
        return json.loads(text)


def run(stack, steps=None, closes=True, **request):
    """Answer a request as a server does; leave after so many steps of the body."""
    sent = []

    def start_response(status, headers, exc_info=None):
        return sent.append

    body = stack(make_environ(**request), start_response)
    try:
        for at, chunk in enumerate(body):
            if steps is not None and at >= steps:
                break
            sent.append(chunk)
    finally:
        if closes:
            getattr(body, "close", bool)()
    return b"".join(sent)


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"Hello"]


def head(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return []


def unmodified(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"a"')])
    return []


def writing(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"abc")
    write(b"defg")
    return [b"hi"]


def file(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "1000")])
    return environ["wsgi.file_wrapper"](io.BytesIO(b"x" * 1000))


def stream(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return iter([b"ab", b"cd", b"ef"])


def breaking(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"abc"
    raise LookupError("broken")


def failing(environ, start_response):
    raise LookupError("no")


def own_500(environ, start_response):
    start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
    return [b"sorry"]


ERRORS = (use(ErrorPagesMiddleware),)


@pytest.mark.parametrize(
    ("app", "layers", "request_", "steps", "expected"),
    [
        (hello, (), {}, None, (200, 5, "complete", "application")),
        (head, (), {"method": "HEAD"}, None, (200, 0, "complete", "application")),
        (unmodified, (), {}, None, (304, 0, "complete", "application")),
        (writing, (), {}, None, (200, 9, "complete", "application")),
        (file, (), {"wsgi.file_wrapper": FileWrapper}, None, (200, 1000, "complete", "application")),
        (
            file,
            (),
            {"wsgi.file_wrapper": lambda *args: FileWrapper(*args)},
            None,
            (200, 1000, "complete", "application"),
        ),
        (stream, (), {}, None, (200, 6, "complete", "application")),
        (stream, (), {}, 2, (200, 6, "aborted", "application")),
        (stream, (), {}, 0, (200, 2, "aborted", "application")),
        (own_500, (), {}, None, (500, 5, "complete", "application")),
        (failing, ERRORS, {}, None, (500, None, "complete", "ErrorPagesMiddleware")),
        (failing, ERRORS, {"method": "HEAD"}, None, (500, 0, "complete", "ErrorPagesMiddleware")),
        (
            hello,
            (use(AccessListMiddleware, allow="10.0.0.1"),),
            {},
            None,
            (403, None, "complete", "AccessListMiddleware"),
        ),
        (
            hello,
            (*ERRORS, use(AccessListMiddleware, allow="10.0.0.1")),
            {},
            None,
            (403, None, "complete", "AccessListMiddleware"),
        ),
    ],
    ids=[
        *("list", "HEAD", "304", "write", "file", "file of a function", "stream", "left after two", "left after one"),
        *("500 of the app", "exception", "exception, HEAD", "refused", "refused, with error pages"),
    ],
)
@pytest.mark.parametrize("context", [(), (use(ContextMiddleware),)], ids=["", "context"])
def test_status_bytes_outcome_and_layer_are_right(lines, app, layers, request_, steps, expected, context):
    status, size, outcome, answered_by = expected
    run(build_stack(app, use(AccessLogMiddleware, format="json"), *context, *layers), steps, **request_)
    line = lines.one()
    assert (line["status"], line["outcome"], line["answered_by"]) == (status, outcome, answered_by)
    assert line["bytes"] == size if size is not None else line["bytes"] > 10
    assert line["method"] == request_.get("method", "GET")


@pytest.mark.parametrize("app", [failing, breaking], ids=["before the head", "in the stream"])
def test_an_error_that_reaches_the_server_is_logged_as_failed(lines, app):
    with pytest.raises(LookupError):
        run(build_stack(app, use(AccessLogMiddleware, format="json")))
    line = lines.one()
    assert (line["status"], line["outcome"]) == ((500, "failed") if app is failing else (200, "failed"))
    assert line["bytes"] == (0 if app is failing else 3)


def test_a_body_closed_before_its_first_chunk_is_unstarted(lines):
    stack = build_stack(stream, use(AccessLogMiddleware, format="json"))
    body = stack(make_environ(), lambda status, headers, exc_info=None: None)
    body.close()
    body.close()
    assert (lines.one()["outcome"], lines.one()["bytes"]) == ("unstarted", 0)


def test_a_body_that_is_never_closed_is_logged_when_it_is_collected(lines):
    run(build_stack(stream, use(AccessLogMiddleware, format="json")), 1, closes=False)
    assert lines.one()["outcome"] == "aborted"


def test_the_json_line_has_the_fields_in_order(lines):
    router = Router("log")

    @router.get("/users/<int:number>")
    def show(number):
        import wsgikit

        wsgikit.session["seen"] = number
        wsgikit.db.execute(sa.text("SELECT 1"))
        wsgikit.db.execute(sa.text("SELECT 2"))
        return "Hello"

    stack = build_stack(
        hello,
        use(RequestIdMiddleware),
        use(AccessLogMiddleware, format="json"),
        use(ContextMiddleware),
        use(SessionMiddleware, secret_key=KEY),
        use(DatabaseMiddleware, url="sqlite://"),
        use(RouterMiddleware, router=router),
    )
    run(
        stack,
        path="/users/7?a=1&token=x",
        HTTP_USER_AGENT="curl/8",
        HTTP_REFERER="https://a.example/?code=5",
        HTTP_X_REQUEST_ID="a" * 20,
        REMOTE_USER="ann",
        SCRIPT_NAME="",
    )
    line = lines.one()
    assert tuple(line) == FIELDS
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    for name in ("duration_ms", "first_byte_ms", "db_ms"):
        assert line.pop(name) > 0
    del line["time"]
    assert line == {
        "method": "GET",
        "path": "/users/7",
        "query": "a=1&token=***",
        "status": 200,
        "bytes": 5,
        "outcome": "complete",
        "route": "/users/<int:number>",
        "answered_by": "RouterMiddleware",
        "request_id": "a" * 20,
        "user": "ann",
        "remote": "127.0.0.1",
        "user_agent": "curl/8",
        "referer": "https://a.example/?code=***",
        "db_statements": 2,
        "session": "changed",
    }


def test_what_is_not_known_is_null(lines):
    run(build_stack(hello, use(AccessLogMiddleware, format="json")), REMOTE_ADDR=None)
    line = lines.one()
    unknown = {name for name, value in line.items() if value is None}
    assert unknown == {"route", "request_id", "user", "remote", "user_agent", "referer", "session"}
    assert (line["db_ms"], line["db_statements"]) == (0, 0)


def test_the_first_byte_of_a_stream_is_that_of_its_first_chunk(lines, monkeypatch):
    from wsgikit.middleware.access_log import middleware

    clock = [100.0]
    monkeypatch.setattr(middleware, "_now", lambda: clock[0])

    def slow(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])

        def chunks():
            clock[0] += 2
            yield b"a"
            clock[0] += 3
            yield b"b"

        return chunks()

    run(build_stack(slow, use(AccessLogMiddleware, format="json")))
    assert (lines.one()["first_byte_ms"], lines.one()["duration_ms"]) == (2000, 5000)


def test_the_request_is_logged_as_it_came(lines):
    def app(environ, start_response):
        environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["SCRIPT_NAME"] = "DELETE", "/", "/moved"
        return hello(environ, start_response)

    run(build_stack(app, use(AccessLogMiddleware, format="json")), path="/a", SCRIPT_NAME="/mount", method="POST")
    assert (lines.one()["method"], lines.one()["path"]) == ("POST", "/mount/a")


# ---------------------------------------------------------------------------------- formats


COMBINED = re.compile(
    # goaccess' and AWStats' reading of "combined", as a regular expression.
    r"(?P<remote>\S+) - (?P<user>\S+) \[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000)\] "
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<bytes>\d+|-) '
    r'"(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)"'
)


def test_the_combined_line_is_that_of_apache(lines):
    run(
        build_stack(hello, use(AccessLogMiddleware)),
        path="/a b\xc3\xa9?q=1",
        HTTP_USER_AGENT='Mozilla/5.0 "x"',
        REMOTE_USER="ann b",
    )
    found = COMBINED.fullmatch(lines.texts[0]).groupdict()
    del found["time"]
    assert found == {
        "remote": "127.0.0.1",
        "user": r"ann\x20b",
        "request": "GET /a%20b%C3%A9?q=1 HTTP/1.1",
        "status": "200",
        "bytes": "5",
        "referer": "-",
        "agent": r"Mozilla/5.0 \"x\"",
    }


def test_a_template_has_the_names_of_the_json_object(lines):
    template = "{method} {path} {status} {bytes} {duration_ms:.0f} {route:>9} {user_agent}"
    run(build_stack(hello, use(AccessLogMiddleware, format=template)), path="/a", HTTP_USER_AGENT="x\ny\x1b[31m")
    assert re.fullmatch(r"GET /a 200 5 \d+ - x\\x0ay\\x1b\[31m", lines.texts[0])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"format": "{methode}"}, "format: expected known fields, got '{methode}'. Did you mean 'method'?"),
        ({"format": "{method.__class__}"}, "format: expected known fields, got '{method.__class__}'"),
        ({"format": "{}"}, "format: expected known fields, got '{}'. Known fields: time, method"),
        ({"format": "{method"}, "format: expected a template"),
        ({"format": "{method:d}"}, "format: expected formats that fit"),
        ({"format": "{method:{path}}"}, "format: expected formats that fit"),
        ({"format": "{method}\n"}, "format: expected a template of one line"),
        ({"format": "jsn"}, "got 'jsn'. Did you mean 'json'?"),
        ({"format": None}, "format: expected 'combined', 'json' or a template, got None"),
        ({"logger": ""}, "logger: expected the name of a logger"),
        ({"exclude": "static"}, "exclude"),
        ({"exclude": "/a*b"}, "exclude"),
        ({"slow_seconds": 0}, "slow_seconds: expected seconds above 0, or None, got 0"),
        ({"slow_seconds": True}, "slow_seconds: expected seconds above 0"),
        ({"slow_seconds": "soon"}, "slow_seconds"),
        ({"redact_query": [3]}, "redact_query: expected names of parameters, got 3"),
    ],
)
def test_options_that_can_not_work_are_refused(options, text):
    with pytest.raises(ConfigurationError) as caught:
        AccessLogMiddleware(hello, **options)
    assert text in str(caught.value)


def test_a_slow_request_is_a_warning(lines, monkeypatch):
    from wsgikit.middleware.access_log import middleware

    clock = iter([0.0, 0.0, 3.0, 10.0, 10.0, 10.5])
    monkeypatch.setattr(middleware, "_now", lambda: next(clock))
    stack = build_stack(hello, use(AccessLogMiddleware, slow_seconds=1))
    run(stack)
    run(stack)
    assert lines.levels == ["WARNING", "INFO"]


def test_excluded_requests_are_not_logged(lines):
    stack = build_stack(
        hello, use(AccessLogMiddleware, exclude=["/static/*", lambda environ: "HTTP_X_PROBE" in environ])
    )
    run(stack, path="/static/a.css")
    run(stack, HTTP_X_PROBE="1")
    assert lines.texts == []
    run(stack, path="/page")
    assert len(lines.texts) == 1


# ---------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ""),
        ("a=1", "a=1"),
        ("token", "token"),
        ("token=", "token="),
        ("token=x", "token=***"),
        ("TOKEN=x&Api_Key=y", "TOKEN=***&Api_Key=***"),
        ("a=1&password=x=y&b=2", "a=1&password=***&b=2"),
        ("passwd=1&secret=2&access_token=3", "passwd=***&secret=***&access_token=***"),
        ("code=1&state=2&signature=3", "code=***&state=***&signature=***"),
        ("to%6Ben=x", "to%6Ben=***"),
        ("%74oken=x", "%74oken=***"),
        ("+token=x", "+token=***"),
        ("token=x&token=y", "token=***&token=***"),
        ("mytoken=x&tokens=y", "mytoken=x&tokens=y"),
        ("&&=&token=x&", "&&=&token=***&"),
        ("pin=1", "pin=1"),
    ],
)
def test_secrets_in_a_query_are_masked(query, expected):
    assert mask_query(query) == expected


def test_further_names_are_masked(lines):
    run(build_stack(hello, use(AccessLogMiddleware, format="json", redact_query="PIN")), path="/?pin=1&token=2")
    assert lines.one()["query"] == "pin=***&token=***"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example/", "https://a.example/"),
        ("https://a.example/?token=x", "https://a.example/?token=***"),
        ("https://a.example/?token=x#token=y", "https://a.example/?token=***#token=y"),
        ("/p?a=b?token=x&token=z", "/p?a=b?token=x&token=***"),
    ],
)
def test_secrets_in_a_url_are_masked(url, expected):
    assert mask_url_query(url) == expected


# ---------------------------------------------------------------------------------- hostile input


def hostile_texts(count, seed=2026):
    pick = random.Random(seed)
    nasty = [
        "\n",
        "\r\n",
        '"',
        "\\",
        "\x00",
        "\x1b[2J",
        "\x7f",
        "\x85",
        "\u2028",
        "é",
        "%0a",
        "' - -",
        "}",
        "{",
        '", "status": 200',
        "\xff",
    ]
    for _ in range(count):
        text = "".join(pick.choice(nasty) if pick.random() < 0.5 else chr(pick.randrange(256)) for _ in range(12))
        yield text.encode("utf-8").decode("latin-1")


def check_hostile(lines, count):
    formats = {"json": "json", "combined": "combined", "template": "{method} {path} {query} {user_agent} {status}"}
    stacks = {name: build_stack(hello, use(AccessLogMiddleware, format=text)) for name, text in formats.items()}
    for text in hostile_texts(count):
        keys = {"HTTP_USER_AGENT": text, "HTTP_REFERER": text, "REMOTE_USER": text, "REMOTE_ADDR": text}
        path, query = f"/{text}".replace("?", ""), text
        for name, stack in stacks.items():
            lines.texts.clear()
            run(stack, path=f"{path}?{query}", **keys)
            (line,) = lines.texts
            assert re.fullmatch("[ -~]+", line)
            if name == "json":
                assert tuple(json.loads(line)) == FIELDS
                assert json.loads(line)["status"] == 200
            elif name == "combined":
                assert COMBINED.fullmatch(line)["status"] == "200"


@pytest.mark.slow
@pytest.mark.slow
def test_hostile_paths_and_headers_give_one_readable_line_each(lines, soak):
    check_hostile(lines, soak(20_000))


def test_a_route_in_any_script_is_logged_as_it_is(lines):
    router = Router("scripts")
    router.add_url_rule("/café/<name>", "café", lambda name: "Hello")
    stack = build_stack(hello, use(AccessLogMiddleware, format="json"), use(RouterMiddleware, router=router))
    run(stack, path="/caf\xc3\xa9/x")
    assert (lines.one()["route"], lines.one()["path"]) == ("/café/<name>", "/café/x")


def test_json_has_the_text_that_the_bytes_mean(lines):
    stack = build_stack(hello, use(AccessLogMiddleware, format="json"))
    run(stack, path="/caf\xc3\xa9", HTTP_USER_AGENT="\xff\xe9")
    assert (lines.one()["path"], lines.one()["user_agent"]) == ("/café", "\\xff\\xe9")


# ---------------------------------------------------------------------------------- logging


@pytest.fixture
def quiet(request):
    """The warnings of the logger wsgikit."""
    warnings = []

    class Handler(logging.Handler):
        def emit(self, record):
            warnings.append(record.getMessage())

    handler = Handler()
    ours = logging.getLogger("wsgikit")
    ours.addHandler(handler)
    yield warnings
    ours.removeHandler(handler)


def test_without_a_handler_it_warns_once(quiet):
    logger = logging.getLogger("test_access_log.none")
    logger.propagate = False
    stack = build_stack(hello, use(AccessLogMiddleware, logger=logger.name))
    run(stack)
    run(stack)
    assert len(quiet) == 1
    assert "The access log gets lost: the logger 'test_access_log.none' has no handler" in quiet[0]


@pytest.mark.parametrize("level", ["INFO", "ERROR"])
def test_a_logger_that_somebody_set_is_never_warned_of(quiet, level):
    logger = logging.getLogger(f"test_access_log.{level}")
    logger.setLevel(level)
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    run(build_stack(hello, use(AccessLogMiddleware, logger=logger.name)))
    assert quiet == []


def test_a_record_has_the_request_id():
    found = []
    logger = logging.getLogger("test_access_log.id")
    logger.setLevel("INFO")
    logger.propagate = False
    logger.addFilter(lambda record: found.append(record.request_id) or True)
    logger.addHandler(logging.NullHandler())
    stack = build_stack(hello, use(RequestIdMiddleware), use(AccessLogMiddleware, logger=logger.name))
    run(stack, HTTP_X_REQUEST_ID="b" * 20)
    assert found == ["b" * 20]


@pytest.mark.parametrize("format", ["json", "combined"])
def test_it_conforms(lines, format):
    assert_conforms(lambda app: AccessLogMiddleware(app, format=format))
