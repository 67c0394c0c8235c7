"""`HttpsMiddleware`: redirects to https, and HSTS."""

from __future__ import annotations

import pytest

from wsgikit.error_pages.middleware import ErrorPagesMiddleware
from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.https import HttpsMiddleware, hsts_value
from wsgikit.middleware.proxy_headers import ProxyHeadersMiddleware
from wsgikit.onion.stack import build_stack, use
from wsgikit.testing import assert_conforms
from wsgikit.testing.probes import TEXT, answering

HTTPS = {"wsgi.url_scheme": "https"}
HSTS = "Strict-Transport-Security"


def layer(**options):
    return lambda app: HttpsMiddleware(app, **options)


@pytest.mark.parametrize(
    ("options", "request_", "code", "location"),
    [
        ({}, {}, 308, "https://example.com/"),
        ({}, {"method": "POST", "path": "/a b?q=1&r=%20"}, 308, "https://example.com/a%20b?q=1&r=%20"),
        ({}, {"HTTP_HOST": "Example.COM:8080"}, 308, "https://example.com/"),
        ({}, {"SCRIPT_NAME": "/app", "path": "//x"}, 308, "https://example.com/app//x"),
        ({"permanent_get": True}, {}, 301, "https://example.com/"),
        ({"permanent_get": True}, {"method": "HEAD"}, 301, "https://example.com/"),
        ({"permanent_get": True}, {"method": "PUT"}, 308, "https://example.com/"),
        ({"host": "secure.example.com"}, {}, 308, "https://secure.example.com/"),
        ({"port": 8443}, {}, 308, "https://example.com:8443/"),
        ({}, {"path": "/a\r\nSet-Cookie: x=y"}, 308, "https://example.com/a%0D%0ASet-Cookie:%20x=y"),
        ({"redirect": False}, {}, 200, None),
        ({}, HTTPS, 200, None),
        ({}, {"HTTP_HOST": "localhost:5000"}, 200, None),
        ({}, {"HTTP_HOST": "app.localhost"}, 200, None),
        ({}, {"HTTP_HOST": "127.0.0.1:5000"}, 200, None),
        ({}, {"HTTP_HOST": "192.168.1.1"}, 200, None),
        ({}, {"HTTP_HOST": "[::1]:5000"}, 200, None),
        ({}, {"HTTP_HOST": "localhost.evil.example"}, 308, "https://localhost.evil.example/"),
        ({}, {"path": "/.well-known/acme-challenge/token"}, 200, None),
        ({}, {"path": "/.well-known/acme-challenge/../../admin"}, 308, "https://example.com/.well-known/acme-challenge/../../admin"),
        ({"exempt": ["/health"]}, {"path": "/health"}, 200, None),
        ({"exempt": ["/health"]}, {"path": "/.well-known/acme-challenge/token"}, 308, "https://example.com/.well-known/acme-challenge/token"),
        ({"exempt": ()}, {"path": "/health"}, 308, "https://example.com/health"),
        ({}, {"HTTP_HOST": "a b"}, 400, None),
        ({}, {"HTTP_HOST": "example.com@evil.example"}, 400, None),
        ({}, {"HTTP_HOST": "example.com/\\evil"}, 400, None),
        ({}, {"HTTP_HOST": None, "SERVER_NAME": "example.com"}, 308, "https://example.com/"),
    ],
)  # fmt: skip
def test_a_request_by_http_is_redirected(ask, options, request_, code, location):
    answer = ask(layer(**options), **request_)
    assert (answer.code, answer["Location"]) == (code, location)
    assert (answer.seen is not None) == (code == 200)
    if code != 200:
        assert answer[HSTS] is None


