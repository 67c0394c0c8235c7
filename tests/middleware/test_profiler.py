"""`ProfilerMiddleware`: the page, the text and the file, and who may ask for them."""

from __future__ import annotations

import json
import sys
import time

import pytest

from wsgikit import (
    ContextMiddleware,
    ErrorPagesMiddleware,
    ProfilerMiddleware,
    SecurityHeadersMiddleware,
    build_stack,
    use,
)
from wsgikit.exceptions import ConfigurationError
from wsgikit.http.headers import Headers
from wsgikit.middleware.profiler import take_parameter
from wsgikit.testing import assert_conforms

from .conftest import App, make_environ

LOCAL = {"HTTP_HOST": "localhost"}


def ask(stack, **request):
    heads = []
    body = stack(make_environ(**{**LOCAL, **request}), lambda *head: heads.append(head))
    content = b"".join(body)
    getattr(body, "close", bool)()
    status, headers = heads[-1][:2]
    return status, Headers(headers), content


def busy_function(seconds=0.03):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        sum(range(100))


def busy(environ, start_response):
    busy_function()
    return App()(environ, start_response)


def busy_stream(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])

    def chunks():
        yield b"a"
        busy_function()
        yield b"b"

    return chunks()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", (None, "")),
        ("a=1", (None, "a=1")),
        ("__profile__", ("", "")),
        ("a=1&__profile__&b=2", ("", "a=1&b=2")),
        ("__profile__=text&a=1", ("text", "a=1")),
        ("__profile__x=1", (None, "__profile__x=1")),
    ],
)
def test_the_parameter_is_taken_out_of_the_query(query, expected):
    assert take_parameter(query) == expected


@pytest.mark.parametrize("layers", [[], [use(ContextMiddleware)]], ids=["alone", "context"])
@pytest.mark.parametrize("app", [busy, busy_stream], ids=["list", "stream"])
def test_the_text_names_the_function_that_took_the_time(app, layers):
    status, headers, content = ask(build_stack(app, use(ProfilerMiddleware), *layers), path="/?__profile__=text")
    assert status == "200 OK"
    assert headers.get("Content-Type") == "text/plain; charset=utf-8"
    assert b"busy_function" in content


def test_the_page_works_under_a_policy_of_a_layer_further_out():
    stack = build_stack(busy, use(SecurityHeadersMiddleware), use(ProfilerMiddleware))
    _, headers, content = ask(stack, path="/?__profile__")
    assert headers.get_all("Content-Security-Policy") == [
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:"
    ]
    assert headers.get("Cache-Control") == "no-store"
    assert b"busy_function" in content
    assert b"<html" in content


def test_the_file_is_one_of_speedscope():
    _, headers, content = ask(build_stack(busy, use(ProfilerMiddleware)), path="/?__profile__=file")
    assert headers.get("Content-Disposition") == 'attachment; filename="profile.speedscope.json"'
    profile = json.loads(content)
    assert profile["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert "busy_function" in {frame["name"] for frame in profile["shared"]["frames"]}


def test_the_application_does_not_see_the_parameter():
    app = App()
    ask(build_stack(app, use(ProfilerMiddleware)), path="/?a=1&__profile__&b=2")
    assert app.seen["QUERY_STRING"] == "a=1&b=2"


def test_a_header_triggers_it_if_that_was_chosen():
    stack = build_stack(busy, use(ProfilerMiddleware, trigger="header"))
    assert b"busy_function" in ask(stack, HTTP_X_PROFILE="text")[2]
    assert ask(stack, path="/?__profile__=text")[2] == b"Hello"


def test_other_requests_are_untouched():
    app = App()
    assert ask(build_stack(app, use(ProfilerMiddleware)), path="/?profile=1")[2] == b"Hello"


@pytest.mark.parametrize(
    ("allow", "environ", "status"),
    [
        ("local", {}, "200"),
        ("local", {"REMOTE_ADDR": "10.0.0.1"}, "404"),
        ("local", {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, "404"),
        ("local", {"HTTP_HOST": "evil.example"}, "404"),
        ("10.0.0.0/8", {"REMOTE_ADDR": "10.0.0.1", "HTTP_HOST": "shop.example"}, "200"),
        ((), {}, "404"),
    ],
)
def test_only_allowed_peers_may_profile(allow, environ, status):
    app = App()
    got, _, _ = ask(build_stack(app, use(ProfilerMiddleware, allow=allow)), path="/?__profile__=text", **environ)
    assert got[:3] == status
    assert (app.seen is not None) is (status == "200")


def test_an_unknown_form_is_a_400():
    assert ask(build_stack(App(), use(ProfilerMiddleware)), path="/?__profile__=../x")[0][:3] == "400"


def fail(environ, start_response):
    raise LookupError("no")


def test_an_error_ends_the_profile_and_goes_on():
    stack = build_stack(fail, use(ErrorPagesMiddleware), use(ProfilerMiddleware))
    for _ in range(2):
        assert ask(stack, path="/?__profile__")[0][:3] == "500"
    assert sys.getprofile() is None


def test_an_error_page_inside_is_profiled():
    stack = build_stack(fail, use(ProfilerMiddleware), use(ErrorPagesMiddleware))
    status, _, content = ask(stack, path="/?__profile__=text")
    assert status == "200 OK"
    assert b"fail" in content or b"Samples" in content


def test_a_request_inside_a_request_can_be_profiled():
    inner = build_stack(busy, use(ProfilerMiddleware))
    stack = build_stack(inner, use(ProfilerMiddleware))
    assert ask(stack, path="/?__profile__=text")[0] == "200 OK"
    assert sys.getprofile() is None


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"trigger": "cookie"}, "trigger: expected 'query' or 'header', got 'cookie'"),
        ({"allow": "everybody"}, "allow: expected addresses or networks"),
    ],
)
def test_options_that_can_not_work_are_refused(options, text):
    with pytest.raises(ConfigurationError) as caught:
        ProfilerMiddleware(App(), **options)
    assert f"ProfilerMiddleware: {text}" in str(caught.value)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyinstrument", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'wsgikit\[profiler\]'"):
        ProfilerMiddleware(App())


def test_it_conforms():
    assert_conforms(ProfilerMiddleware)
