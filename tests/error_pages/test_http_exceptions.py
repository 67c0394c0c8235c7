"""Exceptions that are answers: werkzeug's, webob's, Pyramid's, our own BadRequest, and those that `statuses` names."""

from __future__ import annotations

import logging

import pyramid.httpexceptions
import pytest
import webob
import webob.exc
import werkzeug.exceptions
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response

from wsgikit import ErrorPagesMiddleware
from wsgikit.exceptions import BadRequest, ConfigurationError
from wsgikit.sessions.errors import StoreUnavailable


@pytest.mark.parametrize(
    ("error", "status", "header"),
    [
        pytest.param(werkzeug.exceptions.NotFound(), "404 Not Found", None, id="werkzeug 404"),
        pytest.param(
            werkzeug.exceptions.MethodNotAllowed(["GET", "HEAD"]),
            "405 Method Not Allowed",
            ("Allow", "GET, HEAD"),
            id="werkzeug 405",
        ),
        pytest.param(
            werkzeug.exceptions.TooManyRequests(retry_after=7),
            "429 Too Many Requests",
            ("Retry-After", "7"),
            id="werkzeug 429",
        ),
        pytest.param(werkzeug.exceptions.ImATeapot(), "418 I'm a teapot", None, id="werkzeug 418"),
        pytest.param(webob.exc.HTTPNotFound(), "404 Not Found", None, id="webob 404"),
        pytest.param(
            webob.exc.HTTPUnauthorized(headers=[("WWW-Authenticate", 'Basic realm="x"')]),
            "401 Unauthorized",
            ("WWW-Authenticate", 'Basic realm="x"'),
            id="webob 401",
        ),
        pytest.param(webob.exc.HTTPNotFound().wsgi_response, "404 Not Found", None, id="webob, as wrapped"),
        pytest.param(
            pyramid.httpexceptions.HTTPForbidden(headers=[("X-Why", "no")]),
            "403 Forbidden",
            ("X-Why", "no"),
            id="pyramid 403",
        ),
        pytest.param(BadRequest("inside words"), "400 Bad Request", None, id="our BadRequest"),
    ],
)
@pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*"])
def test_an_http_exception_keeps_status_and_headers_and_gets_a_page(
    ask, failing, records, error, status, header, accept
):
    got = ask(ErrorPagesMiddleware(failing(error)), accept=accept)
    assert got.status == status
    if header:
        assert header in list(got.headers)
    assert got.headers.get("Content-Type").startswith(
        {"text/html": "text/html", "application/json": "application/problem+json", "*/*": "text/plain"}[accept]
    )
    assert len(got.headers.get_all("Content-Type")) == len(got.headers.get_all("Content-Length")) == 1
    assert "inside words" not in got.text
    assert not records(), "an answer is no error"


def test_a_session_store_that_does_not_answer_is_a_503_and_an_error(ask, failing, records):
    got = ask(ErrorPagesMiddleware(failing(StoreUnavailable("inside words"))))
    assert got.status == "503 Service Unavailable"
    assert "inside words" not in got.text
    (record,) = records(logging.ERROR)
    assert record.getMessage().startswith("GET /: StoreUnavailable in the application: 503 Service Unavailable [")


def test_what_an_http_exception_says_is_shown_and_escaped(ask, failing):
    for error in (werkzeug.exceptions.NotFound("No <b>order</b> 7"), webob.exc.HTTPNotFound("No <b>order</b> 7")):
        assert "No &lt;b&gt;order&lt;/b&gt; 7" in ask(ErrorPagesMiddleware(failing(error))).text
        assert (
            ask(ErrorPagesMiddleware(failing(error)), accept="application/json").json["detail"] == "No <b>order</b> 7"
        )


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(werkzeug.exceptions.NotFound(response=Response("mine", 404)), id="werkzeug"),
        pytest.param(webob.exc.HTTPNotFound(body=b"mine"), id="webob"),
        pytest.param(webob.exc.HTTPException("x", webob.Response(body=b"mine", status=404)), id="webob's wrapper"),
        pytest.param(pyramid.httpexceptions.HTTPNotFound(body=b"mine"), id="pyramid"),
    ],
)
def test_a_response_that_an_exception_carries_is_sent_as_it_is(ask, failing, error):
    got = ask(ErrorPagesMiddleware(failing(error)))
    assert (got.status[:3], got.body) == ("404", b"mine")


def test_an_exception_that_fails_to_answer_is_a_plain_page_and_a_500(ask, failing, records):
    class Broken(werkzeug.exceptions.NotFound):
        def get_headers(self, *arguments):
            raise LookupError("no headers")

    class BrokenBody(werkzeug.exceptions.NotFound):
        def get_body(self, *arguments):
            raise LookupError("no body")

    assert ask(ErrorPagesMiddleware(failing(Broken()))).status == "500 Internal Server Error"
    got = ask(ErrorPagesMiddleware(failing(BrokenBody())))
    assert (got.status, got.text) == ("404 Not Found", "404 Not Found\n")
    assert [record.exc_info[0] for record in records(logging.ERROR)] == [LookupError, Broken, LookupError]


