"""What a router is told before it serves: rules and their views, routers included in it, applications mounted in it."""

from __future__ import annotations

__all__ = ["Registry", "Target"]

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.onion.policies import mark_routed
from wsgikit.onion.stack import LayerLike, close_all
from wsgikit.routing.conflicts import RuleConflictError
from wsgikit.routing.hooks import HookRegistry
from wsgikit.routing.inclusion import Inclusion
from wsgikit.routing.invoke import place_of
from wsgikit.routing.keywords import NameOf, explain_unknown, not_a_path, refuses_unknown
from wsgikit.routing.matcher import RouteMap
from wsgikit.routing.mount import Mount, MountTable, router_in
from wsgikit.routing.place import Place, join_paths
from wsgikit.routing.route import RULE_OPTIONS, MethodOptions, Route, RouteOptions, methods_of
from wsgikit.routing.rules import Rule
from wsgikit.routing.static import StaticView, is_missing
from wsgikit.wsgi import WSGIApplication

if TYPE_CHECKING:
    import re

F = TypeVar("F", bound=Callable[..., Any])


class Target:
    """A view, and the inclusions of the routers around it, innermost first."""

    __slots__ = ("owners", "view")

    def __init__(self, view: Callable[..., Any] | None, owners: tuple[Inclusion, ...]) -> None:
        self.view = view
        self.owners = owners


