"""Content-Security-Policy and Permissions-Policy: Helmet's defaults, byte for byte, and what Helmet refuses."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgikit.exceptions import ConfigurationError
from wsgikit.http.csp import DEFAULT_DIRECTIVES, NONCE, build_csp, build_permissions_policy

# helmetjs/helmet 8, test/content-security-policy.test.ts and README.
HELMET = (
    "default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';frame-ancestors 'self';"
    "img-src 'self' data:;object-src 'none';script-src 'self';script-src-attr 'none';"
    "style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests"
)


def build(changes, base=None):
    return build_csp(changes, "Layer", "csp", base)


def test_the_defaults_are_helmets_byte_for_byte():
    assert build({}, DEFAULT_DIRECTIVES).header() == HELMET


# test/content-security-policy.test.ts; names in camelCase are Helmet's own.
@pytest.mark.parametrize(
    ("changes", "header"),
    [
        (
            {"default-src": ["'self'"], "script-src": ["example.com"], "style-src": ["'none'"]},
            "default-src 'self';script-src example.com;style-src 'none'",
        ),
        ({"default-src": ["'self'"], "sandbox": []}, "default-src 'self';sandbox"),
        ({"default-src": {"'self'"}, "sandbox": iter(())}, "default-src 'self';sandbox"),
        (
            {"default-src": "'self'  example.com", "script-src": "'none'", "sandbox": ""},
            "default-src 'self' example.com;script-src 'none';sandbox",
        ),
        ({"default-src": "'self'", "script-src": None}, "default-src 'self'"),
        ({"default-src": []}, "default-src"),
        ({"default-src": None, "script-src": ["example.com"]}, "script-src example.com"),
        ({"Default-Src": "'self'", "sandbox": "()"}, "default-src 'self';sandbox"),
        ({"default-src": "https://*.example.com:* data: blob: 'sha256-AbC+/=='"},
         "default-src https://*.example.com:* data: blob: 'sha256-AbC+/=='"),
        ({"default-src": "'self'", "report-uri": "/csp?x=1", "report-to": "main"},
         "default-src 'self';report-uri /csp?x=1;report-to main"),
        ({"default-src": "'self'", "require-trusted-types-for": "'script'", "trusted-types": "one 'allow-duplicates'"},
         "default-src 'self';require-trusted-types-for 'script';trusted-types one 'allow-duplicates'"),
    ],
)  # fmt: skip
def test_directives_are_written_in_their_order(changes, header):
    assert build(changes).header() == header


def test_changes_are_merged_into_the_defaults():
    changes = {"default-src": ["'self'", "example.com"], "base-uri": None, "script-src": ["example.com"]}
    assert build(changes, DEFAULT_DIRECTIVES).header() == (
        "default-src 'self' example.com;font-src 'self' https: data:;form-action 'self';frame-ancestors 'self';"
        "img-src 'self' data:;object-src 'none';script-src example.com;script-src-attr 'none';"
        "style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests"
    )


@pytest.mark.parametrize(
    "name",
    [
        *("", ";", "á", "default src", "default;src", "default,src", "default!src", "defáult-src", "default_src"),
        *("__proto__", "scriptsrc", "script-source", None, 3, "default-src\n"),
    ],
)
def test_a_name_that_is_no_directive_is_refused(name):
    with pytest.raises(ConfigurationError, match="Layer: csp: expected directives of CSP such as 'script-src'"):
        build({"default-src": "'self'", name: ["value"]})


def test_a_name_that_is_nearly_a_directive_is_suggested():
    with pytest.raises(ConfigurationError, match="Did you mean 'script-src'"):
        build({"script_src": "'self'"}, DEFAULT_DIRECTIVES)


def test_a_directive_that_is_there_twice_is_refused():
    with pytest.raises(ConfigurationError, match="csp: expected each directive once, got 'Script-Src'"):
        build({"default-src": "'self'", "script-src": "'self'", "Script-Src": "'self'"})


@pytest.mark.parametrize(
    "source",
    [
        # Helmet's.
        *(";", ",", "hello;world", "hello,world", "none", "self", "strict-dynamic", "report-sample"),
        *("inline-speculation-rules", "unsafe-inline", "unsafe-eval", "unsafe-hashes", "wasm-unsafe-eval"),
        *("nonce-123", "sha256-123", "sha384-123", "sha512-123"),
        # Ours.
        *("'slef'", "'self", "self'", "''", "'", "'example.com'", "Self", "UNSAFE-INLINE", "'nonce-abc'", "é", "\x00"),
        *("a\rb;", "\x7f", 3, None),
    ],
)
def test_a_source_that_cannot_be_meant_is_refused(source):
    with pytest.raises(ConfigurationError, match=r"Layer: csp\['script-src'\]: expected"):
        build({"default-src": "'self'", "script-src": [source]})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "expected at least one directive"),
        ({"default-src": None}, "expected at least one directive"),
        ({"script-src": ["example.com"]}, "expected a default-src"),
        ({"default-src": "'none' 'self'"}, "expected 'none' alone"),
        ({"default-src": 3}, "expected sources in a list or a text"),
        ({"default-src": "'self'", "img-src": [NONCE]}, "NONCE works in"),
        ("default-src 'self'", "expected a mapping of directives"),
    ],
)
def test_a_policy_that_cannot_work_is_refused(changes, text):
    with pytest.raises(ConfigurationError) as caught:
        build(changes)
    assert text in str(caught.value)


def test_the_nonce_is_written_if_it_is_used_and_disappears_otherwise():
    policy = build({"default-src": "'self'", "script-src": ["'self'", NONCE], "style-src": NONCE})
    assert policy.takes_nonce
    assert policy.header("abc") == "default-src 'self';script-src 'self' 'nonce-abc';style-src 'nonce-abc'"
    assert policy.header() == "default-src 'self';script-src 'self';style-src 'none'"


def test_the_upgrade_can_be_left_out():
    assert build({}, DEFAULT_DIRECTIVES).header(upgrades=False) == HELMET.removesuffix(";upgrade-insecure-requests")


@settings(max_examples=300, deadline=None)
@given(
    changes=st.dictionaries(
        st.sampled_from(sorted(DEFAULT_DIRECTIVES)) | st.text(max_size=8),
        st.lists(st.text(max_size=12) | st.sampled_from(["'self'", "https:", "self", NONCE])) | st.text(max_size=12),
        max_size=5,
    )
)
def test_no_option_puts_another_directive_into_the_header(changes):
    try:
        policy = build(changes, DEFAULT_DIRECTIVES)
    except ConfigurationError:
        return
    header = policy.header("n")
    assert header.isascii()
    assert header.isprintable()
    assert "," not in header
    names = [part.split(" ")[0] for part in header.split(";")]
    assert set(names) == set(policy.directives)
    assert len(names) == len(policy.directives)


@pytest.mark.parametrize(
    ("features", "value"),
    [
        ({"camera": [], "geolocation": ["self"]}, "camera=(), geolocation=(self)"),
        ({"camera": "()", "geolocation": "self https://a.example"}, 'camera=(), geolocation=(self "https://a.example")'),
        ({"fullscreen": "*", "usb": ["src", "https://a.example:8443"]}, 'fullscreen=*, usb=(src "https://a.example:8443")'),
    ],
)  # fmt: skip
def test_features_are_written_as_a_structured_header(features, value):
    assert build_permissions_policy(features, "Layer", "permissions_policy") == value


@pytest.mark.parametrize(
    "features",
    [
        *({}, {"": []}, {"Camera": []}, {"a b": []}, "x"),
        *({"camera": ["example.com"]}, {"camera": ["https://a/b"]}, {"camera": ['"x"']}),
    ],
)
def test_a_feature_that_cannot_be_meant_is_refused(features):
    with pytest.raises(ConfigurationError, match="^Layer: permissions_policy"):
        build_permissions_policy(features, "Layer", "permissions_policy")
