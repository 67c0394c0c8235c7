"""Annotations mean at run time what they mean to a type checker, as far as their names can be found."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Any, Final, NewType, Required, TypedDict, TypeVar, Unpack

import pytest

from wsgikit.options import describe_options
from wsgikit.options.annotations import is_unresolved
from wsgikit.options.table import options_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    import sqlalchemy
    from nowhere import Store  # type: ignore[import-not-found]

Port = NewType("Port", int)
B = TypeVar("B", bound=int)


class Extra(TypedDict, total=False):
    size: Required[int]
    color: str


def annotated(app, *, option: Annotated[int, "documented"]): ...
def final(app, *, option: Final[int]): ...
def new_type(app, *, option: Port): ...
def bound(app, *, option: B): ...
def quoted(app, *, option: int): ...
def nothing(app, *, option): ...
def broken(app, *, option: 1 / 0): ...
def by_position(app, option: int): ...
def known_to_checkers(app, *, option: Mapping[str, int]): ...


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        (annotated, "an integer"),
        (final, "an integer"),
        (new_type, "an integer"),
        (bound, "an integer"),
        (quoted, "an integer"),
        (by_position, "an integer"),
        (nothing, "a value"),
        (broken, "a value"),
        (known_to_checkers, "lines of name = value, each value an integer"),
        (functools.partial(annotated), "an integer"),
    ],
)
def test_the_type_inside_counts(factory, words):
    (option,) = describe_options(factory)
    assert (option.name, option.words, option.is_required) == ("option", words, True)


def test_names_that_are_not_there_stand_for_objects():
    def factory(
        app: Any, *, engine: sqlalchemy.engine.Engine | None = None, stores: list[Store[int]] | None = None
    ) -> None: ...

    engine, stores = describe_options(factory)
    assert is_unresolved(engine.annotation.__args__[0])
    assert engine.words == "a dotted name (package.module:attribute) or none"
    assert stores.words == "a list (commas or lines between) of: a dotted name (package.module:attribute) or none"


def test_an_object_that_can_be_called_is_a_factory_too():
    class Factory:
        def __call__(self, app: Any, *, option: int = 3) -> None: ...

    (option,) = describe_options(Factory())
    assert (option.annotation, option.default_text) == (int, "3")


def test_a_required_key_of_a_typed_dictionary_is_required():
    def factory(app: Any, **options: Unpack[Extra]) -> None: ...

    assert [(o.name, o.annotation, o.is_required) for o in describe_options(factory)] == [
        ("size", int, True),
        ("color", str, False),
    ]


def test_what_can_not_be_seen_has_no_options():
    assert describe_options(dict) == ()


def test_a_partial_that_gives_the_first_arguments_leaves_the_others():
    def factory(settings: Any, app: Any, *, option: int) -> None: ...

    assert [o.name for o in describe_options(functools.partial(factory, {}))] == ["option"]


def test_the_table_is_markdown():
    def factory(app: Any, *, kind: int, size_bytes: int = 5, **rest: Any) -> None:
        """Make something.

        Args:
            kind: ``1`` | ``2``.
            rest: what else
                there is.
        """

    assert options_table(factory) == (
        "| option | what may be written | default | what it does |\n"
        "| ------ | ------------------- | ------- | ------------ |\n"
        "| `kind` | an integer | (required) | `1` \\| `2`. |\n"
        "| `size_bytes` | a size (512, 64KiB, 10MB) | `5` |  |\n"
        "| … | further keywords, passed on |  | what else there is. |"
    )
