"""The examples of docs/howto/testing.md are run."""

from __future__ import annotations

import re
from pathlib import Path

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "testing.md"


def test_examples_of_the_page_pass(pytester):
    pytester.makepyfile("\n\n".join(re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)))
    result = pytester.runpytest_inprocess("-q", "-p", "no:wsgikit", "-p", "wsgikit.testing.plugin")
    result.assert_outcomes(passed=8)
