"""What a visitor gets: forms, languages, ids, headers; nothing of the error."""

from __future__ import annotations

import re

import html5lib
import pytest

from wsgikit import ErrorPagesMiddleware, Middleware, build_stack, use
from wsgikit.exceptions import ConfigurationError

SECRET = "what the error says"


def test_an_unhandled_error_is_a_page_in_html_for_a_browser(ask, failing):
    got = ask(ErrorPagesMiddleware(failing(ValueError(SECRET))))
    assert got.status == "500 Internal Server Error"
    assert got.headers.get("Content-Type") == "text/html; charset=utf-8"
    assert "<h1>Something went wrong</h1>" in got.text
    assert SECRET not in got.text
    assert "ValueError" not in got.text


def test_an_unhandled_error_is_a_problem_document_for_an_api_client(ask, failing):
    got = ask(ErrorPagesMiddleware(failing(ValueError(SECRET))), accept="application/json")
    assert got.headers.get("Content-Type") == "application/problem+json"
    assert got.json["type"] == "about:blank"
    assert got.json["title"] == "Internal Server Error"
    assert got.json["status"] == 500
    assert set(got.json) == {"type", "title", "status", "detail", "error_id"}
    assert SECRET not in got.text


def test_an_unhandled_error_is_text_for_curl(ask, failing):
    got = ask(ErrorPagesMiddleware(failing(ValueError(SECRET))), accept="*/*")
    assert got.headers.get("Content-Type") == "text/plain; charset=utf-8"
    assert got.text.startswith("500 Internal Server Error\n\nSomething went wrong. ")
    assert SECRET not in got.text


@pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*"])
def test_head_has_the_headers_of_get_and_no_body(ask, failing, accept):
    app = ErrorPagesMiddleware(failing(ValueError(SECRET)))
    get, head = ask(app, accept=accept), ask(app, accept=accept, method="HEAD")
    assert head.body == b""
    assert head.status == get.status
    assert head.headers.get("Content-Type") == get.headers.get("Content-Type")
    assert head.headers.get("Content-Length") == get.headers.get("Content-Length") == str(len(get.body))


def test_the_error_id_on_the_page_is_the_one_in_the_log(ask, failing, records):
    got = ask(ErrorPagesMiddleware(failing(ValueError(SECRET))))
    (record,) = records()
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}", record.error_id)
    assert f"<dt>Error id</dt><dd><code>{record.error_id}</code></dd>" in got.text


def test_the_request_id_of_a_layer_is_on_the_page(ask, failing):
    got = ask(ErrorPagesMiddleware(failing(ValueError())), **{"wsgikit.request_id": "<req&1>"})
    assert "<code>&lt;req&amp;1&gt;</code>" in got.text
    got = ask(ErrorPagesMiddleware(failing(ValueError())), accept="application/json", **{"wsgikit.request_id": "r1"})
    assert got.json["request_id"] == "r1"


@pytest.mark.parametrize(
    ("language", "title"),
    [
        ("de-CH, en;q=0.5", "Seite nicht gefunden"),
        ("fr", "Page introuvable"),
        ("es", "Página no encontrada"),
        ("ja", "Page not found"),
    ],
)
def test_the_page_speaks_the_visitors_language(ask, answering, language, title):
    app = ErrorPagesMiddleware(answering("404 Not Found"))
    got = ask(app, HTTP_ACCEPT_LANGUAGE=language)
    assert f"<h1>{title}</h1>" in got.text
    lang = "en" if language == "ja" else language[:2]
    assert f'<html lang="{lang}" dir="ltr">' in got.text
    assert got.headers.get("Content-Language") == lang
    assert title in ask(app, accept="*/*", HTTP_ACCEPT_LANGUAGE=language).text


def test_a_further_language_comes_by_option(ask, answering):
    texts = {"he": {"404": "לא נמצא|אין כאן דבר."}}
    got = ask(ErrorPagesMiddleware(answering("404 Not Found"), texts=texts), HTTP_ACCEPT_LANGUAGE="he")
    assert '<html lang="he" dir="rtl">' in got.text
    assert "<h1>לא נמצא</h1>" in got.text
    assert "To the home page" in got.text  # what isn't translated is English


