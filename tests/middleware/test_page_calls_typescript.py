"""The module that ``wsgikit calls`` writes for pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal, TypedDict

import pydantic
import pytest
from click.testing import CliRunner
from werkzeug.datastructures import FileStorage

from wsgikit import Calls, PageReply
from wsgikit.cli import main
from wsgikit.middleware.page_calls.typescript import javascript_module, typescript_module, typescript_type


@dataclass
class Note:
    text: str
    tags: list[str] = field(default_factory=list)


class Model(pydantic.BaseModel):
    name: str
    age: int | None = None


class Typed(TypedDict, total=False):
    a: int


class Colour(Enum):
    red = "r"
    blue = "b"


@dataclass
class Tree:
    children: list[Tree]


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (str, "string"),
        (int, "number"),
        (float, "number"),
        (bool, "boolean"),
        (None, "null"),
        (type(None), "null"),
        (Any, "unknown"),
        (object, "unknown"),
        (int | None, "number | null"),
        (int | float, "number"),
        (list[int], "(number)[]"),
        (list, "(unknown)[]"),
        (tuple[int, str], "[number, string]"),
        (tuple[int, ...], "(number)[]"),
        (dict[str, int], "Record<string, number>"),
        (dict, "Record<string, unknown>"),
        (Literal["a", 1, True], '"a" | 1 | true'),
        (date, "string"),
        (Annotated[int, "x"], "number"),
        (FileStorage, "Blob"),
        (list[FileStorage], "(Blob)[]"),
        (Note, "{ text: string; tags?: (string)[]; }"),
        (Model, "{ name: string; age?: number | null; }"),
        (Typed, "{ a?: number; }"),
        (Colour, '"r" | "b"'),
        (range, "(unknown)[]"),
        (Exception, "unknown"),
    ],
    ids=repr,
)
def test_an_annotation_becomes_the_type_of_its_json(hint, expected):
    if hint is None:
        hint = type(None)
    assert typescript_type(hint) == expected


def test_a_type_that_contains_itself_ends():
    assert "children: unknown;" in typescript_type(Tree)


@pytest.fixture
def calls():
    calls = Calls()

    @calls.function
    def save_note(note: Note, pinned: bool = False) -> int:
        """Save a note.

        More that isn't shown.
        """

    @calls.function("notes.all")
    def all_notes() -> list[Note]: ...

    @calls.function
    def delete(id: int) -> PageReply:
        """Ends */ here."""

    @calls.function
    def count(upto: int) -> Iterator[str]:
        yield ""

    calls.add("any", lambda *rest, **named: None)
    return calls


def test_the_types_have_one_function_for_each(calls):
    assert typescript_module(calls) == (
        "// Made by `wsgikit calls --typescript`.\n"
        'import type { CallOptions } from "./client.js";\n'
        "\n"
        "/** Save a note. */\n"
        "export function save_note(args: { note: { text: string; tags?: (string)[]; }; pinned?: boolean; }, "
        "options?: CallOptions<never>): Promise<number>;\n"
        "export function notes_all(args?: Record<string, never>, options?: CallOptions<never>): "
        "Promise<({ text: string; tags?: (string)[]; })[]>;\n"
        "/** Ends * / here. */\n"
        "export function delete_(args: { id: number; }, options?: CallOptions<never>): Promise<unknown>;\n"
        "export function count(args: { upto: number; }, options?: CallOptions<string>): Promise<unknown>;\n"
        "export function any(args?: { [name: string]: unknown; } | unknown[], options?: CallOptions<never>): "
        "Promise<unknown>;\n"
    )


def test_the_module_calls_each_by_its_name(calls):
    lines = javascript_module(calls, "/rpc/client.js").splitlines()
    assert lines[1] == 'import { call } from "/rpc/client.js";'
    assert 'export const notes_all = (args, options) => call("notes.all", args, options);' in lines
    assert 'export const delete_ = (args, options) => call("delete", args, options);' in lines


def test_names_that_become_one_are_kept_apart():
    calls = Calls()
    for name in ("a.b", "a-b", "a_b"):
        calls.add(name, lambda: 1)
    assert [line.split(" ")[2] for line in javascript_module(calls).splitlines()[3:]] == ["a_b", "a_b_", "a_b__"]


def test_the_command_lists_and_prints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page_calls_site.py").write_text(
        "from wsgikit import Calls, PageCallsMiddleware, build_stack, use\n"
        "calls = Calls()\n"
        "@calls.function\n"
        "def add(a: int, b: int = 1) -> int: return a + b\n"
        "app = lambda environ, start_response: []\n"
        "stack = build_stack(app, use(PageCallsMiddleware, functions=calls, path='/rpc'))\n"
        "bare = build_stack(app)\n"
    )
    run = lambda *words: CliRunner().invoke(main, ["calls", *words])  # noqa: E731
    assert run("page_calls_site:stack").output == "add(a, b?)\n"
    assert "export function add(args: { a: number; b?: number; }" in run("page_calls_site:stack", "--typescript").output
    assert 'from "/rpc/client.js"' in run("page_calls_site:stack", "--javascript").output
    refused = run("page_calls_site:bare")
    assert refused.exit_code == 1
    assert "expected a stack with PageCallsMiddleware" in refused.output
