"""The grammar of ``Forwarded`` (RFC 7239) and of its older relatives."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgikit.http.forwarded import (
    MalformedError,
    parse_forwarded,
    parse_node,
    parse_port,
    parse_prefix,
    parse_proto,
    split_addresses,
    walk,
)


# The first six are the examples of RFC 7239 §4, §5 and §7.1.
@pytest.mark.parametrize(
    ("header", "elements"),
    [
        ('for="_gazonk"', [{"for": "_gazonk"}]),
        ('For="[2001:db8:cafe::17]:4711"', [{"for": "[2001:db8:cafe::17]:4711"}]),
        (
            "for=192.0.2.60;proto=http;by=203.0.113.43",
            [{"for": "192.0.2.60", "proto": "http", "by": "203.0.113.43"}],
        ),
        ("for=192.0.2.43, for=198.51.100.17", [{"for": "192.0.2.43"}, {"for": "198.51.100.17"}]),
        (
            'for=192.0.2.43,for="[2001:db8:cafe::17]",for=unknown',
            [{"for": "192.0.2.43"}, {"for": "[2001:db8:cafe::17]"}, {"for": "unknown"}],
        ),
        ('for=_hidden, for=_SEVKISEK;secret="a;b,c"', [{"for": "_hidden"}, {"for": "_SEVKISEK", "secret": "a;b,c"}]),
        ("", []),
        (" , ,\t,", []),
        (";", []),
        ("for=a;;proto=b;", [{"for": "a", "proto": "b"}]),
        ('for="a\\"b\\\\c"', [{"for": 'a"b\\c'}]),
        ('for=""', [{"for": ""}]),
        ("for=a ,\tfor=b", [{"for": "a"}, {"for": "b"}]),
        ("FOR=a;PROTO=HTTPS", [{"for": "a", "proto": "HTTPS"}]),
        # Not of the grammar, but of widespread proxies: a colon without quotes.
        ("for=192.0.2.1:47011;host=example.com:8080", [{"for": "192.0.2.1:47011", "host": "example.com:8080"}]),
    ],
)
def test_elements_and_their_parameters_are_read(header, elements):
    assert parse_forwarded(header) == elements


@pytest.mark.parametrize(
    "header",
    [
        "for",
        "for=",
        "=a",
        "for= a",
        "for =a",
        "for=a; proto=http",
        "for=a ;proto=http",
        "for=a proto=http",
        'for="a',
        'for=a"',
        'for="a"b',
        'for="a", for="[2001:db8::1]',
        'for=1.2.3.4;x=", for="[2001:db8::1]:47011"',
        "for=[2001:db8::1]",
        "for=a;for=b",
        "for=a;FOR=b",
        "for=a\x00",
        "for=a\r\nX: y",
        'for="a\r\n"',
        "for=ä",
        "f(r=a",
    ],
)
def test_a_header_that_does_not_follow_the_grammar_is_malformed(header):
    with pytest.raises(MalformedError, match="^Forwarded"):
        parse_forwarded(header)


QUOTED = st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.just("\t"), max_size=12)


@settings(max_examples=200, deadline=None)
@given(
    elements=st.lists(
        st.dictionaries(st.text("abcdefghijk-", min_size=1, max_size=6), QUOTED, min_size=1, max_size=4), max_size=4
    )
)
def test_whatever_is_quoted_by_the_grammar_is_read_back(elements):
    def quote(text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    header = ", ".join(";".join(f"{key}={quote(value)}" for key, value in each.items()) for each in elements)
    assert parse_forwarded(header) == elements


@settings(max_examples=300, deadline=None)
@given(header=st.text('for=;," \\\tab.:[]1_\x00\r\xe4', max_size=40))
def test_no_header_is_another_error(header):
    try:
        elements = parse_forwarded(header)
    except MalformedError:
        return
    assert all(element and all(name == name.lower() for name in element) for element in elements)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ('"192.0.2.1"', "192.0.2.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("[2001:db8::1]:_port", "2001:db8::1"),
        ("2001:db8::0", "2001:db8::"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("[::ffff:10.0.0.1]:1", "10.0.0.1"),
        ("unknown", None),
        ("UNKNOWN", None),
        ("_gazonk", None),
        ("_gazonk:80", None),
    ],
)
def test_a_node_is_an_address_or_hides(text, address):
    assert parse_node(text) == (None if address is None else ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "text",
    [
        *("", '"foo', "foo", "192.0.2", "192.0.2.256", "192.0.2.1:", "192.0.2.1:x", "192.0.2.1:123456", "[::1", "::1]"),
        *("[192.0.2.1]", "[::1]x", "[::1%eth0]", "fe80::1%eth0", "192.0.2.1 ", "1.2.3.4, 5.6.7.8", "127.1", "0x7f.1"),
        *("192.0.2.1\n", "３.0.2.1", "_", "un known"),
    ],
)
def test_any_other_node_is_malformed(text):
    with pytest.raises(MalformedError, match="is no address"):
        parse_node(text)


TRUSTED = ipaddress.ip_network("10.0.0.0/8")
PEER = ipaddress.ip_address("10.0.0.1")


@pytest.mark.parametrize(
    ("nodes", "client", "count"),
    [
        ([], "10.0.0.1", 0),
        (["192.0.2.1"], "192.0.2.1", 1),
        (["192.0.2.1", "10.0.0.2"], "192.0.2.1", 2),
        (["127.0.0.1", "192.0.2.1"], "192.0.2.1", 1),
        (["junk\x00", "192.0.2.1", "10.0.0.2"], "192.0.2.1", 2),
        (["10.0.0.3", "10.0.0.2"], "10.0.0.3", 2),
        (["192.0.2.1", "unknown", "10.0.0.2"], "10.0.0.2", 2),
        (["192.0.2.1", None], "10.0.0.1", 1),
        (["_hidden"], "10.0.0.1", 1),
    ],
)
def test_the_walk_from_the_right_ends_at_the_first_hop_without_trust(nodes, client, count):
    found, believed = walk(nodes, lambda address: address in TRUSTED, PEER)
    assert (str(found), believed) == (client, count)


def test_a_node_that_the_walk_reaches_must_be_readable():
    with pytest.raises(MalformedError):
        walk(["junk", "10.0.0.2"], lambda address: address in TRUSTED, PEER)


@pytest.mark.parametrize("text", ["https", "HTTPS", " https ", '"https"', "https, https"])
def test_a_scheme_is_read(text):
    assert parse_proto(text) == "https"


@pytest.mark.parametrize(
    "text", ["", "ftp", "javascript", "http, https", "http://p02n3e.com?url=http", "https\x00", "https;", "wss", ","]
)
def test_any_other_scheme_is_malformed(text):
    with pytest.raises(MalformedError, match="is neither http nor https"):
        parse_proto(text)


@pytest.mark.parametrize(("text", "port"), [("443", 443), (" 1 ", 1), ("65535", 65535), ('"80"', 80)])
def test_a_port_is_read(text, port):
    assert parse_port(text) == port


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "+1", "443, 80", "http", "1e3", "٣", "443\x00"])
def test_any_other_port_is_malformed(text):
    with pytest.raises(MalformedError, match="is no port"):
        parse_port(text)


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("", ""),
        ("/app", "/app"),
        ("/app/", "/app"),
        ("/", ""),
        ("/a/b.c~d", "/a/b.c~d"),
        ("/caf%C3%A9", "/caf\xc3\xa9"),
    ],
)
def test_a_prefix_is_read_as_a_path(text, prefix):
    assert parse_prefix(text) == prefix


@pytest.mark.parametrize(
    "text",
    [
        *("app", "//app", "/a//b", "/a/../b", "/./a", "/a/%2e%2e", "/a%2Fb", "/a?b", "/a#b", "/a, /b", "/a\\b"),
        *("/a%5Cb", "/a b", "/a%00", "/a%0d%0a", "/a%zz", "/ä", "https://evil.example/"),
    ],
)
def test_any_other_prefix_is_malformed(text):
    with pytest.raises(MalformedError, match="is no path"):
        parse_prefix(text)


def test_entries_without_content_are_left_out():
    assert split_addresses(" a ,, b,\t") == ["a", "b"]
