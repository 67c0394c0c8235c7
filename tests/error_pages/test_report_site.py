"""`find_site` reads the names of the engine's functions from a traceback: the names are still the engine's."""

from __future__ import annotations

import pytest
from webob import Request

from wsgikit import Middleware, build_stack, use
from wsgikit.error_pages.report import find_site
from wsgikit.onion.engine import Onion, Segment
from wsgikit.onion.record import Recorded


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"x"]


class FailingHook(Middleware):
    def before_request(self, exchange):
        raise LookupError("hook")


class FailingAnswer(Middleware):
    def before_request(self, exchange):
        return self.fail

    def fail(self, environ, start_response):
        raise LookupError("answer")


class FailingCommit(Middleware):
    def before_request(self, exchange):
        exchange.before_commit(self.save)

    def save(self, exchange):
        raise LookupError("commit")

    def after_request(self, exchange):
        exchange.run_before_commit()


def failing_app(environ, start_response):
    raise LookupError("application")


def test_the_engine_has_the_functions_that_are_looked_for():
    assert (Segment.receive.__qualname__, Onion.answer.__qualname__) == ("Segment.receive", "Onion.answer")
    assert Recorded.run_before_commit.__name__ == "run_before_commit"


@pytest.mark.parametrize(
    ("layer", "inner", "expected"),
    [
        (FailingHook, app, (FailingHook, "before_request")),
        (FailingAnswer, app, (FailingAnswer, "answer")),
        (FailingCommit, app, (FailingCommit, "before_commit")),
        (Middleware, failing_app, (type(None), None)),
    ],
    ids=["a hook", "what a layer answers with", "a function of before_commit", "the application"],
)
def test_the_place_of_an_error_is_found(layer, inner, expected):
    stack = build_stack(inner, use(layer))
    with pytest.raises(LookupError) as caught:
        b"".join(stack(Request.blank("/").environ, lambda status, headers, exc_info=None: bytes.join))
    owner, hook = find_site(caught.value)
    assert (type(owner), hook) == expected