@pytest.mark.parametrize(
    ("options", "request_", "expected"),
    [
        ({}, HTTPS, "max-age=31536000"),
        ({"hsts_subdomains": True}, HTTPS, "max-age=31536000; includeSubDomains"),
        (
            {"hsts_seconds": 63072000, "hsts_subdomains": True, "hsts_preload": True},
            HTTPS,
            "max-age=63072000; includeSubDomains; preload",
        ),
        ({"hsts_seconds": 0}, HTTPS, "max-age=0"),
        ({"hsts_seconds": None}, HTTPS, None),
        ({"redirect": False}, {}, None),
        ({}, HTTPS | {"HTTP_HOST": "localhost"}, None),
        ({}, HTTPS | {"HTTP_HOST": "10.0.0.1"}, None),
        ({}, HTTPS | {"HTTP_HOST": "[2001:db8::1]:8443"}, None),
        ({}, HTTPS | {"HTTP_HOST": "a b"}, None),
    ],
)
def test_hsts_goes_only_by_https_and_never_to_addresses(ask, options, request_, expected):
    assert ask(layer(**options), **request_)[HSTS] == expected


def test_the_applications_own_hsts_is_kept(ask):
    app = answering([b""], headers=[*TEXT, ("strict-transport-security", "max-age=1")])
    assert ask(lambda inner: HttpsMiddleware(app), **HTTPS).headers.get_all(HSTS) == ["max-age=1"]


def test_error_pages_further_out_carry_hsts(ask):
    def failing(environ, start_response):
        raise ValueError

    answer = ask(lambda app: build_stack(failing, use(ErrorPagesMiddleware), use(HttpsMiddleware)), **HTTPS)
    assert (answer.code, answer[HSTS]) == (500, "max-age=31536000")


@pytest.mark.parametrize(
    "headers",
    [{"HTTP_X_FORWARDED_PROTO": "https"}, {"HTTP_FORWARDED": "proto=https"}, {"HTTP_SEC_FETCH_SITE": "same-origin"}],
)
@pytest.mark.parametrize("with_proxy_headers", [True, False])
def test_a_circle_behind_a_proxy_is_logged_once(ask, caplog, headers, with_proxy_headers):
    proxy = [use(ProxyHeadersMiddleware)] if with_proxy_headers else []
    stacks = []

    def make(app):
        stacks.append(build_stack(app, *proxy, use(HttpsMiddleware)))
        return stacks[0]

    for _ in range(3):
        assert ask(make, **headers).code == 308
    (record,) = caplog.records
    assert record.name == "wsgikit.https"
    assert "leads in a circle" in record.getMessage()
    assert "trusted_proxies" in record.getMessage()


def test_a_plain_redirect_is_not_logged(ask, caplog):
    assert ask(layer()).code == 308
    assert not caplog.records


def test_a_trusted_proxy_says_which_requests_came_by_https(ask):
    def make(app):
        return build_stack(app, use(ProxyHeadersMiddleware, trusted_proxies=["127.0.0.1"]), use(HttpsMiddleware))

    assert ask(make, HTTP_X_FORWARDED_PROTO="https").code == 200
    assert ask(make, HTTP_X_FORWARDED_PROTO="http").code == 308


def test_the_value_of_hsts_is_written_as_its_rfc_has_it():
    assert hsts_value(31536000, subdomains=True, preload=True) == "max-age=31536000; includeSubDomains; preload"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"hsts_preload": True}, "hsts_preload: expected hsts_seconds=31536000 or more, and hsts_subdomains=True"),
        ({"hsts_preload": True, "hsts_subdomains": True, "hsts_seconds": 31535999}, "hsts_preload: expected"),
        ({"hsts_preload": True, "hsts_subdomains": True, "hsts_seconds": None}, "hsts_preload: expected"),
        ({"hsts_seconds": -1}, "hsts_seconds: expected whole seconds"),
        ({"hsts_seconds": True}, "hsts_seconds: expected whole seconds"),
        ({"port": 0}, "port: expected a number from 1 to 65535"),
        ({"host": "https://example.com"}, "host: expected a host without a port"),
        ({"host": "example.com:443"}, "The port is in port="),
        ({"redirect": "on"}, "redirect: expected True or False"),
        ({"exempt": ["health"]}, "exempt: expected a path such as '/api/*'"),
    ],
)
def test_an_option_that_cannot_work_is_refused_while_building(options, text):
    with pytest.raises(ConfigurationError, match="^HttpsMiddleware: ") as caught:
        HttpsMiddleware(print, **options)
    assert text in str(caught.value)


def test_the_layer_conforms():
    assert_conforms(HttpsMiddleware)
    assert_conforms(HttpsMiddleware, environ={"wsgi.url_scheme": "https", "HTTP_HOST": "example.com"})
