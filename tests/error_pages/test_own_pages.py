"""Pages of the user's own, and error responses without a body."""

from __future__ import annotations

import logging
import sys

import jinja2
import pytest
import webob
import werkzeug.exceptions

from wsgikit import ErrorPagesMiddleware
from wsgikit.exceptions import ApplicationError, ConfigurationError


def test_a_file_is_filled_in_and_escaped(ask, failing, records, tmp_path):
    (tmp_path / "500.html").write_text(
        "<h1>{{ title }}</h1> {{error_id}} {{ text }} {{ unknown }} {{ 1 + 1 }}", "utf-8"
    )
    error = werkzeug.exceptions.InternalServerError("<i>")
    got = ask(ErrorPagesMiddleware(failing(error), pages={500: tmp_path / "500.html"}))
    (record,) = records(logging.ERROR)
    assert got.text == f"<h1>Something went wrong</h1> {record.error_id} &lt;i&gt; {{{{ unknown }}}} {{{{ 1 + 1 }}}}"
    assert got.headers.get("Content-Type") == "text/html; charset=utf-8"
    assert not got.headers.has("Content-Security-Policy"), "a page of the user's may load what it likes"


def test_a_page_is_found_by_status_then_by_class(ask, answering):
    pages = {"4xx": lambda page: "any 4", 404: lambda page: "just 404", "5xx": lambda page: "any 5"}
    for status, text in (("404 X", "just 404"), ("410 X", "any 4"), ("503 X", "any 5")):
        assert ask(ErrorPagesMiddleware(answering(status), pages=pages)).text == text


def test_a_jinja2_file_can_inherit_and_escapes(ask, failing, tmp_path):
    (tmp_path / "base.html").write_text("<main>{% block main %}{% endblock %}</main>", "utf-8")
    text = "{% extends 'base.html' %}{% block main %}{{ page.text }} {{ status_code }}{% endblock %}"
    (tmp_path / "404.html.j2").write_text(text, "utf-8")
    app = ErrorPagesMiddleware(failing(werkzeug.exceptions.NotFound("<i>")), pages={404: str(tmp_path / "404.html.j2")})
    assert ask(app).text == "<main>&lt;i&gt; 404</main>"


def test_a_template_object_is_rendered(ask, answering):
    template = jinja2.Environment(autoescape=True).from_string("{{ title }} / {{ page.language }}")
    app = ErrorPagesMiddleware(answering("404 Not Found"), pages={404: template})
    assert ask(app, HTTP_ACCEPT_LANGUAGE="de").text == "Seite nicht gefunden / de"


def test_files_and_templates_are_for_html_only(ask, answering, tmp_path):
    (tmp_path / "404.html").write_text("mine", "utf-8")
    app = ErrorPagesMiddleware(answering("404 Not Found"), pages={404: tmp_path / "404.html"})
    assert ask(app, accept="application/json").json["status"] == 404
    assert ask(app, accept="*/*").text.startswith("404 Not Found")


def test_a_function_is_asked_for_every_form_and_may_leave_it_to_us(ask, answering):
    def page(page):
        return {"title": "Mine", "hint": page.method} if page.form == "json" else None

    app = ErrorPagesMiddleware(answering("404 Not Found"), pages={404: page})
    assert ask(app, accept="application/json").json == {
        "type": "about:blank",
        "title": "Mine",
        "status": 404,
        "detail": "There is nothing at this address. Check the spelling, or begin at the home page.",
        "hint": "GET",
    }
    assert "Page not found" in ask(app).text


def test_a_function_may_return_a_wsgi_application(ask, failing):
    answer = webob.Response(
        body=b"a response", status=418, headerlist=[("Content-Type", "text/plain"), ("X-Mine", "1")]
    )
    got = ask(ErrorPagesMiddleware(failing(ValueError()), pages={500: lambda page: answer}))
    assert (got.status, got.text, got.headers.get("X-Mine")) == ("418 I'm a teapot", "a response", "1")


def _raise(page):
    raise LookupError("the page's own")


def _broken_app(environ, start_response):
    start_response("200 OK", [])
    raise LookupError("the page's own")


def _silent_app(environ, start_response):
    return [b"no head"]


