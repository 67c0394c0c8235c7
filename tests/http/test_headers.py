"""`Headers`: a list of pairs that can be asked by name."""

from __future__ import annotations

import pytest

from wsgikit.exceptions import ApplicationError
from wsgikit.http.headers import Headers, merge_vary

PAIRS = [("Set-Cookie", "a=1"), ("X-One", "1"), ("set-cookie", "b=2"), ("Vary", "Accept")]


@pytest.fixture
def headers():
    return Headers(PAIRS)


def test_order_case_and_repetition_are_kept(headers):
    assert list(headers) == PAIRS
    assert headers == PAIRS
    assert len(headers) == 4


def test_the_list_it_was_made_of_stays_as_it_was():
    pairs = list(PAIRS)
    Headers(pairs).add("X-New", "1")
    assert pairs == PAIRS


def test_get_returns_the_first_of_a_name_whatever_its_case(headers):
    assert headers.get("SET-COOKIE") == "a=1"
    assert headers.get("X-None") is None
    assert headers.get("X-None", "default") == "default"


def test_get_all_returns_each_in_order(headers):
    assert headers.get_all("set-COOKIE") == ["a=1", "b=2"]
    assert headers.get_all("X-None") == []


def test_has_and_in_ask_by_name_or_for_a_pair(headers):
    assert headers.has("x-one")
    assert not headers.has("x-none")
    assert "x-one" in headers
    assert ("X-One", "1") in headers
    assert ("x-one", "1") not in headers


def test_add_appends_even_where_there_is_one(headers):
    headers.add("set-cookie", "c=3")
    assert headers[-1] == ("set-cookie", "c=3")
    assert headers.get_all("Set-Cookie") == ["a=1", "b=2", "c=3"]


def test_set_takes_the_place_of_the_first_and_removes_the_others(headers):
    headers.set("Set-Cookie", "c=3")
    assert list(headers) == [("Set-Cookie", "c=3"), ("X-One", "1"), ("Vary", "Accept")]


def test_set_appends_where_there_is_none(headers):
    headers.set("X-New", "1")
    assert headers[-1] == ("X-New", "1")


def test_setdefault_adds_only_what_is_not_there(headers):
    assert headers.setdefault("x-one", "2") == "1"
    assert headers.setdefault("X-New", "2") == "2"
    assert headers.get_all("X-New") == ["2"]


def test_remove_takes_a_name_or_one_pair(headers):
    headers.remove(("set-cookie", "b=2"))
    assert headers.get_all("Set-Cookie") == ["a=1"]
    headers.remove("SET-cookie")
    headers.remove("X-None")
    assert list(headers) == [("X-One", "1"), ("Vary", "Accept")]


def test_it_is_a_list_of_pairs(headers):
    headers.insert(0, ("X-First", "1"))
    headers[1] = ("X-Second", "2")
    headers[2:3] = [("X-Third", "3")]
    del headers[3]
    assert list(headers) == [("X-First", "1"), ("X-Second", "2"), ("X-Third", "3"), ("Vary", "Accept")]
    assert headers[:1] == [("X-First", "1")]
    assert headers.pop() == ("Vary", "Accept")


def test_two_are_equal_where_their_pairs_are(headers):
    assert headers == Headers(PAIRS)
    assert headers != Headers(PAIRS[:1])
    with pytest.raises(TypeError, match="unhashable"):
        hash(headers)


def test_its_repr_shows_the_pairs():
    assert repr(Headers([("A", "1")])) == "Headers([('A', '1')])"


