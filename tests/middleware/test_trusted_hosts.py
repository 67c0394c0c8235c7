"""`TrustedHostsMiddleware`: the hosts of the site, and texts that are no host."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.trusted_hosts import TrustedHostsMiddleware
from wsgikit.testing import assert_conforms

HOSTS = [
    "example.com",
    ".apex.example",
    "*.wild.example",
    "localhost:*",
    "ports.example:8080",
    "[::1]:8000",
    "127.0.0.1",
]


def layer(hosts=HOSTS, **options):
    return lambda app: TrustedHostsMiddleware(app, hosts=hosts, **options)


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("example.com", 200),
        ("EXAMPLE.com", 200),
        ("example.com.", 200),
        ("example.com:80", 200),
        ("example.com:8080", 200),
        ("www.example.com", 400),
        ("notexample.com", 400),
        ("example.com.evil.example", 400),
        ("apex.example", 200),
        ("a.b.apex.example", 200),
        ("notapex.example", 400),
        ("wild.example", 400),
        ("a.wild.example", 200),
        ("a.b.wild.example:81", 200),
        (".wild.example", 400),
        ("localhost", 200),
        ("localhost:5000", 200),
        ("ports.example:8080", 200),
        ("ports.example", 400),
        ("[::1]:8000", 200),
        ("[0:0:0:0:0:0:0:1]:8000", 200),
        ("[::1]", 400),
        ("127.0.0.1:9000", 200),
        ("10.0.0.1", 400),
        ("[2001:db8::1]", 400),
    ],
)
def test_only_the_hosts_of_the_site_are_answered(ask, host, code):
    assert ask(layer(), HTTP_HOST=host).code == code


# WHATWG URL, "host parsing", and RFC 9110 §7.2.
@pytest.mark.parametrize(
    "host",
    [
        *("", " ", "a b", "example.com ", " example.com", "\x00", "example.com\x00", "x/../y", "example.com/", "/"),
        *("user@example.com", "user:pw@example.com", "example.com@evil.example", "http://example.com", "example.com#f"),
        *(
            "example.com?q",
            "example.com\\x",
            "example.com,example.com",
            "example.com, evil.example",
            "[::1",
            "::1",
            "[]",
        ),
        *("[::1%25eth0]", "[v1.x]", "1.2.3.4.5", "0x7f.1", "127.1", "256.1.1.1", "example.com:x", "example.com:65536"),
        *(
            "example.com:-1",
            "example.com:80:80",
            "example%2ecom",
            "exa\rmple.com",
            "exa\nmple.com",
            "b\xc3\xbccher.example",
        ),
        *("example..com", "<script>", "a" * 300),
    ],
)
def test_a_text_that_is_no_host_is_a_400(ask, host):
    assert ask(layer(), HTTP_HOST=host).code == 400
    assert ask(layer(allow_ip=True), HTTP_HOST=host).code == 400


@pytest.mark.parametrize(
    ("protocol", "name", "code"), [("HTTP/1.1", "example.com", 400), ("HTTP/1.0", "example.com", 200)]
)
def test_a_request_without_a_host_is_judged_by_its_protocol(ask, protocol, name, code):
    assert ask(layer(), HTTP_HOST=None, SERVER_PROTOCOL=protocol, SERVER_NAME=name).code == code
    assert ask(layer(), HTTP_HOST=None, SERVER_PROTOCOL=protocol, SERVER_NAME="evil.example").code == 400


def test_addresses_are_allowed_if_asked_for(ask):
    assert ask(layer(allow_ip=True), HTTP_HOST="10.0.0.1:80").code == 200
    assert ask(layer(allow_ip=True), HTTP_HOST="[2001:db8::1]").code == 200


@pytest.mark.parametrize(
    ("forwarded", "code"),
    [("example.com", 200), ("evil.example", 400), ("example.com, evil.example", 400), ("a b", 400), ("", 200)],
)
def test_a_forwarded_host_that_the_application_could_read_is_judged_too(ask, forwarded, code):
    assert ask(layer(), HTTP_X_FORWARDED_HOST=forwarded).code == code


def test_a_port_of_the_scheme_need_not_be_written(ask):
    assert ask(layer(["example.com:443"]), HTTP_HOST="example.com", **{"wsgi.url_scheme": "https"}).code == 200
    assert ask(layer(["example.com:443"]), HTTP_HOST="example.com").code == 400


@pytest.mark.parametrize(
    ("canonical", "host", "scheme", "location"),
    [
        ("www.example.com", "example.com", "https", "https://www.example.com/a%20b?q=1"),
        ("www.example.com", "example.com:8080", "http", "http://www.example.com/a%20b?q=1"),
        ("www.example.com", "WWW.example.com:8080", "http", None),
        ("www.example.com:8443", "www.example.com", "https", "https://www.example.com:8443/a%20b?q=1"),
        ("www.example.com:443", "www.example.com", "https", None),
    ],
)
def test_other_hosts_are_redirected_to_the_canonical_one(ask, canonical, host, scheme, location):
    request = {"HTTP_HOST": host, "wsgi.url_scheme": scheme}
    answer = ask(layer([".example.com"], canonical=canonical), method="POST", path="/a b?q=1", **request)
    assert answer["Location"] == location
    assert answer.code == (200 if location is None else 308)


def test_a_host_that_is_not_the_sites_is_not_redirected(ask):
    assert ask(layer(canonical="www.example.com"), HTTP_HOST="evil.example").code == 400


def test_the_refusal_follows_accept_and_does_not_repeat_the_host(ask):
    answer = ask(layer(), HTTP_HOST="<script>alert(1)</script>", HTTP_ACCEPT="application/json")
    assert answer["Content-Type"] == "application/problem+json"
    assert b"script" not in answer.body


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"hosts": []}, "hosts: expected hosts such as"),
        ({"hosts": ["*"]}, "Leave the layer out to answer to every host"),
        ({"hosts": ["a.*.com"]}, "hosts: expected hosts such as"),
        ({"hosts": ["https://example.com"]}, "hosts: expected hosts such as"),
        ({"hosts": ["example.com/"]}, "hosts: expected hosts such as"),
        ({"hosts": [".10.0.0.1"]}, "hosts: expected hosts such as"),
        ({"hosts": [None]}, "hosts: expected hosts such as"),
        ({"hosts": ["a.example"], "canonical": ".a.example"}, "canonical: expected one host"),
        ({"hosts": ["a.example"], "allow_ip": "no"}, "allow_ip: expected True or False"),
    ],
)
def test_an_option_that_cannot_work_is_refused_while_building(options, text):
    with pytest.raises(ConfigurationError, match="^TrustedHostsMiddleware: ") as caught:
        TrustedHostsMiddleware(print, **options)
    assert text in str(caught.value)


def test_a_host_in_another_script_is_compared_by_its_idna_form(ask):
    assert ask(layer(["bücher.example"]), HTTP_HOST="xn--bcher-kva.example").code == 200


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(host=st.text("exampl.cowid:[]/@1280 \x00\r\n,%*_-\xe4", max_size=30))
def test_no_host_is_a_500_or_let_in_against_the_list(ask, host):
    answer = ask(layer(["example.com", ".wild.example"]), HTTP_HOST=host)
    name = host.lower().partition(":")[0].removesuffix(".")
    if answer.code == 200:
        assert name == "example.com" or name == "wild.example" or name.endswith(".wild.example")
    else:
        assert answer.code == 400


def test_the_layer_conforms():
    assert_conforms(layer(["localhost", "example.com", "127.0.0.1"], allow_ip=True))
