"""Whatever is written, an option is read or refused with its place: nothing else ever comes out."""

from __future__ import annotations

import datetime
import enum
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgikit.exceptions import ConfigurationError
from wsgikit.options import mask, parse_options


class Color(enum.Enum):
    RED = "red"


def layer(
    app: Any,
    *,
    switch: bool = False,
    number: int = 0,
    ratio: float = 0,
    wait_seconds: float | None = None,
    limit_bytes: int = 0,
    text: str = "",
    data: bytes = b"",
    maybe: str | None = None,
    choice: Literal["a", "b"] | bool = "a",
    color: Color | None = None,
    names: Sequence[str] = (),
    numbers: set[int] = frozenset(),
    pair: tuple[int, str] = (0, ""),
    table: Mapping[int, bool | str] = {},
    view: Callable[[], None] | Sequence[Callable[[], None]] | None = None,
    kind: type[Exception] = Exception,
    place: pathlib.Path | str = "",
    form: re.Pattern[str] | None = None,
    age: datetime.timedelta | None = None,
    anything: Any = None,
    secret_key: str | Sequence[str] = "",
) -> None: ...


NAMES = list(layer.__kwdefaults__)
# Pieces that mean something, put together in ways that may not.
PIECES = [
    "none",
    "yes",
    "1",
    "0",
    "-",
    ".",
    "9" * 400,
    "1e999",
    "15m",
    "10MB",
    ",",
    "\n",
    '"',
    "=",
    ":",
    "env:",
    "file:",
]
PIECES += ["a", "json:loads", "json.loads", "(", "[", "%", "\x00", "\u0660", " ", "://", "@", "\\", "é"]
TEXTS = st.one_of(st.text(max_size=30), st.lists(st.sampled_from(PIECES), max_size=6).map("".join))


@pytest.mark.filterwarnings("ignore:Possible (nested set|set difference|set):FutureWarning")  # of regular expressions
@settings(max_examples=600, deadline=None)
@given(name=st.sampled_from(NAMES), text=TEXTS)
def test_any_text_is_read_or_refused_with_its_place(name, text):
    try:
        options = parse_options(layer, {name: text}, "app.ini:3 [filter:x]")
    except ConfigurationError as error:
        assert str(error).startswith(f"app.ini:3 [filter:x]: {name}: expected ")  # noqa: PT017
    else:
        assert list(options) == [name]


@settings(max_examples=200, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.binary(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    )
)
def test_any_value_can_be_shown(value):
    assert isinstance(mask("option", value), str)
    assert "\n" not in mask("option", value)


PASSWORDS = st.text(
    st.characters(codec="ascii", exclude_characters="'\"\\ ", min_codepoint=33), min_size=4, max_size=20
)


@pytest.mark.parametrize("scheme", ["redis", "postgresql+psycopg", "mysql"])
@settings(max_examples=100, deadline=None)
@given(password=PASSWORDS)
def test_no_password_of_a_url_is_ever_shown(scheme, password):
    shown = mask("url", f"{scheme}://me:{password}@db.example.com:5432/x")
    if not re.match(r"\d+[/?#]", password):  # what looks like a port is taken for one
        assert shown == f"'{scheme}://me:***@db.example.com:5432/x'"
