"""A problem's body is JSON, whatever numbers its members are."""

from __future__ import annotations

import json

import pytest

from wsgikit.views import Problem


def refuse(name):
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_lacks_are_null(number):
    body = Problem(422, "no", limits={"least": number, "most": [1.5, number]}).get_body()
    assert json.loads(body, parse_constant=refuse)["limits"] == {"least": None, "most": [1.5, None]}