def _broken_body(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"half"
    raise LookupError("the page's own")


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(_raise, id="a function that raises"),
        pytest.param(jinja2.Template("{{ 1 / 0 }}"), id="a template that raises"),
        pytest.param(lambda page: _broken_app, id="an application that raises"),
        pytest.param(lambda page: _silent_app, id="an application without a head"),
        pytest.param(lambda page: _broken_body, id="an application whose body raises"),
        pytest.param(lambda page: 7, id="a function that returns anything"),
    ],
)
def test_a_page_that_fails_falls_back_to_text_and_both_tracebacks_are_logged(ask, failing, records, page):
    got = ask(ErrorPagesMiddleware(failing(KeyError("the first")), pages={500: page}))
    first, second = records(logging.ERROR)
    assert got.status == "500 Internal Server Error"
    assert got.headers.get("Content-Type") == "text/plain; charset=utf-8"
    assert got.text == f"500 Internal Server Error\n\nError id: {first.error_id}\n"
    assert first.exc_info[0] is KeyError
    assert second.exc_info[0] in (LookupError, ZeroDivisionError, ApplicationError)
    assert first.error_id in second.getMessage()


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (lambda page: 7, "expected str, bytes, a mapping, a WSGI application or None, got 'int'."),
        (lambda page: _silent_app, "expected a call of start_response, got None."),
    ],
    ids=["any object", "no head"],
)
def test_a_page_that_can_not_be_sent_is_told_in_the_log(ask, failing, records, page, text):
    ask(ErrorPagesMiddleware(failing(KeyError()), pages={500: page}))
    assert str(records(logging.ERROR)[1].exc_info[1]) == f"ErrorPagesMiddleware: page for 500: {text}"


def test_a_failing_page_for_an_empty_response_falls_back_too(ask, answering, records):
    got = ask(ErrorPagesMiddleware(answering("404 Not Found"), pages={404: _raise}))
    assert (got.status, got.text) == ("404 Not Found", "404 Not Found\n")
    assert len(records(logging.ERROR)) == 1


@pytest.mark.parametrize(
    ("pages", "complaint"),
    [
        ({200: lambda page: ""}, "pages: expected statuses such as 404, or '4xx' and '5xx', got 200."),
        ({"3xx": lambda page: ""}, "pages: expected statuses such as 404, or '4xx' and '5xx', got '3xx'."),
        (
            {404: "nowhere/404.html"},
            "pages[404]: expected a file that exists, a template or a callable, got 'nowhere/404.html'.",
        ),
        ({404: 7}, "pages[404]: expected a path, a template or a callable that takes an ErrorPage, got 7."),
    ],
    ids=["no error", "no error class", "no file", "nothing of the kind"],
)
def test_wrong_pages_are_refused_while_building(failing, pages, complaint):
    with pytest.raises(ConfigurationError) as caught:
        ErrorPagesMiddleware(failing(ValueError()), pages=pages)
    assert complaint in str(caught.value)


def test_a_template_that_does_not_compile_is_refused_while_building(failing, tmp_path):
    (tmp_path / "404.j2").write_text("{% if %}", "utf-8")
    with pytest.raises(ConfigurationError, match=r"pages\[404\]: expected a template that compiles"):
        ErrorPagesMiddleware(failing(ValueError()), pages={404: tmp_path / "404.j2"})


def test_without_jinja2_a_template_file_says_what_to_install(failing, tmp_path, monkeypatch):
    (tmp_path / "404.j2").write_text("x", "utf-8")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ConfigurationError, match=r"Install wsgikit\[templates\], or write a .html file\."):
        ErrorPagesMiddleware(failing(ValueError()), pages={404: tmp_path / "404.j2"})


# ---------------------------------------------------------------------- replace_empty


@pytest.mark.parametrize("chunks", [(), (b"",), (b"", b"")], ids=["no chunk", "an empty one", "two"])
def test_an_error_response_without_a_body_gets_a_page(ask, answering, chunks):
    headers = [("WWW-Authenticate", "Basic"), ("Content-Type", "application/octet-stream"), ("ETag", '"x"')]
    got = ask(ErrorPagesMiddleware(answering("401 Unauthorized", *chunks, headers=headers)))
    assert got.status == "401 Unauthorized"
    assert "<h1>Please sign in</h1>" in got.text
    assert got.headers.get("WWW-Authenticate") == "Basic"
    assert got.headers.get_all("Content-Type") == ["text/html; charset=utf-8"]
    assert got.headers.get("Content-Length") == str(len(got.body))
    assert got.headers.get("ETag") == '"x"'


