"""`ProxyHeadersMiddleware`: waitress' cases, whose application it is the oracle of, and what nobody may get through."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsgikit.error_pages.middleware import ErrorPagesMiddleware
from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.access_list import AccessListMiddleware
from wsgikit.middleware.proxy_headers import ProxyHeadersMiddleware
from wsgikit.onion.stack import build_stack, use
from wsgikit.testing import assert_conforms

ALL = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix"]
PEER = {"REMOTE_ADDR": "192.168.1.1", "REMOTE_PORT": "4711", "HTTP_HOST": "backend:8080", "SERVER_PORT": "8080"}


def layer(trusted_proxies=("192.168.1.0/24",), headers=ALL, **options):
    return lambda app: ProxyHeadersMiddleware(app, trusted_proxies=trusted_proxies, headers=headers, **options)


def keys(**headers):
    return {f"HTTP_{name}": value for name, value in headers.items()}


# Pylons/waitress, tests/test_proxy_headers.py. Its trusted_proxy_count=2 is 203.0.113.1 as a trusted proxy here.
WAITRESS = [
    pytest.param({}, keys(X_FORWARDED_PROTO="https"), {"wsgi.url_scheme": "http"}, id="scheme, untrusted"),
    pytest.param(
        {"headers": ["x-forwarded-proto"]},
        keys(X_FORWARDED_PROTO="https", X_FOO="BAR"),
        {"SERVER_PORT": "443", "SERVER_NAME": "localhost", "REMOTE_ADDR": "192.168.1.1", "HTTP_X_FOO": "BAR"},
        id="scheme, trusted",
    ),
    pytest.param(
        {"headers": ["x-forwarded-for"]},
        keys(X_FORWARDED_FOR="198.51.100.2", X_FORWARDED_PROTO="https", X_FORWARDED_HOST="example.org"),
        {"HTTP_X_FORWARDED_PROTO": None, "HTTP_X_FORWARDED_HOST": None, "wsgi.url_scheme": "http"},
        id="only trusted headers",
    ),
    pytest.param(
        {"strip_untrusted": False, "headers": ["x-forwarded-proto"]},
        keys(X_FORWARDED_FOR="198.51.100.2", X_FORWARDED_BY="Waitress", X_FORWARDED_HOST="example.org"),
        {
            "HTTP_X_FORWARDED_FOR": "198.51.100.2",
            "HTTP_X_FORWARDED_BY": "Waitress",
            "HTTP_X_FORWARDED_HOST": "example.org",
            "REMOTE_ADDR": "192.168.1.1",
            "HTTP_HOST": "backend:8080",
        },
        id="all headers stay",
    ),
    pytest.param({}, keys(X_FORWARDED_FOR="192.0.2.1"), {"REMOTE_ADDR": "192.0.2.1"}, id="for"),
    pytest.param({}, keys(X_FORWARDED_FOR="2001:db8::0"), {"REMOTE_ADDR": "2001:db8::"}, id="for, v6 without brackets"),
    pytest.param(
        {},
        keys(X_FORWARDED_FOR="192.0.2.1, 198.51.100.2, 203.0.113.1"),
        {"REMOTE_ADDR": "198.51.100.2", "HTTP_X_FORWARDED_FOR": "198.51.100.2, 203.0.113.1", "REMOTE_PORT": None},
        id="for, multiple",
    ),
    pytest.param(
        {"headers": ["forwarded"]},
        keys(FORWARDED="For=192.0.2.1;host=fake.com, For=198.51.100.2;host=example.com:8080, For=203.0.113.1"),
        {
            "REMOTE_ADDR": "198.51.100.2",
            "SERVER_NAME": "example.com",
            "HTTP_HOST": "example.com:8080",
        },
        id="forwarded, only two proxies",
    ),
    pytest.param(
        {"headers": ["forwarded"]},
        keys(
            FORWARDED='for="[2001:db8::1]:3821";host="example.com:8443";proto="https", '
            'for=203.0.113.1;host="example.internal:8080"'
        ),
        {
            "REMOTE_ADDR": "2001:db8::1",
            "SERVER_NAME": "example.com",
            "HTTP_HOST": "example.com:8443",
            "SERVER_PORT": "8443",
            "wsgi.url_scheme": "https",
        },
        id="forwarded, multiple proxies",
    ),
    pytest.param(
        {"headers": ["forwarded"]},
        keys(FORWARDED='for="[2001:db8::1]";proto="https", for=203.0.113.1;host="example.org"'),
        {
            "REMOTE_ADDR": "2001:db8::1",
            "SERVER_NAME": "example.org",
            "HTTP_HOST": "example.org",
            "SERVER_PORT": "443",
            "wsgi.url_scheme": "https",
        },
        id="forwarded, minimal",
    ),
    pytest.param(
        {},
        keys(X_FORWARDED_PROTO="http", X_FORWARDED_HOST="example.com:8080"),
        {"SERVER_NAME": "example.com", "HTTP_HOST": "example.com:8080", "SERVER_PORT": "8080"},
        id="host with port",
    ),
    pytest.param(
        {},
        keys(X_FORWARDED_PROTO="http", X_FORWARDED_HOST="example.com"),
        {"SERVER_NAME": "example.com", "HTTP_HOST": "example.com", "SERVER_PORT": "80"},
        id="host without port",
    ),
    pytest.param(
        {},
        keys(X_FORWARDED_PROTO="http", X_FORWARDED_HOST="example.com", X_FORWARDED_PORT="8080"),
        {"SERVER_NAME": "example.com", "HTTP_HOST": "example.com:8080", "SERVER_PORT": "8080"},
        id="host, port in its own header",
    ),
    pytest.param(
        {"headers": ["forwarded"]},
        keys(FORWARDED="For=198.51.100.2:5858;host=example.com:8080;proto=https"),
        {
            "REMOTE_ADDR": "198.51.100.2",
            "SERVER_NAME": "example.com",
            "HTTP_HOST": "example.com:8080",
            "SERVER_PORT": "8080",
            "wsgi.url_scheme": "https",
        },
        id="forwarded",
    ),
    pytest.param(
        {"headers": ["forwarded"]},
        keys(FORWARDED="For=198.51.100.2;;proto=https;by=_unused"),
        {"REMOTE_ADDR": "198.51.100.2"},
        id="forwarded, empty pair",
    ),
    pytest.param(
        {"headers": ["forwarded"]}, keys(FORWARDED="For=198.51.100.2; proto =https"), 400, id="blank before a token"
    ),
    pytest.param({"headers": ["forwarded"]}, keys(FORWARDED='For= "198.51.100.2"'), 400, id="blank before a value"),
    pytest.param({"headers": ["forwarded"]}, keys(FORWARDED="For"), 400, id="no equals sign"),
    pytest.param(
        {"headers": ["forwarded"]},
        keys(FORWARDED='For=198.51.100.2;host=example.com:8080;proto=https;unknown="yolo"'),
        {"REMOTE_ADDR": "198.51.100.2", "HTTP_HOST": "example.com:8080", "wsgi.url_scheme": "https"},
        id="unknown token",
    ),
    pytest.param({}, keys(X_FORWARDED_PROTO="http, https"), 400, id="several schemes"),
    pytest.param({}, keys(X_FORWARDED_PORT="443, 80"), 400, id="several ports"),
    pytest.param({}, keys(X_FORWARDED_PROTO="http://p02n3e.com?url=http"), 400, id="bogus scheme"),
    pytest.param(
        {},
        keys(X_FORWARDED_PORT="80", X_FORWARDED_PROTO="https", X_FORWARDED_HOST="example.com"),
        {"SERVER_NAME": "example.com", "HTTP_HOST": "example.com:80", "SERVER_PORT": "80", "wsgi.url_scheme": "https"},
        id="https on port 80",
    ),
    pytest.param(
        {},
        keys(X_FORWARDED_PORT="443", X_FORWARDED_PROTO="http", X_FORWARDED_HOST="example.com"),
        {"SERVER_NAME": "example.com", "HTTP_HOST": "example.com:443", "SERVER_PORT": "443", "wsgi.url_scheme": "http"},
        id="http on port 443",
    ),
    pytest.param({}, keys(X_FORWARDED_FOR='"foo'), 400, id="bad quote in for"),
    pytest.param({}, keys(X_FORWARDED_HOST='"foo'), 400, id="bad quote in host"),
    # waitress takes the first of several hosts, and lets Forwarded win over X-Forwarded-For. Here both are conflicts.
    pytest.param({}, keys(X_FORWARDED_HOST="example.com, example.org"), 400, id="several hosts"),
    pytest.param(
        {"headers": ["forwarded"]},
        keys(X_FORWARDED_FOR="[2001:db8::1]", FORWARDED="For=198.51.100.2"),
        400,
        id="both families",
    ),
]


@pytest.mark.parametrize(("options", "headers", "expected"), WAITRESS)
def test_waitress_cases(ask, options, headers, expected):
    trusted = ["10.0.0.0/8"] if not options and expected == {"wsgi.url_scheme": "http"} else None
    trusted = trusted or ["192.168.1.1", "203.0.113.1"]
    answer = ask(layer(trusted_proxies=trusted, **options), **PEER, **headers)
    if expected == 400:
        assert answer.code == 400
        assert answer.seen is None
        return
    assert answer.code == 200
    assert {key: answer.seen.get(key) for key in expected} == expected


FROM_A_CLIENT = keys(
    FORWARDED="for=127.0.0.1;proto=https;host=evil.example",
    X_REAL_IP="127.0.0.1",
    X_FORWARDED_FOR="127.0.0.1",
    X_FORWARDED_PROTO="https",
    X_FORWARDED_HOST="evil.example",
    X_FORWARDED_PORT="443",
    X_FORWARDED_PREFIX="/evil",
    X_FORWARDED_BY="x",
    X_FORWARDED_SERVER="x",
    X_FORWARDED_SCHEME="https",
    X_FORWARDED_SSL="on",
)


@pytest.mark.parametrize("trusted", [(), ["10.0.0.0/8"], ["unix"]])
def test_nothing_of_an_untrusted_peer_gets_through(ask, trusted):
    answer = ask(layer(trusted), **PEER, **FROM_A_CLIENT)
    assert answer.code == 200
    assert not set(FROM_A_CLIENT) & set(answer.seen)
    assert {key: answer.seen[key] for key in PEER} == PEER
    assert answer.seen["wsgi.url_scheme"] == "http"
    assert answer.seen["SCRIPT_NAME"] == ""
    assert answer.seen["wsgikit.proxy.original"] == FROM_A_CLIENT


def test_what_is_changed_is_kept_as_it_was(ask):
    headers = keys(X_FORWARDED_FOR="6.6.6.6, 192.0.2.1", X_FORWARDED_PROTO="https", X_REAL_IP="6.6.6.6")
    answer = ask(layer(), **PEER, **headers)
    assert answer.seen["REMOTE_ADDR"] == "192.0.2.1"
    assert answer.seen["HTTP_X_FORWARDED_FOR"] == "192.0.2.1"
    assert answer.seen["wsgikit.proxy.original"] == {
        "REMOTE_ADDR": "192.168.1.1",
        "REMOTE_PORT": "4711",
        "HTTP_X_FORWARDED_FOR": "6.6.6.6, 192.0.2.1",
        "HTTP_X_REAL_IP": "6.6.6.6",
        "wsgi.url_scheme": "http",
        "SERVER_PORT": "8080",
    }


def test_a_request_without_such_headers_is_left_alone(ask):
    answer = ask(layer(), **PEER)
    assert "wsgikit.proxy.original" not in answer.seen
    assert answer.seen["REMOTE_ADDR"] == "192.168.1.1"


@pytest.mark.parametrize("address", ["", None, "localhost"])
def test_a_unix_socket_is_a_peer_without_an_address(ask, address):
    peer = {**PEER, "REMOTE_ADDR": address}
    headers = keys(X_FORWARDED_FOR="192.0.2.1")
    assert ask(layer(["unix"]), **peer, **headers).seen["REMOTE_ADDR"] == "192.0.2.1"
    assert ask(layer(["0.0.0.0/0", "::/0"]), **peer, **headers).seen.get("REMOTE_ADDR") == address


def test_a_peer_with_a_mapped_address_counts_as_ipv4(ask):
    peer = {**PEER, "REMOTE_ADDR": "::ffff:192.168.1.1"}
    assert ask(layer(), **peer, **keys(X_FORWARDED_FOR="192.0.2.1")).seen["REMOTE_ADDR"] == "192.0.2.1"


@pytest.mark.parametrize("node", ["unknown", "_hidden"])
def test_a_hop_that_hides_leaves_the_last_that_is_known(ask, node):
    answer = ask(layer(["192.168.1.1", "10.0.0.2"]), **PEER, **keys(X_FORWARDED_FOR=f"6.6.6.6, {node}, 10.0.0.2"))
    assert answer.seen["REMOTE_ADDR"] == "10.0.0.2"


def test_a_prefix_becomes_part_of_script_name(ask):
    answer = ask(layer(), **PEER, SCRIPT_NAME="/mounted", **keys(X_FORWARDED_PREFIX="/outside/"))
    assert answer.seen["SCRIPT_NAME"] == "/outside/mounted"


def test_a_port_is_put_into_the_host_that_was_sent(ask):
    peer = {**PEER, "HTTP_HOST": "example.com"}
    answer = ask(layer(), **peer, **keys(X_FORWARDED_PORT="8443", X_FORWARDED_PROTO="https"))
    assert (answer.seen["HTTP_HOST"], answer.seen["SERVER_PORT"]) == ("example.com:8443", "8443")


@pytest.mark.parametrize(
    "headers",
    [
        keys(X_FORWARDED_HOST="example.com:81", X_FORWARDED_PORT="80"),
        keys(X_FORWARDED_HOST="a b"),
        keys(X_FORWARDED_HOST="user@example.com"),
        keys(X_FORWARDED_HOST="x/../y"),
        keys(X_FORWARDED_PREFIX="//evil.example"),
        keys(X_FORWARDED_FOR="192.0.2.1, junk"),
        keys(X_FORWARDED_FOR="192.0.2.1", FORWARDED="for=192.0.2.1"),
    ],
)
def test_a_conflict_is_a_400_or_drops_all_headers(ask, headers):
    refused = ask(layer(), **PEER, **headers, HTTP_ACCEPT="application/json")
    assert refused.code == 400
    assert b'"status": 400' in refused.body
    ignored = ask(layer(on_conflict="ignore"), **PEER, **headers)
    assert ignored.code == 200
    assert not set(headers) & set(ignored.seen)
    assert {key: ignored.seen[key] for key in PEER} == PEER


def test_a_conflict_is_logged_with_the_peer(ask, caplog):
    ask(layer(), **PEER, path="/a\nb", **keys(X_FORWARDED_FOR="junk"))
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("wsgikit.proxy_headers", "WARNING")
    assert record.getMessage() == "GET /a\\nb from 192.168.1.1: 'junk' is no address"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"trusted_proxies": ["nginx"]}, "trusted_proxies: expected addresses or networks"),
        ({"trusted_proxies": "*"}, "trusted_proxies: expected addresses or networks"),
        ({"headers": ["x-forwarded-hsot"]}, "Did you mean 'x-forwarded-host'?"),
        ({"headers": ["forwarded", "x-forwarded-for"]}, "headers: expected 'forwarded' alone"),
        ({"on_conflict": "drop"}, "on_conflict: expected '400' or 'ignore'"),
        ({"strip_untrusted": 1}, "strip_untrusted: expected True or False"),
    ],
)
def test_an_option_that_cannot_work_is_refused_while_building(options, text):
    with pytest.raises(ConfigurationError, match="^ProxyHeadersMiddleware: ") as caught:
        ProxyHeadersMiddleware(print, **options)
    assert text in str(caught.value)


def test_it_must_stand_outside_of_what_reads_addresses():
    with pytest.raises(ConfigurationError, match="ProxyHeadersMiddleware must stand outside AccessListMiddleware"):
        build_stack(print, use(AccessListMiddleware, deny=["10.0.0.1"]), use(ProxyHeadersMiddleware))
    build_stack(print, use(ErrorPagesMiddleware), use(ProxyHeadersMiddleware))


HOSTILE = st.text(st.sampled_from('for=;, "[]:.1205xhtps_/\\\x00\n\xe4-by'), max_size=40)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headers=st.dictionaries(st.sampled_from(sorted(FROM_A_CLIENT)), HOSTILE, max_size=4), is_rfc=st.booleans())
def test_no_header_of_a_trusted_peer_is_a_500_or_puts_junk_into_environ(ask, headers, is_rfc):
    import ipaddress

    from wsgikit.http.hosts import parse_host

    answer = ask(layer(headers=["forwarded"] if is_rfc else ALL), **PEER, **headers)
    assert answer.code in (200, 400)
    if answer.code == 200:
        ipaddress.ip_address(answer.seen["REMOTE_ADDR"])
        assert answer.seen["wsgi.url_scheme"] in ("http", "https")
        assert parse_host(answer.seen["HTTP_HOST"]) is not None
        assert answer.seen["SERVER_PORT"].isdigit()
        assert answer.seen["SCRIPT_NAME"].isprintable()


def test_the_layer_conforms():
    assert_conforms(layer(["127.0.0.0/8"]))
