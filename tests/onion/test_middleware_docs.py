"""The code of docs/reference/middleware.md runs, and its tables are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.testing.probes import Body, answering

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "reference/middleware.md").read_text()


@pytest.fixture(scope="module")
def names():
    namespace = {"__name__": "page"}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        exec(compile(block, "middleware.md", "exec"), namespace)
    return namespace


def test_the_timing_layer_adds_its_header(names, call):
    assert re.fullmatch(r"app;dur=\d+\.\d", call(names["stack"]).get_all("X-Time")[0])


def test_the_maintenance_layer_answers(names, call):
    answer = call(names["closed"]).finish()
    assert (answer.code, answer.content, answer.get_all("Retry-After")) == (503, b"Back soon.\n", ["120"])


@pytest.mark.parametrize("body", [[b"list"], Body(b"lazy")], ids=["list", "lazy"])
def test_the_shouting_layer_shouts(names, call, body):
    layer = names["ShoutMiddleware"](answering(body))
    assert call(layer).finish().content in (b"LIST", b"LAZY")


def test_the_retrying_layer_retries(names, call, log, onion, recording):
    def app(environ, start_response):
        if log.count("inner before") < 2:
            raise ConnectionError
        return names["app"](environ, start_response)

    assert (
        call(onion(app, recording("outer"), names["RetryMiddleware"], recording("inner"))).finish().content == b"Hello"
    )


def rows(title):
    """The first cells of the table below a heading, without the head."""
    section = PAGE.split(f"## {title}\n")[1].split("\n#")[0]
    table = re.findall(r"^\| (.*?) \|", section, re.MULTILINE)
    return {name for cell in table for name in re.findall(r"`(\w+)", cell)}


def test_the_table_of_the_exchange_has_all_that_is_public():
    public = {name for name in {*dir(Exchange), "environ", "status"} if not name.startswith("_")}
    assert rows("The exchange") == public


def test_the_table_of_class_attributes_has_all_that_is_public():
    hooks = {
        "before_request",
        "before_view",
        "after_request",
        "handle_exception",
        "teardown_request",
        "close",
        "watch_hook",
        "pool_gauges",
    }
    public = {name for name in dir(Middleware) if not name.startswith("_")} - {"register"}  # of ABCMeta
    assert rows("Class attributes") == public - hooks
    assert rows("The hooks") & hooks == hooks - {"close", "watch_hook", "pool_gauges"}


@pytest.mark.parametrize("page", ["reference/middleware.md", "reference/stack.md", "explanation/engine.md"])
def test_links_lead_to_pages_that_are_there(page):
    path = DOCS / page
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_the_page_on_stacks_runs_and_its_tables_have_all_that_is_there(call):
    page = (DOCS / "reference/stack.md").read_text()
    namespace = {}
    for block in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        exec(compile(block, "stack.md", "exec"), namespace)
    assert call(namespace["stack"]).finish().content == b"Hello"
    section = page.split("## `Stack`\n")[1].split("\n## ")[0]
    public = {name for name in {*dir(namespace["stack"])} if not name.startswith("_")}
    assert set(re.findall(r"^\| `(\w+)", section, re.MULTILINE)) == public


def test_the_page_on_the_engine_names_what_is_there():
    from wsgikit.onion import engine, exchange, source

    page = (DOCS / "explanation/engine.md").read_text()
    for name in re.findall(r"`((?:Onion|Segment|Body|Source|Exchange)(?:\.\w+)?)`", page):
        owner, _, attribute = name.partition(".")
        found = next(getattr(module, owner) for module in (engine, exchange, source) if hasattr(module, owner))
        assert not attribute or hasattr(found, attribute), name