class Registry(HookRegistry):
    """The part of a `Router` that takes rules, other routers and applications.

    What is registered is kept as functions that register it again, in any router that this one is included in: with a
    prefix, a name and a host before it. So it is the same whether a router is filled before or after it is included.
    """

    map: RouteMap
    name: str
    template_folder: Path | None

    def __init__(self) -> None:
        super().__init__()
        self.included: list[tuple[str, Registry]] = []
        self._inclusions: list[Inclusion] = []
        self.mounts = MountTable()
        self._targets: dict[str, Target] = {}
        self._records: list[Record] = []
        self._parents: list[tuple[Registry, Place]] = []
        # Endpoints of rules "", which a prefix has to be put before.
        self.prefixless: list[str] = []
        self._is_serving = False
        self._defaults: dict[str, tuple[Callable[..., Any], ...]] = {}
        # Of which is known that no function adds values to their URLs, and that the request's host doesn't matter.
        self.plain_endpoints: set[str] = set()

    # ------------------------------------------------------------------ rules

    def route(self, rule: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Make a function the view of a rule. `options` are those of `add_url_rule`."""
        if not isinstance(rule, str):
            raise ConfigurationError(not_a_path("route", rule))

        def decorate(view: F) -> F:
            named: dict[str, Any] = {"endpoint": None, **options}
            self.add_url_rule(rule, named.pop("endpoint"), view, **named)
            return view

        return decorate

    def get(self, rule: str, **options: Unpack[MethodOptions]) -> Callable[[F], F]:
        """Make a function the view of a rule for GET (and HEAD)."""
        return self._method_route("GET", rule, options)

    def post(self, rule: str, **options: Unpack[MethodOptions]) -> Callable[[F], F]:
        """Make a function the view of a rule for POST."""
        return self._method_route("POST", rule, options)

    def put(self, rule: str, **options: Unpack[MethodOptions]) -> Callable[[F], F]:
        """Make a function the view of a rule for PUT."""
        return self._method_route("PUT", rule, options)

    def patch(self, rule: str, **options: Unpack[MethodOptions]) -> Callable[[F], F]:
        """Make a function the view of a rule for PATCH."""
        return self._method_route("PATCH", rule, options)

    def delete(self, rule: str, **options: Unpack[MethodOptions]) -> Callable[[F], F]:
        """Make a function the view of a rule for DELETE."""
        return self._method_route("DELETE", rule, options)

    def query(self, rule: str, **options: Unpack[MethodOptions]) -> Callable[[F], F]:
        """Make a function the view of a rule for QUERY: a safe request with a body (RFC 10008)."""
        return self._method_route("QUERY", rule, options)

    def _method_route(self, method: str, rule: str, options: Mapping[str, Any]) -> Callable[[F], F]:
        if not isinstance(rule, str):
            raise ConfigurationError(not_a_path(method.lower(), rule))
        for name in ("methods", "method"):
            if name in options:
                raise ConfigurationError(
                    complaint(method.lower(), name, "no such option", options[name], "Use route() for several methods")
                )
        return self.route(rule, methods=(method,), **options)

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: Callable[..., Any] | None = None,
        provide_automatic_options: bool | None = None,
        **options: Any,
    ) -> None:
        """Add a rule, and its view.

        Args:
            rule: the path in Werkzeug's rule language, such as ``"/post/<int:post_id>"``. In a router that is included
                with a prefix, ``""`` is the prefix itself.
            endpoint: the name for `url_for`; by default the view's.
            view_func: the view; may be given later by `endpoint`. Without it, a path that another rule answers gets a
                second name for `url_for`.
            provide_automatic_options: answer OPTIONS without calling the view; on unless the view takes OPTIONS.
            options: those of Werkzeug's rules: `methods`, `defaults`, `subdomain`, `host`, `build_only`,
                `strict_slashes`, `merge_slashes`, `redirect_to`, `alias`.

        Raises:
            ConfigurationError: the rule is there already, or the endpoint has another view.
        """
        self._changed()
        if not isinstance(rule, str):
            raise ConfigurationError(not_a_path("add_url_rule", rule))
        if endpoint is None:
            if view_func is None:
                raise ConfigurationError(
                    complaint(f"rule {rule!r}", "endpoint", "a name, or a view that has one", None)
                )
            endpoint = str(getattr(view_func, "__name__", None) or type(view_func).__name__)
        if "." in endpoint:
            raise ConfigurationError(
                complaint(
                    f"rule {rule!r}", "endpoint", "a name without dots", endpoint, "Dots join the names of routers"
                )
            )
        if view_func is not None and not callable(view_func):
            raise ConfigurationError(complaint(f"rule {rule!r}", "view", "a function", view_func))
        mark_routed(view_func)
        for name in options:
            if name not in RULE_OPTIONS:
                raise explain_unknown(f"rule {rule!r}", "rule", name, RULE_OPTIONS)
        methods, automatic = methods_of(rule, view_func, options.pop("methods", None), provide_automatic_options)
        name = endpoint

        def register(router: Registry, place: Place) -> None:
            own, path = place.options_of(options), join_paths(place.prefix, rule)
            router._add(path, place.dotted + name, view_func, place.owners, methods, automatic, own)

        self._record(register)

    def _add(
        self,
        rule: str,
        endpoint: str,
        view: Callable[..., Any] | None,
        owners: tuple[Inclusion, ...],
        methods: set[str],
        automatic: bool,
        options: dict[str, Any],
    ) -> None:
        target = self._targets.get(endpoint)
        # Two bound methods of one object and name are equal, and not the same object.
        if target is not None and view is not None and target.view is not None and target.view != view:
            raise ConfigurationError(
                f"{self!r}: endpoint {endpoint!r}: expected one view, got two: {place_of(target.view)}, and "
                f"{place_of(view)}. Give one of them another endpoint=."
            )
        if not rule:
            self.prefixless.append(endpoint)
        else:
            route = Route(rule, endpoint=endpoint, methods=methods, **options)
            route.has_automatic_options = automatic
            self._add_route(route, view)
        if target is None:
            self._targets[endpoint] = Target(view, owners)
        elif view is not None:
            target.view = view

    def _add_route(self, route: Route, view: Callable[..., Any] | None) -> None:
        """Add a rule to the map.

        If its path is taken, a rule without a view is one more name for URLs of that path, as in Flask. Static files
        whose folder doesn't exist give way to any other rule.
        """
        try:
            self.map.add(route)
        except RuleConflictError as conflict:
            first = self._targets.get(conflict.first.endpoint)
            if view is None or is_missing(view):
                route.build_only = True
            elif first is not None and is_missing(first.view):
                self.map.keep_for_urls(conflict.first)
            else:
                raise
            self.map.add(route)

    def endpoint(self, endpoint: str) -> Callable[[F], F]:
        """Make a function the view of an endpoint whose rule was added without one."""
        if not isinstance(endpoint, str):
            remedy = "Write the name: @router.endpoint('show')"
            raise ConfigurationError(complaint("endpoint", "endpoint", "a name", NameOf(endpoint), remedy))

        def decorate(view: F) -> F:
            self._changed()
            mark_routed(view)

            def register(router: Registry, place: Place) -> None:
                target = router._targets.setdefault(place.dotted + endpoint, Target(None, place.owners))
                target.view = view

            self._record(register)
            return view

        return decorate

    def resource(
        self,
        rule: str,
        resource: type[Any] | object,
        *,
        endpoint: str | None = None,
        key: str | None = None,
        **options: Any,
    ) -> None:
        """Add a collection and its items, answered by one class: JSON in and out.

        Its methods are `index` and `create` (of the collection), `show`, `update`, `patch` and `delete` (of an item);
        those that it has are routed. A parameter annotated with a dataclass or pydantic model gets the JSON body, in
        `create`, `update` and `patch` also one annotated ``dict``; the others come from the query string. Errors are
        ``application/problem+json``: 400, 406, 415, 422.

        Args:
            rule: the collection's path, such as ``"/posts"``.
            resource: the class, made again for each request, or an instance.
            endpoint: its rules are named ``endpoint_index``, ``endpoint_show``, …; the class's name by default.
            key: the items' part of the path, such as ``"<uuid:post_id>"``; else made from the methods' parameters.
            options: those of `add_url_rule`.

        Raises:
            ConfigurationError: the class has none of the methods, or they tell no items apart.
        """
        from wsgikit.routing.resource import add_resource  # it imports this module's types, and few routers need it

        add_resource(self, rule, resource, endpoint, key, **options)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, in the order they were added, those of included routers among them."""
        return tuple(self.map.iter_rules())

    @property
    def view_functions(self) -> Mapping[str, Callable[..., Any]]:
        """The view of each endpoint."""
        return {endpoint: target.view for endpoint, target in self._targets.items() if target.view is not None}

    # ------------------------------------------------------------------ other routers and applications

    @refuses_unknown("include")
    def include(
        self,
        router: Registry,
        prefix: str = "",
        name: str | None = None,
        *,
        host: str | None = None,
        subdomain: str | None = None,
        url_defaults: Mapping[str, Any] | None = None,
        layers: Iterable[LayerLike] = (),
        policy: Mapping[str, Any] | None = None,
        allow_policy: Iterable[str] = (),
    ) -> None:
        """Take in another router's rules and hooks as a blueprint, its endpoints named ``name.endpoint``.

        Rules that are added to it later are taken in too.

        Args:
            prefix: put before its rules.
            name: put before its endpoints; its own name if it isn't given.
            host: the host of its rules, where this router matches hosts.
            subdomain: the subdomain of its rules, with a `server_name`. Those of nested routers are joined.
            url_defaults: values that its views get, and that `url_for` need not be given. A rule's own `defaults` win.
            layers: layers around its views, outermost first, as for `build_stack`. They see only requests that one of
                its rules matches.
            policy: the policy of all its views, such as ``{"login": True}``. The policy of a view wins, but `login`
                and `csrf` that are turned on here hold for all of them.
            allow_policy: `login` or `csrf`, if its views may loosen them all the same.

        Raises:
            ConfigurationError: a layer, a key of the policy or a prefix can't work; the name is taken, or the router
                would be included in itself.
        """
        self._changed()
        if not isinstance(router, Registry):
            raise ConfigurationError(
                complaint("include", "router", "a Router", router, "Use mount() for other applications")
            )
        name = name or router.name
        if "." in name:
            raise ConfigurationError(complaint("include", "name", "a name without dots", name))
        if router is self or router._has_inside(self):
            raise ConfigurationError(complaint("include", "router", "one that this one isn't in", router))
        if any(taken == name for taken, _ in self.included):
            raise ConfigurationError(complaint("include", "name", "one that is free", name, "Pass another name="))
        if prefix and not prefix.startswith("/"):
            raise ConfigurationError(complaint("include", "prefix", "a path that begins with /", prefix))
        inclusion = Inclusion(router, layers, policy, allow_policy)
        self.included.append((name, router))
        self._inclusions.append(inclusion)
        place = Place(prefix, f"{name}.", host, subdomain, dict(url_defaults or {}), (inclusion,))
        router._parents.append((self, place))
        for record in router._records:
            self._take(record, place)

    def _take(self, record: Record, place: Place) -> None:
        """Make what an included router does part of what this router does, and so of what its own parents do."""

        def register(router: Registry, outer: Place) -> None:
            record(router, place.inside(outer))

        self._record(register)

    def _record(self, register: Record) -> None:
        register(self, Place())
        self._records.append(register)
        for parent, place in self._parents:
            parent._take(register, place)

    def _has_inside(self, other: Registry) -> bool:
        return any(router is other or router._has_inside(other) for _, router in self.included)

    @refuses_unknown("mount")
    def mount(
        self,
        prefix: str | re.Pattern[str],
        app: WSGIApplication,
        name: str | None = None,
        *,
        host: str | None = None,
        keep_path: bool = False,
    ) -> None:
        """Give all paths under a prefix to another WSGI application.

        Between a rule and a mount, the longer fixed beginning decides; between equals, the rule.

        Args:
            prefix: whole segments, such as ``"/blog"``, or a compiled regular expression for the beginning of the path.
            app: the application. It finds the prefix in ``SCRIPT_NAME``. This router's hooks don't run for it.
            name: for `url_for("name.endpoint")`, where it is a `Router` or a stack of one; else the router's own.
            host: the host it is for; all if it isn't given.
            keep_path: leave ``SCRIPT_NAME`` and ``PATH_INFO`` as they are.

        Raises:
            ConfigurationError: the prefix is taken, or `app` can't be called.
        """
        self._changed()
        if name is None:
            inner = router_in(app)
            name = inner.name if inner is not None else None

        def register(router: Registry, place: Place) -> None:
            if place.subdomain is not None:
                remedy = "Mount it in the outer router, with host="
                raise ConfigurationError(
                    complaint("mount", "subdomain", "none, as mounts have no", place.subdomain, remedy)
                )
            full = prefix if not isinstance(prefix, str) or not place.prefix else join_paths(place.prefix, prefix)
            router.mounts.add(Mount(full, app, place.dotted + name if name else None, host or place.host, keep_path))

        self._record(register)

    def close(self) -> None:
        """Close the layers around included routers, then what is mounted: an application before its layers.

        `Stack.close` of the stack around does this. The router can be used again after it.

        Raises:
            Exception: the first of those that could not be closed, when the others are.
        """
        inclusions = [inclusion for router in (self, *self.iter_included()) for inclusion in router._inclusions]
        close_all(inclusion.stack for inclusion in inclusions if inclusion.stack is not None)
        self.mounts.close()

    __wsgikit_close__ = close

    def iter_included(self) -> Iterator[Registry]:
        """Iterate over all routers inside this one, each once, outer ones before theirs."""
        seen: set[int] = set()
        waiting = [router for _, router in self.included]
        while waiting:
            router = waiting.pop(0)
            if id(router) not in seen:
                seen.add(id(router))
                yield router
                waiting.extend(inner for _, inner in router.included)

    def _changed(self) -> None:
        if self._is_serving:
            raise ConfigurationError(
                f"{self!r}: change after the first request: expected all routes and hooks before it. "
                "What was answered already would have missed it; add it where the router is made."
            )
        self._forget()

    def _forget(self) -> None:
        """Drop what was worked out from what was registered, here and in the routers around."""
        self._defaults.clear()
        self.plain_endpoints.clear()
        for parent, *_ in self._parents:
            parent._forget()

    def url_defaults_of(self, endpoint: str) -> tuple[Callable[..., Any], ...]:
        """Return the functions that add values to an endpoint's URLs: the router's, then included ones', inwards."""
        known = self._defaults.get(endpoint)
        if known is None:
            functions = list(self.hooks.url_defaults)
            for router in self.iter_included():
                functions += router.app_hooks.url_defaults
            target = self._targets.get(endpoint)
            if target is not None and type(target.view) is StaticView:
                functions.append(target.view.add_version)  # pyright: ignore[reportFunctionMemberAccess]  # the type was compared
            for owner in reversed(target.owners if target is not None else ()):
                functions += owner.router.hooks.url_defaults
            known = self._defaults[endpoint] = tuple(functions)
            if not known and target is not None and self.map.is_one_domain:
                self.plain_endpoints.add(endpoint)
        return known

    def has_endpoint(self, endpoint: str) -> bool:
        """Return whether a rule of this router, or of one included in it, has that endpoint."""
        return endpoint in self._targets


# Registers something in a router, at a place in it.
Record = Callable[[Registry, Place], None]
