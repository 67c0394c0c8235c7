"""Whether the views of a router can be called with what their rules bind, told before any request."""

from __future__ import annotations

__all__ = ["misfits", "viewless"]

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wsgikit.exceptions import complaint
from wsgikit.routing.invoke import misfit_of, parameters_of, place_of

if TYPE_CHECKING:
    from wsgikit.routing.parts import BoundRule
    from wsgikit.routing.registry import Target
    from wsgikit.routing.router import Router


def misfits(router: Router) -> Iterator[str]:
    """Say of each rule whose view has other parameters than it binds what is wrong.

    Where a function of `before_request` or `url_value_preprocessor` may change the values, that can't be told.
    """
    for endpoint in router.prefixless:
        remedy = "Include the router with prefix=, or write '/'"
        yield complaint("rule ''", f"endpoint {endpoint!r}", "a prefix before it", "", remedy)
    shared = router.app_scope()
    if shared.before or shared.preprocessors:
        return
    for bound, target in _called(router):
        if target is None or target.view is None:
            continue
        if any(owner.router.hooks.before or owner.router.hooks.preprocessors for owner in target.owners):
            continue
        misfit = misfit_of(target.view, bound.arguments)
        if misfit:
            expected = ", ".join(sorted(bound.arguments))
            yield (
                f"rule {bound.rule.rule!r}: view {place_of(target.view)}: expected the parameters ({expected}), "
                f"got {parameters_of(target.view)}. As it is, {misfit}; "
                "name its parameters as the rule names its variables."
            )


def viewless(router: Router) -> Iterator[str]:
    """Say of each rule whose endpoint has no view that it has none."""
    for bound, target in _called(router):
        if target is None or target.view is None:
            where, endpoint = f"rule {bound.rule.rule!r}", bound.rule.endpoint
            yield complaint(where, f"endpoint {endpoint!r}", "a view", None, "Add one with endpoint()")


def _called(router: Router) -> Iterator[tuple[BoundRule, Target | None]]:
    """Go through the rules that call their own view."""
    for bound in router.map.iter_bound():
        if not (bound.rule.build_only or bound.may_redirect):
            yield bound, router._targets.get(bound.rule.endpoint)
