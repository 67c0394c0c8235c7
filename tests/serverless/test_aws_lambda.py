"""Lambda events of each kind, in the shapes of AWS' documentation, through the handler."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from wsgiref.validate import validator

import pytest

import wsgikit
from wsgikit.exceptions import ApplicationError, ConfigurationError, ProtocolError
from wsgikit.onion.stack import build_stack, use
from wsgikit.serverless import aws_lambda, split_stage

EVENTS = Path(__file__).parent / "events"
KINDS = sorted(path.stem for path in EVENTS.glob("*.json"))
CONTEXT = object()


def event_of(kind, **changes):
    return {**json.loads((EVENTS / f"{kind}.json").read_text(encoding="utf-8")), **changes}


def app_of(body=b"", *headers, status="200 OK"):
    """Return an application with a fixed response."""

    def app(environ, start_response):
        start_response(status, list(headers))
        return [body]

    return app


def headers_of(response):
    """Return the headers of a response of any format, in lower case, with all values of each name."""
    found = {}
    for name, values in (response.get("multiValueHeaders") or {}).items():
        found.setdefault(name.lower(), []).extend(values)
    for name, value in (response.get("headers") or {}).items():
        found.setdefault(name.lower(), []).append(value)
    if response.get("cookies"):
        found["set-cookie"] = response["cookies"]
    return found


@pytest.fixture
def seen():
    """Return a function that sends an event and returns the environ and the body that the application got."""

    def send(event):
        got = {}

        @validator
        def app(environ, start_response):
            got.update(environ, body=environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"ok"]

        aws_lambda(app)(event, CONTEXT)
        return got

    return send


@pytest.mark.parametrize("kind", KINDS)
def test_each_event_becomes_a_valid_environ(kind, seen):
    event = event_of(kind)
    environ = seen(event)
    assert environ["REQUEST_METHOD"] == "POST"
    assert environ["PATH_INFO"] == "/show/caf\xc3\xa9"
    assert environ["SCRIPT_NAME"] == ("/prod" if kind.startswith("api") else "")
    assert environ["QUERY_STRING"] == ("q=y+z" if kind == "alb_single_value" else "q=x&q=y+z")
    assert environ["HTTP_COOKIE"].replace(" ", "") == "a=1;b=2"
    assert environ["HTTP_X_MANY"] == "one,two"
    assert (environ["wsgi.url_scheme"], environ["SERVER_PORT"]) == ("https", "443")
    assert environ["SERVER_NAME"] == environ["HTTP_HOST"]
    assert environ["CONTENT_TYPE"] == "text/plain"
    assert environ["body"] == b"body"
    assert environ["apig_wsgi.full_event"] is event
    assert environ["apig_wsgi.context"] is CONTEXT


@pytest.mark.parametrize("kind", KINDS)
def test_an_address_that_the_client_claims_is_not_the_remote_address(kind, seen):
    assert seen(event_of(kind))["REMOTE_ADDR"] == "192.0.2.1"


@pytest.mark.parametrize("kind", KINDS)
def test_no_cookie_and_no_repeated_header_is_lost(kind):
    sent = [("Set-Cookie", "a=1"), ("Vary", "Accept"), ("set-cookie", "b=2"), ("vary", "Cookie"), ("Set-Cookie", "c=3")]
    found = headers_of(aws_lambda(app_of(b"", *sent))(event_of(kind), None))
    assert sorted(found["set-cookie"]) == ["a=1", "b=2", "c=3"]
    assert ", ".join(found["vary"]) == "Accept, Cookie"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("body", "headers", "is_binary"),
    [
        ("é".encode(), {"Content-Type": "text/plain; charset=utf-8"}, False),
        (b"{}", {"Content-Type": "application/problem+json"}, False),
        (b"<svg/>", {"Content-Type": "image/svg+xml"}, False),
        (b"\x89PNG", {"Content-Type": "image/png"}, True),
        (b"plain", {"Content-Type": "application/octet-stream"}, True),
        (b"\x1f\x8b", {"Content-Type": "text/plain", "Content-Encoding": "gzip"}, True),
        (b"\xe9", {"Content-Type": "text/plain; charset=latin-1"}, True),
        (b"", {"Content-Type": "image/png"}, False),
        (b"x", {}, True),
    ],
    ids=["text", "json", "svg", "png", "bytes", "gzip", "latin-1", "empty", "no type"],
)
def test_a_body_is_base64_by_its_type(kind, body, headers, is_binary):
    response = aws_lambda(app_of(body, *headers.items()))(event_of(kind), None)
    assert response["isBase64Encoded"] is is_binary
    text = response["body"]
    assert (base64.b64decode(text) if is_binary else text.encode()) == body
    json.dumps(response)


def failing_late(environ, start_response):
    start_response("200 OK", [("X-First", "1")])
    try:
        raise ValueError("late")
    except ValueError:
        start_response("500 Failed", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"page"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_head_with_exc_info_replaces_the_first(kind):
    response = aws_lambda(failing_late)(event_of(kind), None)
    assert (response["statusCode"], response["body"]) == (500, "page")
    assert "x-first" not in headers_of(response)


def test_a_second_head_after_a_part_of_the_body_raises_the_error():
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"part"
        try:
            raise ValueError("too late")
        except ValueError:
            start_response("500 Failed", [], sys.exc_info())

    with pytest.raises(ValueError, match="too late"):
        aws_lambda(app)(event_of("api_gateway_v2"), None)


def test_a_second_head_without_exc_info_is_refused():
    def app(environ, start_response):
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []

    with pytest.raises(ProtocolError, match="expected one call without exc_info"):
        aws_lambda(app)(event_of("api_gateway_v2"), None)


@pytest.mark.parametrize("body", [[], [b"x"]], ids=["no body", "a body"])
def test_an_application_that_sends_no_head_is_refused(body):
    with pytest.raises(ProtocolError, match="start_response: expected a call before the body"):
        aws_lambda(lambda environ, start_response: body)(event_of("api_gateway_v2"), None)


def test_written_parts_come_before_the_body_which_is_closed():
    closed = []

    class Body(list):
        def close(self):
            closed.append(True)

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])(b"a")
        return Body([b"b"])

    assert aws_lambda(app)(event_of("alb_single_value"), None)["body"] == "ab"
    assert closed == [True]


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_and_links_work_through_a_stack(kind):
    router = wsgikit.Router("shop")

    @router.post("/show/<name>")
    def show(name):
        wsgikit.session["count"] = wsgikit.session.get("count", 0) + 1
        return f"{wsgikit.url_for('show', name=name)} {wsgikit.session['count']}"

    secret = "e7c1b94f02d8563aa1f490b6d2c87e35"
    layers = [use(wsgikit.ContextMiddleware), use(wsgikit.SessionMiddleware, secret_key=secret)]
    response = aws_lambda(build_stack(router, *layers))(event_of(kind), None)
    prefix = "/prod" if kind.startswith("api") else ""
    assert response["body"] == f"{prefix}/show/caf%C3%A9 1"
    assert headers_of(response)["set-cookie"][0].startswith("session=")


@pytest.mark.parametrize(
    ("path", "domain", "expected"),
    [
        ("/prod", "id.execute-api.eu-west-1.amazonaws.com", ("/prod", "/")),
        ("/prod/a", "id.execute-api.eu-west-1.amazonaws.com", ("/prod", "/a")),
        ("/product", "id.execute-api.eu-west-1.amazonaws.com", ("", "/product")),
        ("/prod/a", "shop.example", ("", "/prod/a")),
    ],
)
def test_a_stage_is_the_prefix_only_if_the_url_has_it(path, domain, expected):
    context = {"stage": "prod", "domainName": domain}
    assert split_stage({"version": "2.0", "rawPath": path, "requestContext": context}) == expected


@pytest.mark.parametrize(
    ("path", "path_of_context", "expected"),
    [
        ("/prod/a", "/prod/a", ("/prod", "/a")),
        ("/prod/a", "/prod/prod/a", ("/prod", "/prod/a")),
        ("/a", "/prod/a", ("/prod", "/a")),
    ],
    ids=["HTTP API", "REST API with a path like the stage", "REST API"],
)
def test_the_stage_of_version_1_is_found_for_both_kinds_of_api(path, path_of_context, expected):
    """The paths of an HTTP API: serverless-http's pull request 143; of a REST API: LocalStack's 12296."""
    domain = "id.execute-api.eu-west-1.amazonaws.com"
    context = {"stage": "prod", "path": path_of_context, "domainName": domain}
    assert split_stage({"path": path, "requestContext": context}) == expected


def test_a_path_of_version_1_under_a_custom_domain_has_no_prefix():
    context = {"stage": "prod", "path": "/shop/a"}
    assert split_stage({"path": "/shop/a", "requestContext": context}) == ("", "/shop/a")


def test_headers_and_cookies_that_are_missing_are_not_in_environ(seen):
    event = event_of("function_url", headers={}, cookies=[])
    environ = seen(event)
    assert "HTTP_COOKIE" not in environ
    assert environ["SERVER_NAME"] == "id.lambda-url.us-east-1.on.aws"
    assert (environ["wsgi.url_scheme"], environ["SERVER_PORT"]) == ("https", "443")


def test_a_header_of_wide_characters_is_bytes_as_latin_1(seen):
    headers = {**event_of("function_url")["headers"], "x-wide": "€"}
    assert seen(event_of("function_url", headers=headers))["HTTP_X_WIDE"] == "€".encode().decode("latin-1")


@pytest.mark.parametrize("event", [{"source": "aws.events"}, {"Records": []}, [], None])
def test_an_event_that_is_no_request_is_refused(event):
    with pytest.raises(ApplicationError, match="aws_lambda: event: expected an HTTP request"):
        aws_lambda(app_of())(event, None)


def test_what_is_no_application_is_refused():
    with pytest.raises(ConfigurationError, match="aws_lambda: stack: expected a WSGI application, got 'app'"):
        aws_lambda("app")


def test_a_missing_apig_wsgi_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "apig_wsgi", None)
    with pytest.raises(ConfigurationError, match=r"apig-wsgi is missing. Install it: pip install 'wsgikit\[serverless"):
        aws_lambda(app_of())


def test_the_stack_is_warmed_up_when_the_handler_is_made():
    class Warm:
        warmed = 0

        def __call__(self, environ, start_response):
            raise AssertionError("no request is sent")

        def warmup(self):
            self.warmed += 1

    app = Warm()
    aws_lambda(app)
    assert app.warmed == 1
