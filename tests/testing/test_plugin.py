"""The fixtures that pytest finds wherever wsgikit is installed."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

APP = """
    class Body:
        def __iter__(self):
            return iter([b"hello"])
        def close(self):
            pass

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Body()
"""


@pytest.fixture
def run_with_plugin(pytester):
    def run(code):
        pytester.makepyfile(APP + code)
        # Its own process: in this one pytester would unload what is first loaded there, and later tests load again.
        # The plugin by its module: it isn't found twice if the installed wsgikit has the entry point.
        return pytester.runpytest_subprocess("-q", "-p", "no:wsgikit", "-p", "wsgikit.testing.plugin")

    return run


def test_client_for_makes_clients(run_with_plugin):
    run_with_plugin("""
    def test_it(client_for):
        assert client_for(app).get("/").text == "hello"
        assert client_for(app, extra_environ={"REMOTE_USER": "me"}).extra_environ == {"REMOTE_USER": "me"}
    """).assert_outcomes(passed=1)


def test_stream_that_is_left_open_is_an_error_of_the_test(run_with_plugin):
    result = run_with_plugin("""
    def test_it(client_for):
        client_for(app).stream("/")
    """)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*TestClient: stream: expected it closed*"])


def test_plugin_is_an_entry_point_of_the_package():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"wsgikit": "wsgikit.testing.plugin"}
