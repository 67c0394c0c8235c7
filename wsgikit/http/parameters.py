"""Values of the query string and JSON bodies, turned into what a view's annotations say."""

from __future__ import annotations

__all__ = ["Invalid", "from_json", "from_text", "is_body_type", "is_object_type", "pydantic_adapter"]

import dataclasses
import enum
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints
from uuid import UUID

from wsgikit.options.words import BOOLEANS


class Invalid(ValueError):
    """A value isn't what an annotation says.

    Attributes:
        errors: what is wrong, each with its place (`loc`) and a sentence (`msg`).
    """

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in errors))
        self.errors = errors


def is_object_type(hint: Any) -> bool:
    """Return whether an annotation is for a JSON object as it is: a dict, with or without the types in it."""
    hint, _ = without_none(get_args(hint)[0] if get_origin(hint) is Annotated else hint)
    kind = get_origin(hint) or hint
    return isinstance(kind, type) and issubclass(kind, (dict, Mapping))


def is_body_type(hint: Any) -> bool:
    """Return whether an annotation is for a JSON body: a dataclass, a pydantic model, or an optional one."""
    if get_origin(hint) is Annotated:
        return is_body_type(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return any(is_body_type(part) for part in get_args(hint))
    return isinstance(hint, type) and (dataclasses.is_dataclass(hint) or hasattr(hint, "model_validate"))


def without_none(hint: Any) -> tuple[Any, bool]:
    """Return an annotation without its None, and whether it had one."""
    if get_origin(hint) in (Union, types.UnionType):
        parts = [part for part in get_args(hint) if part is not type(None)]
        if len(parts) == 1:
            return parts[0], True
    return hint, False


_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_EXAMPLES = {date: "2030-12-31", datetime: "2030-12-31T23:59:59", time: "23:59:59"}


def from_text(texts: list[str], hint: Any, name: str) -> Any:
    """Return the value of a query parameter.

    Args:
        texts: what the query has under the name, at least one.
        hint: the annotation: str, int, float, Decimal, bool, a date or time (ISO 8601), an enum, a `Literal`, another
            class that takes text, a list of these, or a union, whose first type that the text fits is taken. What
            `Annotated` adds (``Annotated[int, Field(ge=1)]``) is checked by pydantic.
        name: the parameter's name, for the error.

    Raises:
        Invalid: the text isn't one of these.
    """
    if get_origin(hint) is Annotated:
        value = from_text(texts, get_args(hint)[0], name)
        return _validated(pydantic_adapter(hint), value, ["query", name])
    hint, _ = without_none(hint)
    if get_origin(hint) in (list, tuple, set):
        inner = (get_args(hint) or (str,))[0]
        return get_origin(hint)(from_text([text], inner, name) for text in texts)
    text = texts[-1]
    try:
        return _scalar(text, hint)
    except ValueError as error:
        raise Invalid([{"loc": ["query", name], "msg": str(error)}]) from error


def _scalar(text: str, hint: Any) -> Any:
    if hint is bool:
        value = BOOLEANS.get(text.lower())
        if value is None:
            raise ValueError("expected true or false")
        return value
    if hint is int:
        # int() also takes "1_000", white space and other scripts' digits.
        digits = text[1:] if text[:1] in ("-", "+") else text
        if not (digits.isascii() and digits.isdecimal()):
            raise ValueError("expected a whole number")
        if len(digits.lstrip("0")) > 19 or not -(2**63) <= int(text) < 2**63:
            raise ValueError("expected a whole number of at most 64 bits")  # no database has larger ones
        return int(text)
    if hint in (float, Decimal):
        # As float() they also take "1_0", white space, "nan" and "inf", and 1e400 is inf.
        number = hint(text) if _NUMBER.fullmatch(text) else hint("nan")
        if not math.isfinite(number):
            raise ValueError("expected a number")
        return number
    if hint in (date, datetime, time):
        try:
            return hint.fromisoformat(text)
        except ValueError:
            raise ValueError(f"expected a {hint.__name__} such as {_EXAMPLES[hint]}") from None
    if get_origin(hint) in (Union, types.UnionType):
        return _first_that_fits(text, get_args(hint))
    if get_origin(hint) is Literal:
        for choice in get_args(hint):
            if str(choice) == text:
                return choice
        raise ValueError(f"expected one of {', '.join(map(str, get_args(hint)))}")
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        for member in hint:
            if str(member.value) == text:
                return member
        raise ValueError(f"expected one of {', '.join(str(member.value) for member in hint)}")
    if hint is str or hint is Any or not callable(hint):
        return text
    return hint(text)  # a UUID, a class of the user's, …


def _first_that_fits(text: str, hints: tuple[Any, ...]) -> Any:
    reasons = []
    for hint in hints:
        if hint is not type(None):
            try:
                return _scalar(text, hint)
            except ValueError as error:
                reasons.append(str(error))
    raise ValueError(", or ".join(reasons))


def from_json(value: Any, hint: Any) -> Any:
    """Return a JSON value as an instance of a pydantic model or dataclass.

    Dataclasses are checked by pydantic if it is installed, else by this module: names, what is missing, plain types.

    Raises:
        Invalid: the value doesn't fit.
    """
    adapter = pydantic_adapter(hint)
    return _checked(value, hint, []) if adapter is None else _validated(adapter, value, [])


def _validated(adapter: Any, value: Any, place: list[Any]) -> Any:
    if adapter is None:
        return value
    import pydantic  # optional; an adapter comes from it

    try:
        return adapter.validate_python(value)
    except pydantic.ValidationError as error:
        errors = [{"loc": [*place, *one["loc"]], "msg": one["msg"]} for one in error.errors(include_url=False)]
        raise Invalid(errors) from error


@cache
def pydantic_adapter(hint: Any) -> Any:
    """Return pydantic's adapter for a type, or None if pydantic is not installed."""
    try:
        import pydantic  # optional: dataclasses work without it
    except ImportError:
        return None
    return pydantic.TypeAdapter(hint)


def _checked(value: Any, hint: Any, place: list[Any]) -> Any:
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    hint, is_optional = without_none(hint)
    if value is None and is_optional:
        return None
    if get_origin(hint) in (Union, types.UnionType):
        return _first_checked(value, hint, place)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _instance(value, hint, place)
    origin = get_origin(hint)
    if origin is list or hint is list:
        if not isinstance(value, list):
            raise Invalid([{"loc": place, "msg": "expected a list"}])
        inner = (get_args(hint) or (Any,))[0]
        return [_checked(item, inner, [*place, number]) for number, item in enumerate(value)]
    if origin is Literal:
        if value not in get_args(hint):
            raise Invalid([{"loc": place, "msg": f"expected one of {', '.join(map(repr, get_args(hint)))}"}])
        return value
    if get_origin(hint) is dict and isinstance(value, dict):
        inner = get_args(hint)[1]
        return {name: _checked(item, inner, [*place, name]) for name, item in value.items()}
    if isinstance(hint, type) and (hint in _AS_TEXT or issubclass(hint, enum.Enum)):
        return _from_scalar(value, hint, place)
    names: dict[Any, tuple[str, Callable[[Any], bool]]] = {
        str: ("text", lambda v: isinstance(v, str)),
        type(None): ("null", lambda v: v is None),
        int: ("a whole number", lambda v: isinstance(v, int) and not isinstance(v, bool)),
        float: ("a number", lambda v: isinstance(v, (int, float)) and not isinstance(v, bool)),
        bool: ("true or false", lambda v: isinstance(v, bool)),
        dict: ("an object", lambda v: isinstance(v, dict)),
        Mapping: ("an object", lambda v: isinstance(v, dict)),
    }
    known = names.get(origin or hint)
    if known is not None and not known[1](value):
        raise Invalid([{"loc": place, "msg": f"expected {known[0]}"}])
    return float(cast(Any, value)) if hint is float else value


_AS_TEXT = (date, datetime, time, Decimal, UUID)


def _first_checked(value: Any, hint: Any, place: list[Any]) -> Any:
    errors = []
    for part in get_args(hint):
        try:
            return _checked(value, part, place)
        except Invalid as error:
            errors += error.errors
    raise Invalid(errors)


def _from_scalar(value: Any, hint: Any, place: list[Any]) -> Any:
    """Return a value that JSON has only as text or number, or the member of an enum."""
    if isinstance(value, (str, int, float)) and not (isinstance(value, bool) and hint in _AS_TEXT):
        try:
            return _scalar(str(value), hint)
        except ValueError as error:
            raise Invalid([{"loc": place, "msg": str(error)}]) from error
    raise Invalid([{"loc": place, "msg": f"expected a {hint.__name__}"}])


def _instance(value: Any, hint: Any, place: list[Any]) -> Any:
    if not isinstance(value, dict):
        raise Invalid([{"loc": place, "msg": "expected an object"}])
    hints = get_type_hints(hint)
    fields = {field.name: field for field in dataclasses.fields(hint) if field.init}
    errors = [{"loc": [*place, name], "msg": "is not known here"} for name in value if name not in fields]
    values = {}
    for name, field in fields.items():
        if name in value:
            try:
                values[name] = _checked(value[name], hints[name], [*place, name])
            except Invalid as error:
                errors += error.errors
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            errors.append({"loc": [*place, name], "msg": "is missing"})
    if errors:
        raise Invalid(errors)
    return hint(**values)


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return a function's annotations, resolved as far as they can be."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:  # noqa: BLE001  # a name that only type checkers can see
        return dict(getattr(function, "__annotations__", {}))