@pytest.mark.parametrize(
    ("language", "title"), [("fr", "Cela n’a pas marché"), ("ja", "That did not work"), (None, "That did not work")]
)
def test_headers_of_a_response_without_a_body_stay(ask, answering, language, title):
    about = [("ETag", '"v2"'), ("Last-Modified", "Mon, 30 Nov 2026 10:00:00 GMT"), ("Content-Encoding", "gzip")]
    headers = [*about, *([("Content-Language", language)] if language else [])]
    got = ask(ErrorPagesMiddleware(answering("412 Precondition Failed", headers=headers)), HTTP_ACCEPT_LANGUAGE="en")
    assert got.headers.get("ETag") == '"v2"'
    assert got.headers.get("Last-Modified") == "Mon, 30 Nov 2026 10:00:00 GMT"
    assert got.headers.get_all("Content-Language") == ["fr" if language == "fr" else "en"]
    assert not got.headers.has("Content-Encoding")
    assert title in got.text


def test_the_page_for_an_empty_response_may_be_an_application(ask, answering):
    cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    answer = webob.Response(body=b"mine", headerlist=[("Content-Type", "text/plain"), ("X-Mine", "1"), *cookies])
    app = answering("404 Not Found", headers=[("Content-Type", "a/b"), ("Set-Cookie", "c=3")])
    got = ask(ErrorPagesMiddleware(app, pages={404: lambda page: answer}))
    assert got.headers.get_all("Set-Cookie") == ["c=3", "a=1", "b=2"]
    assert (got.status, got.text, got.headers.get("X-Mine")) == ("404 Not Found", "mine", "1")
    assert got.headers.get("Content-Length") == "4"


def test_a_lazy_body_is_known_to_be_empty_by_its_length(ask):
    def lazy(environ, start_response):
        start_response("404 Not Found", [("Content-Length", "0"), ("Content-Type", "text/html")])
        yield b""

    assert "Page not found" in ask(ErrorPagesMiddleware(lazy)).text


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "304 Not Modified", "302 Found"])
def test_other_responses_without_a_body_stay(ask, answering, status):
    headers = [] if status[:3] in ("204", "304") else [("Content-Type", "text/plain")]
    assert ask(ErrorPagesMiddleware(answering(status, headers=headers))).body == b""


def test_a_body_that_the_application_wrote_is_never_replaced(ask, answering):
    pages = {404: lambda page: "mine"}
    app = answering("404 Not Found", b"", b" ", headers=[("Content-Type", "text/plain")])
    got = ask(ErrorPagesMiddleware(app, pages=pages))
    assert got.body == b" "
    assert list(got.headers) == [("Content-Type", "text/plain")]


def test_replace_empty_can_be_switched_off(ask, answering):
    app = answering("404 Not Found", headers=[("Content-Type", "text/plain")])
    assert ask(ErrorPagesMiddleware(app, replace_empty=False)).body == b""


@pytest.mark.parametrize(
    ("headers", "type_"),
    [
        pytest.param(
            [("Content-Length", "0"), ("Content-Type", "text/plain")], "text/html; charset=utf-8", id="says 0"
        ),
        pytest.param([], "text/html; charset=utf-8", id="says nothing"),
        pytest.param([("Content-Length", "7"), ("Content-Type", "text/plain")], "text/plain", id="GET has a body"),
        pytest.param([("Content-Type", "text/plain")], "text/plain", id="GET may have one"),
    ],
)
def test_the_answer_to_head_is_replaced_where_that_to_get_surely_is_empty(ask, answering, headers, type_):
    got = ask(ErrorPagesMiddleware(answering("404 Not Found", headers=headers)), method="HEAD")
    assert got.body == b""
    assert got.headers.get("Content-Type") == type_


def test_the_body_that_is_replaced_is_closed(ask):
    closed = []

    class Empty:
        def __iter__(self):
            return iter(())

        def close(self):
            closed.append(True)

    def app(environ, start_response):
        start_response("404 Not Found", [("Content-Length", "0"), ("Content-Type", "text/plain")])
        return Empty()

    assert "Page not found" in ask(ErrorPagesMiddleware(app)).text
    assert closed == [True]
