"""The functions of a registry as a module for pages: JavaScript, and its types."""

from __future__ import annotations

__all__ = ["javascript_module", "typescript_module", "typescript_type"]

import dataclasses
import inspect
import json
import re
import types
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from wsgikit.middleware.page_calls.arguments import is_file_type
from wsgikit.middleware.page_calls.page_reply import PageReply
from wsgikit.middleware.page_calls.registry import Calls, PageFunction

_NAMES = {str: "string", int: "number", float: "number", bool: "boolean", type(None): "null", object: "unknown"}
_TEXTS = {"date", "datetime", "time", "UUID", "Decimal", "Markup"}  # what JSON has as text
_GENERATORS = (Generator, Iterator, Iterable)
# https://tc39.es/ecma262/#prod-ReservedWord, and those that strict code adds.
_RESERVED = frozenset(
    """arguments await break case catch class const continue debugger default delete do else enum eval export extends
    false finally for function if implements import in instanceof interface let new null package private protected
    public return static super switch this throw true try typeof var void while with yield""".split()  # noqa: SIM905
)
_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*\Z")


def typescript_type(hint: Any, depth: int = 0) -> str:
    """Return the TypeScript type of the JSON that an annotation stands for; ``unknown`` if it has none."""
    origin = get_origin(hint)
    if origin is Annotated:
        return typescript_type(get_args(hint)[0], depth)
    if origin in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(typescript_type(part, depth) for part in get_args(hint)))
    if origin is Literal:
        return " | ".join(_literal(value) for value in get_args(hint))
    if hint in _NAMES:
        return _NAMES[hint]
    kind = origin or hint
    if not isinstance(kind, type) or depth > 8:  # a type that has itself in it ends somewhere
        return "unknown"
    if kind is tuple and get_args(hint) and get_args(hint)[-1] is not Ellipsis:
        return f"[{', '.join(typescript_type(part, depth + 1) for part in get_args(hint))}]"
    if issubclass(kind, Mapping) and not is_typeddict(kind):
        values = (*get_args(hint), Any, Any)[1]
        return f"Record<string, {typescript_type(values, depth + 1)}>"
    if issubclass(kind, (Sequence, set, frozenset)) and not issubclass(kind, (str, bytes)):
        return f"({typescript_type((*get_args(hint), Any)[0], depth + 1)})[]"
    return _class_type(kind, depth)


def _class_type(kind: type, depth: int) -> str:
    if is_file_type(kind):
        return "Blob"
    if issubclass(kind, Enum):
        return " | ".join(_literal(member.value) for member in kind)
    if kind.__name__ in _TEXTS or issubclass(kind, str):
        return "string"
    fields = _fields_of(kind)
    if fields is None:
        return "unknown"
    return (
        "{ "
        + " ".join(
            f"{_key(name)}{'?' if optional else ''}: {typescript_type(hint, depth + 1)};"
            for name, (hint, optional) in fields.items()
        )
        + " }"
    )


def _fields_of(kind: type) -> dict[str, tuple[Any, bool]] | None:
    """Return the fields of a dataclass, a pydantic model or a typed dict, and whether each may be left out."""
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        missing = dataclasses.MISSING
        return {
            field.name: (hints[field.name], field.default is not missing or field.default_factory is not missing)
            for field in dataclasses.fields(kind)
            if field.init
        }
    models = getattr(kind, "model_fields", None)
    if isinstance(models, dict):
        return {name: (field.annotation, not field.is_required()) for name, field in models.items()}
    if is_typeddict(kind):
        required: frozenset[str] = getattr(kind, "__required_keys__", frozenset())
        return {name: (hint, name not in required) for name, hint in get_type_hints(kind).items()}
    return None


def _literal(value: object) -> str:
    return json.dumps(value) if isinstance(value, (str, int, float, bool, type(None))) else "unknown"


def _key(name: str) -> str:
    return name if _IDENTIFIER.match(name) else json.dumps(name)


def _export_name(name: str) -> str:
    word = re.sub(r"[.-]", "_", name)
    return f"{word}_" if word in _RESERVED else word


def _comment(function: PageFunction) -> list[str]:
    text = inspect.getdoc(function.function) or ""
    first = text.partition("\n\n")[0].replace("\n", " ").replace("*/", "* /").strip()
    return [f"/** {first} */"] if first else []


def _results(function: PageFunction) -> tuple[str, str]:
    """Return the types of what a call resolves to, and of the items that it streams."""
    returns = function.parameters.returns
    if get_origin(returns) in _GENERATORS or returns in _GENERATORS:
        parts = get_args(returns)
        return _value(parts[2] if len(parts) > 2 else Any), _value(parts[0] if parts else Any)
    return _value(returns), "never" if not function.is_stream else "unknown"


def _value(hint: Any) -> str:
    """Return the type of a value; a reply may have any."""
    return "unknown" if isinstance(hint, type) and issubclass(hint, PageReply) else typescript_type(hint)


def _unique_names(calls: Calls) -> Iterator[tuple[str, PageFunction]]:
    taken: set[str] = set()
    for function in calls.functions.values():
        name = _export_name(function.name)
        while name in taken:
            name += "_"
        taken.add(name)
        yield name, function


def typescript_module(calls: Calls) -> str:
    """Return ``calls.d.ts``: the types of what `javascript_module` returns."""
    lines = ["// Made by `wsgikit calls --typescript`.", 'import type { CallOptions } from "./client.js";', ""]
    for name, function in _unique_names(calls):
        parameters = function.parameters
        fields = [
            f"{_key(field)}{'' if field in parameters.required else '?'}: {typescript_type(hint)};"
            for field, hint in parameters.hints.items()
        ]
        if parameters.takes_any:
            fields.append("[name: string]: unknown;")
        args = f"{{ {' '.join(fields)} }}" if fields else "Record<string, never>"
        if parameters.takes_rest:
            args += " | unknown[]"
        result, item = _results(function)
        question = "" if parameters.required else "?"
        lines += _comment(function)
        lines.append(
            f"export function {name}(args{question}: {args}, options?: CallOptions<{item}>): Promise<{result}>;"
        )
    return "\n".join(lines) + "\n"


def javascript_module(calls: Calls, client: str = "/__calls__/client.js") -> str:
    """Return ``calls.js``: one function for each registered one.

    Args:
        calls: the registry.
        client: the address of the client module in the page.
    """
    lines = ["// Made by `wsgikit calls --javascript`.", f"import {{ call }} from {json.dumps(client)};", ""]
    for name, function in _unique_names(calls):
        lines += _comment(function)
        lines.append(f"export const {name} = (args, options) => call({json.dumps(function.name)}, args, options);")
    return "\n".join(lines) + "\n"
