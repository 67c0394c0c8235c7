"""Reading and writing cookies."""

import datetime as dt
import time

import pytest
import werkzeug.http
from hypothesis import given
from hypothesis import strategies as st

from wsgikit.exceptions import ApplicationError
from wsgikit.http.cookies import cookie_finder, format_cookie, missing_attribute, parse_cookies
from wsgikit.http.request import Request, Response

ODD_HEADERS = {
    "alone": "sid=1",
    "JSON in another": 'a={"x":"y"}; sid=1',
    "JSON with commas in another": 'a={"x":"y","z":[1,2]}; sid=1',
    "a name that is an attribute": "path=/x; sid=1",
    "attributes of RFC 2109": '$Version=1; sid=1; $Path="/"',
    "a space in a name": "a b=1; sid=1",
    "parentheses in a name": "foo(bar)=1; sid=1",
    "brackets in a name": "a[0]=1; sid=1",
    "no value": "a; sid=1",
    "nothing between": ";;; ; sid=1;;",
    "no space": "a=1;sid=1;b=2",
    "spaces and tabs": "a=1; \t sid = 1 ; b=2",
    "quoted": 'sid="1"',
    "an open quote in another": 'a="b; sid=1',
    "bytes that are no ASCII": "a=\xe4\xf6\xfc; sid=1",
    "control characters": "a=\x01\x7f; sid=1",
    "an equals sign in a value": "a=b=c; sid=1",
    "the name in a value": "a=sid; sid=1",
    "an empty name": "=x; sid=1",
}


@pytest.mark.parametrize("header", ODD_HEADERS.values(), ids=ODD_HEADERS)
def test_s15_b47_an_odd_cookie_never_hides_ours(header):
    assert "1" in cookie_finder("sid")(header)


@pytest.mark.parametrize(
    "header", ["", "a=1", "xsid=1", "sidx=1", "sid.x=1", "my-sid=1", "a=sid=1", "SID=1", "sid", "si d=1"]
)
def test_s16_only_the_exact_name_is_ours(header):
    assert cookie_finder("sid")(header) == []


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("theme=a,__Host-sid=evil", []),
        ("theme=a, __Host-sid=evil", []),
        ("theme=a,__Host-sid=evil; __Host-sid=good", ["good"]),
        ('theme="a; __Host-sid=good', ["good"]),
        ("\xa0__Host-sid=evil", []),
        ("\x85__Host-sid=evil", []),
        ("__Host-sid=good,x=1", ["good,x=1"]),
    ],
    ids=["comma", "comma and space", "comma before ours", "open quote", "U+00A0", "U+0085", "comma in ours"],
)
def test_only_a_semicolon_begins_another_cookie(header, found):
    """A2: a sibling subdomain may set `theme`, and may not set `__Host-sid`."""
    assert cookie_finder("__Host-sid")(header) == found
    assert [value for name, value in parse_cookies(header) if name == "__Host-sid"] == found


PARSED = {
    "none": ("", []),
    "one": ("a=1", [("a", "1")]),
    "the order is kept": ("b=2; a=1; b=3", [("b", "2"), ("a", "1"), ("b", "3")]),
    "no name, no equals sign": ("=1; a; ;;b=2", [("b", "2")]),
    "an empty value": ("a=; b=", [("a", ""), ("b", "")]),
    "quoted": (r'a="x \"y\" \\ \303\274"', [("a", 'x "y" \\ ü')]),
    "half quoted": ('a="; b=x"', [("a", '"'), ("b", 'x"')]),
    "UTF-8": ("a=\xc3\xbc; \xc3\xbc=1", [("a", "ü"), ("ü", "1")]),
    "not UTF-8": (r"a=\377".replace("\\377", "\xff"), [("a", "\ufffd")]),
    "an escape that is no octal number": (r'a="\9\400"', [("a", "9400")]),
    "equals signs": ("a=b=c", [("a", "b=c")]),
}


@pytest.mark.parametrize(("header", "pairs"), PARSED.values(), ids=PARSED)
def test_a_cookie_header_is_parsed_into_pairs(header, pairs):
    assert parse_cookies(header) == pairs


