"""`wsgikit check` reports an inspector."""

from __future__ import annotations

import pytest

from wsgikit.cli.check import find_problems
from wsgikit.middleware.inspector.middleware import InspectorMiddleware
from wsgikit.onion.stack import build_stack, use


@pytest.mark.parametrize(
    ("options", "is_note"),
    [
        ({}, True),
        ({"allow": "local"}, True),
        ({"allow": ["10.0.0.0/8"], "token": "jW8uYq2LmX4vRt6ZbN1cKd5e"}, True),
        ({"allow": ["10.0.0.0/8"]}, False),
    ],
)
def test_an_inspector_for_others_without_a_token_is_a_problem(options, is_note):
    with build_stack(print, use(InspectorMiddleware, **options)) as stack:
        findings = [each for each in find_problems(stack) if "requests of all visitors" in each.text]
    assert [each.is_note for each in findings] == [is_note]
