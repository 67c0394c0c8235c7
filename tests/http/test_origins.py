"""Origins: what is one, and whether a request goes to it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgikit.exceptions import ConfigurationError
from wsgikit.http.origins import Origin, is_origin_of, parse_origin, required_origin


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://example.com", Origin("https", "example.com", None)),
        ("https://example.com:443", Origin("https", "example.com", None)),
        ("http://example.com:443", Origin("http", "example.com", 443)),
        ("HTTPS://Example.COM:8443", Origin("https", "example.com", 8443)),
        ("https://[2001:DB8::1]:8443", Origin("https", "2001:db8::1", 8443)),
        ("chrome-extension://abcdefghijklmnop", Origin("chrome-extension", "abcdefghijklmnop", None)),
        ("http://127.0.0.1:8000", Origin("http", "127.0.0.1", 8000)),
    ],
)
def test_an_origin_is_read_in_normal_form(text, origin):
    assert parse_origin(text) == origin
    assert parse_origin(str(origin)) == origin


NO_ORIGINS = [
    "",
    "null",
    "example.com",
    "//example.com",
    "https://",
    "https://:443",
    "https://example.com:",
    "https://example.com/",
    "https://example.com/path",
    "https://example.com?q",
    "https://example.com#f",
    "https://user@example.com",
    "https://user:pw@example.com",
    "https://ex ample.com",
    " https://example.com",
    "https://example.com ",
    "https://example.com, https://b.example",
    "https://example.com https://b.example",
    "https://example.com:65536",
    "https://example.com:x",
    "https://exa\x00mple.com",
    "https://example.com\r\n",
    "https://*.example.com",
    "https://[::1",
    "https://1.2.3.4.5",
    "https:example.com",
    "https:/example.com",
    "1https://example.com",
    "javascript:alert(1)//example.com",
]


@pytest.mark.parametrize("text", NO_ORIGINS)
def test_a_text_that_is_no_origin_is_none(text):
    assert parse_origin(text) is None
    with pytest.raises(ConfigurationError, match="Layer: option: expected an origin such as"):
        required_origin(text, "Layer", "option")


def test_an_option_may_be_written_in_another_script_and_a_header_may_not():
    assert required_origin("https://bücher.example", "Layer", "option").host == "xn--bcher-kva.example"
    assert parse_origin("https://bücher.example") is None


@pytest.mark.parametrize(
    ("origin", "host", "expected"),
    [
        ("https://example.com", "example.com", True),
        ("http://example.com", "example.com", True),
        ("https://example.com", "EXAMPLE.com.", True),
        ("https://example.com", "example.com:443", True),
        ("http://example.com", "example.com:80", True),
        ("https://example.com", "example.com:80", False),
        ("http://example.com", "example.com:443", False),
        ("https://example.com:8443", "example.com:8443", True),
        ("https://example.com:8443", "example.com", False),
        ("https://example.com", "example.com:8443", False),
        ("http://example.com:443", "example.com", False),
        ("https://[::1]", "[0:0::1]", True),
        ("https://evil.example", "example.com", False),
        ("https://example.com", "", False),
        ("https://example.com", "a b", False),
        ("chrome-extension://example.com", "example.com", False),
    ],
)
def test_a_request_goes_to_the_origin_of_its_host(origin, host, expected):
    assert is_origin_of(parse_origin(origin), host) is expected


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=60) | st.text("htps:/.@[]% \x00\r\n?#*,-1a", max_size=40))
def test_whatever_is_read_is_written_as_the_same_origin(text):
    origin = parse_origin(text)
    if origin is not None:
        written = str(origin)
        assert written.isascii()
        assert written.isprintable()
        assert not set(written.partition("://")[2]) & set(" /@?#,*\\")
        assert parse_origin(written) == origin
