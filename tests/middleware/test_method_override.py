"""A POST that asks for another method."""

from __future__ import annotations

import io
from wsgiref.validate import validator

import flask
import pytest
from werkzeug.test import Client as WerkzeugClient

from wsgikit import MethodOverrideMiddleware, build_stack, use
from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.method_override import find_method
from wsgikit.testing import assert_conforms


class Client(WerkzeugClient):
    """Reads and closes each response at once."""

    def open(self, *args, **kwargs):
        return super().open(*args, buffered=True, **kwargs)


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return [environ["REQUEST_METHOD"].encode(), b" ", body]


def client(**options):
    return Client(validator(MethodOverrideMiddleware(validator(app), **options)))


FORM = {"content_type": "application/x-www-form-urlencoded"}
CASES = {
    "field": ({"data": "a=1&_method=DELETE", **FORM}, "DELETE a=1&_method=DELETE"),
    "field in lower case": ({"data": "_method=patch", **FORM}, "PATCH _method=patch"),
    "media type in capitals": (
        {"data": "_method=PUT", "content_type": "Application/X-WWW-Form-URLEncoded; charset=utf-8"},
        "PUT _method=PUT",
    ),
    "header": ({"headers": {"X-HTTP-Method-Override": "PUT"}}, "PUT "),
    "header before field": (
        {"headers": {"X-HTTP-Method-Override": "PUT"}, "data": "_method=DELETE", **FORM},
        "PUT _method=DELETE",
    ),
    "the first of two fields": ({"data": "_method=PUT&_method=DELETE", **FORM}, "PUT _method=PUT&_method=DELETE"),
    "a safe method": ({"data": "_method=GET", **FORM}, "POST _method=GET"),
    "an unknown method": ({"headers": {"X-HTTP-Method-Override": "PURGE"}}, "POST "),
    "an empty value": ({"data": "_method=", **FORM}, "POST _method="),
    "another field": ({"data": "x_method=PUT", **FORM}, "POST x_method=PUT"),
    "another media type": ({"data": "_method=PUT", "content_type": "text/plain"}, "POST _method=PUT"),
    "the query": ({"query_string": "_method=PUT"}, "POST "),
    "no body": ({**FORM}, "POST "),
}


@pytest.mark.parametrize(("request_", "expected"), CASES.values(), ids=CASES.keys())
def test_a_post_asks_for_another_method(request_, expected):
    assert client().post("/", **request_).text == expected


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
def test_other_methods_are_never_changed(method):
    response = client().open("/", method=method, headers={"X-HTTP-Method-Override": "DELETE"})
    assert response.text == f"{method} "


def test_a_form_is_read_up_to_64_kib():
    field = "_method=PUT&a="
    fits, too_long = (field + "x" * (length - len(field)) for length in (65_536, 65_537))
    assert client().post("/", data=fits, **FORM).text == f"PUT {fits}"
    assert client().post("/", data=too_long, **FORM).text == f"POST {too_long}"


LENGTHS = ["-1", "ten", "", "9" * 5000, "١"]


@pytest.mark.parametrize("length", LENGTHS, ids=lambda text: ascii(text[:5]))
def test_a_length_that_is_no_number_leaves_the_body_unread(length):
    body = io.BytesIO(b"_method=PUT")
    seen = []

    def inner(environ, start_response):
        seen.append((environ["REQUEST_METHOD"], environ["wsgi.input"]))
        start_response("200 OK", [])
        return []

    environ = {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": FORM["content_type"],
        "CONTENT_LENGTH": length,
        "wsgi.input": body,
    }
    MethodOverrideMiddleware(inner)(environ, lambda *head: None)
    assert seen == [("POST", body)]
    assert body.tell() == 0


def test_the_names_of_field_and_header_are_options():
    made = client(field="verb", header="X-Verb", methods=["DELETE"])
    assert made.post("/", data="verb=DELETE", **FORM).text.startswith("DELETE")
    assert made.post("/", headers={"X-Verb": "DELETE"}).text == "DELETE "
    assert made.post("/", headers={"X-Verb": "PUT"}).text == "POST "
    assert client(field="", header="").post("/", data="_method=PUT", **FORM).text == "POST _method=PUT"


def test_flask_reads_the_form_and_routes_by_the_method():
    site = flask.Flask("site")
    site.add_url_rule("/", "remove", lambda: flask.request.form["name"], methods=["DELETE"])
    response = Client(MethodOverrideMiddleware(site)).post("/", data={"_method": "DELETE", "name": "x"})
    assert (response.status_code, response.text) == (200, "x")


FORMS = {
    b"_method=PUT": "PUT",
    b"a=%FF&_method=PUT": "PUT",
    b"_method": "",
    b"_method=a%26b": "a&b",
    b"&".join([b"a=1"] * 1001) + b"&_method=PUT": None,
    b"": None,
}


@pytest.mark.parametrize(("form", "expected"), FORMS.items(), ids=lambda value: ascii(value)[:20])
def test_a_field_is_found_in_a_form(form, expected):
    assert find_method(form, "_method") == expected


WRONG = {
    "safe": ({"methods": ["GET"]}, "methods: expected methods that are not safe, got 'GET'"),
    "HEAD": ({"methods": ["PUT", "HEAD"]}, "methods: expected methods that are not safe"),
    "lower case": ({"methods": ["put"]}, "methods: expected methods such as DELETE, got 'put'"),
    "text": ({"methods": "PUT"}, "methods: expected a list of methods"),
    "none": ({"methods": ()}, "methods: expected a list of methods"),
    "field": ({"field": None}, "field: expected a name in ASCII"),
    "header": ({"header": "Überschrift"}, "header: expected a name in ASCII"),
}


@pytest.mark.parametrize(("options", "text"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_option_is_refused_while_building(options, text):
    with pytest.raises(ConfigurationError, match=text):
        build_stack(app, use(MethodOverrideMiddleware, **options))


def test_the_layer_conforms():
    assert_conforms(MethodOverrideMiddleware)
