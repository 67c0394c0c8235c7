"""Who is on this machine, and who is in a list."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgikit.exceptions import ConfigurationError
from wsgikit.http.addresses import (
    came_by_https,
    debug_refusal,
    forwarded_addresses,
    is_in,
    is_local,
    local_refusal,
    parse_address,
    parse_allow,
    parse_network,
    parse_networks,
    peer_of,
)

LOCAL = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:5000", "SERVER_PROTOCOL": "HTTP/1.1"}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({}, id="loopback"),
        pytest.param({"REMOTE_ADDR": "127.8.0.9"}, id="all of 127/8"),
        pytest.param({"REMOTE_ADDR": "::1"}, id="IPv6"),
        pytest.param({"REMOTE_ADDR": "::ffff:127.0.0.1"}, id="IPv4-mapped"),
        pytest.param({"REMOTE_ADDR": None}, id="made by a test"),
        pytest.param({"HTTP_HOST": None}, id="no Host"),
        pytest.param({"HTTP_HOST": "LOCALHOST."}, id="Host in capitals, with a dot"),
        pytest.param({"HTTP_HOST": "app.localhost"}, id="a name under localhost"),
        pytest.param({"HTTP_HOST": "127.0.0.1:5000"}, id="Host, IPv4"),
        pytest.param({"HTTP_HOST": "[::1]:5000"}, id="Host, IPv6"),
        pytest.param({"HTTP_HOST": "192.168.0.7"}, id="Host, another address"),
        pytest.param({"SERVER_SOFTWARE": "Werkzeug/3.1.3"}, id="Werkzeug"),
        pytest.param({"SERVER_SOFTWARE": "gunicorn/23.0.0"}, id="gunicorn"),
        pytest.param({"SERVER_SOFTWARE": "WSGIServer/0.2"}, id="wsgiref"),
        pytest.param({"wsgikit.proxy.original": {}}, id="nothing was removed"),
    ],
)
def test_a_request_from_this_machine_is_local(change):
    environ = {key: value for key, value in {**LOCAL, **change}.items() if value is not None}
    assert local_refusal(environ) is None
    assert is_local(environ)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"REMOTE_ADDR": "10.0.0.7"}, "the peer 10.0.0.7 is not a loopback address", id="the network"),
        pytest.param({"REMOTE_ADDR": "::ffff:10.0.0.7"}, "the peer ::ffff:10.0.0.7 is not", id="mapped network"),
        pytest.param({"REMOTE_ADDR": ""}, "the peer of a Unix socket is not", id="a Unix socket"),
        pytest.param({"REMOTE_ADDR": "localhost"}, "the peer localhost is not", id="a name as peer"),
        pytest.param({"HTTP_HOST": "evil.example"}, "the Host 'evil.example' is neither", id="DNS rebinding"),
        pytest.param({"HTTP_HOST": "127.0.0.1.evil.example"}, "neither localhost nor an address", id="IP label"),
        pytest.param({"HTTP_HOST": "localhost.evil.example"}, "neither localhost nor an address", id="localhost first"),
        pytest.param({"HTTP_HOST": "evillocalhost"}, "neither localhost nor an address", id="no dot"),
        pytest.param({"HTTP_HOST": ""}, "neither localhost nor an address", id="empty Host"),
        pytest.param({"HTTP_HOST": "evil\x1b[0m"}, r"the Host 'evil\x1b[0m' is neither", id="control characters"),
        pytest.param({"SERVER_SOFTWARE": "waitress"}, "the server 'waitress' may hide a proxy", id="waitress"),
        pytest.param({"SERVER_SOFTWARE": ""}, "the server '' may hide a proxy", id="waitress without ident"),
        pytest.param(
            {"SERVER_SOFTWARE": "gunicorn/23", "waitress.client_disconnected": bool},
            "may hide a proxy",
            id="waitress with another ident",
        ),
        pytest.param({"SERVER_SOFTWARE": "Unknown/1"}, "the server 'Unknown/1' may hide a proxy", id="unknown server"),
        pytest.param(
            {"SERVER_SOFTWARE": "gunicorn/23", "SERVER_PROTOCOL": "HTTP/1.0"}, "the request is HTTP/1.0", id="HTTP/1.0"
        ),
        pytest.param(
            {"wsgikit.proxy.original": {"HTTP_X_REAL_IP": "127.0.0.1"}}, "came through a proxy", id="header removed"
        ),
        pytest.param(
            {"wsgikit.proxy.original": {"REMOTE_ADDR": "10.0.0.1"}}, "the peer 10.0.0.1 is not", id="peer replaced"
        ),
        pytest.param({"werkzeug.proxy_fix.orig": {"REMOTE_ADDR": "10.0.0.1"}}, "the peer 10.0.0.1", id="ProxyFix"),
        *[
            pytest.param({name: "127.0.0.1"}, "came through a proxy", id=name)
            for name in (
                "HTTP_X_FORWARDED_FOR",
                "HTTP_X_FORWARDED_PROTO",
                "HTTP_X_FORWARDED_HOST",
                "HTTP_X_FORWARDED",
                "HTTP_FORWARDED",
                "HTTP_VIA",
                "HTTP_X_REAL_IP",
                "HTTP_CF_CONNECTING_IP",
                "HTTP_TRUE_CLIENT_IP",
                "HTTP_X_CLIENT_IP",
                "HTTP_FLY_CLIENT_IP",
                "HTTP_CDN_LOOP",
            )
        ],
    ],
)
def test_a_request_that_may_be_a_strangers_is_not_local(change, reason):
    environ = {**LOCAL, **change}
    assert reason in str(local_refusal(environ))
    assert not is_local(environ)


PROXY = parse_networks("x", "debug_hosts", ["127.0.0.1", "203.0.113.9"])


@pytest.mark.parametrize(
    ("change", "networks", "reason"),
    [
        pytest.param({"REMOTE_ADDR": "203.0.113.9", "HTTP_HOST": "app.example"}, PROXY, None, id="a named peer"),
        pytest.param({"SERVER_SOFTWARE": "waitress"}, PROXY, None, id="a named peer, waitress"),
        pytest.param({"REMOTE_ADDR": "203.0.113.8"}, PROXY, "and the peer 203.0.113.8 is not in", id="another peer"),
        pytest.param({"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, (), "came through a proxy", id="no list"),
        pytest.param({"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, PROXY[1:], "127.0.0.1 is not in", id="proxy not named"),
        pytest.param({"HTTP_X_FORWARDED_FOR": "203.0.113.9"}, PROXY, None, id="proxy and client named"),
        pytest.param(
            {"HTTP_X_FORWARDED_FOR": "203.0.113.9, 198.51.100.2"}, PROXY, "'198.51.100.2' behind", id="one hop isn't"
        ),
        pytest.param({"HTTP_X_FORWARDED_PROTO": "https"}, PROXY, "doesn't name its client", id="no client named"),
        pytest.param({"HTTP_FORWARDED": "for=unknown"}, PROXY, "'unknown' behind the proxy", id="for=unknown"),
        pytest.param({"HTTP_FORWARDED": 'for="[::1]:4711"'}, PROXY, "'::1' behind the proxy", id="Forwarded, IPv6"),
        pytest.param(
            {"HTTP_X_REAL_IP": "203.0.113.9", "HTTP_CF_CONNECTING_IP": "198.51.100.2"},
            PROXY,
            "'198.51.100.2' behind",
            id="two headers differ",
        ),
        pytest.param(
            {
                "REMOTE_ADDR": "198.51.100.2",
                "wsgikit.proxy.original": {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.9"},
            },
            PROXY,
            "'198.51.100.2' behind",
            id="the client that the proxy layer found",
        ),
    ],
)
def test_debug_hosts_decide_if_a_request_is_not_local(change, networks, reason):
    got = debug_refusal({**LOCAL, **change}, networks)
    assert got is None if reason is None else reason in str(got)


@pytest.mark.parametrize(
    ("value", "environ", "is_permitted"),
    [
        pytest.param("local", LOCAL, True, id="local"),
        pytest.param("local", {**LOCAL, "HTTP_HOST": "evil.example"}, False, id="local, rebinding"),
        pytest.param(["10.0.0.0/8"], {"REMOTE_ADDR": "10.1.2.3"}, True, id="a network"),
        pytest.param(["10.0.0.0/8"], {"REMOTE_ADDR": "::ffff:10.1.2.3"}, True, id="a network, mapped client"),
        pytest.param("10.0.0.7", {"REMOTE_ADDR": "10.0.0.8"}, False, id="another address"),
        pytest.param(["10.0.0.7"], LOCAL, False, id="this machine isn't in the list"),
        pytest.param(["local", "10.0.0.7"], LOCAL, True, id="both, this machine"),
        pytest.param(["local", "10.0.0.7"], {"REMOTE_ADDR": "10.0.0.7"}, True, id="both, the address"),
        pytest.param(
            ["10.0.0.7"],
            {"REMOTE_ADDR": "10.0.0.7", "wsgikit.proxy.original": {"REMOTE_ADDR": "127.0.0.1"}},
            True,
            id="the client after proxy headers",
        ),
        pytest.param((), LOCAL, False, id="nobody"),
        pytest.param(None, LOCAL, False, id="None"),
        pytest.param(["10.0.0.7"], {}, False, id="no address"),
    ],
)
def test_allow_permits(value, environ, is_permitted):
    allow = parse_allow("XMiddleware", "allow", value)
    assert allow.permits(environ) is is_permitted
    assert (allow.refusal(environ) is None) is is_permitted


@pytest.mark.parametrize("value", ["lokal", ["10.0.0.0/99"], [None], ["local", "*"]], ids=str)
def test_allow_refuses_what_is_neither_local_nor_an_address(value):
    with pytest.raises(ConfigurationError, match="^XMiddleware: allow: expected addresses or networks such as '10.0.0"):
        parse_allow("XMiddleware", "allow", value)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.7", "10.0.0.7/32"),
        ("10.0.0.7/8", "10.0.0.0/8"),
        ("::ffff:10.0.0.7", "10.0.0.7/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::/0", "::/0"),
    ],
)
def test_a_network_is_parsed(text, network):
    assert str(parse_network(text)) == network


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_a_mapped_address_is_the_ipv4_address_in_every_network(address, prefix):
    network = ipaddress.ip_network(f"{address}/{prefix}", strict=False)
    mapped = f"::ffff:{address}"
    assert parse_address(mapped) == address
    assert is_in(mapped, [network])
    assert parse_network(f"{mapped}/{96 + prefix}") == network


@given(st.text())
def test_any_text_as_an_address_is_in_no_network_or_valid(text):
    assert (parse_address(text) is not None) or not is_in(text, [parse_network("0.0.0.0/0"), parse_network("::/0")])
    list(forwarded_addresses({"HTTP_FORWARDED": text, "HTTP_X_FORWARDED_FOR": text}))


def test_the_peer_is_the_one_before_proxy_headers():
    environ = {"REMOTE_ADDR": "203.0.113.9", "wsgikit.proxy.original": {"REMOTE_ADDR": "10.0.0.1"}}
    assert peer_of(environ) == "10.0.0.1"
    assert peer_of({"REMOTE_ADDR": "203.0.113.9"}) == "203.0.113.9"
    assert peer_of({}) is None


@pytest.mark.parametrize(
    ("environ", "is_https"),
    [
        pytest.param({"HTTP_X_FORWARDED_PROTO": "https"}, True, id="X-Forwarded-Proto"),
        pytest.param({"HTTP_X_FORWARDED_PROTO": "HTTPS, http"}, True, id="a list, the client first"),
        pytest.param({"HTTP_X_FORWARDED_PROTO": "http"}, False, id="http"),
        pytest.param({"HTTP_FORWARDED": 'for=1.2.3.4;Proto="https"'}, True, id="Forwarded"),
        pytest.param({"HTTP_X_FORWARDED_SSL": "on"}, True, id="X-Forwarded-Ssl"),
        pytest.param({"HTTP_FRONT_END_HTTPS": "on"}, True, id="Front-End-Https"),
        pytest.param({"HTTP_SEC_FETCH_SITE": "none", "HTTP_HOST": "a.example"}, True, id="waitress deletes headers"),
        pytest.param({"HTTP_SEC_FETCH_SITE": "none", "HTTP_HOST": "localhost"}, False, id="localhost"),
        pytest.param({"HTTP_HOST": "a.example"}, False, id="plain http"),
    ],
)
def test_https_in_front_of_a_proxy_is_noticed(environ, is_https):
    assert came_by_https(environ) is is_https
