"""A router inside another: what `include` sets for all of its views, and the layers around them."""

from __future__ import annotations

__all__ = ["Inclusion"]

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.onion.policies import check_policy
from wsgikit.onion.route import PROTECTED
from wsgikit.onion.stack import LayerLike, Stack, build_stack
from wsgikit.wsgi import ROUTING, Environ, StartResponse

if TYPE_CHECKING:
    from wsgikit.routing.registry import Registry


class Inclusion:
    """A router that is included in another.

    Args:
        router: the included router.
        layers: layers around each of its views, outermost first. They are made once, for all views.
        policy: the policy of all its views; the policy of a view wins, but for `csrf` and `login`.
        allow_policy: those of these two that a view may loosen.

    Attributes:
        stack: the layers around the views, or None if there are no layers.

    Raises:
        ConfigurationError: a layer or its options can't work.
    """

    __slots__ = ("allow_policy", "policy", "router", "stack")

    def __init__(
        self,
        router: Registry,
        layers: Iterable[LayerLike] = (),
        policy: Mapping[str, Any] | None = None,
        allow_policy: Iterable[str] = (),
    ) -> None:
        check_policy("include", policy or {})
        self.router = router
        self.policy = dict(policy or {})
        self.allow_policy = frozenset(allow_policy)
        if not self.allow_policy <= PROTECTED:
            raise ConfigurationError(complaint("include", "allow_policy", "'csrf' or 'login'", allow_policy))
        layers = tuple(layers)
        self.stack: Stack | None = build_stack(self._go_on, *layers) if layers else None

    def answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Take a request through the layers to its view (PEP 3333)."""
        return self.stack.__wsgikit_entry__(environ, start_response)  # type: ignore[union-attr]  # asked if there is one

    def _go_on(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer with what stands inside the layers: the layers of a router further in, or the view."""
        matched = environ[ROUTING]
        return matched.answer_inside(self, environ, start_response)  # type: ignore[no-any-return]  # a WSGI body
