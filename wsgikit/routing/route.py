"""A rule of a router, and what it may be given."""

from __future__ import annotations

__all__ = ["RULE_OPTIONS", "MethodOptions", "Route", "RouteOptions", "methods_of"]

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.options.flags import check_flags
from wsgikit.routing.rules import Rule

if TYPE_CHECKING:
    from wsgikit.routing.plan import Plan


class MethodOptions(TypedDict, total=False):
    """What a rule may be given, apart from its methods: Werkzeug's options, and the endpoint."""

    endpoint: str | None
    provide_automatic_options: bool | None
    defaults: Mapping[str, Any] | None
    subdomain: str | None
    host: str | None
    build_only: bool
    strict_slashes: bool | None
    merge_slashes: bool | None
    redirect_to: str | Callable[..., str] | None
    alias: bool
    websocket: bool


class RouteOptions(MethodOptions, total=False):
    """What a rule may be given."""

    methods: Iterable[str] | None


RULE_OPTIONS = frozenset(RouteOptions.__annotations__)


class Route(Rule):
    """A rule of a router: Werkzeug's rule, and what the router knows of its endpoint.

    Attributes:
        plan: what is to be done for its requests; made before the first.
        direct_plan: the same, where no mount can come between.
        has_automatic_options: whether OPTIONS is answered without calling the view.
    """

    plan: Plan | None = None
    direct_plan: Plan | None = None
    has_automatic_options: bool = False


def methods_of(
    rule: str, view: Callable[..., Any] | None, given: Iterable[str] | None, automatic: bool | None
) -> tuple[set[str], bool]:
    """Return the methods of a rule, and whether OPTIONS is answered without calling the view.

    Args:
        given: the methods as they were passed; those that the view names, or GET, where they weren't.
        automatic: `provide_automatic_options` as it was passed; the view's, or whether it doesn't take OPTIONS itself.
    """
    named: Iterable[str] = (getattr(view, "methods", None) or ("GET",)) if given is None else given
    if isinstance(named, str):
        raise ConfigurationError(complaint(f"rule {rule!r}", "methods", "a list of methods", named, "Put it in a list"))
    methods = {method.upper() for method in named} | set(getattr(view, "required_methods", ()))
    if automatic is None:
        automatic = getattr(view, "provide_automatic_options", None)
    if automatic is None:
        automatic = "OPTIONS" not in methods
    check_flags(f"rule {rule!r}", provide_automatic_options=automatic)
    if automatic:
        methods.add("OPTIONS")
    return methods, automatic
