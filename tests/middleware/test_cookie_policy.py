"""`CookiePolicyMiddleware`: attributes are added to every cookie, and none is lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.cookie_policy import CookiePolicyMiddleware, harden_cookie
from wsgikit.testing import assert_conforms
from wsgikit.testing.probes import TEXT, Body, answering


@pytest.mark.parametrize(
    ("line", "options", "expected"),
    [
        ("a=b", {"secure": False}, "a=b"),
        ("a=b", {}, "a=b; Secure"),
        ("a=b; secure", {}, "a=b; secure"),
        ("a=b; Path=/; SECURE ", {}, "a=b; Path=/; SECURE "),
        ("a=b", {"samesite": "Lax", "secure": False}, "a=b; SameSite=Lax"),
        ("a=b; samesite=None", {"samesite": "Lax", "secure": False}, "a=b; samesite=None; Secure"),
        ("a=b; SameSite=Strict", {"samesite": "Lax", "override": True, "secure": False}, "a=b; SameSite=Strict"),
        ("a=b; SameSite=None", {"samesite": "Lax", "override": True, "secure": False}, "a=b; SameSite=Lax"),
        ("a=b; SameSite", {"samesite": "Lax", "override": True, "secure": False}, "a=b; SameSite=Lax"),
        ("a=b", {"samesite": "None", "secure": False}, "a=b; SameSite=None; Secure"),
        ("a=b", {"httponly": True, "secure": False}, "a=b; HttpOnly"),
        ("a=b; httponly", {"httponly": True, "secure": False}, "a=b; httponly"),
        ("a=b", {"partitioned": True, "secure": False}, "a=b; Partitioned; Secure"),
        ("a=b; Partitioned", {"secure": False}, "a=b; Partitioned; Secure"),
        ("__Host-a=b; Path=/", {"secure": False}, "__Host-a=b; Path=/; Secure"),
        ("__Host-a=b", {"secure": False}, "__Host-a=b; Secure; Path=/"),
        ("__secure-a=b; Path=/x", {"secure": False}, "__secure-a=b; Path=/x; Secure"),
        ("__Http-a=b", {"secure": False}, "__Http-a=b; HttpOnly; Secure"),
        ("a=Secure; Path=/", {}, "a=Secure; Path=/; Secure"),
        ("a=b;Expires=Thu, 01 Jan 1970 00:00:00 GMT", {}, "a=b;Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure"),
        ("a=", {}, "a=; Secure"),
        ("=b", {}, "=b; Secure"),
        ("", {}, "; Secure"),
    ],
)
def test_a_cookie_gets_what_it_lacks(line, options, expected):
    assert harden_cookie(line, **options) == expected


LINES = st.lists(
    st.sampled_from(["a=b", "Secure", "secure ", "SameSite=None", "samesite=lax", "HttpOnly", "Path=/", "Partitioned"])
    | st.text("aSs=; \t\"'", max_size=12),
    max_size=6,
).map(";".join)


@settings(max_examples=200, deadline=None)
@given(line=LINES, secure=st.booleans(), httponly=st.booleans(), samesite=st.sampled_from([None, "Lax", "Strict"]))
def test_what_the_application_wrote_stays_and_a_second_pass_adds_nothing(line, secure, httponly, samesite):
    options = {"secure": secure, "httponly": httponly, "samesite": samesite}
    once = harden_cookie(line, **options)
    assert once.startswith(line)
    assert harden_cookie(once, **options) == once


def cookies(ask, scheme="http", lines=("a=b",), **options):
    class Setting:
        reads = False
        seen = None

        def __call__(self, environ, start_response):
            headers = [("Content-Type", "text/plain"), *(("Set-Cookie", line) for line in lines), ("X-Last", "1")]
            start_response("200 OK", headers)
            return [b""]

    answer = ask(lambda app: CookiePolicyMiddleware(app, **options), Setting(), **{"wsgi.url_scheme": scheme})
    assert [name for name, _ in answer.headers] == ["Content-Type", *["Set-Cookie"] * len(lines), "X-Last"]
    return answer.headers.get_all("Set-Cookie")


def test_auto_adds_secure_only_to_what_goes_by_https(ask):
    assert cookies(ask, "http") == ["a=b; SameSite=Lax"]
    assert cookies(ask, "https") == ["a=b; SameSite=Lax; Secure"]
    assert cookies(ask, "https", secure=False) == ["a=b; SameSite=Lax"]
    assert cookies(ask, "http", secure=True) == ["a=b; SameSite=Lax; Secure"]


def test_every_cookie_of_a_response_is_changed_in_its_place(ask):
    assert cookies(ask, lines=["a=1", "b=2; SameSite=Strict", "a=3"]) == [
        "a=1; SameSite=Lax",
        "b=2; SameSite=Strict",
        "a=3; SameSite=Lax",
    ]


def test_an_exempt_cookie_stays_as_it_is(ask):
    assert cookies(ask, lines=["theme=1", "other=1"], exempt=["theme"]) == ["theme=1", "other=1; SameSite=Lax"]


def test_nothing_is_added_if_every_option_is_off(ask):
    assert cookies(ask, "https", secure=False, samesite=None) == ["a=b"]


def test_a_host_cookie_with_a_domain_is_logged_once_and_left(ask, caplog):
    layer = CookiePolicyMiddleware(
        answering(
            [b""], headers=[*TEXT, ("Set-Cookie", "__Host-a=b; Domain=example.com; Path=/; Secure; SameSite=Lax")]
        )
    )
    for _ in range(3):
        answer = ask(lambda app: layer)
        assert answer["Set-Cookie"] == "__Host-a=b; Domain=example.com; Path=/; Secure; SameSite=Lax"
    (record,) = caplog.records
    assert record.name == "wsgikit.cookie_policy"
    assert "'__Host-a' has a Domain" in record.getMessage()


def test_a_response_without_a_cookie_is_passed_untouched(ask):
    assert list(ask(CookiePolicyMiddleware).headers) == [("Content-Type", "text/plain")]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"secure": "yes"}, "secure: expected True or False"),
        ({"httponly": 1}, "httponly: expected True or False"),
        ({"partitioned": "on"}, "partitioned: expected True or False"),
        ({"override": None}, "override: expected True or False"),
        ({"samesite": "lax"}, "samesite: expected 'Lax', 'Strict', 'None' or None"),
    ],
)
def test_an_option_that_cannot_work_is_refused_while_building(options, text):
    with pytest.raises(ConfigurationError, match="^CookiePolicyMiddleware: ") as caught:
        CookiePolicyMiddleware(print, **options)
    assert text in str(caught.value)


def test_a_stream_stays_lazy(ask):
    body = Body(b"a", b"b")
    assert ask(lambda app: CookiePolicyMiddleware(answering(body))).body == b"ab"
    assert body.closes == 1


def test_the_layer_conforms():
    # The lines of Set-Cookie are what it changes.
    assert_conforms(CookiePolicyMiddleware, expect={"repeated_headers_are_kept"})
    assert_conforms(lambda app: CookiePolicyMiddleware(app, samesite=None))