@given(st.dictionaries(st.text("abcXYZ-_.", min_size=1), st.text(), max_size=4))
def test_what_is_written_is_read_again(cookies):
    lines = [format_cookie(name, value, path=None) for name, value in cookies.items() if len(value) < 500]
    header = "; ".join(lines)
    expected = [(name, value) for name, value in cookies.items() if len(value) < 500]
    try:
        header.encode()
    except UnicodeEncodeError:
        return
    assert parse_cookies(header) == expected
    assert list(werkzeug.http.parse_cookie(header).items()) == expected


@given(st.text(st.characters(max_codepoint=255)))
def test_any_header_can_be_parsed_and_the_finder_agrees(header):
    values = [value for name, value in parse_cookies(header) if name == "a"]
    assert len(cookie_finder("a")(header)) == len(values)


PREFIXES = {
    "no prefix": ("sid", {"secure": False, "httponly": False}, None),
    "secure": ("__Secure-a", {"secure": True, "path": "/x", "domain": "x.org", "httponly": False}, None),
    "secure without Secure": ("__Secure-a", {"secure": False}, ("secure", "True")),
    "host": ("__Host-a", {"secure": True, "httponly": False}, None),
    "host without Secure": ("__HOST-a", {"secure": False}, ("secure", "True")),
    "host with a domain": ("__Host-a", {"secure": True, "domain": "x.org"}, ("domain", "None")),
    "host with a path": ("__host-a", {"secure": True, "path": "/x"}, ("path", "'/'")),
    "host without a path": ("__Host-a", {"secure": True, "path": None}, ("path", "'/'")),
    "http": ("__Http-a", {"secure": True, "path": "/x", "domain": "x.org"}, None),
    "http without HttpOnly": ("__Http-a", {"secure": True, "httponly": False}, ("httponly", "True")),
    "http without Secure": ("__Http-a", {"secure": False}, ("secure", "True")),
    "host and http": ("__Host-Http-a", {"secure": True}, None),
    "host and http without HttpOnly": ("__Host-Http-a", {"secure": True, "httponly": False}, ("httponly", "True")),
    "host and http with a path": ("__Host-Http-a", {"secure": True, "path": "/x"}, ("path", "'/'")),
}


@pytest.mark.parametrize(("name", "attributes", "missing"), PREFIXES.values(), ids=PREFIXES)
def test_a_name_with_a_prefix_needs_its_attributes(name, attributes, missing):
    assert missing_attribute(name, **attributes) == missing


BERLIN = dt.timezone(dt.timedelta(hours=2))
SET = {
    "plain": {},
    "max_age": {"max_age": 60},
    "max_age of 0": {"max_age": 0},
    "max_age of a timedelta": {"max_age": dt.timedelta(days=1)},
    "expires as a number": {"expires": 1893456000},
    "expires of 0": {"expires": 0},
    "expires as text": {"expires": "Tue, 01 Jan 2030 00:00:00 GMT"},
    "expires as a date": {"expires": dt.date(2030, 1, 1)},
    "expires as a naive datetime": {"expires": dt.datetime(2030, 1, 1)},
    "expires as an aware datetime": {"expires": dt.datetime(2030, 1, 1, tzinfo=BERLIN)},
    "both": {"max_age": 60, "expires": dt.datetime(2030, 1, 1)},
    "domain": {"domain": "example.com"},
    "domain with a leading dot": {"domain": ".example.com"},
    "domain in another script": {"domain": "bücher.example"},
    "path": {"path": "/a b;c/ü"},
    "no path": {"path": None},
    "flags": {"secure": True, "httponly": True, "samesite": "strict"},
    "partitioned": {"partitioned": True},
}


@pytest.mark.parametrize("options", SET.values(), ids=SET)
@pytest.mark.parametrize("value", ["", "plain", "a b", "a;b", "a,b", 'q"x', "ünï", "\\back", "{}", "n\nl\0", "+%41"])
def test_set_cookie_writes_what_werkzeug_writes(monkeypatch, value, options):
    monkeypatch.setattr(werkzeug.http, "datetime", dt.datetime)
    ours, theirs = Response("x"), werkzeug.Response("x")
    ours.set_cookie("k", value, **options)
    theirs.set_cookie("k", value, **options)
    first, second = ours.headers["Set-Cookie"], theirs.headers["Set-Cookie"]
    if options.get("max_age") and "expires" not in options:  # now, in both
        first, second = (line.partition("Expires")[0] + line.partition("GMT")[2] for line in (first, second))
    assert first == second