def test_a_werkzeug_exception_that_writes_its_own_body_is_asked_for_it(ask, failing):
    class ApiError(werkzeug.exceptions.NotFound):
        def get_body(self, environ=None, scope=None):
            return "mine"

    assert ask(ErrorPagesMiddleware(failing(ApiError()))).body == b"mine"


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(RequestRedirect("/new"), id="werkzeug"),
        pytest.param(webob.exc.HTTPFound(location="/new"), id="webob"),
        pytest.param(pyramid.httpexceptions.HTTPFound("/new"), id="pyramid"),
    ],
)
def test_a_redirect_that_is_raised_redirects(ask, failing, records, error):
    got = ask(ErrorPagesMiddleware(failing(error)))
    assert got.status[0] == "3"
    assert got.headers.get("Location") in ("/new", "http://localhost/new")
    assert not records()


def test_an_http_exception_of_500_and_above_is_logged(ask, failing, records):
    got = ask(ErrorPagesMiddleware(failing(werkzeug.exceptions.ServiceUnavailable(retry_after=3))))
    (record,) = records(logging.ERROR)
    assert got.status == "503 Service Unavailable"
    assert got.headers.get("Retry-After") == "3"
    assert record.error_id in got.text


def test_a_500_that_wraps_an_error_is_an_error(ask, failing):
    wrapping = werkzeug.exceptions.InternalServerError(original_exception=ValueError("x"))
    assert "Copy as Markdown" in ask(ErrorPagesMiddleware(failing(wrapping), debug=True)).text


def test_statuses_give_exceptions_a_status_by_their_nearest_class(ask, failing, records):
    app = {"statuses": {OSError: 502, PermissionError: 403}}
    assert ask(ErrorPagesMiddleware(failing(PermissionError("secret path")), **app)).status == "403 Forbidden"
    assert ask(ErrorPagesMiddleware(failing(FileNotFoundError()), **app)).status == "502 Bad Gateway"
    assert ask(ErrorPagesMiddleware(failing(KeyError()), **app)).status == "500 Internal Server Error"
    levels = [record.levelno for record in records()]
    assert levels == [logging.INFO, logging.ERROR, logging.ERROR]
    assert records()[0].exc_info[0] is PermissionError


def test_statuses_take_pythons_own_exceptions_by_name(ask, failing):
    app = ErrorPagesMiddleware(failing(PermissionError()), statuses={"PermissionError": 403})
    assert ask(app).status == "403 Forbidden"


def test_statuses_also_change_the_status_of_an_http_exception(ask, failing):
    app = ErrorPagesMiddleware(failing(werkzeug.exceptions.Forbidden()), statuses={werkzeug.exceptions.Forbidden: 404})
    assert ask(app).status == "404 Not Found"


@pytest.mark.parametrize(
    ("statuses", "complaint"),
    [
        ({"PermissonError": 403}, "statuses: expected exception classes as keys, got 'PermissonError'."),
        ({KeyboardInterrupt: 500}, "statuses: expected exception classes as keys"),
        ({PermissionError: 200}, "statuses[PermissionError]: expected a status from 400 to 599, got 200."),
        ({PermissionError: "403"}, "statuses[PermissionError]: expected a status from 400 to 599, got '403'."),
    ],
)
def test_wrong_statuses_are_refused_while_building(failing, statuses, complaint):
    with pytest.raises(ConfigurationError) as caught:
        ErrorPagesMiddleware(failing(ValueError()), statuses=statuses)
    assert complaint in str(caught.value)


def test_a_header_of_an_exception_that_can_not_be_sent_costs_the_looks_and_itself(ask, failing, records):
    got = ask(ErrorPagesMiddleware(failing(webob.exc.HTTPNotFound(headers=[("X-Name", "щ"), ("X-Other", "1")]))))
    assert got.status == "404 Not Found"
    assert got.headers.get("Content-Type") == "text/plain; charset=utf-8"
    assert (got.headers.get("X-Name"), got.headers.get("X-Other")) == (None, "1")
    assert "headers: X-Name: expected latin-1 text" in str(records(logging.ERROR)[0].exc_info[1])


@pytest.mark.parametrize(
    ("content_type", "has_hint"),
    [("application/x-www-form-urlencoded", True), ("multipart/form-data; boundary=x", False), (None, False)],
)
def test_a_missing_field_is_explained_to_a_developer(ask, failing, content_type, has_hint):
    error = werkzeug.exceptions.BadRequestKeyError("photo")
    got = ask(ErrorPagesMiddleware(failing(error), debug=True), accept="text/plain", CONTENT_TYPE=content_type)
    assert "The request has no field 'photo'." in got.text
    assert ('the form needs enctype="multipart/form-data"' in got.text) is has_hint
    assert "photo" not in ask(ErrorPagesMiddleware(failing(error)), CONTENT_TYPE=content_type).text


def test_the_text_of_a_bad_request_is_for_developers(ask, failing):
    error = BadRequest("form: expected UTF-8, token=geheim4711")
    shown = ask(ErrorPagesMiddleware(failing(error), debug=True), accept="text/plain").text
    assert "form: expected UTF-8, token=***" in shown
    assert "form" not in ask(ErrorPagesMiddleware(failing(error)), accept="text/plain").text
    assert "form" not in ask(ErrorPagesMiddleware(failing(error), debug=True), REMOTE_ADDR="10.0.0.7").text
