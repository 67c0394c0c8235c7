"""Entity tags and preconditions."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from wsgikit.http.etags import evaluate_preconditions, has_tag, make_etag, parse_last_modified, weaken

EARLY, LATE = "Sat, 01 Jan 2000 00:00:00 GMT", "Sat, 01 Jan 2000 01:00:00 GMT"
KEYS = {"im": "IF_MATCH", "ius": "IF_UNMODIFIED_SINCE", "inm": "IF_NONE_MATCH", "ims": "IF_MODIFIED_SINCE"}


def verdict(method="GET", etag=None, modified=None, exists=True, cache_control=None, **conditions):
    environ = {"REQUEST_METHOD": method} | {f"HTTP_{KEYS[key]}": text for key, text in conditions.items()}
    if cache_control is not None:
        environ["HTTP_CACHE_CONTROL"] = cache_control
    return evaluate_preconditions(environ, etag, parse_last_modified(modified), exists=exists)


# The cases of github.com/jshttp/fresh, test/fresh.js: the request, the response, whether it is fresh.
FRESH = {
    "no condition": ({}, {}, False),
    "tags match": ({"inm": '"foo"'}, {"etag": '"foo"'}, True),
    "tags differ": ({"inm": '"foo"'}, {"etag": '"bar"'}, False),
    "one of several matches": ({"inm": ' "bar" , "foo"'}, {"etag": '"foo"'}, True),
    "tabs between tags": ({"inm": '"bar",\t"foo"'}, {"etag": '"foo"'}, True),
    "no tag": ({"inm": '"foo"'}, {}, False),
    "weak and weak": ({"inm": 'W/"foo"'}, {"etag": 'W/"foo"'}, True),
    "weak asked for strong": ({"inm": 'W/"foo"'}, {"etag": '"foo"'}, True),
    "strong asked for weak": ({"inm": '"foo"'}, {"etag": 'W/"foo"'}, True),
    "star": ({"inm": "*"}, {"etag": '"foo"'}, True),
    "star in a list": ({"inm": '*, "bar"'}, {"etag": '"foo"'}, False),
    "modified since": ({"ims": EARLY}, {"modified": LATE}, False),
    "not modified since": ({"ims": LATE}, {"modified": EARLY}, True),
    "no Last-Modified": ({"ims": EARLY}, {}, False),
    "invalid If-Modified-Since": ({"ims": "foo"}, {"modified": EARLY}, False),
    "invalid Last-Modified": ({"ims": EARLY}, {"modified": "foo"}, False),
    "tag and date match": ({"inm": '"foo"', "ims": LATE}, {"etag": '"foo"', "modified": EARLY}, True),
    "only the tag matches": ({"inm": '"foo"', "ims": EARLY}, {"etag": '"foo"', "modified": LATE}, True),
    "only the date matches": ({"inm": '"foo"', "ims": LATE}, {"etag": '"bar"', "modified": EARLY}, False),
    "neither matches": ({"inm": '"foo"', "ims": EARLY}, {"etag": '"bar"', "modified": LATE}, False),
    "no-cache": ({"cache_control": " no-cache"}, {}, False),
    "no-cache and the tag matches": ({"cache_control": " no-cache", "inm": '"foo"'}, {"etag": '"foo"'}, False),
    "no-cache and the date matches": ({"cache_control": " no-cache", "ims": LATE}, {"modified": EARLY}, False),
}


@pytest.mark.parametrize(("request_", "response", "fresh"), FRESH.values(), ids=FRESH.keys())
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_cases_of_jshttp_fresh(method, request_, response, fresh):
    assert verdict(method, **request_, **response) == (304 if fresh else None)


ETAG, LAST_MODIFIED = '"b4246ffc4f62314ca13147c9d4f76974"', "Fri, 12 Oct 2007 11:13:46 GMT"
FULL = {"etag": ETAG, "modified": LAST_MODIFIED}
OLDER, NEWER = "Fri, 12 Oct 2005 11:13:46 GMT", "Mon, 18 Oct 2010 16:56:23 GMT"
OTHER = '"7fae4cd4b0f81e7d2914700043aa8ed6"'

# The cases of Django, tests/conditional_processing/tests.py; those of tags follow RFC 9110 §13.1.
DJANGO = {
    "modified since, same": ({"ims": LAST_MODIFIED}, 304),
    "modified since, newer": ({"ims": NEWER}, 304),
    "modified since, invalid day": ({"ims": "Mon, 32 Oct 2010 16:56:23 GMT"}, None),
    "modified since, older": ({"ims": OLDER}, None),
    "modified since, unsafe": ({"ims": LAST_MODIFIED, "method": "PUT"}, None),
    "unmodified since, same": ({"ius": LAST_MODIFIED}, None),
    "unmodified since, newer": ({"ius": NEWER}, None),
    "unmodified since, invalid day": ({"ius": "Mon, 32 Oct 2010 16:56:23 GMT"}, None),
    "unmodified since, older": ({"ius": OLDER}, 412),
    "none match, same": ({"inm": ETAG}, 304),
    "none match, other": ({"inm": OTHER}, None),
    "none match, both": ({"inm": f"{ETAG}, {OTHER}"}, 304),
    "none match, unsafe and same": ({"inm": ETAG, "method": "PUT"}, 412),
    "none match, unsafe and other": ({"inm": OTHER, "method": "PUT"}, None),
    "none match, star": ({"inm": "*"}, 304),
    "none match, weak": ({"inm": f"W/{ETAG}"}, 304),
    "match, same": ({"im": ETAG, "method": "PUT"}, None),
    "match, star": ({"im": "*", "method": "PUT"}, None),
    "match, one of two": ({"im": f"{OTHER}, {ETAG}", "method": "PUT"}, None),
    "match, other": ({"im": OTHER, "method": "PUT"}, 412),
    "match, weak": ({"im": f"W/{ETAG}", "method": "PUT"}, 412),
    "match goes before an older date": ({"im": ETAG, "ius": OLDER}, None),
    "match fails before a date": ({"im": OTHER, "ius": NEWER}, 412),
    "match fails before none match": ({"im": OTHER, "inm": ETAG}, 412),
    "older date fails before none match": ({"ius": OLDER, "inm": ETAG}, 412),
    "match and none match": ({"im": ETAG, "inm": ETAG}, 304),
    "none match goes before a date": ({"inm": OTHER, "ims": NEWER}, None),
    "both unmodified and modified since": ({"ius": NEWER, "ims": NEWER}, 304),
}


@pytest.mark.parametrize(("conditions", "expected"), DJANGO.values(), ids=DJANGO.keys())
def test_the_cases_of_django(conditions, expected):
    assert verdict(**FULL, **conditions) == expected


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [({"im": "*"}, 412), ({"inm": "*"}, None), ({"im": ETAG}, 412), ({}, None)],
    ids=["match star", "none match star", "match a tag", "none"],
)
def test_a_star_stands_for_what_exists(conditions, expected):
    assert verdict("PUT", exists=False, **conditions) == expected


def test_a_date_in_the_future_is_ignored():
    assert verdict(modified=EARLY, ims=formatdate(2**33, usegmt=True)) is None


DATES = {
    "IMF-fixdate": ("Tue, 14 Nov 2023 22:13:20 GMT", 1_700_000_000),
    "RFC 850": ("Tuesday, 14-Nov-23 22:13:20 GMT", 1_700_000_000),
    "year 99999": ("Tue, 14 Nov 99999 22:13:20 GMT", None),
    "word": ("yesterday", None),
    "empty": ("", None),
    "numbers": ("1700000000", None),
    "missing": (None, None),
}


@pytest.mark.parametrize(("text", "expected"), DATES.values(), ids=DATES.keys())
def test_a_date_is_read_or_ignored(text, expected):
    assert parse_last_modified(text) == expected


LISTS = {
    "comma in a tag": ('"a,b", "c"', '"a,b"', True),
    "part of a tag with a comma": ('"a,b"', '"b"', False),
    "text after a tag": ('"a":gzip', '"a"', False),
    "text before a tag": ('x"a"', '"a"', False),
    "no quotes": ("a", '"a"', False),
    "garbage before a tag": ('x, "a"', '"a"', True),
    "empty members": (', ,"a",', '"a"', True),
    "lower-case w": ('w/"a"', '"a"', False),
    "quote in a tag": ('"a"b"', '"a', False),
    "empty tag": ('""', '""', True),
    "an open quote": ('"a, "b"', '"b"', True),
}


@pytest.mark.parametrize(("header", "etag", "expected"), LISTS.values(), ids=LISTS.keys())
def test_a_list_of_tags_is_read(header, etag, expected):
    assert has_tag(header, etag, strong=False) is expected


def test_a_long_list_is_read_in_linear_time():
    assert not has_tag('"' * 60_000 + "," * 60_000, '"a"', strong=False)


def test_a_tag_depends_on_each_byte_and_is_strong():
    assert make_etag(b"a") == make_etag(b"a") != make_etag(b"b")
    assert make_etag(b"").startswith('"')


def test_a_weak_tag_stays_as_it_is():
    assert weaken(weaken('"a"')) == weaken('"a"') == 'W/"a"'
