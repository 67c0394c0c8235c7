"""Hosts: the syntax, and what a request's names of it give."""

from __future__ import annotations

import ipaddress

import pytest
import werkzeug.wrappers
from hypothesis import given
from hypothesis import strategies as st
from webtest import TestApp
from werkzeug.exceptions import BadRequest, SecurityError

from wsgikit.http.hosts import Host, host_of, is_loopback, is_loopback_or_ip, is_trusted, parse_host
from wsgikit.http.request import Request
from wsgikit.routing.router import Router

# Django's legitimate hosts (tests/requests_tests, HostValidationTests), then ours.
HOSTS = {
    "example.com": "example.com",
    "example.com:80": "example.com:80",
    "12.34.56.78": "12.34.56.78",
    "12.34.56.78:443": "12.34.56.78:443",
    "[2001:19f0:feee::dead:beef:cafe]": "[2001:19f0:feee::dead:beef:cafe]",
    "[2001:19f0:feee::dead:beef:cafe]:8080": "[2001:19f0:feee::dead:beef:cafe]:8080",
    "xn--4ca9at.com": "xn--4ca9at.com",
    "INSENSITIVE.com": "insensitive.com",
    "example.com.": "example.com",
    "example.com.:80": "example.com:80",
    "[::ffff:169.254.169.254]": "[::ffff:a9fe:a9fe]",
    "localhost": "localhost",
    "my_service:8000": "my_service:8000",
    "a-b.c--d": "a-b.c--d",
    "[0:0::1]": "[::1]",
    "bücher.example": "xn--bcher-kva.example",
    "ＥＸＡＭＰＬＥ.com": "example.com",  # noqa: RUF001  # full width
    "example.com:": "example.com",
    "example.com:00080": "example.com:80",
    "1.example": "1.example",
    "1e1": "1e1",
}


@pytest.mark.parametrize(("text", "written"), HOSTS.items(), ids=HOSTS)
def test_a_host_is_read_into_one_form(text, written):
    host = parse_host(text)
    assert str(host) == written
    assert parse_host(written) == host


def test_a_host_has_name_port_and_address():
    assert parse_host("Example.com:8080") == Host("example.com", 8080, None)
    assert parse_host("[::1]:1") == Host("::1", 1, ipaddress.ip_address("::1"))
    assert parse_host("10.0.0.1") == Host("10.0.0.1", None, ipaddress.ip_address("10.0.0.1"))


NO_HOSTS = [
    # Django's poisoned hosts (as above)
    "example.com@evil.tld",
    "example.com:dr.frankenstein@evil.tld",
    "example.com:dr.frankenstein@evil.tld:80",
    "example.com:80/badpath",
    "example.com: recovermypassword.com",
    # ours
    "",
    ".",
    "..",
    "a..b",
    ".example.com",
    "example.com..",
    "a b",
    " a",
    "a\t",
    "a\0b",
    "a\r\nX: y",
    "a\n",
    "x/../y",
    "x\\y",
    "a#b",
    "a?b",
    "a%41",
    "a<b>",
    "a,b",
    "a;b",
    "a*b",
    "*",
    ":80",
    "a:b",
    "a:-1",
    "a:+1",
    "a:65536",
    "a:99999999999999999999",
    "a:\u0661",
    "a:1:2",
    "::1",
    "[::1",
    "::1]",
    "[]",
    "[::1]x",
    "[fe80::1%eth0]",
    "[1.2.3.4]",
    "[:::]",
    "[::1].example",
    "256.1.1.1",
    "1.2.3",
    "2130706433",
    "0x7f.1",
    "a.0x7f",
    "0x",
    "127.1",
    "01.2.3.4",
    "1.2.3.4.5",
    "a.b.1",
    "-a.example",
    "a-.example",
    "a" * 64,
    "a." * 127 + "b",
    "a\xa0b",  # IDNA makes a space of it
    "a\u2024b/..",
    "\u2100.example",  # IDNA makes a/c of it
    "a\ud800",
]


@pytest.mark.parametrize("text", NO_HOSTS, ids=ascii)
def test_a_text_that_is_no_host_is_refused(text):
    assert parse_host(text) is None


@given(st.text(max_size=20))
def test_a_host_that_is_read_can_stand_in_a_url(text):
    host = parse_host(text)
    if host is not None:
        written = str(host)
        assert written.isascii()
        assert not set(written) & set(" /\\?#@%\r\n\t\0")
        assert parse_host(written) == host


LOCAL = {
    "localhost": (True, True),
    "LOCALHOST.:5000": (True, True),
    "app.localhost": (True, True),
    "127.0.0.1:80": (True, True),
    "127.3.2.1": (True, True),
    "[::1]": (True, True),
    "[::ffff:127.0.0.1]": (True, True),
    "10.0.0.1": (False, True),
    "[2001:db8::1]": (False, True),
    "example.com": (False, False),
    "localhost.evil.example": (False, False),
    "127.0.0.1.evil.example": (False, False),
    "xlocalhost": (False, False),
}


@pytest.mark.parametrize(("text", "expected"), LOCAL.items(), ids=LOCAL)
def test_loopback_names_and_addresses_are_told_from_others(text, expected):
    host = parse_host(text)
    assert (is_loopback(host), is_loopback_or_ip(host)) == expected


