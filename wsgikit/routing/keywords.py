"""Wrong keywords to a router, told in the form of all errors: with the name that was probably meant, or Flask's way."""

from __future__ import annotations

__all__ = ["NameOf", "explain_unknown", "not_a_path", "refuses_unknown"]

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from wsgikit.exceptions import ConfigurationError, complaint, did_you_mean, sentence
from wsgikit.routing.invoke import place_of

P = ParamSpec("P")
R = TypeVar("R")

# What Flask, Blueprint and register_blueprint take, and where it is here.
_HERE = {
    ("Router", "url_prefix"): "Pass prefix= where the router is taken in: include(router, prefix=...)",
    ("Router", "subdomain"): "Pass it if the router is included: include(router, subdomain=...)",
    ("Router", "url_defaults"): "Use the decorator url_defaults, defaults= of the rules, or include(url_defaults=...)",
    ("Router", "root_path"): "Pass __name__, or absolute folders",
    ("Router", "subdomain_matching"): "Pass server_name=: with it subdomains are compared",
    ("include", "url_prefix"): "Write prefix=",
    ("mount", "url_prefix"): "Write prefix=",
    ("rule", "method"): "Write methods=[...]",
    ("rule", "view"): "Write view_func=",
}


class NameOf:
    """A value in the text of an error: a function by its name and place, anything else by its `repr`."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        return place_of(self.value) if callable(self.value) else repr(self.value)


def not_a_path(method: str, rule: object) -> str:
    """Return what is wrong with a rule that is no text: most often the parentheses of a decorator are missing."""
    remedy = f"Write the path in parentheses: @router.{method}('/path')" if callable(rule) else ""
    return complaint(method, "rule", "a path such as '/post/<int:post_id>'", NameOf(rule), remedy)


def explain_unknown(where: str, kind: str, name: str, known: Iterable[str]) -> ConfigurationError:
    """Return the error of a keyword that is not known.

    Args:
        where: begins the text.
        kind: "Router", "include", "mount" or "rule".
        name: the keyword.
        known: what would have been right.
    """
    names = sorted(known)
    remedy = _HERE.get((kind, name)) or did_you_mean(name, names)
    known_options = f"Known options: {', '.join(names)}"
    return ConfigurationError(f"{where}: unknown option {name!r}. {sentence(remedy or known_options)}")


def refuses_unknown(kind: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a method's wrong keywords, and too many arguments, a `ConfigurationError` that says what was meant."""

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        code: Any = method.__code__
        positional = code.co_varnames[1 : code.co_argcount]
        names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]

        @wraps(method)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            for name in kwargs:
                if name not in names:
                    raise explain_unknown(kind, kind, name, names)
            if len(args) > len(positional) + 1:  # self
                few = ", ".join(positional)
                more = args[len(positional) + 1]
                raise ConfigurationError(
                    complaint(kind, "positional arguments", f"no more than {few}", more, "Pass it by name")
                )
            return method(*args, **kwargs)

        return checked

    return decorate
