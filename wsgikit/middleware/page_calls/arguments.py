"""The parameters of a function that a page calls, and how the arguments of a call are fitted to them."""

from __future__ import annotations

__all__ = ["Parameters", "is_file_type"]

import inspect
import types
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import UUID

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.parameters import Invalid, from_json, from_text, hints_of, pydantic_adapter, without_none
from wsgikit.onion.exchange import Exchange

_PLAIN = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_FROM_TEXT = (int, float, bool, Decimal, date, datetime, time, UUID)
_ANY = (Any, object, inspect.Parameter.empty)


def is_file_type(hint: Any) -> bool:
    """Return whether an annotation is for an uploaded file: a class of Werkzeug's `FileStorage`, or a list of it."""
    hint, _ = without_none(hint)
    if get_origin(hint) is list:
        hint = (get_args(hint) or (Any,))[0]
    # By name, so that a site without uploads doesn't load Werkzeug for the question.
    return isinstance(hint, type) and any(base.__name__ == "FileStorage" for base in hint.__mro__)


def is_list_type(hint: Any) -> bool:
    """Return whether an annotation is for a list."""
    return get_origin(without_none(hint)[0]) is list


class Parameters:
    """What a function takes, read once.

    Args:
        function: the function.
        where: begins the text of an error.

    Attributes:
        hints: the annotation of each parameter that a page fills, in order.
        returns: the annotation of what it returns.
        required: the names of those without a default.
        takes_rest: whether there is a ``*args``.
        takes_any: whether there is a ``**kwargs``.
        wants: parameters that get the exchange or the request, by their annotation.

    Raises:
        ConfigurationError: a parameter that can't be filled or checked.
    """

    def __init__(self, function: Callable[..., Any], where: str) -> None:
        self.hints: dict[str, Any] = {}
        self.required: list[str] = []
        self.takes_rest = self.takes_any = False
        self.wants: dict[str, bool] = {}
        hints = hints_of(function)
        self.returns = hints.get("return", Any)
        for name, parameter in inspect.signature(function).parameters.items():
            hint = hints.get(name, Any)
            if parameter.kind is parameter.VAR_POSITIONAL:
                self.takes_rest = True
            elif parameter.kind is parameter.VAR_KEYWORD:
                self.takes_any = True
            elif parameter.kind is parameter.POSITIONAL_ONLY:
                raise ConfigurationError(complaint(where, name, "a parameter with a name", "/", "Remove the slash"))
            elif _is_request(hint):
                self.wants[name] = not (isinstance(hint, type) and issubclass(hint, Exchange))
            else:
                _check_hint(hint, where, name)
                self.hints[name] = hint
                if parameter.default is parameter.empty:
                    self.required.append(name)

    def bind(self, args: Any, files: Mapping[str, list[Any]], exchange: Exchange) -> tuple[list[Any], dict[str, Any]]:
        """Return the positional and the named arguments for a call.

        Args:
            args: an object by name, or a list by position, as it came from the page.
            files: the uploaded files by name.
            exchange: the request.

        Raises:
            Invalid: what came doesn't fit.
        """
        rest: list[Any] = []
        if isinstance(args, list):
            args, rest = self._by_name(args)
        errors = []
        values: dict[str, Any] = {}
        for name, value in {**args, **files}.items():
            hint = self.hints.get(name, self)
            if hint is self:
                if not self.takes_any:
                    errors.append({"loc": ["args", name], "msg": "is not known here"})
                    continue
                hint = Any
            try:
                values[name] = _file(value, hint) if name in files else fit(value, hint)
            except Invalid as error:
                errors += [{"loc": ["args", name, *one["loc"]], "msg": one["msg"]} for one in error.errors]
        errors += [
            {"loc": ["args", name], "msg": "is missing"}
            for name in self.required
            if name not in values and name not in args and name not in files
        ]
        if errors:
            raise Invalid(errors)
        if rest:
            rest = [*(values.pop(name) for name in list(values)), *rest]
        for name, is_request in self.wants.items():
            values[name] = exchange.request if is_request else exchange
        return rest, values

    def _by_name(self, args: list[Any]) -> tuple[dict[str, Any], list[Any]]:
        named = dict(zip(self.hints, args, strict=False))
        rest = args[len(named) :]
        if rest and not self.takes_rest:
            raise Invalid([{"loc": ["args"], "msg": f"expected at most {len(self.hints)} arguments"}])
        return named, rest


def fit(value: Any, hint: Any) -> Any:
    """Return a JSON value as what an annotation says.

    A text is read as a number, date, time, UUID, enum or true and false if the annotation asks for one, because the
    values of forms are texts; an empty one is None if that is allowed.

    Raises:
        Invalid: the value doesn't fit.
    """
    kind = type(value)
    if hint in _ANY or (kind is hint and kind in _PLAIN and kind is not int):
        return value
    inner, is_optional = without_none(hint)
    if value is None and is_optional:
        return None
    if is_file_type(inner):
        raise Invalid([{"loc": [], "msg": "expected a file"}])
    if isinstance(value, str) and inner is not str:
        is_enum = isinstance(inner, type) and issubclass(inner, Enum)
        if inner in _FROM_TEXT or is_enum:
            if not value and is_optional and not is_enum:
                return None
            try:
                return from_text([value], inner, "")
            except Invalid as error:
                raise Invalid([{"loc": [], "msg": one["msg"]} for one in error.errors]) from error
    if inner in _PLAIN:
        return _plain(value, inner)
    return from_json(value, hint)


def _plain(value: Any, hint: Any) -> Any:
    kind = type(value)
    if kind is int and hint is int and not -(2**63) <= value < 2**63:
        raise Invalid([{"loc": [], "msg": "expected a whole number of at most 64 bits"}])  # no database has larger ones
    if kind is hint:
        return value
    if hint is float and kind is int and abs(value) < 2**1023:
        return float(value)
    if hint is int and kind is float and value.is_integer() and abs(value) < 2**53:
        return int(value)  # JavaScript has one kind of number
    raise Invalid([{"loc": [], "msg": f"expected {_PLAIN[hint]}"}])


def _file(files: list[Any], hint: Any) -> Any:
    if hint in _ANY:
        return files[0] if len(files) == 1 else files
    if not is_file_type(hint):
        raise Invalid([{"loc": [], "msg": "expected a value that is no file"}])
    if is_list_type(hint):
        return files
    if len(files) > 1:
        raise Invalid([{"loc": [], "msg": "expected one file"}])
    return files[0]


def _is_request(hint: Any) -> bool:
    if not isinstance(hint, type):
        return False
    return issubclass(hint, Exchange) or any(base.__name__ == "BodyRequest" for base in hint.__mro__)


def _check_hint(hint: Any, where: str, name: str) -> None:
    inner, _ = without_none(get_args(hint)[0] if get_origin(hint) is Annotated else hint)
    if inner in _ANY or inner in _PLAIN or inner in _FROM_TEXT or is_file_type(inner):
        return
    if isinstance(inner, str):
        remedy = "Import the class in the module of the function, outside of TYPE_CHECKING"
        raise ConfigurationError(complaint(where, name, "an annotation that can be resolved", inner, remedy))
    if get_origin(inner) in (Union, types.UnionType) and is_file_type(get_args(inner)[0]):
        return
    try:
        pydantic_adapter(hint)
    except Exception as error:  # pydantic has several for a type that it can't check
        remedy = "Annotate it with a type that JSON has, a dataclass or a pydantic model"
        raise ConfigurationError(complaint(where, name, "a type that can be checked", hint, remedy)) from error
