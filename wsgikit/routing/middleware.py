"""Routes in front of an application: what they don't take falls through, untouched."""

from __future__ import annotations

__all__ = ["RouterMiddleware"]

from collections.abc import Callable
from typing import Any

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.options.flags import check_flags
from wsgikit.routing.dispatch import Matched
from wsgikit.routing.match import NOT_FOUND
from wsgikit.routing.mount import router_in
from wsgikit.routing.router import Router
from wsgikit.wsgi import ROUTING, ROUTING_ARGS, Environ, WSGIApplication


class RouterMiddleware(Middleware):
    """Answers the requests that a router has a rule for, and passes all others on.

    Use it to put new routes in front of an application that you have: it gets every other request with path and body as
    they came. For an application that is nothing but routes, pass the `Router` itself to `build_stack`.

    It stands innermost, so that views find what the layers outside provide. It needs none of them.

    It provides ``wsgiorg.routing_args`` (for a matched request) and ``wsgikit.routing``, from which `url_for` works.

    Args:
        app: the application that gets what the router has no rule for.
        router: the router, or an application that leads to one.
        pass_method_not_allowed: also pass on what a rule has for other methods only, instead of answering 405.

    Raises:
        ConfigurationError: `router` is none.

    Example::

        router = Router(__name__)

        @router.get("/new")
        def new() -> str:
            return "A page of ours"

        app = RouterMiddleware(legacy_app, router=router)
    """

    inside_of = ("ErrorPagesMiddleware", "ContextMiddleware", "SessionMiddleware", "DatabaseMiddleware")
    provides = (ROUTING, ROUTING_ARGS)

    def __init__(self, app: WSGIApplication, *, router: Router, pass_method_not_allowed: bool = False) -> None:
        super().__init__(app)
        check_flags("RouterMiddleware", pass_method_not_allowed=pass_method_not_allowed)
        found = router_in(router)
        if found is None:
            raise ConfigurationError(
                complaint(
                    "RouterMiddleware", "router", "a wsgikit.Router", router, "Pass the router that has the routes"
                )
            )
        self.router: Router = found
        self.pass_method_not_allowed = pass_method_not_allowed
        self._match = self._quick_match()
        self._hasten(RouterMiddleware, self._match)

    @property
    def __wsgikit_router__(self) -> Router:
        return self.router

    def __wsgikit_enter__(self, exchange: Exchange) -> None:
        """Send the signal `appcontext_pushed` at the start of `Stack.request_context` or `app_context`."""
        self.router.__wsgikit_enter__(exchange)

    def __wsgikit_leave__(self, exchange: Exchange) -> None:
        """Run the functions of `teardown_request` at the end of `Stack.request_context` or `app_context`."""
        self.router.__wsgikit_leave__(exchange)

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Answer with the matched view; None lets the request through."""
        return self._match(exchange)

    def _quick_match(self) -> Callable[[Exchange], WSGIApplication | None]:
        """Make a hook that does what `Router.find_rule` and `Router.take` do, without what only some requests need."""
        router = self.router
        paths = router.map
        is_simple = paths.keeps_literal  # the path is matched as PATH_INFO has it
        find_rule = router.find_rule
        mounts = router.mounts.mounts  # the list itself: mounts may be added after this
        nowhere = router.nowhere
        take = self._take

        def before_request(exchange: Exchange) -> WSGIApplication | None:
            environ = exchange.environ
            path = environ.get("PATH_INFO", "")
            rules = paths.literal.get(path)
            if rules is None and is_simple and not mounts and paths.is_far(path):
                if ROUTING not in environ:  # url_for works for the application behind, too
                    environ[ROUTING] = nowhere
                return None
            rule: Any = None if rules is None else rules.get(environ.get("REQUEST_METHOD", ""))
            found: Any
            if rule is None:
                found = find_rule(environ)
                rule = found.rule
            else:
                found = Matched()
                found.rule = rule
                found.values = {}
            if rule is not None and type(found) is Matched and (plan := rule.direct_plan) is not None:
                found.plan = plan
                if ROUTING in environ:
                    found.parent = environ[ROUTING]
                environ[ROUTING] = found
                environ[ROUTING_ARGS] = ((), found.values)
                return found
            if found is NOT_FOUND and not mounts:
                if ROUTING not in environ:
                    environ[ROUTING] = nowhere
                return None
            return take(environ, found)

        return before_request

    def warmup(self) -> None:
        """Plan the views of the router, and warm up what is mounted in it."""
        self.router.__wsgikit_warmup__()

    def close(self) -> None:
        """Close what is mounted in the router."""
        self.router.close()

    def _take(self, environ: Environ, found: Any) -> WSGIApplication | None:
        app = self.router.take(environ, found)
        if app is None:
            if ROUTING not in environ:
                environ[ROUTING] = self.router.nowhere
            return None
        if self.pass_method_not_allowed and isinstance(app, Matched) and getattr(app.error, "code", None) == 405:
            environ[ROUTING] = app.parent or self.router.nowhere
            return None
        return app
