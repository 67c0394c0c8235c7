"""Names of webob and Flask on one request: which work, and where their values differ."""

from __future__ import annotations

import subprocess
import sys

import pytest
import werkzeug.exceptions
import werkzeug.test
import werkzeug.wrappers

from wsgikit.http import json_text
from wsgikit.http.request import Request
from wsgikit.http.response import Response


def both(path="/a", **options):
    environ = werkzeug.test.EnvironBuilder(path, **options).get_environ()
    return Request(environ), werkzeug.wrappers.Request(dict(environ))


SAME = {
    "headers.get with a type": lambda r: r.headers.get("Max-Forwards", type=int),
    "headers.get of another type": lambda r: r.headers.get("X-A", 3, type=int),
    "headers.get of a missing one": lambda r: r.headers.get("X-None", "d", type=str),
    "headers.getlist": lambda r: r.headers.getlist("X-A"),
    "headers.getlist of a missing one": lambda r: r.headers.getlist("X-None"),
    "headers by name": lambda r: r.headers["x-a"],
    "a header in headers": lambda r: "X-a" in r.headers,
    "cookies.get with a type": lambda r: r.cookies.get("n", 1, type=int),
    "cookies.getlist": lambda r: r.cookies.getlist("n"),
    "user_agent.string": lambda r: r.user_agent.string,
}


@pytest.mark.parametrize("ask", SAME.values(), ids=SAME)
def test_a_name_of_flask_gives_what_flask_gives(ask):
    ours, theirs = both(
        headers={"X-A": "a", "Max-Forwards": "5", "User-Agent": "UA/1", "Cookie": "n=5; n=x; m=2"},
    )
    assert ask(ours) == ask(theirs)


def test_a_header_that_is_missing_is_a_400():
    ours, _ = both()
    with pytest.raises(werkzeug.exceptions.BadRequest):
        ours.headers["X-None"]
    with pytest.raises(KeyError):
        ours.headers["X-None"]


def test_headers_can_be_set_as_in_webob():
    ours, _ = both(headers={"X-A": "a"})
    ours.headers["X-B"] = "b"
    assert ours.environ["HTTP_X_B"] == "b"
    ours.user_agent = "UA/2"
    assert (ours.headers["User-Agent"], ours.user_agent) == ("UA/2", "UA/2")
    ours.user_agent = None
    assert ours.user_agent is None
    ours.headers = {"X-C": "c"}
    assert dict(ours.headers) == {"X-C": "c"}


# name: ours (webob's meaning), Flask's. docs/reference/flask-names.md has a line for each.
DIFFERENT = {
    "path": ("/base/gr%C3%BCn", "/grün"),
    "host_url": ("http://example.org", "http://example.org/"),
    "url": ("http://example.org/base/gr%C3%BCn?q=%C3%BC", "http://example.org/base/grün?q=ü"),
    "base_url": ("http://example.org/base/gr%C3%BCn", "http://example.org/base/grün"),
    "query_string": ("q=%C3%BC", b"q=%C3%BC"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_names_of_both_keep_webobs_meaning(name):
    ours, theirs = both("/grün", base_url="http://example.org/base", query_string="q=%C3%BC")
    assert (getattr(ours, name), getattr(theirs, name)) == DIFFERENT[name]


# ---------------------------------------------------------------------- JSON


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "-1E400", '{"a": [NaN]}'])
def test_a_number_that_is_no_json_is_a_400(text):
    ours, _ = both(method="POST", data=text, content_type="application/json")
    with pytest.raises(werkzeug.exceptions.BadRequest):
        ours.json
    assert ours.get_json(silent=True) is None


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_has_not_is_never_written(number):
    ours, _ = both()
    response = Response("x")
    for write in (
        lambda: setattr(ours, "json", [number]),
        lambda: setattr(response, "json", [number]),
        lambda: setattr(response, "json_body", [number]),
        lambda: Response(json=[number]),
        lambda: Response(json_body=[number]),
        lambda: json_text.dumps(number),
    ):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le"])
def test_json_is_read_in_the_encodings_of_unicode(encoding):
    assert json_text.loads('{"a": "ü"}'.encode(encoding)) == {"a": "ü"}


def test_a_response_is_made_of_json_as_in_webob():
    response = Response(json={"a": 1})
    assert (response.content_type, response.body, response.json) == ("application/json", b'{"a":1}', {"a": 1})
    response.json = [1]
    assert response.json_body == [1]


# ---------------------------------------------------------------------- warnings


def test_the_first_use_of_request_warns_of_nothing():
    """webob imports `cgi`, which warns on Python 3.11 and 3.12; users have ``filterwarnings = error``."""
    for module in ("request", "response", "response_headers", "request_headers", "request_body", "lenient_request"):
        run = subprocess.run(
            [sys.executable, "-W", "error::DeprecationWarning", "-c", f"import wsgikit.http.{module}"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize(("script_name", "root"), [("", ""), ("/", ""), ("/app", "/app"), ("/app/", "/app")])
def test_the_root_of_the_script_has_no_slash_at_its_end(script_name, root):
    environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": script_name, "PATH_INFO": "/x", "HTTP_HOST": "example.org"}
    request = Request({**environ, "wsgi.url_scheme": "http"})
    assert request.script_root == root
    assert request.url_root == f"http://example.org{root}/"