def test_texts_come_from_an_ini_file_too(ask, answering, tmp_path):
    (tmp_path / "texts.ini").write_text("[nl]\n404 = Niet gevonden|Hier is niets.\n", encoding="utf-8")
    app = ErrorPagesMiddleware(answering("404 Not Found"), texts=str(tmp_path / "texts.ini"))
    assert "Niet gevonden. Hier is niets." in ask(app, accept="*/*", HTTP_ACCEPT_LANGUAGE="nl").text


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        ({"nl": "x"}, "texts['nl']: expected a mapping such as {'404': 'Title|Sentence.'}, got 'x'"),
        ({"nl": {"200": "A|B"}}, "expected a status, '4xx', '5xx' or one of error_id, request_id, home, got '200'"),
        ({"nl": {"404": "No sentence"}}, "texts['nl']['404']: expected 'Title|Sentence.', got 'No sentence'"),
        ("nowhere.ini", "texts: expected an ini file with a section for each language"),
    ],
    ids=["no mapping", "not an error", "no sentence", "no file"],
)
def test_texts_of_another_form_are_refused_while_building(failing, texts, complaint):
    with pytest.raises(ConfigurationError) as caught:
        ErrorPagesMiddleware(failing(ValueError()), texts=texts)
    assert complaint in str(caught.value)


def test_nothing_on_the_page_may_be_loaded_or_run(ask, failing):
    got = ask(ErrorPagesMiddleware(failing(ValueError())))
    policy = got.headers.get("Content-Security-Policy")
    nonce = re.search(r"style-src 'nonce-([^']+)'", policy)[1]
    assert policy.startswith("default-src 'none'; ")
    assert "script-src 'none'" in policy
    assert f'<style nonce="{nonce}">' in got.text
    assert " style=" not in got.text
    assert "<script" not in got.text
    assert not re.search(r"(?:src|href)=\"(?!/)", got.text)
    assert got.headers.get("X-Content-Type-Options") == "nosniff"
    assert ask(ErrorPagesMiddleware(failing(ValueError()))).headers.get("Content-Security-Policy") != policy


def test_a_layer_that_makes_nonces_gives_the_one_of_the_page(ask, failing):
    got = ask(ErrorPagesMiddleware(failing(ValueError())), **{"wsgikit.csp_nonce": "from-outside"})
    assert '<style nonce="from-outside">' in got.text
    assert "style-src 'nonce-from-outside'" in got.headers.get("Content-Security-Policy")


def test_caches_are_told_what_decided_and_not_to_keep_failures(ask, failing, answering):
    got = ask(ErrorPagesMiddleware(failing(ValueError())))
    assert got.headers.get("Vary") == "Accept, Accept-Language"
    assert got.headers.get("Cache-Control") == "no-store"
    assert not ask(ErrorPagesMiddleware(answering("404 Not Found"))).headers.has("Cache-Control")


def test_headers_that_layers_outside_add_are_on_error_pages(ask, failing):
    class Outside(Middleware):
        def after_request(self, exchange):
            exchange.headers.add("Access-Control-Allow-Origin", "https://example.org")
            exchange.headers.add("Set-Cookie", "a=1")
            exchange.headers.add("Set-Cookie", "b=2")
            exchange.headers.vary("Origin")

    got = ask(build_stack(failing(ValueError()), use(Outside), use(ErrorPagesMiddleware)))
    assert got.status == "500 Internal Server Error"
    assert got.headers.get("Access-Control-Allow-Origin") == "https://example.org"
    assert got.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert got.headers.get("Vary") == "Accept, Accept-Language, Origin"


def test_the_home_link_begins_where_the_application_is_mounted(ask, failing):
    got = ask(ErrorPagesMiddleware(failing(ValueError())), SCRIPT_NAME='/wi"ki')
    assert '<a href="/wi&quot;ki/">' in got.text


def test_the_path_is_never_on_the_page(ask, answering):
    got = ask(ErrorPagesMiddleware(answering("404 Not Found")), path="/<script>alert(1)</script>")
    assert "script>" not in got.text


@pytest.mark.parametrize("status", ["404 Not Found", "500 Internal Server Error", "418 I'm a Teapot", "599 Odd"])
def test_the_page_is_valid_html(ask, answering, status):
    got = ask(ErrorPagesMiddleware(answering(status)), **{"wsgikit.request_id": "r"})
    root = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(got.text)  # raises if it isn't
    assert [element.tag for element in root.find("body/main")] == ["p", "h1", "p", "p", "dl"]


def test_importing_the_layer_loads_nothing_that_only_errors_need():
    import subprocess
    import sys

    program = (
        "import sys; before = set(sys.modules); from wsgikit import ErrorPagesMiddleware, build_stack, use;"
        "build_stack(lambda e, s: [], use(ErrorPagesMiddleware));"
        "print([name for name in ('html', 'json', 'traceback', 'logging', 'hashlib', 'secrets', 'ipaddress', 'inspect',"
        "'webob', 'werkzeug', 'jinja2', 'wsgikit.error_pages.render', 'wsgikit.error_pages.debug') "
        "if name in sys.modules and name not in before])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
