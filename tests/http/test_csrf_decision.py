"""The decision of csrf by headers: Go's table, and where we are stricter."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgikit.http.csrf_decision import ALLOWED, judge
from wsgikit.http.origins import required_origin

TRUSTED = frozenset({required_origin("https://trusted.example", "test", "trusted_origins")})


def decide(method="POST", site=None, origin=None, host="example.com", tokens="never", **options):
    return judge(method, site, origin, host, tokens=tokens, trusted=TRUSTED, **options)


# golang/go, src/net/http/csrf_test.go: TestCrossOriginProtectionSecFetchSite, …TrustedOriginBypass.
GO = [
    ("same-origin allowed", "POST", "same-origin", None, True),
    ("none allowed", "POST", "none", None, True),
    ("cross-site blocked", "POST", "cross-site", None, False),
    ("same-site blocked", "POST", "same-site", None, False),
    ("no header with no origin", "POST", None, None, True),
    ("no header with matching origin", "POST", None, "https://example.com", True),
    ("no header with mismatched origin", "POST", None, "https://attacker.example", False),
    ("no header with null origin", "POST", None, "null", False),
    ("GET allowed", "GET", "cross-site", None, True),
    ("HEAD allowed", "HEAD", "cross-site", None, True),
    ("OPTIONS allowed", "OPTIONS", "cross-site", None, True),
    ("PUT blocked", "PUT", "cross-site", None, False),
    ("trusted origin without sec-fetch-site", "POST", None, "https://trusted.example", True),
    ("trusted origin with cross-site", "POST", "cross-site", "https://trusted.example", True),
    ("untrusted origin without sec-fetch-site", "POST", None, "https://attacker.example", False),
    ("untrusted origin with cross-site", "POST", "cross-site", "https://attacker.example", False),
]


@pytest.mark.parametrize(("method", "site", "origin", "allowed"), [row[1:] for row in GO], ids=[row[0] for row in GO])
def test_go_cases(method, site, origin, allowed):
    reason, awaits_token = decide(method, site, origin)
    assert (reason in ALLOWED) is allowed
    assert not awaits_token


@pytest.mark.parametrize(
    ("request_", "reason", "awaits_token"),
    [
        ({"method": "TRACE", "site": "cross-site"}, "cross-site", False),
        ({"method": "get", "site": "cross-site"}, "cross-site", False),
        ({"method": "DELETE", "site": "same-site"}, "same-site", False),
        ({"method": "PROPFIND"}, "no-browser", False),
        ({"site": "Same-Origin"}, "cross-site", False),
        ({"site": "same-origin, cross-site"}, "cross-site", False),
        ({"site": ""}, "no-browser", False),
        ({"origin": ""}, "no-browser", False),
        ({"site": "same-origin", "origin": "null"}, "same-origin", False),
        ({"site": "same-origin", "origin": "https://attacker.example"}, "same-origin", False),
        ({"site": "same-site", "origin": "https://trusted.example"}, "trusted-origin", False),
        ({"origin": "https://TRUSTED.example:443"}, "trusted-origin", False),
        ({"origin": "http://trusted.example"}, "origin-mismatch", False),
        ({"origin": "https://trusted.example.evil.example"}, "origin-mismatch", False),
        ({"origin": "https://trusted.example, https://evil.example"}, "origin-mismatch", False),
        # The scheme isn't compared: a proxy ends TLS. Default ports may be written or not.
        ({"origin": "http://example.com"}, "same-origin", False),
        ({"origin": "https://example.com", "host": "example.com:443"}, "same-origin", False),
        ({"origin": "https://EXAMPLE.com", "host": "example.com."}, "same-origin", False),
        ({"origin": "https://example.com:8443"}, "origin-mismatch", False),
        ({"origin": "https://example.com", "host": "example.com:8443"}, "origin-mismatch", False),
        ({"origin": "https://example.com@evil.example"}, "origin-mismatch", False),
        ({"origin": "https://example.com/"}, "origin-mismatch", False),
        ({"origin": "example.com"}, "origin-mismatch", False),
        ({"origin": "https://example.com", "host": ""}, "origin-mismatch", False),
        ({"origin": "https://", "host": ""}, "origin-mismatch", False),
        # The token rule.
        ({"tokens": "fallback"}, "token-missing", True),
        ({"tokens": "fallback", "has_credentials": False}, "no-browser", False),
        ({"tokens": "fallback", "origin": "null"}, "origin-null", True),
        ({"tokens": "fallback", "origin": "null", "site": "cross-site"}, "cross-site", False),
        ({"tokens": "fallback", "origin": "https://evil.example"}, "origin-mismatch", False),
        ({"tokens": "fallback", "site": "same-origin"}, "same-origin", False),
        ({"tokens": "always", "site": "same-origin"}, "token-missing", True),
        ({"tokens": "always", "site": "none"}, "token-missing", True),
        ({"tokens": "always", "origin": "https://example.com"}, "token-missing", True),
        ({"tokens": "always", "origin": "https://trusted.example"}, "trusted-origin", False),
        ({"tokens": "always", "has_credentials": False}, "no-browser", False),
        ({"tokens": "always", "method": "GET"}, "safe-method", False),
    ],
)
def test_the_decision_and_its_reason(request_, reason, awaits_token):
    assert decide(**request_) == (reason, awaits_token)


# Django, tests/csrf_tests/tests.py: the cases of Origin that don't depend on its cookie.
@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("https://www.example.com", "www.example.com", True),
        ("https://www.evil.org", "www.example.com", False),
        ("null", "www.example.com", False),
        ("https://[", "www.example.com", False),
        ("https://]", "www.example.com", False),
        ("//www.example.com", "www.example.com", False),
        ("http://example.com", "www.example.com", False),
        ("https://foo.example.com", "www.example.com", False),
        ("https://@:", "www.example.com", False),
    ],
)
def test_django_origin_cases(origin, host, allowed):
    assert (decide(origin=origin, host=host)[0] in ALLOWED) is allowed


def test_rails_plain_http_form_under_no_referrer_needs_a_token():
    """On a plain http network a browser sends ``Origin: null`` and no Fetch Metadata for our own form."""
    reason, awaits_token = decide(origin="null", host="10.0.0.5:3000", tokens="fallback")
    assert (reason, awaits_token) == ("origin-null", True)


TEXTS = (
    st.none() | st.text("htps:/.exampl@com,nul 1[]\x00\r\n\xe4", max_size=30) | st.sampled_from(["cross-site", "null"])
)


@settings(max_examples=300, deadline=None)
@given(
    method=st.sampled_from(["POST", "PUT", "X"]),
    site=TEXTS,
    origin=TEXTS,
    host=TEXTS,
    tokens=st.sampled_from(["fallback", "never", "always"]),
)
def test_no_header_is_an_error_or_passes_without_a_reason(method, site, origin, host, tokens):
    reason, awaits_token = decide(method, site, origin, host or "", tokens)
    if reason == "same-origin":
        is_said = site in ("same-origin", "none")
        is_equal = (origin or "").lower().partition("://")[2].removesuffix(".") in (host or "").lower()
        assert is_said or is_equal
    elif reason in ALLOWED:
        assert (reason, site or "", origin or "") == ("no-browser", "", "")
    assert not awaits_token or tokens != "never"
