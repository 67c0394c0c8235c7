"""What is known of an endpoint before any request: its view, and its hooks in the order they run."""

from __future__ import annotations

__all__ = ["Plan"]

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wsgikit.exceptions import ApplicationError, complaint
from wsgikit.onion.route import merge_policies
from wsgikit.routing.answers import http_code
from wsgikit.routing.hooks import Hooks
from wsgikit.routing.invoke import Wants, as_sync, place_of, wants_of
from wsgikit.routing.method_view import HTTP_METHODS

if TYPE_CHECKING:
    from wsgikit.routing.inclusion import Inclusion
    from wsgikit.routing.router import Router

Call = tuple[Callable[..., Any], Wants]


class Plan:
    """What is to be done for the requests of one endpoint, worked out before the first.

    Args:
        router: the router that serves.
        endpoint: the endpoint's name; None for requests that no rule matched.
        view: the view function.
        scopes: the hooks that apply, innermost first; the serving router's own are the last.
        arguments: the names that the rule binds.
        owners: the inclusions that the view is in, innermost first.
    """

    __slots__ = (
        "after",
        "around",
        "before",
        "endpoint",
        "has_policy",
        "is_plain",
        "json",
        "limits",
        "owners",
        "policies",
        "preprocessors",
        "router",
        "scopes",
        "target",
        "teardown",
        "view",
        "wants",
        "where",
    )

    def __init__(
        self,
        router: Router,
        endpoint: str | None,
        view: Callable[..., Any] | None,
        scopes: Sequence[Hooks],
        arguments: frozenset[str] = frozenset(),
        owners: Sequence[Inclusion] = (),
    ) -> None:
        self.router = router
        self.json = router.json
        self.endpoint = endpoint
        self.view: Callable[..., Any] = as_sync(view) if view is not None else _no_view
        self.wants = wants_of(view, arguments) if view is not None else ()
        self.where = f"view {endpoint!r} ({place_of(view)})" if view is not None else "view"
        self.target = view
        self.owners = tuple(owners)
        self.policies: dict[str, Mapping[str, Any]] = {}  # by method, as far as they were asked for
        self.scopes = tuple(scopes)
        inwards = tuple(reversed(self.scopes))
        self.preprocessors = _calls(function for hooks in inwards for function in hooks.preprocessors)
        self.before = _calls(function for hooks in inwards for function in hooks.before)
        self.after = _calls(function for hooks in self.scopes for function in reversed(hooks.after))
        self.teardown = _calls(function for hooks in self.scopes for function in reversed(hooks.teardown))
        self.limits = router.request_limits
        hooks = self.preprocessors or self.before or self.after or self.teardown
        # The inclusions that have layers, outermost first.
        self.around = tuple(owner for owner in reversed(owners) if owner.stack is not None)
        self.has_policy = any(map(self.policy_for, HTTP_METHODS)) if view is not None else False
        is_special = hooks or self.wants or self.limits or router.request_class or self.around or self.has_policy
        self.is_plain = view is not None and not is_special

    def policy_for(self, method: str) -> Mapping[str, Any]:
        """Return the policy of the view for a method; HEAD has that of GET."""
        name = "GET" if method == "HEAD" else method
        policy = self.policies.get(name)
        if policy is None:
            inclusions = [(owner.policy, owner.allow_policy) for owner in reversed(self.owners)]
            policy = self.policies[name] = merge_policies(inclusions, _policies_of(self.target, name))
        return policy

    def find_handler(self, error: Exception) -> Callable[..., Any] | None:
        """Return the error handler for `error`: by code before by class, inner routers before outer ones."""
        code = http_code(error)
        for key in (None,) if code is None else (code, None):
            for hooks in self.scopes:
                handler = hooks.find_handler(error, key)
                if handler is not None:
                    return handler
        return None


def _calls(functions: Iterable[Callable[..., Any]]) -> tuple[Call, ...]:
    return tuple((as_sync(function), wants_of(function)) for function in functions)


def _policies_of(view: Any, method: str) -> Iterator[Mapping[str, Any]]:
    """Yield the policies of a view, the nearest last: of base classes, the class, the function, the method."""
    cls = getattr(view, "view_class", None)
    if cls is not None:
        for base in reversed(cls.__mro__):
            yield vars(base).get("__wsgikit_policy__", {})
    yield getattr(view, "__wsgikit_policy__", {})
    if cls is not None:
        yield getattr(getattr(cls, method.lower(), None), "__wsgikit_policy__", {})


def _no_view(**values: Any) -> Any:
    raise ApplicationError(complaint("router", "view", "a function for the endpoint", None, "Add one with endpoint()"))
