"""`AccessListMiddleware`: addresses, networks, and those that can't be read."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.access_list import AccessListMiddleware
from wsgikit.onion.stack import build_stack, use
from wsgikit.testing import assert_conforms

OFFICE = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]


@pytest.mark.parametrize(
    ("options", "address", "code"),
    [
        ({"allow": OFFICE}, "10.1.2.3", 200),
        ({"allow": OFFICE}, "192.0.2.7", 200),
        ({"allow": OFFICE}, "192.0.2.8", 403),
        ({"allow": OFFICE}, "2001:db8:1::1", 200),
        ({"allow": OFFICE}, "2001:db9::1", 403),
        ({"allow": OFFICE}, "::ffff:10.1.2.3", 200),
        ({"allow": OFFICE}, "::ffff:11.1.2.3", 403),
        ({"allow": ["::ffff:10.0.0.0/104"]}, "10.1.2.3", 200),
        ({"allow": OFFICE}, "", 403),
        ({"allow": OFFICE}, None, 403),
        ({"allow": OFFICE}, "10.1.2.3, 1.2.3.4", 403),
        ({"allow": OFFICE}, "localhost", 403),
        ({"allow": OFFICE, "deny": ["10.9.0.0/16"]}, "10.9.0.1", 403),
        ({"allow": OFFICE, "deny": ["10.9.0.0/16"]}, "10.8.0.1", 200),
        ({"deny": "203.0.113.9"}, "203.0.113.9", 403),
        ({"deny": "203.0.113.9"}, "::ffff:203.0.113.9", 403),
        ({"deny": "203.0.113.9"}, "203.0.113.10", 200),
        ({"deny": "203.0.113.9"}, "", 200),
        ({"deny": ["0.0.0.0/0"], "status": 404}, "1.2.3.4", 404),
    ],
)
def test_a_client_comes_in_if_the_lists_let_it(ask, options, address, code):
    answer = ask(lambda app: AccessListMiddleware(app, **options), REMOTE_ADDR=address)
    assert answer.code == code
    assert (answer.seen is not None) == (code == 200)


def test_a_hidden_area_says_nothing_of_addresses(ask):
    answer = ask(lambda app: AccessListMiddleware(app, allow=["10.0.0.1"], status=404))
    assert b"address" not in answer.body.lower()


def test_a_scope_keeps_the_rest_of_the_site_open(ask):
    def make(app):
        return build_stack(app, use(AccessListMiddleware, allow=["10.0.0.1"], only="/admin/*"))

    assert ask(make, path="/admin/users").code == 403
    assert ask(make, path="/").code == 200


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"allow": ["10.0.0.0/33"]}, "allow: expected addresses or networks"),
        ({"deny": ["host.example"]}, "deny: expected addresses or networks"),
        ({"deny": [3]}, "deny: expected addresses or networks"),
        ({}, "allow: expected an address or a network in allow or deny"),
        ({"allow": []}, "An empty list would let everybody in"),
        ({"deny": ["10.0.0.1"], "status": 200}, "status: expected a status from 400 to 499"),
        ({"deny": ["10.0.0.1"], "status": True}, "status: expected a status from 400 to 499"),
    ],
)
def test_an_option_that_cannot_work_is_refused_while_building(options, text):
    with pytest.raises(ConfigurationError, match="^AccessListMiddleware: ") as caught:
        AccessListMiddleware(print, **options)
    assert text in str(caught.value)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(address=st.text("0123456789abcdef.:%/[], fF", max_size=40) | st.ip_addresses().map(str))
def test_no_address_text_is_an_error_or_allowed_without_being_in_the_list(address):
    import ipaddress

    layer = AccessListMiddleware(print, allow=["10.0.0.0/8", "fd00::/8"])
    if layer.is_allowed(address):
        parsed = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(parsed, "ipv4_mapped", None) or parsed
        assert any(mapped in ipaddress.ip_network(net) for net in ("10.0.0.0/8", "fd00::/8"))


def test_the_layer_conforms():
    assert_conforms(lambda app: AccessListMiddleware(app, deny=["203.0.113.9"]))
