"""Sijax's names over page calls."""

from __future__ import annotations

import json

import pytest

from wsgikit import PageCallsMiddleware, build_stack, sijax, use
from wsgikit.exceptions import ConfigurationError
from wsgikit.testing import TestClient


def app(environ, start_response):
    start_response("404 Not Found", [])
    return []


@pytest.fixture
def registry():
    return sijax.Sijax()


@pytest.fixture
def request_of(registry):
    client = TestClient(build_stack(app, use(PageCallsMiddleware, functions=registry)))

    def request(name, args=()):
        return client.post_json("/__calls__", {"call": name, "args": list(args)}, status="*")

    request.client = client
    return request


def test_a_callback_gets_obj_response_and_its_arguments(registry, request_of):
    def say(obj_response, extra, name, *rest):
        obj_response.alert(f"Hello, {name}")
        obj_response.html("#a", extra)
        obj_response.html_append("#a", "b").html_prepend("#a", "c")
        obj_response.css("#a", "color", "red").attr("#a", "title", "t")
        obj_response.attr_append("#a", "title", "u").attr_prepend("#a", "title", "s")
        obj_response.remove("#b").script("1").call("f", [*rest]).redirect("/next")
        return "not sent"

    registry.register_callback("say", say, args_extra=["extra"])
    assert request_of("say", ["Ann", 1, 2]).json == {
        "value": None,
        "commands": [
            ["alert", "Hello, Ann"],
            ["html", "#a", "extra"],
            ["html_append", "#a", "b"],
            ["html_prepend", "#a", "c"],
            ["css", "#a", "color", "red"],
            ["attr", "#a", "title", "t"],
            ["attr_append", "#a", "title", "u"],
            ["attr_prepend", "#a", "title", "s"],
            ["remove", "#b"],
            ["script", "1"],
            ["call", "f", [1, 2]],
            ["redirect", "/next"],
        ],
    }


def test_public_methods_of_an_object_are_callbacks(registry, request_of):
    class Handler:
        def say(self, obj_response, name):
            obj_response.alert(name)

        def _hidden(self, obj_response):
            raise AssertionError

    registry.register_object(Handler())
    assert request_of("say", ["Ann"]).json["commands"] == [["alert", "Ann"]]
    assert request_of("_hidden").status_int == 404
    with pytest.raises(ConfigurationError, match="an object with public methods"):
        registry.register_object(object())


def test_a_comet_callback_sends_the_commands_so_far(registry, request_of):
    def count(obj_response, upto):
        for number in range(upto):
            obj_response.html("#n", str(number))
            yield obj_response
        obj_response.alert("done")

    registry.register_comet_callback("count", count)
    data = [json.loads(block.split("data: ")[1]) for block in request_of("count", [2]).text.split("\n\n")[1:-1]]
    assert [one["commands"] for one in data] == [[["html", "#n", "0"]], [["html", "#n", "1"]], [["alert", "done"]], []]


def test_an_upload_callback_gets_files_and_fields(registry, request_of):
    def keep(obj_response, files, form_values):
        names = [file.filename for file in files["photo"]]
        obj_response.alert(f"{names} {files['one'].read()} {form_values}")

    registry.register_upload_callback("form", keep)
    answer = request_of.client.post(
        "/__calls__?call=form",
        {"args": '{"title": "x", "tags": ["a"]}'},
        upload_files=[("photo", "1", b"1"), ("photo", "2", b"2"), ("one", "3", b"3")],
    )
    assert answer.json["commands"] == [["alert", "['1', '2'] b'3' {'title': 'x', 'tags': ['a']}"]]


def test_the_functions_of_the_module_share_a_registry(monkeypatch):
    assert sijax.register_callback.__self__ is sijax.calls
    assert sijax.register_comet_callback.__self__ is sijax.calls
    assert sijax.register_object.__self__ is sijax.calls
    assert sijax.register_upload_callback.__self__ is sijax.calls
