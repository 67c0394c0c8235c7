"""The options of a layer, read from the one place where they are declared: its factory's own signature."""

from __future__ import annotations

__all__ = ["REQUIRED", "Option", "describe_options", "explain_keywords", "signature_of"]

import functools
import inspect
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wsgikit.exceptions import ConfigurationError, complaint, did_you_mean
from wsgikit.options.annotations import home_of, resolve
from wsgikit.options.masking import is_secret, mask
from wsgikit.options.words import words_of

REQUIRED: Any = inspect.Parameter.empty
"""The default of an option that has none."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a factory.

    Attributes:
        name: as it is written in Python and in an ini file.
        annotation: the resolved type; `typing.Any` if none is declared.
        default: the value it has when it is not given, or `REQUIRED`.
    """

    name: str
    annotation: Any
    default: Any

    @property
    def is_required(self) -> bool:
        """Whether the factory can't be called without it."""
        return self.default is REQUIRED

    @property
    def is_secret(self) -> bool:
        """Whether its value must not be shown. One of a few known words is no secret, whatever the option's name is."""
        return is_secret(self.name) and typing.get_origin(self.annotation) is not typing.Literal

    @property
    def default_text(self) -> str:
        """The default as a reader may see it; empty if it has none."""
        return "" if self.is_required else mask(self.name if self.is_secret else "", self.default)

    @property
    def words(self) -> str:
        """The type in words: ``true or false``, ``a duration (90, 15m, 2h, 14d)``, …"""
        return words_of(self.annotation, self.name)


def signature_of(factory: Callable[..., object]) -> inspect.Signature | None:
    """Return the signature that a call of `factory` has to meet, or None if it can't be known.

    For a class this is that of its ``__init__``: the ``__call__`` of a metaclass would hide it.
    """
    try:
        if isinstance(factory, type) and _has_own_call(factory):
            signature = inspect.signature(factory.__init__)  # type: ignore[misc]  # it is only looked at
            return signature.replace(parameters=list(signature.parameters.values())[1:])
        if isinstance(factory, functools.partial):
            return _signature_of_partial(factory)
        return inspect.signature(factory)
    except (TypeError, ValueError):  # something written in C
        return None


def describe_options(factory: Callable[..., object], positional: int = 1) -> tuple[Option, ...]:
    """Return the options of a layer's factory in the order of its signature.

    What is given by position is none: the application, or `positional` arguments.

    ``**options: Unpack[SomeTypedDict]`` (PEP 692) is unfolded into the keys of the dictionary.
    """
    return tuple(_options(factory, positional))


def takes_any_option(factory: Callable[..., object]) -> bool:
    """Return whether the factory takes keywords that its signature does not name."""
    signature = signature_of(factory)
    if signature is None:
        return True
    rest = next((p for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD), None)
    return rest is not None and _typed_dict(resolve(rest.annotation, home_of(factory))) is None


def explain_keywords(
    factory: Callable[..., object], options: Mapping[str, object], where: str, positional: int = 1
) -> None:
    """Raise the error that says what is wrong with the options, if anything is: `check_keywords` in full."""
    signature = signature_of(factory)
    if signature is None:
        return
    _check_takes_app(signature, where)
    _check_positional(signature, where, positional, factory, options)
    declared = describe_options(factory, positional)
    known = {option.name for option in declared}
    unknown = [] if takes_any_option(factory) else [name for name in options if name not in known]
    if unknown:
        raise ConfigurationError(unknown_option(where, unknown, [option.name for option in declared], factory, options))
    missing = [option for option in declared if option.is_required and option.name not in options]
    if missing:
        first = missing[0]
        corrected = _call(factory, [*options, *(option.name for option in missing)])
        raise ConfigurationError(f"{where}: {first.name}: expected {first.words}, got nothing. Write {corrected}.")


def unknown_option(
    where: str,
    unknown: list[str],
    known: list[str],
    factory: Callable[..., object],
    options: Mapping[str, object],
) -> str:
    """Write the text for options that a factory doesn't have. Their values are not in it: they may be secret."""
    got: object = unknown[0] if len(unknown) == 1 else unknown
    suggestion = did_you_mean(unknown[0], known)
    expected, listed = listed_options(known, suggestion)
    corrections = {name: _nearest(name, [k for k in known if k not in options]) for name in unknown}
    kept = [corrections.get(name, name) for name in options]
    remedy = f"Write {_call(factory, [name for name in kept if name])}."
    return complaint(where, "unknown option", expected, got, " ".join(filter(None, (suggestion, remedy, listed))))


