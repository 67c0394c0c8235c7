"""What a `Response` takes for a header. What else it does is in tests/views."""

from __future__ import annotations

import pytest

from wsgikit import Response
from wsgikit.exceptions import ApplicationError
from wsgikit.onion.reply import Reply

WRITES = {
    "of a reply": lambda value: Reply(200, b"", None, [("X-Name", value)]),
    "of a new response": lambda value: Response("text", headers={"X-Name": value}),
    "all": lambda value: setattr(Response("text"), "headers", {"X-Name": value}),
    "item": lambda value: Response("text").headers.__setitem__("X-Name", value),
    "add": lambda value: Response("text").headers.add("X-Name", value),
    "setdefault": lambda value: Response("text").headers.setdefault("X-Name", value),
    "update": lambda value: Response("text").headers.update({"X-Name": value}),
    "extend by pairs": lambda value: Response("text").headers.extend([("X-Name", value)]),
    "extend by a mapping": lambda value: Response("text").headers.extend({"X-Name": value}),
    "extend by keywords": lambda value: Response("text").headers.extend(**{"X-Name": value}),
    "update_headers": lambda value: Response("text").update_headers([("X-Name", value)]),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("щ", "expected latin-1 text (PEP 3333), got 'other letters'"),
        ("a\r\nX-Injected: 1", "expected a value without CR, LF or NUL, got 'a value with one'"),
    ],
    ids=["no bytes", "two fields"],
)
def test_a_header_that_can_not_be_sent_is_refused_where_it_is_set(write, value, text):
    with pytest.raises(ApplicationError) as caught:
        write(value)
    assert str(caught.value).startswith(f"headers: X-Name: {text}. ")


def test_an_attribute_of_webob_that_can_not_be_sent_is_refused_before_the_head():
    response = Response("text")
    response.location = "/щ"
    heads = []
    with pytest.raises(ApplicationError, match="headers: Location: expected latin-1 text"):
        response({"REQUEST_METHOD": "GET"}, lambda *head: heads.append(head))
    assert heads == []


def test_headers_of_a_response_are_read_without_regard_to_case_and_can_be_replaced():
    response = Response("text", headers={"X-Name": "caf\xe9"})
    response.headers.extend({"x-name": "2"})
    assert response.headers.setdefault("X-NAME", "3") == "2"
    assert response.headers.getall("X-Name") == ["caf\xe9", "2"]
    response.headers = [("A", "1"), ("A", "2")]
    assert response.headerlist == [("A", "1"), ("A", "2")]