def test_set_cookie_takes_a_timedelta_for_expires():
    response = Response("x")
    response.set_cookie("k", "v", expires=dt.timedelta(days=1))
    expires = werkzeug.http.parse_date(response.headers["Set-Cookie"].partition("Expires=")[2].partition(";")[0])
    assert abs(expires.timestamp() - time.time() - 86400) < 60


REFUSED = {
    "name": ({"name": "a b"}, "set_cookie: name: expected letters"),
    "line break in the name": ({"name": "a\r\nb"}, "set_cookie: name: expected letters"),
    "max_age": ({"max_age": "soon"}, r"set_cookie\('k'\): max_age: expected a number of seconds, got 'soon'"),
    "expires": ({"expires": "x; Domain=evil"}, "expires: expected text without ';' or control characters"),
    "line break in expires": ({"expires": "x\r\nX-Evil: 1"}, "expires: expected text"),
    "domain": ({"domain": "x;y"}, "domain: expected a host name such as 'example.org', got 'x;y'"),
    "line break in the domain": ({"domain": "x\r\ny"}, "domain: expected"),
    "samesite": ({"samesite": "bad"}, "samesite: expected 'Lax', 'Strict', 'None' or None, got 'bad'"),
}


@pytest.mark.parametrize(("options", "message"), REFUSED.values(), ids=REFUSED)
def test_set_cookie_refuses_what_cannot_stand_in_a_head(options, message):
    response = Response("x")
    with pytest.raises(ApplicationError, match=message):
        response.set_cookie(**{"name": "k", "value": "v", **options})
    assert "Set-Cookie" not in response.headers


def test_set_cookie_refuses_an_argument_that_it_does_not_know():
    with pytest.raises(TypeError, match="comment"):
        Response("x").set_cookie("k", "v", comment="c")


def test_delete_cookie_writes_the_attributes_that_set_it():
    response = Response("x")
    response.delete_cookie(
        "__Host-k", secure=True, httponly=True, samesite="Lax", partitioned=True, path="/", domain=None
    )
    assert response.headers["Set-Cookie"] == (
        "__Host-k=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; "
        "Secure; HttpOnly; Path=/; SameSite=Lax; Partitioned"
    )


def test_overwrite_removes_what_was_set_under_the_name():
    response = Response("x")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    response.set_cookie("a", "3", overwrite=True)
    assert response.headers.getall("Set-Cookie") == ["b=2; Path=/", "a=3; Path=/"]


def request_with(header):
    return Request({"REQUEST_METHOD": "GET", "HTTP_COOKIE": header})


def test_of_several_cookies_of_a_name_the_first_is_read_as_in_flask():
    request = request_with("a=1; b=2; a=3")
    assert (request.cookies["a"], request.cookies.getlist("a")) == ("1", ["1", "3"])
    assert dict(request.cookies) == {"a": "1", "b": "2"}
    theirs = werkzeug.Request(request.environ).cookies
    assert (theirs["a"], theirs.getlist("a")) == ("1", ["1", "3"])


def test_cookies_are_converted_as_in_flask():
    cookies = request_with("n=5; n=x; m=y").cookies
    assert (cookies.get("n", type=int), cookies.get("m", 1, type=int), cookies.get("no", 2, type=int)) == (5, 1, 2)
    assert (cookies.getlist("n", type=int), cookies.getlist("no")) == ([5], [])


def test_a_cookie_that_is_missing_is_a_400():
    with pytest.raises(werkzeug.exceptions.BadRequest, match="the request has no field 'no'"):
        request_with("a=1").cookies["no"]


def test_cookies_of_a_request_can_be_changed_for_the_application_behind():
    request = request_with("a=1; b=2; a=3")
    request.cookies["a"] = "ü"
    assert request.environ["HTTP_COOKIE"] == r'b=2; a="\303\274"'
    assert dict(request.cookies) == {"a": "ü", "b": "2"}
    del request.cookies["b"]
    assert list(request.cookies) == ["a"]
    request.cookies = {"c": "1"}
    assert request.environ["HTTP_COOKIE"] == "c=1"


def test_the_text_of_cookies_shows_no_value():
    assert repr(request_with("sid=secret").cookies) == "<RequestCookies ['sid']>"


def test_a_name_with_characters_of_regular_expressions_is_taken_literally():
    assert cookie_finder("a.b+c")("axbxc=1; a.b+c=2") == ["2"]
