"""The suite itself: its options, its report, its limits."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from wsgikit.exceptions import ConfigurationError
from wsgikit.testing import ConformanceError, Scenario, assert_conforms, conformance_scenarios

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "conformance.md"


def identity(app):
    return app


def shouting(app):
    """Wrong in two ways: the words of the status, and the order of the headers."""

    def middleware(environ, start_response):
        def start(status, headers, *rest):
            return start_response(status.upper(), headers[::-1], *rest)

        return app(environ, start)

    return middleware


SHOUTING = {"status_line_is_kept", "headers_keep_order_and_case", "repeated_headers_are_kept"}


@pytest.mark.parametrize("scenario", conformance_scenarios(), ids=str)
def test_scenarios_can_parametrize_a_test(scenario):
    assert isinstance(scenario, Scenario)
    assert_conforms(identity, only={scenario.name})


def test_scenarios_have_names_of_their_own_and_a_rule_in_one_sentence():
    scenarios = conformance_scenarios()
    assert len({scenario.name for scenario in scenarios}) == len(scenarios) >= 40
    assert [s.name for s in scenarios if not re.fullmatch(r"[A-Z23].+[.]", s.rule)] == []


def test_error_lists_every_failed_scenario_with_what_was_expected_and_seen():
    with pytest.raises(ConformanceError) as raised:
        assert_conforms(shouting)
    error = raised.value
    assert isinstance(error, AssertionError)
    assert {failure.name for failure in error.failures} == SHOUTING
    lines = str(error).splitlines()
    assert lines[0] == f"shouting: 3 of {len(conformance_scenarios())} scenarios failed."
    assert (
        '  status_line_is_kept: expected the status "299 Words of the App\'s own", '
        "got \"299 WORDS OF THE APP'S OWN\" with b'text'." in lines
    )
    assert "    A status passes as the app wrote it, the words too." in lines


def test_error_in_the_middleware_is_shown_with_its_place():
    def broken(app):
        def middleware(environ, start_response):
            return app(environ["no such key"], start_response)

        return middleware

    with pytest.raises(ConformanceError) as raised:
        assert_conforms(broken, only={"body_arrives_whole"})
    assert "got KeyError: 'no such key' (from " in str(raised.value)
    assert "test_conformance_suite.py:" in str(raised.value)
    assert ") raised to the server." in str(raised.value)


def test_error_in_the_factory_is_a_failure_of_each_scenario():
    def factory(app):
        raise RuntimeError("can't be made")

    with pytest.raises(ConformanceError, match=r"expected no error, got RuntimeError: can't be made") as raised:
        assert_conforms(factory)
    assert len(raised.value.failures) == len(conformance_scenarios())


def test_skipped_scenarios_are_not_run():
    assert_conforms(shouting, skip=SHOUTING)


def test_expected_failures_pass():
    assert_conforms(shouting, expect=SHOUTING)


def test_expected_failure_that_passes_is_an_error():
    with pytest.raises(ConformanceError) as raised:
        assert_conforms(shouting, expect={*SHOUTING, "write_works"})
    assert "write_works: expected a failure, since it is in expect=, got a pass: remove it there." in str(raised.value)


def test_only_the_scenarios_asked_for_are_run():
    assert_conforms(shouting, only={"write_works", "body_arrives_whole"})


@pytest.mark.parametrize("option", ["only", "skip", "expect"])
def test_unknown_scenario_is_a_configuration_error_with_a_suggestion(option):
    with pytest.raises(ConfigurationError) as raised:
        assert_conforms(identity, **{option: {"write_work"}})
    assert str(raised.value) == (
        f"assert_conforms: {option}: expected the name of a scenario, got 'write_work'. Did you mean 'write_works'?"
    )


def test_name_in_the_place_of_names_is_a_configuration_error():
    with pytest.raises(ConfigurationError, match=re.escape("Write skip={'write_works'}.")):
        assert_conforms(identity, skip="write_works")


def test_environ_opens_the_way_to_the_app():
    def guarded(app):
        def middleware(environ, start_response):
            if environ.get("HTTP_AUTHORIZATION") != "Bearer one":
                start_response("401 Unauthorized", [("Content-Type", "text/plain")])
                return [b"who are you?"]
            return app(environ, start_response)

        return middleware

    assert_conforms(guarded, environ={"HTTP_AUTHORIZATION": "Bearer one"})
    with pytest.raises(ConformanceError):
        assert_conforms(guarded)


def test_middleware_that_never_ends_fails_in_time():
    release = threading.Event()

    def waiting(app):
        def middleware(environ, start_response):
            release.wait(30)
            return app(environ, start_response)

        return middleware

    started = time.monotonic()
    with pytest.raises(ConformanceError, match=r"expected an end, got none after 0\.2 seconds"):
        assert_conforms(waiting, only={"body_arrives_whole"}, timeout_seconds=0.2)
    release.set()
    assert time.monotonic() - started < 10


def test_middleware_that_holds_a_lock_over_a_request_fails_in_time():
    def locked(app):
        lock = threading.Lock()

        def middleware(environ, start_response):
            with lock:
                yield from app(environ, start_response)

        return middleware

    with pytest.raises(ConformanceError) as raised:
        assert_conforms(locked, only={"requests_by_turns_do_not_mix"}, timeout_seconds=0.5)
    assert [failure.name for failure in raised.value.failures] == ["requests_by_turns_do_not_mix"]


def test_without_a_limit_all_runs_on_the_calling_thread():
    threads = set()

    def noting(app):
        threads.add(threading.current_thread())
        return app

    assert_conforms(noting, timeout_seconds=None)
    assert threads == {threading.current_thread()}


def test_endless_body_that_is_joined_gives_up_by_itself():
    def joining(app):
        return lambda environ, start_response: [b"".join(app(environ, start_response))]

    with pytest.raises(ConformanceError, match="GaveUp: 100 chunks of an endless body were taken"):
        assert_conforms(joining, only={"endless_body_streams"}, timeout_seconds=None)


def test_suite_needs_neither_webtest_nor_webob():
    code = (
        "import sys\n"
        "sys.modules['webtest'] = sys.modules['webob'] = sys.modules['werkzeug'] = None\n"
        "import importlib.util as util\n"
        "find_spec = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'webtest' else find_spec(name, *rest)\n"
        "from wsgikit.testing import assert_conforms, conformance_scenarios\n"
        "assert_conforms(lambda app: app)\n"
        "assert_conforms(lambda app: app, skip={'passes_webtest_lint'})\n"
        "print(len(conformance_scenarios()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.stderr) == (str(len(conformance_scenarios()) - 1), "")


def test_reference_lists_every_scenario_with_its_rule():
    listed = re.findall(r"^\| `(\w+)` \| (.+) \|$", REFERENCE.read_text(), re.MULTILINE)
    assert listed == [(scenario.name, scenario.rule) for scenario in conformance_scenarios()]
