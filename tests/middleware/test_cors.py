"""`CorsMiddleware`: the Fetch standard, the cases of expressjs/cors and of Starlette."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsgikit.error_pages.middleware import ErrorPagesMiddleware
from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.access_list import AccessListMiddleware
from wsgikit.middleware.cors import CorsMiddleware, refuse_preflight
from wsgikit.onion.stack import build_stack, use
from wsgikit.testing import assert_conforms
from wsgikit.testing.probes import TEXT, answering

ORIGIN = "https://example.org"


def layer(**options):
    return lambda app: CorsMiddleware(app, **options)


def preflight(method="GET", headers=None, origin=ORIGIN, **keys):
    request = {
        "method": "OPTIONS",
        "HTTP_ORIGIN": origin,
        "HTTP_ACCESS_CONTROL_REQUEST_METHOD": method,
        "HTTP_ACCESS_CONTROL_REQUEST_HEADERS": headers,
    }
    return request | keys


def cors_headers(answer):
    return {
        name.removeprefix("Access-Control-"): value
        for name, value in answer.headers
        if name.startswith("Access-Control-")
    }


# encode/starlette, tests/middleware/test_cors.py. Where its answer differs the row says how.
def test_starlette_allow_all(ask):
    # Starlette answers "*" with credentials by the origin: here that is refused while building.
    options = {"origins": "*", "headers": "*", "methods": "*", "expose_headers": ["X-Status"]}
    answer = ask(layer(**options), **preflight("GET", "X-Example"))
    assert answer.code == 204
    assert cors_headers(answer) == {
        "Allow-Origin": "*",
        "Allow-Methods": "GET",
        "Allow-Headers": "X-Example",
        "Max-Age": "600",
    }
    for cookie in (None, "star_cookie=sugar"):
        answer = ask(layer(**options), HTTP_ORIGIN=ORIGIN, HTTP_COOKIE=cookie)
        assert cors_headers(answer) == {"Allow-Origin": "*", "Expose-Headers": "X-Status"}
        assert answer["Vary"] is None
    assert cors_headers(ask(layer(**options))) == {}


def test_starlette_specific_origin(ask):
    # Starlette adds the safelisted headers to the list; a browser asks only for what isn't safelisted.
    options = {"origins": [ORIGIN], "headers": ["X-Example", "Content-Type"]}
    answer = ask(layer(**options), **preflight("GET", "X-Example, Content-Type"))
    assert cors_headers(answer)["Allow-Origin"] == ORIGIN
    assert cors_headers(answer)["Allow-Headers"] == "X-Example, Content-Type"
    assert "Allow-Credentials" not in cors_headers(answer)
    assert cors_headers(ask(layer(**options), HTTP_ORIGIN=ORIGIN)) == {"Allow-Origin": ORIGIN}
    assert cors_headers(ask(layer(**options))) == {}


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (preflight("POST", "X-Nope", "https://another.org"), b"the origin https://another.org is not in origins"),
        (preflight("GET", "X-Nope-1, X-Nope-2"), b"the header X-Nope-1 is not in headers"),
        (preflight("DELETE"), b"the method DELETE is not in methods"),
        (preflight("post"), b"the method post is not in methods"),
        (preflight("GET", "X-Example,X\x00"), b"is not in headers"),
        (preflight("GET\r\nX: y"), b"is not in methods"),
        (preflight("", ""), b"the method  is not in methods"),
        (preflight("GET", ",".join(["X-Example"] * 101)), b"too many headers"),
        (preflight(HTTP_ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK="true"), b"private_network is off"),
        (preflight(origin="null"), b"the origin null is not in origins"),
        (preflight(origin=""), b"the origin  is not in origins"),
    ],
)
def test_a_refused_preflight_is_a_403_with_its_reason_and_no_cors_headers(ask, request_, reason):
    answer = ask(layer(origins=[ORIGIN], headers=["X-Example"]), **request_)
    assert answer.code == 403
    assert answer.seen is None
    assert reason in answer.body
    assert cors_headers(answer) == {}
    assert "Origin" in answer["Vary"]


def test_starlette_origin_regex_must_match_whole(ask):
    options = {"origins": [re.compile(r"https://.*\.example\.org")], "credentials": True}
    allowed = ask(layer(**options), HTTP_ORIGIN="https://subdomain.example.org")
    assert cors_headers(allowed) == {"Allow-Origin": "https://subdomain.example.org", "Allow-Credentials": "true"}
    for origin in ("https://subdomain.example.org.hacker.com", "http://subdomain.example.org"):
        refused = ask(layer(**options), HTTP_ORIGIN=origin)
        assert (refused.code, cors_headers(refused), refused["Vary"]) == (200, {}, "Origin")


@pytest.mark.parametrize("method", ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"])
def test_starlette_all_methods(ask, method):
    options = {"origins": "*", "methods": "*"}
    assert method in cors_headers(ask(layer(**options), **preflight(method)))["Allow-Methods"]
    assert cors_headers(ask(layer(**options), method=method, HTTP_ORIGIN=ORIGIN))["Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("origins", "vary"),
    [
        ("*", "Accept-Encoding"),
        ([ORIGIN], "Accept-Encoding, Origin"),
        (["https://b.example"], "Accept-Encoding, Origin"),
    ],
)
def test_vary_names_origin_if_and_only_if_the_answer_depends_on_it(ask, origins, vary):
    app = answering([b"x"], headers=[*TEXT, ("Vary", "Accept-Encoding")])
    for origin in (ORIGIN, None):
        answer = ask(lambda inner: CorsMiddleware(app, origins=origins), HTTP_ORIGIN=origin)
        assert answer.headers.get_all("Vary") == [vary]


# expressjs/cors, test/test.js. Its default is every origin and every method; here both are named.
EXPRESS = [
    pytest.param(
        {"origins": ["https://example.com"], "methods": ["FOO", "bar"], "headers": ["FIZZ", "buzz"]}
        | {"credentials": True, "max_age_seconds": 123},
        preflight("bar", "fizz,BUZZ", "https://example.com"),
        {
            "Allow-Origin": "https://example.com",
            "Allow-Methods": "FOO, bar",
            "Allow-Headers": "FIZZ, buzz",
            "Allow-Credentials": "true",
            "Max-Age": "123",
        },
        id="overrides defaults",
    ),
    pytest.param(
        {"origins": [re.compile(r"https://(.+\.)?request\.com")]},
        {"HTTP_ORIGIN": "https://request.com"},
        {"Allow-Origin": "https://request.com"},
        id="regexp",
    ),
    pytest.param(
        {"origins": [re.compile(r".*foo\.com"), "https://request.com"]},
        {"HTTP_ORIGIN": "https://request.com"},
        {"Allow-Origin": "https://request.com"},
        id="array of checks",
    ),
    pytest.param(
        {"origins": [re.compile(r".*foo\.com"), "https://bar.com"]},
        {"HTTP_ORIGIN": "https://request.com"},
        {},
        id="array of checks, none matches",
    ),
    pytest.param(
        {"origins": [lambda origin: origin == "https://request.com"]},
        {"HTTP_ORIGIN": "https://request.com"},
        {"Allow-Origin": "https://request.com"},
        id="callback returns true",
    ),
    pytest.param(
        {"origins": [lambda origin: False]}, {"HTTP_ORIGIN": "https://request.com"}, {}, id="callback returns false"
    ),
    pytest.param({"origins": ()}, {"HTTP_ORIGIN": "https://request.com"}, {}, id="no origins"),
    pytest.param({"origins": "*"}, {"HTTP_ORIGIN": "https://request.com"}, {"Allow-Origin": "*"}, id="every origin"),
    pytest.param(
        {"origins": "*", "headers": "*"},
        preflight("GET", "requestedHeader1,requestedHeader2"),
        {
            "Allow-Origin": "*",
            "Allow-Methods": "GET, HEAD, POST",
            "Allow-Headers": "requestedHeader1, requestedHeader2",
            "Max-Age": "600",
        },
        id="requested headers are reflected",
    ),
    pytest.param(
        {"origins": "*", "expose_headers": ["custom-header1", "custom-header2"]},
        {"HTTP_ORIGIN": ORIGIN},
        {"Allow-Origin": "*", "Expose-Headers": "custom-header1, custom-header2"},
        id="exposed headers",
    ),
    pytest.param(
        {"origins": "*", "expose_headers": "custom-header1"},
        {"HTTP_ORIGIN": ORIGIN},
        {"Allow-Origin": "*", "Expose-Headers": "custom-header1"},
        id="one exposed header",
    ),
    pytest.param({"origins": "*", "expose_headers": []}, {"HTTP_ORIGIN": ORIGIN}, {"Allow-Origin": "*"}, id="none"),
    pytest.param(
        {"origins": "*", "max_age_seconds": 0},
        preflight(),
        {"Allow-Origin": "*", "Allow-Methods": "GET, HEAD, POST", "Max-Age": "0"},
        id="max age of zero",
    ),
    pytest.param(
        {"origins": "*"}, {"method": "OPTIONS", "HTTP_ORIGIN": ORIGIN}, {"Allow-Origin": "*"}, id="no preflight"
    ),
]


@pytest.mark.parametrize(("options", "request_", "expected"), EXPRESS)
def test_express_cases(ask, options, request_, expected):
    answer = ask(layer(**options), **request_)
    assert cors_headers(answer) == expected
    is_preflight = "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request_
    assert answer.code == (204 if is_preflight else 200)
    assert (answer.seen is None) == is_preflight


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://a.example.com", True),
        ("https://a.b.example.com", True),
        ("https://A.Example.com:443", True),
        ("https://example.com", False),
        ("http://a.example.com", False),
        ("https://a.example.com:8443", False),
        ("https://aexample.com", False),
        ("https://a.example.com.evil.example", False),
        ("https://evil.example/.example.com", False),
        ("https://evil.example#.example.com", False),
        ("https://user@a.example.com", False),
        ("null", False),
        ("https://a.example.com, https://b.example.com", False),
    ],
)
def test_a_wildcard_stands_for_subdomains_only(origin, allowed):
    assert CorsMiddleware(print, origins=["https://*.example.com"]).is_allowed(origin) is allowed


def test_a_function_is_never_asked_about_what_is_no_origin():
    layer = CorsMiddleware(print, origins=[lambda origin: True, re.compile(".*")])
    assert layer.is_allowed("https://a.example")
    for text in ("null", "", "a b", "https://a.example/path", "\r\n"):
        assert not layer.is_allowed(text)


def test_a_private_network_is_opened_if_asked_for(ask):
    request = preflight(HTTP_ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK="true")
    answer = ask(layer(origins=[ORIGIN], private_network=True), **request)
    assert cors_headers(answer)["Allow-Private-Network"] == "true"
    assert "Allow-Private-Network" not in cors_headers(
        ask(layer(origins=[ORIGIN], private_network=True), **preflight())
    )


def test_an_application_that_answers_for_itself_is_not_doubled(ask):
    own = [*TEXT, ("access-control-allow-origin", "https://own.example"), ("Vary", "Origin")]
    answer = ask(lambda app: CorsMiddleware(answering([b""], headers=own), origins=[ORIGIN]), HTTP_ORIGIN=ORIGIN)
    assert list(answer.headers) == own


@pytest.mark.parametrize("status", ["304 Not Modified", "404 Not Found", "500 Internal Server Error"])
def test_every_status_carries_the_headers(ask, status):
    headers = [] if status.startswith("304") else TEXT
    answer = ask(lambda app: CorsMiddleware(answering([], status, headers), origins=[ORIGIN]), HTTP_ORIGIN=ORIGIN)
    assert cors_headers(answer) == {"Allow-Origin": ORIGIN}


@pytest.mark.parametrize("is_outside", [True, False])
def test_error_pages_and_refusals_carry_the_headers(ask, is_outside):
    def failing(environ, start_response):
        raise ValueError

    layers = [use(ErrorPagesMiddleware), use(CorsMiddleware, origins=[ORIGIN])]
    if not is_outside:
        layers.reverse()
    answer = ask(lambda app: build_stack(failing, *layers), HTTP_ORIGIN=ORIGIN)
    assert (answer.code, cors_headers(answer)) == (500, {"Allow-Origin": ORIGIN})
    layers.append(use(AccessListMiddleware, allow=["10.0.0.1"]))
    answer = ask(lambda app: build_stack(app, *layers), HTTP_ORIGIN=ORIGIN)
    assert (answer.code, cors_headers(answer)) == (403, {"Allow-Origin": ORIGIN})


def test_a_refused_origin_still_reaches_the_application(ask):
    answer = ask(layer(origins=[ORIGIN]), method="POST", HTTP_ORIGIN="https://evil.example")
    assert (answer.code, cors_headers(answer)) == (200, {})


@pytest.mark.parametrize(
    ("method", "headers", "methods", "names", "reason"),
    [
        ("PUT", "", {"PUT"}, set(), ""),
        ("PUT", "", None, None, ""),
        ("put", "", {"PUT"}, set(), "the method put is not in methods"),
        ("GET", "Content-Type", {"GET"}, {"content-type"}, ""),
        ("GET", " X-A ,, x-b ", {"GET"}, {"x-a", "x-b"}, ""),
        ("GET", "X A", {"GET"}, None, "the header X A is not in headers"),
        ("G T", "", None, None, "the method G T is not in methods"),
    ],
)
def test_method_and_headers_of_a_preflight_are_judged(method, headers, methods, names, reason):
    assert refuse_preflight(method, headers, methods, names) == reason


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"origins": "*", "credentials": True}, "origins with credentials=True: expected a list"),
        ({"origins": ["null"]}, "origins: expected an origin such as"),
        ({"origins": ["example.com"]}, "origins: expected an origin such as"),
        ({"origins": ["https://example.com/"]}, "no slash at the end"),
        ({"origins": ["https://*.*.com"]}, "origins: expected an origin such as"),
        ({"origins": ["https://a.*.com"]}, "origins: expected an origin such as"),
        ({"origins": ["*://example.com"]}, "origins: expected an origin such as"),
        ({"origins": [3]}, "origins: expected an origin such as"),
        ({"methods": ["GET", "*"]}, "methods: expected names such as"),
        ({"methods": ["GET,POST"]}, "methods: expected names such as"),
        ({"headers": ["X A"]}, "headers: expected names such as"),
        ({"expose_headers": [None]}, "expose_headers: expected names such as"),
        ({"max_age_seconds": -1}, "max_age_seconds: expected a whole number"),
        ({"max_age_seconds": True}, "max_age_seconds: expected a whole number"),
        ({"credentials": "yes"}, "credentials: expected True or False"),
        ({"private_network": 1}, "private_network: expected True or False"),
    ],
)
def test_an_option_that_cannot_work_is_refused_while_building(options, text):
    with pytest.raises(ConfigurationError, match="^CorsMiddleware: ") as caught:
        CorsMiddleware(print, **options)
    assert text in str(caught.value)


TEXTS = st.text("htps:/.exampl*,null 1\x00\r\n\xe4", max_size=30)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(origin=TEXTS, method=TEXTS, headers=TEXTS, is_options=st.booleans())
def test_no_header_is_a_500_or_lets_another_origin_read(ask, origin, method, headers, is_options):
    request = {"HTTP_ORIGIN": origin, "method": "OPTIONS" if is_options else "GET"}
    if is_options:
        request |= {"HTTP_ACCESS_CONTROL_REQUEST_METHOD": method, "HTTP_ACCESS_CONTROL_REQUEST_HEADERS": headers}
    answer = ask(layer(origins=["https://*.example.com"], headers="*", methods="*"), **request)
    assert answer.code in (200, 204, 403)
    if "Allow-Origin" in cors_headers(answer):
        assert re.fullmatch(r"(?i)https://([a-z0-9_-]+\.)+example\.com\.?(:443)?", origin)


def test_the_layer_conforms():
    assert_conforms(layer(origins=["https://a.example"]))
    assert_conforms(layer(origins="*"), environ={"HTTP_ORIGIN": "https://a.example"})
