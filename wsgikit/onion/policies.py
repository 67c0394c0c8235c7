"""What one view wants of the layers around it: ``@policy(csrf=False, cache=60)``.

Layers obey a policy at one of two moments. A key of the request side (`csrf`, `login`, …) is obeyed right before the
view runs, in `before_view`; only our router knows the view then. A key of the response side (`cache`, `compress`, …)
is obeyed when the response leaves, so it works on the views of any framework.
"""

from __future__ import annotations

__all__ = [
    "KEYS",
    "ViewPolicy",
    "add_policy_keys",
    "check_obeyed",
    "check_policy",
    "mark_routed",
    "policy",
    "policy_in_class",
]

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast

from wsgikit.exceptions import ApplicationError, ConfigurationError, complaint, did_you_mean
from wsgikit.onion.ending import CURRENT

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange

Side: TypeAlias = Literal["request", "response"]
V = TypeVar("V", bound=Callable[..., Any])

_ATTRIBUTE = "__wsgikit_policy__"
_SWITCH = (bool,)
# The keys of our layers: the side, the types of a value, and what a value is, for errors.
KEYS: dict[str, tuple[Side, tuple[type, ...], str]] = {
    "body_limit": ("request", (int, str), "a size such as '20MiB'"),
    "cache": ("response", (int, str), "seconds such as 60, or False"),
    "compress": ("response", _SWITCH, "True or False"),
    "csp": ("response", (Mapping,), "a mapping from directives to sources"),
    "csrf": ("request", _SWITCH, "True or False"),
    "login": ("request", (bool, Callable), "True, False or a function of the user"),  # type: ignore[dict-item]
    "rate_limit": ("request", (str,), "a limit such as '5/minute'"),
}


class ViewPolicy(dict[str, Any]):
    """The policy of one view.

    Attributes:
        is_routed: whether a router of ours serves the view, so that keys of the request side are obeyed.
        inner: the policy that a decorator further in has set, or None.
    """

    is_routed = False
    inner: ViewPolicy | None = None

    def mark_routed(self) -> None:
        """Note that a router of ours serves the view."""
        own: ViewPolicy | None = self
        while own is not None:
            own.is_routed = True
            own = own.inner


def policy(**keys: Any) -> Callable[[V], V]:
    """Set what a view wants of the layers around it.

    It works on functions, methods and classes of views. On a view of our router it may stand above or below the route
    decorator. On a view of another framework it stands below that framework's decorator, and the stack needs a
    `ContextMiddleware`.

    Args:
        keys: `csrf`, `login`, `body_limit`, `rate_limit` (the request side); `cache`, `compress`, `csp` (the response
            side); and the keys that your own layers declare in `request_policy` and `response_policy`.

    Raises:
        ConfigurationError: an unknown key, or a value of another kind.

    Example::

        @router.post("/hook")
        @policy(csrf=False, body_limit="1MiB")
        def hook(): ...
    """
    for name, value in keys.items():
        _check_key(name, value)

    def decorate(view: V) -> V:
        inner = getattr(view, _ATTRIBUTE, None)
        own = ViewPolicy({**(inner or {}), **keys})
        own.inner = inner
        if isinstance(view, type):
            setattr(view, _ATTRIBUTE, own)
            return cast("V", view)
        try:
            setattr(view, _ATTRIBUTE, own)  # a route decorator below this one has registered the function itself
        except AttributeError:
            pass  # a bound method or an object without a dict: what is returned carries the policy
        return _announcing(view, own)

    return decorate


def mark_routed(view: Any) -> None:
    """Note that a router of ours serves a view, so that the keys of the request side of its policy are obeyed."""
    classes = getattr(getattr(view, "view_class", None), "__mro__", ())
    for part in (view, *classes, *(value for cls in classes for value in vars(cls).values())):
        own = getattr(part, _ATTRIBUTE, None)
        if isinstance(own, ViewPolicy):
            own.mark_routed()


def policy_in_class(cls: type, method: Callable[..., Any]) -> ViewPolicy:
    """Return the policy of a method of a class that a router of ours serves: its own over that of the class."""
    own = getattr(method, _ATTRIBUTE, None)
    if own is not None:
        own.mark_routed()
    return ViewPolicy({**getattr(cls, _ATTRIBUTE, {}), **(own or {})})


def check_policy(where: str, keys: Mapping[str, Any]) -> None:
    """Refuse a policy with an unknown key or a wrong value.

    Raises:
        ConfigurationError: the text begins with `where`.
    """
    for name, value in keys.items():
        _check_key(name, value, where)


def check_obeyed(where: str, view_policy: Mapping[str, Any], exchange: Exchange) -> None:
    """Refuse a view whose policy has a key of the request side that no layer has obeyed.

    ``login=True`` without the layer must not pass. ``csrf=False`` asks for nothing, so it needs no layer.

    Args:
        where: the view, for the error.
        view_policy: the merged policy of the view.
        exchange: of the request, right before the view.

    Raises:
        ApplicationError: there is such a key.
    """
    for name, value in view_policy.items():
        if value is not False and KEYS[name][0] == "request" and not exchange.knows_route(name):
            remedy = f"Add the layer that obeys {name} to the stack that the router is in, or remove it from the policy"
            raise ApplicationError(complaint(where, f"policy: {name}", "a layer that obeys it", None, remedy))


def add_policy_keys(cls: Any) -> None:
    """Make known the keys that a layer class declares in `request_policy` and `response_policy`."""
    for side in ("request", "response"):
        for name in vars(cls).get(f"{side}_policy", ()):
            KEYS.setdefault(name, (side, (object,), "a value"))


def _check_key(name: str, value: Any, where: str = "policy") -> None:
    if name not in KEYS:
        remedy = did_you_mean(name, KEYS) or "A layer of yours declares its keys in request_policy or response_policy"
        raise ConfigurationError(complaint(where, "key", f"one of {', '.join(sorted(KEYS))}", name, remedy))
    _, kinds, expected = KEYS[name]
    is_switch = value is True and not {bool, object}.intersection(kinds)  # True is an int, too
    if value is False or value is None or (isinstance(value, kinds) and not is_switch):
        return
    raise ConfigurationError(complaint(where, name, expected, value))


def _announcing(view: V, own: ViewPolicy) -> V:
    """Return the view so that a call of it outside of our routers makes its policy known to the layers."""
    from inspect import iscoroutinefunction  # only modules with policies load it

    if iscoroutinefunction(view):

        @wraps(view)
        async def announced_later(*args: Any, **values: Any) -> Any:
            _announce(view, own)
            return await view(*args, **values)

        announced: Any = announced_later
    else:

        @wraps(view)
        def announced_now(*args: Any, **values: Any) -> Any:
            _announce(view, own)
            return view(*args, **values)

        announced = announced_now
    setattr(announced, _ATTRIBUTE, own)
    return announced  # type: ignore[no-any-return]  # it takes and returns what the view does


def _announce(view: Callable[..., Any], own: ViewPolicy) -> None:
    exchange = CURRENT.get(None)
    if own.is_routed and (exchange is None or exchange.route is not None):
        return
    for name in own:
        if KEYS[name][0] == "request":
            raise ApplicationError(
                complaint(
                    f"policy of {getattr(view, '__qualname__', view)}",
                    name,
                    "a view of wsgikit's Router",
                    "a view of another framework, or inside of a function that hides its policy",
                    f"Limit the layer instead: use(…, unless=…) leaves out paths for which {name} is wanted otherwise. "
                    "Use functools.wraps in a decorator between the policy and the route",
                )
            )
    if exchange is not None:
        exchange.add_policy(own)
