"""The code of the how-to runs, and what it says of options is all of them."""

from __future__ import annotations

import inspect
import pathlib
import re

import pytest

from wsgikit import ErrorPagesMiddleware
from wsgikit.error_pages import ErrorPage, ErrorReport

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "howto" / "error-pages.md").read_text("utf-8")


def test_the_examples_run_and_do_what_the_page_says(ask, capsys):
    namespace = {}
    stacks = []
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S):
        exec(block, namespace)
        stacks.append(namespace["stack"])
    plain, dutch, mapped, own, reported, developer = stacks
    assert ask(plain).status == "500 Internal Server Error"
    assert "Niet gevonden" in ask(dutch, path="/missing", HTTP_ACCEPT_LANGUAGE="nl").text
    assert ask(mapped, path="/secret").status == "403 Forbidden"
    assert ask(own, path="/missing", accept="application/json").json["hint"] == "See /api for what there is."
    ask(reported, path="/reported")
    assert re.search(r"^\w{8} the application /reported$", capsys.readouterr().out, re.M)
    assert "Copy as Markdown" in ask(developer).text


def test_every_option_is_on_the_page_and_in_the_docstring():
    options = [
        name for name in inspect.signature(ErrorPagesMiddleware.__init__).parameters if name not in ("self", "app")
    ]
    section = ErrorPagesMiddleware.__doc__.partition("Args:")[2].partition("Raises:")[0]
    arguments = re.findall(r"^        (\w+): ", section, re.M)
    assert arguments == ["app", *options]
    assert not [name for name in options if f"`{name}" not in PAGE]


@pytest.mark.parametrize("kind", [ErrorPage, ErrorReport], ids=lambda kind: kind.__name__)
def test_every_attribute_is_named(kind):
    assert not [name for name in kind.__dataclass_fields__ if f"`{name}`" not in PAGE]