WRITES = {
    "of": lambda name, value: Headers.of([(name, value)]),
    "extend": lambda name, value: Headers([("A", "1")]).extend([(name, value)]),
    "add": lambda name, value: Headers().add(name, value),
    "set": lambda name, value: Headers().set(name, value),
    "setdefault": lambda name, value: Headers().setdefault(name, value),
    "insert": lambda name, value: Headers().insert(0, (name, value)),
    "append": lambda name, value: Headers().append((name, value)),
    "item": lambda name, value: Headers([("A", "1")]).__setitem__(0, (name, value)),
    "slice": lambda name, value: Headers().__setitem__(slice(0, 0), [(name, value)]),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
@pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nb", "a\rb", "a\0b"])
def test_a_value_that_would_end_the_field_is_refused_and_not_shown(write, value):
    with pytest.raises(ApplicationError) as caught:
        write("Location", value)
    assert str(caught.value) == (
        "headers: Location: expected a value without CR, LF or NUL, got 'a value with one'. Quote or remove it."
    )


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
@pytest.mark.parametrize("value", ["щ", "a=\u0100", "\U0001f36a"], ids=ascii)
def test_letters_that_are_no_bytes_are_refused_and_not_shown(write, value):
    with pytest.raises(ApplicationError) as caught:
        write("Set-Cookie", value)
    assert str(caught.value) == (
        "headers: Set-Cookie: expected latin-1 text (PEP 3333), got 'other letters'. "
        "Percent-encode it; a file name as filename*=UTF-8''…."
    )


def test_letters_that_stand_for_bytes_are_kept(headers):
    headers.set("X-One", "caf\xe9\xff")
    assert headers["X-One"] == "caf\xe9\xff"


def test_what_an_application_sent_is_kept_unchecked():
    assert Headers([("X-Name", "щ")]).as_list() == [("X-Name", "щ")]


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
@pytest.mark.parametrize("name", ["", "X Y", "X:Y", "X\r\nY", "Ü", 1, None], ids=repr)
def test_a_name_that_is_no_token_is_refused(write, name):
    with pytest.raises((ApplicationError, AttributeError)) as caught:
        write(name, "1")
    if isinstance(caught.value, ApplicationError):
        assert str(caught.value) == f"headers: name: expected a token of RFC 9110 §5.6.2, got {name!r}."


@pytest.mark.parametrize("value", [1, None, b"bytes"], ids=repr)
def test_a_value_that_is_no_str_is_refused(value):
    with pytest.raises(ApplicationError) as caught:
        Headers().add("Content-Length", value)
    assert str(caught.value) == (
        f"headers: Content-Length: expected a str, got {type(value).__name__!r}. Convert it with str()."
    )


@pytest.mark.parametrize(
    ("present", "names", "expected"),
    [
        ([], ["Cookie"], "Cookie"),
        (["Accept"], ["Cookie"], "Accept, Cookie"),
        (["Accept", "Accept-Language"], ["Cookie"], "Accept, Accept-Language, Cookie"),
        (["accept , COOKIE"], ["Cookie"], None),
        (["Accept, Cookie"], ["Cookie", "Accept"], None),
        (["*"], ["Cookie"], None),
        (["Accept, *"], ["Cookie"], None),
        ([""], ["Cookie"], "Cookie"),
        ([], [], None),
    ],
)
def test_vary_is_merged_and_never_doubled(present, names, expected):
    assert merge_vary(present, names) == expected
    headers = Headers([("Vary", value) for value in present])
    headers.vary(*names)
    assert headers.get_all("Vary") == (present if expected is None else [expected])


def test_a_name_in_brackets_gets_the_first_of_that_name(headers):
    assert headers["SET-COOKIE"] == "a=1"
    with pytest.raises(KeyError, match="X-None"):
        headers["X-None"]


def test_a_name_in_brackets_sets_as_set_does(headers):
    headers["set-cookie"] = "c=3"
    headers["X-New"] = "1"
    assert list(headers) == [("set-cookie", "c=3"), ("X-One", "1"), ("Vary", "Accept"), ("X-New", "1")]
    with pytest.raises(ApplicationError, match="headers: X-New: expected a str, got 'int'"):
        headers["X-New"] = 7


def test_a_name_in_brackets_is_deleted_if_it_is_there(headers):
    del headers["SET-cookie"]
    del headers["X-None"]
    assert list(headers) == [("X-One", "1"), ("Vary", "Accept")]
