"""The token in a form: found without reading on, and the body stays what it was."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgikit.middleware.csrf.form_field import MOST_BYTES, find_field

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=XX"


class Stream:
    """A body that counts what is read of it."""

    def __init__(self, data):
        self._stream = io.BytesIO(data)
        self.taken = 0

    def read(self, size=-1):
        data = self._stream.read(size)
        self.taken += len(data)
        return data


def environ_of(data, content_type, **keys):
    return {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": str(len(data)), "wsgi.input": Stream(data), **keys}


def part(name, value=b"", filename=None):
    file = f'; filename="{filename}"' if filename else ""
    head = f'--XX\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + value + b"\r\n"


END = b"--XX--\r\n"


@pytest.mark.parametrize(
    ("data", "content_type", "found"),
    [
        (b"csrf_token=abc", URLENCODED, "abc"),
        (b"a=1&csrf_token=a%2Bb+c&csrf_token=second", URLENCODED, "a+b c"),
        (b"csrf%5Ftoken=abc", URLENCODED, "abc"),
        (b"csrf_token=", URLENCODED, ""),
        (b"xcsrf_token=abc", URLENCODED, None),
        (b"\xff\xfe&=&&&csrf_token", URLENCODED, ""),
        (b"csrf_token=abc", "Application/X-WWW-Form-Urlencoded; charset=utf-8", "abc"),
        (b'{"csrf_token": "abc"}', "application/json", None),
        (b"csrf_token=abc", "text/plain", None),
        (b"csrf_token=abc", "", None),
        (part("csrf_token", b"abc") + END, MULTIPART, "abc"),
        (part("a", b"1") + part("csrf_token", b"abc") + END, MULTIPART, "abc"),
        (part("f", b"data", "x.txt") + part("csrf_token", b"abc") + END, MULTIPART, "abc"),
        (part("csrf_token", b"abc", "x.txt") + END, MULTIPART, None),
        (part("csrf_token", b"abc"), MULTIPART, None),
        (b"--XX\r\nnonsense", MULTIPART, None),
        (b"", MULTIPART, None),
        (part("csrf_token", b"abc") + END, "multipart/form-data", None),
        (part("csrf_token", b"abc") + END, 'Multipart/Form-Data; Boundary="XX"', "abc"),
    ],
)
def test_the_field_is_found_and_the_body_can_be_read_again(data, content_type, found):
    environ = environ_of(data, content_type)
    value = find_field(environ, "csrf_token")
    assert value == found
    assert environ["wsgi.input"].read(len(data) + 10) == data
    assert environ["CONTENT_LENGTH"] == str(len(data))


def test_a_large_upload_is_not_read_beyond_the_field():
    data = part("csrf_token", b"abc") + part("f", b"x" * 5_000_000, "big") + END
    environ = environ_of(data, MULTIPART)
    stream = environ["wsgi.input"]
    assert find_field(environ, "csrf_token") == "abc"
    assert stream.taken <= 16384
    assert environ["wsgi.input"].read() == data


def test_a_field_behind_a_large_file_is_not_looked_for():
    data = part("f", b"x" * (2 * MOST_BYTES), "big") + part("csrf_token", b"abc") + END
    environ = environ_of(data, MULTIPART)
    stream = environ["wsgi.input"]
    assert find_field(environ, "csrf_token") is None
    assert stream.taken <= MOST_BYTES
    assert environ["wsgi.input"].read() == data


def test_a_form_that_is_cut_off_at_the_limit_has_no_half_field():
    data = b"a=" + b"x" * (MOST_BYTES - 20) + b"&csrf_token=" + b"y" * 100
    assert find_field(environ_of(data, URLENCODED), "csrf_token") is None


@pytest.mark.parametrize("length", ["", "abc", "-1", "0"])
def test_a_body_without_a_readable_length_is_left_alone(length):
    environ = environ_of(b"csrf_token=abc", URLENCODED, CONTENT_LENGTH=length)
    stream = environ["wsgi.input"]
    assert find_field(environ, "csrf_token") is None
    assert environ["wsgi.input"] is stream
    assert stream.taken == 0


def test_a_chunked_body_is_read_if_the_server_ends_it():
    environ = environ_of(b"csrf_token=abc&a=1", URLENCODED)
    del environ["CONTENT_LENGTH"]
    assert find_field(dict(environ), "csrf_token") is None
    environ["wsgi.input_terminated"] = True
    assert find_field(environ, "csrf_token") == "abc"
    assert environ["wsgi.input"].read() == b"csrf_token=abc&a=1"


def test_a_body_that_was_read_whole_is_found_where_it_was():
    from wsgikit.http.request import Request

    environ = environ_of(b"csrf_token=abc&a=1", URLENCODED, REQUEST_METHOD="POST")
    assert Request(environ).form["a"] == "1"
    spool = environ["wsgi.input"]
    assert find_field(environ, "csrf_token") == "abc"
    assert environ["wsgi.input"] is spool
    assert spool.tell() == 0
    assert Request(environ).get_data() == b"csrf_token=abc&a=1"


def test_a_form_is_read_by_our_request_after_the_token():
    from wsgikit.http.request import Request

    data = part("csrf_token", b"abc") + part("f", b"data", "x.txt") + END
    environ = environ_of(data, MULTIPART, REQUEST_METHOD="POST")
    assert find_field(environ, "csrf_token") == "abc"
    file = Request(environ).files["f"]
    assert file.stream.read() == b"data"
    file.close()


def test_a_body_that_is_too_large_is_a_413():
    from werkzeug.exceptions import RequestEntityTooLarge

    from wsgikit.http.input import limit_input

    for content_type in (URLENCODED, MULTIPART):
        environ = environ_of(b"csrf_token=abc", content_type)
        limit_input(environ, 3)
        with pytest.raises(RequestEntityTooLarge):
            find_field(environ, "csrf_token")


def test_more_than_the_length_is_never_read():
    environ = environ_of(b"a=1&csrf_token=abc", URLENCODED, CONTENT_LENGTH="3")
    assert find_field(environ, "csrf_token") is None
    assert environ["wsgi.input"].read() == b"a=1"


def test_a_client_that_leaves_has_sent_no_field():
    environ = environ_of(b"a=1", URLENCODED, CONTENT_LENGTH="100")
    assert find_field(environ, "csrf_token") is None


def test_the_body_can_be_read_by_lines_and_in_steps():
    data = b"csrf_token=abc&a=1\nsecond line\nthird"
    environ = environ_of(data, URLENCODED)
    find_field(environ, "csrf_token")
    stream = environ["wsgi.input"]
    assert stream.readline() == b"csrf_token=abc&a=1\n"
    assert stream.read(3) == b"sec"
    assert list(stream) == [b"ond line\n", b"third"]
    assert stream.read() == b""


@settings(max_examples=200, deadline=None)
@given(
    data=st.binary(max_size=200)
    | st.lists(st.sampled_from([part("csrf_token", b"v"), part("a", b"b"), END, b"--XX", b"\r\n", b"\x00"])).map(
        b"".join
    ),
    is_multipart=st.booleans(),
)
def test_no_body_is_an_error_or_changed(data, is_multipart):
    environ = environ_of(data, MULTIPART if is_multipart else URLENCODED)
    find_field(environ, "csrf_token")
    assert environ["wsgi.input"].read(len(data) + 1) == data
