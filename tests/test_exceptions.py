"""Errors by blame, and the one form of their text."""

from __future__ import annotations

import pytest

from wsgikit import exceptions
from wsgikit.exceptions import (
    ApplicationError,
    BadRequest,
    ConfigurationError,
    HeadSentError,
    OutsideRequestError,
    ProtocolError,
    WsgikitError,
    a_kind,
    complaint,
    did_you_mean,
)


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        (ConfigurationError, (WsgikitError, TypeError)),
        (BadRequest, (WsgikitError, ValueError)),
        (ApplicationError, (WsgikitError, RuntimeError)),
        (ProtocolError, (ApplicationError,)),
        (HeadSentError, (ApplicationError,)),
        (OutsideRequestError, (ApplicationError,)),
    ],
)
def test_an_error_is_caught_as_ours_and_as_what_python_has_for_it(error, bases):
    assert all(issubclass(error, base) for base in bases)


def test_every_error_is_of_the_one_root():
    errors = [getattr(exceptions, name) for name in exceptions.__all__]
    assert all(issubclass(error, WsgikitError) for error in errors if isinstance(error, type))


def test_no_error_passes_for_one_that_python_handles_silently():
    """An `AttributeError` of ours would become a missing attribute, a `LookupError` a missing key."""
    for name in exceptions.__all__:
        error = getattr(exceptions, name)
        if isinstance(error, type):
            assert not issubclass(error, (AttributeError, LookupError, StopIteration, OSError))


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("here", "this", "that", 1), "here: this: expected that, got 1."),
        (("here", "this", "that", "x", "Do it"), "here: this: expected that, got 'x'. Do it."),
        (("here", "this", "that", "x", "Is it y?"), "here: this: expected that, got 'x'. Is it y?"),
        (("app.ini", "[session] ttl", "a duration", "1 fortnight"),)
        + ("app.ini: [session] ttl: expected a duration, got '1 fortnight'.",),
    ],
)
def test_a_complaint_says_where_what_expected_and_got_and_what_to_do(args, text):
    assert complaint(*args) == text


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("secert_key", ["secret_key", "store"], "Did you mean 'secret_key'?"),
        ("store", ["secret_key"], ""),
        ("x", [], ""),
        ("cookie_secur", (name for name in ["cookie_secure", "cookie_path"]), "Did you mean 'cookie_secure'?"),
    ],
)
def test_the_name_that_was_probably_meant(name, known, hint):
    assert did_you_mean(name, known) == hint


def test_a_bad_request_says_its_status():
    assert BadRequest.status == "400 Bad Request"


@pytest.mark.parametrize(
    ("value", "text"), [(1, "an int"), ({}, "a dict"), (object(), "an object")], ids=["int", "dict", "object"]
)
def test_a_kind_has_its_article(value, text):
    assert a_kind(value) == text
