"""The page docs/reference/routing-rules.md says what is there."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from wsgikit.routing.converters import DEFAULT_CONVERTERS
from wsgikit.routing.matcher import RouteMap
from wsgikit.routing.rules import Rule

PAGE = (Path(__file__).parents[2] / "docs/reference/routing-rules.md").read_text(encoding="utf-8")


def _section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def _names(title: str) -> set[str]:
    cells = re.findall(r"^\| (`[^|]*) \|", _section(title), re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_the_example_runs_and_gives_what_its_comments_say() -> None:
    example = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    namespace: dict[str, object] = {}
    *_, first, second = example.strip().splitlines()
    exec(example, namespace)
    for line in first, second:
        expression, _, comment = line.partition("#")
        assert eval(expression, namespace) == eval(comment)


@pytest.mark.parametrize(("title", "kind"), [("Options of a rule", Rule), ("Options of a map", RouteMap)])
def test_every_option_is_on_the_page(title: str, kind: type) -> None:
    options = set(inspect.signature(kind).parameters) - {"string", "rules", "websocket"}
    assert _names(title) == options


def test_every_converter_and_its_weight_is_on_the_page() -> None:
    assert _names("Converters") == set(DEFAULT_CONVERTERS)
    weights = {name: kind.weight for name, kind in DEFAULT_CONVERTERS.items()}
    assert {name for name, weight in weights.items() if weight == 50} == {"int", "float"}
    assert {name for name, weight in weights.items() if weight == 200} == {"path"}
    assert set(weights.values()) == {50, 100, 200}