def listed_options(known: list[str], suggestion: str) -> tuple[str, str]:
    """Return what was expected in place of an unknown option, and what is to be said at the end.

    The list of all may be long: a name that was probably meant comes before it.
    """
    names = ", ".join(known)
    if suggestion and known:
        return "a known one", f"All options: {names}."
    return (f"one of {names}" if known else "no option"), ""


def _nearest(name: str, known: list[str]) -> str:
    import difflib  # only errors need it, as in did_you_mean

    return next(iter(difflib.get_close_matches(name, known, n=1)), "")


def _call(factory: Callable[..., object], names: list[str]) -> str:
    inner = getattr(factory, "func", factory)
    name = getattr(inner, "__name__", type(inner).__name__)
    name = "layer" if name == "<lambda>" else name
    return f"use({', '.join([name, *(f'{option}=…' for option in names)])})"


def _check_takes_app(signature: inspect.Signature, where: str) -> None:
    kinds = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    )
    if not any(parameter.kind in kinds for parameter in signature.parameters.values()):
        raise ConfigurationError(
            f"{where}: expected a callable that takes the application as its first argument, "
            f"got one that takes {signature}. Write a class or a function of the form app -> app."
        )


def _check_positional(
    signature: inspect.Signature,
    where: str,
    positional: int,
    factory: Callable[..., object],
    options: Mapping[str, object],
) -> None:
    takes = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in signature.parameters.values())
    if positional > takes and all(p.kind is not p.VAR_POSITIONAL for p in signature.parameters.values()):
        free = [option.name for option in describe_options(factory, takes) if option.name not in options]
        meant = free[: positional - takes]
        remedy = f"Write {_call(factory, [*meant, *options])}" if meant else ""
        expected = f"at most {takes}, the application among them"
        raise ConfigurationError(complaint(where, "positional arguments", expected, positional, remedy))


def _options(factory: Callable[..., object], positional: int = 1) -> Iterator[Option]:
    signature = signature_of(factory)
    if signature is None:
        return
    home = home_of(factory)
    parameters = list(signature.parameters.values())
    # What is given by position is no option: the application, and what else `use` was given so.
    given = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:positional]
    parameters = [parameter for parameter in parameters if parameter not in given]
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            continue
        annotation = resolve(parameter.annotation, home)
        if parameter.kind is parameter.VAR_KEYWORD:
            unfolded = _typed_dict(annotation)
            if unfolded is not None:
                yield from _options_of_typed_dict(unfolded)
            continue
        yield Option(parameter.name, annotation, parameter.default)


def _options_of_typed_dict(typed_dict: type) -> Iterator[Option]:
    home = vars(sys.modules[typed_dict.__module__])
    required: frozenset[str] = getattr(typed_dict, "__required_keys__", frozenset())
    for name, annotation in typed_dict.__annotations__.items():
        resolved = resolve(annotation, home)
        # If annotations are postponed, Python itself doesn't see these two.
        is_required = name in required
        if typing.get_origin(resolved) in (typing.Required, typing.NotRequired):
            is_required = typing.get_origin(resolved) is typing.Required
            resolved = typing.get_args(resolved)[0]
        # A key that may be left out has no default: the function that receives the rest decides.
        yield Option(name, resolved, REQUIRED if is_required else None)


def _typed_dict(annotation: Any) -> type | None:
    if typing.get_origin(annotation) is typing.Unpack:
        (inner,) = typing.get_args(annotation)
        return inner if typing.is_typeddict(inner) else None
    return None


def _signature_of_partial(factory: functools.partial[object]) -> inspect.Signature | None:
    """Do what inspect does, around the signature that we take for a class."""
    signature = signature_of(factory.func)
    if signature is None:
        return None
    given = len(factory.args)
    left: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD) and given:
            given -= 1
        elif parameter.name in factory.keywords:
            default = factory.keywords[parameter.name]
            left.append(parameter.replace(default=default, kind=inspect.Parameter.KEYWORD_ONLY))
        else:
            left.append(parameter)
    return inspect.Signature(sorted(left, key=lambda parameter: parameter.kind))


def _has_own_call(factory: type) -> bool:
    return (
        type(factory).__call__ is not type.__call__
        and "__signature__" not in vars(factory)
        and "__init__" in {name for parent in factory.__mro__[:-1] for name in vars(parent)}
    )
