"""The pages on testing: their examples are run, and every name is in the reference."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import wsgikit.testing

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "testing.md"


def test_examples_of_the_page_pass(pytester):
    pytester.makepyfile("\n\n".join(re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)))
    # Its own process: in this one pytester would unload what is first loaded there, and later tests load it again.
    result = pytester.runpytest_subprocess("-q")
    result.assert_outcomes(passed=8)


def test_reference_has_every_public_name():
    reference = PAGE.parents[1] / "reference" / "testing.md"
    text = reference.read_text()
    assert [name for name in wsgikit.testing.__all__ if not re.search(rf"`{name}\b", text)] == []


def test_public_names_have_docstrings_and_are_listed():
    for name in wsgikit.testing.__all__:
        assert getattr(wsgikit.testing, name).__doc__
        assert name in dir(wsgikit.testing)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"module 'wsgikit\.testing' has no attribute 'Client'"):
        _ = wsgikit.testing.Client