@pytest.mark.parametrize(
    ("environ", "host"),
    [
        ({"HTTP_HOST": "A.example:81"}, "a.example:81"),
        ({"HTTP_HOST": ""}, "None"),
        ({"HTTP_HOST": "b\xfccher.example"}, "None"),
        ({"HTTP_HOST": "exam\xadple.com"}, "None"),
        ({"SERVER_NAME": "b.example", "SERVER_PORT": "80"}, "b.example:80"),
        ({"SERVER_NAME": "/run/app.sock", "SERVER_PORT": ""}, "None"),
        ({}, "None"),
    ],
    ids=["header", "empty header", "not ASCII", "soft hyphen", "server", "Unix socket", "nothing"],
)
def test_the_host_of_a_request(environ, host):
    assert str(host_of(environ)) == host


TRUSTED = {
    "the same": ("example.com", ["example.com"], True),
    "another": ("evil.com", ["example.com"], False),
    "any port": ("example.com:8080", ["example.com"], True),
    "a name below": ("a.example.com", ["example.com"], False),
    "a name below, with a dot": ("a.example.com", [".example.com"], True),
    "the name itself, with a dot": ("example.com", [".example.com"], True),
    "an end of the name": ("badexample.com", [".example.com"], False),
    "upper case": ("EXAMPLE.com", ["Example.COM"], True),
    "IDNA": ("xn--bcher-kva.example", ["bücher.example"], True),
    "IPv6": ("[::1]:80", ["[::1]"], True),
    "nothing": ("example.com", [], False),
    "an entry that is no host": ("example.com", ["a b", "example.com"], True),
}


@pytest.mark.parametrize(("text", "trusted", "expected"), TRUSTED.values(), ids=TRUSTED)
def test_a_host_is_trusted_as_in_werkzeug(text, trusted, expected):
    assert is_trusted(parse_host(text), trusted) is expected


# ---------------------------------------------------------------------- the request's names


def request_for(**environ):
    return Request(
        {
            "REQUEST_METHOD": "GET",
            "wsgi.url_scheme": "http",
            "SERVER_NAME": "server",
            "SERVER_PORT": "80",
            "PATH_INFO": "/a",
            **environ,
        }
    )


NAMES = ["host", "host_url", "application_url", "path_url", "url", "base_url", "url_root", "domain"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("header", ["a b", "x/../y", "a@b", "a\0", "", "a:b", "\xff"], ids=ascii)
def test_a_header_that_is_no_host_is_a_400_by_itself(name, header):
    with pytest.raises(BadRequest, match="is not a host of this site"):
        getattr(request_for(HTTP_HOST=header), name)


def test_a_view_that_asks_for_the_url_answers_400_to_a_header_that_is_no_host():
    router = Router("x")

    @router.get("/url")
    def view(request: Request):
        return request.url

    app = TestApp(router)
    assert app.get("/url", headers={"Host": "example.org:8080"}).text == "http://example.org:8080/url"
    assert app.get("/url", headers={"Host": "x/../y"}, expect_errors=True).status_int == 400


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["Example.org", "example.org:80", "example.org:443", "[::1]:8000", "a:81", "a."])
def test_the_urls_of_a_host_are_webobs(scheme, host):
    import webob

    ours = request_for(HTTP_HOST=host, **{"wsgi.url_scheme": scheme})
    theirs = webob.Request(ours.environ)
    for name in ("host", "host_url", "application_url", "path_url", "url", "domain", "host_port"):
        assert getattr(ours, name) == getattr(theirs, name), name


def test_a_request_without_the_header_is_for_the_server():
    request = request_for(SERVER_PORT="8000")
    assert (request.host, request.url, request.domain) == ("server:8000", "http://server:8000/a", "server")
    assert request_for().host_url == "http://server"


def test_the_host_can_be_set_and_deleted():
    request = request_for()
    request.host = "a.example"
    assert request.url == "http://a.example/a"
    del request.host
    assert request.host == "server:80"


@pytest.mark.parametrize("host", ["example.org", "a.example.org:81", "evil.example", "EXAMPLE.org", "badexample.org"])
def test_trusted_hosts_refuse_what_flask_refuses(host):
    ours, theirs = request_for(HTTP_HOST=host), werkzeug.wrappers.Request(request_for(HTTP_HOST=host).environ)
    ours.trusted_hosts = theirs.trusted_hosts = [".example.org"]
    results = []
    for request in (ours, theirs):
        try:
            results.append(request.host)
        except SecurityError:
            results.append("refused")
    if host == "EXAMPLE.org":  # Werkzeug compares with regard to case; RFC 9110 §4.2.3 doesn't
        assert results == ["EXAMPLE.org", "refused"]
    else:
        assert results[0] == results[1]


def test_trusted_hosts_can_be_set_on_a_class():
    class Mine(Request):
        trusted_hosts = ("example.org",)

    assert Mine(request_for(HTTP_HOST="example.org").environ).url == "http://example.org/a"
    with pytest.raises(SecurityError):
        Mine(request_for(HTTP_HOST="example.com").environ).url
    with pytest.raises(SecurityError):
        Mine(request_for().environ).url
