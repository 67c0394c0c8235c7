"""Routes with Flask's decorators, as one WSGI application or as a layer in front of another.

A router can be served by itself, be the application of a stack, stand in front of one (`RouterMiddleware`), be included in
another router (what Flask calls a blueprint), or be mounted in one.
"""

from __future__ import annotations

__all__ = ["Route", "Router"]

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from wsgikit.exceptions import ApplicationError, ConfigurationError, complaint
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.routing.answers import http_answer
from wsgikit.routing.dispatch import Matched, Plan, make_response
from wsgikit.routing.hooks import HookRegistry, Hooks
from wsgikit.routing.invoke import name_of
from wsgikit.routing.json import JsonProvider
from wsgikit.routing.match import Match, Miss
from wsgikit.routing.matcher import BuildError, RouteMap
from wsgikit.routing.mount import Mount, MountTable, router_in
from wsgikit.routing.rules import Rule
from wsgikit.wsgi import EXCHANGE, ROUTING, ROUTING_ARGS, Environ, StartResponse, WSGIApplication

if TYPE_CHECKING:
    import re

    from wsgikit.onion.request import Response

F = TypeVar("F", bound=Callable[..., Any])
METHODS_OF_A_PAGE = ("GET",)


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


class _Target:
    """A view, and the included routers around it, innermost first."""

    __slots__ = ("owners", "view")

    def __init__(self, view: Callable[..., Any] | None, owners: tuple[Router, ...]) -> None:
        self.view = view
        self.owners = owners


class Router(HookRegistry):
    """Routes, views and hooks in Flask's way; itself a WSGI application.

    What a view may return: see docs/howto/views.md. A view or hook gets the request by annotation
    (``def show(request: Request, post_id: int)``), or uses the local `request` where a `ContextMiddleware` is around.

    Args:
        import_name: ``__name__`` of the module: ``templates/`` and ``static/`` beside it are found, and it names the router.
        name: the router's name; the last part of `import_name` where it isn't given.
        template_folder: where templates are, beside the module; None looks for none.
        static_folder: where static files are, beside the module; served only where it is there. None serves none.
        static_url_path: where static files are served.
        strict_slashes: redirect ``/a`` to ``/a/`` where the rule ends with a slash, and don't match ``/a/`` where it doesn't.
        merge_slashes: redirect ``/a//b`` to ``/a/b``.
        redirect_defaults: redirect to the shorter rule where the values are its defaults.
        converters: further converters by name.
        host_matching: rules are given `host=`.
        default_subdomain: the subdomain of rules that name none.
        server_name: the host and port, for subdomains and for `url_for(…, _external=True)` outside a request.
        raw_path: match the path as it was sent, so that ``%2F`` isn't a slash, where the server tells it.
        json: writes and reads JSON.
        request_class: what views that ask for a request by annotation get (Werkzeug's, say); the `request` local stays.
        max_content_length: the most bytes of a request body; None sets no limit.
        max_form_memory_size: the most bytes of a form field that isn't a file.
        max_form_parts: the most parts of a multipart form.

    Raises:
        ConfigurationError: an option can't work; a rule or endpoint is there already.

    Example::

        router = Router(__name__)

        @router.get("/post/<int:post_id>")
        def show(post_id: int) -> str:
            return f"Post {post_id}"
    """

    def __init__(
        self,
        import_name: str | None = None,
        *,
        name: str | None = None,
        template_folder: str | None = "templates",
        static_folder: str | None = "static",
        static_url_path: str = "/static",
        strict_slashes: bool = True,
        merge_slashes: bool = True,
        redirect_defaults: bool = True,
        converters: Mapping[str, type[Any]] | None = None,
        host_matching: bool = False,
        default_subdomain: str = "",
        server_name: str | None = None,
        raw_path: bool = False,
        json: JsonProvider | None = None,
        request_class: Callable[[Environ], Any] | None = None,
        max_content_length: int | None = None,
        max_form_memory_size: int | None = 500_000,
        max_form_parts: int | None = 1000,
    ) -> None:
        super().__init__()
        if import_name is not None and not isinstance(import_name, str):
            raise ConfigurationError(complaint("Router", "import_name", "a module's __name__", import_name))
        self.import_name = import_name
        self.name = name or (import_name or "router").rpartition(".")[2]
        if "." in self.name or not self.name:
            raise ConfigurationError(complaint("Router", "name", "a name without dots", self.name))
        self.root_path = _folder_of(import_name)
        self.map = RouteMap(
            strict_slashes=strict_slashes,
            merge_slashes=merge_slashes,
            redirect_defaults=redirect_defaults,
            converters=converters,
            host_matching=host_matching,
            default_subdomain=default_subdomain,
            server_name=server_name,
        )
        self.server_name = server_name
        self.find_rule: Callable[[Environ], Match | Miss] = (
            partial(self.map.find_environ, raw_path=True) if raw_path else self.map.find_environ
        )
        self.json = json or JsonProvider()
        self.make_request = request_class
        limits = {"max_content_length": max_content_length}
        if max_form_memory_size != 500_000:
            limits["max_form_memory_size"] = max_form_memory_size
        if max_form_parts != 1000:
            limits["max_form_parts"] = max_form_parts
        self.request_limits = {k: v for k, v in limits.items() if k != "max_content_length" or v is not None}
        self.extensions: dict[Any, Any] = {}
        self.url_build_error_handlers: list[Callable[..., str | None]] = []
        self.included: list[tuple[str, Router]] = []
        self.mounts = MountTable()
        self._targets: dict[str, _Target] = {}
        self._records: list[Callable[[Router, str, str, str | None, tuple[Router, ...]], None]] = []
        self._parents: list[tuple[Router, str, str, str | None]] = []
        self._is_serving = False
        self._miss_plan: Plan | None = None
        self.nowhere = Matched()
        self.nowhere.plan = Plan(self, None, None, ())
        self._onion: Middleware | None = None
        self.template_folder = self._beside(template_folder)
        self.static_folder = self._beside(static_folder)
        self.static_url_path = static_url_path.rstrip("/")
        if self.static_folder is not None and self.static_folder.is_dir():
            self.add_url_rule(
                f"{self.static_url_path}/<path:filename>", "static", _StaticView(self), provide_automatic_options=True
            )

    def __repr__(self) -> str:
        return f"<Router {self.name!r}>"

    @property
    def __wsgikit_router__(self) -> Router:
        return self

    # ------------------------------------------------------------------ rules

    def route(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Make a function the view of a rule. `options` are those of `add_url_rule`."""

        def decorate(view: F) -> F:
            self.add_url_rule(rule, options.pop("endpoint", None), view, **options)
            return view

        return decorate

    def get(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Make a function the view of a rule for GET (and HEAD)."""
        return self._method_route("GET", rule, options)

    def post(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Make a function the view of a rule for POST."""
        return self._method_route("POST", rule, options)

    def put(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Make a function the view of a rule for PUT."""
        return self._method_route("PUT", rule, options)

    def patch(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Make a function the view of a rule for PATCH."""
        return self._method_route("PATCH", rule, options)

    def delete(self, rule: str, **options: Any) -> Callable[[F], F]:
        """Make a function the view of a rule for DELETE."""
        return self._method_route("DELETE", rule, options)

    def _method_route(self, method: str, rule: str, options: dict[str, Any]) -> Callable[[F], F]:
        if "methods" in options:
            raise ConfigurationError(
                complaint(
                    method.lower(), "methods", "no such option", options["methods"], "Use route() for several methods"
                )
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
            rule: the path in Werkzeug's rule language, such as ``"/post/<int:post_id>"``.
            endpoint: the name for `url_for`; the view's where it isn't given.
            view_func: the view; may be given later by `endpoint`.
            provide_automatic_options: answer OPTIONS without calling the view; on unless the view takes OPTIONS.
            options: those of Werkzeug's rules: `methods`, `defaults`, `subdomain`, `host`, `build_only`,
                `strict_slashes`, `merge_slashes`, `redirect_to`, `alias`.

        Raises:
            ConfigurationError: the rule is there already, or the endpoint has another view.
        """
        self._changed()
        if endpoint is None:
            if view_func is None:
                raise ConfigurationError(
                    complaint(f"rule {rule!r}", "endpoint", "a name, or a view that has one", None)
                )
            endpoint = getattr(view_func, "__name__", None) or type(view_func).__name__
        if "." in endpoint:
            raise ConfigurationError(
                complaint(
                    f"rule {rule!r}", "endpoint", "a name without dots", endpoint, "Dots join the names of routers"
                )
            )
        if view_func is not None and not callable(view_func):
            raise ConfigurationError(complaint(f"rule {rule!r}", "view", "a function", view_func))
        methods = options.pop("methods", None)
        if methods is None:
            methods = getattr(view_func, "methods", None) or METHODS_OF_A_PAGE
        if isinstance(methods, str):
            raise ConfigurationError(
                complaint(f"rule {rule!r}", "methods", "a list of methods", methods, "Put it in a list")
            )
        methods = {method.upper() for method in methods}
        methods |= set(getattr(view_func, "required_methods", ()))
        if provide_automatic_options is None:
            provide_automatic_options = getattr(view_func, "provide_automatic_options", None)
        if provide_automatic_options is None:
            provide_automatic_options = "OPTIONS" not in methods
        if provide_automatic_options:
            methods.add("OPTIONS")
        automatic, name = provide_automatic_options, endpoint

        def register(router: Router, prefix: str, dotted: str, host: str | None, owners: tuple[Router, ...]) -> None:
            own = options if host is None else {"host": host, **options}
            router._add(_joined(prefix, rule), dotted + name, view_func, owners, methods, automatic, own)

        self._record(register)

    def _add(
        self,
        rule: str,
        endpoint: str,
        view: Callable[..., Any] | None,
        owners: tuple[Router, ...],
        methods: set[str],
        automatic: bool,
        options: dict[str, Any],
    ) -> None:
        target = self._targets.get(endpoint)
        if target is not None and view is not None and target.view is not None and target.view is not view:
            raise ConfigurationError(
                complaint(
                    repr(self),
                    f"endpoint {endpoint!r}",
                    f"one view, which is {name_of(target.view)}",
                    name_of(view),
                    "Give one of them another endpoint=",
                )
            )
        try:
            route = Route(rule, endpoint=endpoint, methods=methods, **options)
        except TypeError as error:
            if isinstance(error, ConfigurationError):
                raise
            raise ConfigurationError(f"rule {rule!r}: {error}.") from error
        route.has_automatic_options = automatic
        self.map.add(route)
        if target is None:
            self._targets[endpoint] = _Target(view, owners)
        elif view is not None:
            target.view = view

    def endpoint(self, endpoint: str) -> Callable[[F], F]:
        """Make a function the view of an endpoint whose rule was added without one."""

        def decorate(view: F) -> F:
            self._changed()

            def register(
                router: Router, prefix: str, dotted: str, host: str | None, owners: tuple[Router, ...]
            ) -> None:
                target = router._targets.setdefault(dotted + endpoint, _Target(None, owners))
                target.view = view

            self._record(register)
            return view

        return decorate

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, in the order they were added, those of included routers among them."""
        return tuple(self.map.iter_rules())

    @property
    def view_functions(self) -> Mapping[str, Callable[..., Any]]:
        """The view of each endpoint."""
        return {endpoint: target.view for endpoint, target in self._targets.items() if target.view is not None}

    # ------------------------------------------------------------------ other routers and applications

    def include(self, router: Router, prefix: str = "", name: str | None = None, *, host: str | None = None) -> None:
        """Take in another router's rules and hooks, as a blueprint: under a prefix, its endpoints named ``name.endpoint``.

        Rules that are added to it later are taken in too.

        Args:
            prefix: put before its rules.
            name: put before its endpoints; its own name where it isn't given.
            host: the host of its rules, where this router matches hosts.

        Raises:
            ConfigurationError: the name is taken, or the router would be included in itself.
        """
        self._changed()
        if not isinstance(router, Router):
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
        self.included.append((name, router))
        router._parents.append((self, prefix, name, host))
        for record in router._records:
            self._take(record, router, prefix, name, host)

    def _take(self, record: Any, child: Router, prefix: str, name: str, host: str | None) -> None:
        """Make what `child` does part of what this router does, and so of what its own parents do."""

        def register(
            router: Router, outer: str, dotted: str, outer_host: str | None, owners: tuple[Router, ...]
        ) -> None:
            record(router, _joined(outer, prefix), f"{dotted}{name}.", host or outer_host, (child, *owners))

        self._record(register)

    def _record(self, register: Callable[[Router, str, str, str | None, tuple[Router, ...]], None]) -> None:
        register(self, "", "", None, ())
        self._records.append(register)
        for parent, prefix, name, host in self._parents:
            parent._take(register, self, prefix, name, host)

    def _has_inside(self, other: Router) -> bool:
        return any(router is other or router._has_inside(other) for _, router in self.included)

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
            name: for `url_for("name.endpoint")`, where it is a `Router` or a stack of one; a router's own name otherwise.
            host: the host it is for; all where it isn't given.
            keep_path: leave ``SCRIPT_NAME`` and ``PATH_INFO`` as they are.

        Raises:
            ConfigurationError: the prefix is taken, or `app` can't be called.
        """
        self._changed()
        if name is None:
            inner = router_in(app)
            name = inner.name if inner is not None else None

        def register(
            router: Router, outer: str, dotted: str, outer_host: str | None, owners: tuple[Router, ...]
        ) -> None:
            full = prefix if not isinstance(prefix, str) else _joined(outer, prefix) if outer else prefix
            router.mounts.add(Mount(full, app, dotted + name if name else None, host or outer_host, keep_path))

        self._record(register)

    # ------------------------------------------------------------------ a request

    def __call__(self, environ: Environ, start_response: StartResponse, /) -> Iterable[bytes]:
        """Answer one request (PEP 3333): in the onion around, or in one of its own where there is none."""
        exchange = environ.get(EXCHANGE)
        if exchange is not None and exchange.environ is environ and not exchange._finished:
            return self.find(environ)(environ, start_response)
        onion = self._onion
        if onion is None:
            onion = self._onion = _OwnOnion(self._answer)
        return onion(environ, start_response)

    def _answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return self.find(environ)(environ, start_response)

    def find(self, environ: Environ) -> WSGIApplication:
        """Return what answers a request: a matched view, a mounted application, a redirect, or the error that none does."""
        found = self.find_rule(environ)
        return self.take(environ, found) or self.missed(environ, found.to_exception())  # type: ignore[union-attr]  # a Miss

    def match(self, environ: Environ) -> WSGIApplication | None:
        """Return what answers a request, or None where no rule and no mount is for it.

        A path that a rule has for other methods only is answered by a 405, one that only lacks a slash by a redirect.
        """
        return self.take(environ, self.find_rule(environ))

    def take(self, environ: Environ, found: Match | Miss) -> WSGIApplication | None:
        """Do what `match` does, with what `find_rule` found."""
        mounted = self._find_mount(environ, found.rule) if self.mounts.mounts else None
        if mounted is not None:
            return mounted
        if isinstance(found, Miss):
            if found.kind == "not_found" or found.kind == "bad_request":
                return None
            return self.missed(environ, found.to_exception())
        rule: Any = found.rule
        plan = rule.plan
        if plan is None:
            plan = rule.plan = self._make_plan(rule.endpoint, self._targets[rule.endpoint], frozenset(rule.arguments))
            if not self.mounts.mounts:
                rule.direct_plan = plan
        matched = Matched()
        matched.plan = plan
        matched.rule = rule
        matched.values = values = found.values
        matched.parent = environ.get(ROUTING)
        environ[ROUTING] = matched
        environ[ROUTING_ARGS] = ((), values)
        return matched

    def missed(self, environ: Environ, error: Exception) -> Matched:
        """Return what answers a request that no rule is for: the hooks and error handlers of the router itself."""
        matched = Matched()
        matched.plan = self._make_plan_of_misses()
        matched.parent = environ.get(ROUTING)
        matched.error = error
        environ[ROUTING] = matched
        return matched

    def _make_plan_of_misses(self) -> Plan:
        plan = self._miss_plan
        if plan is None:
            plan = self._miss_plan = self._make_plan(None, _Target(None, ()))
        return plan

    def _find_mount(self, environ: Environ, rule: Rule | None) -> WSGIApplication | None:
        found = self.mounts.find(environ)
        if found is None:
            return None
        mount, length = found
        if rule is not None and len(rule.rule.partition("<")[0].encode()) >= length:
            return None

        def answer(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            return mount.call(self, environ, start_response, length)

        return answer

    def _make_plan(self, endpoint: str | None, target: _Target, arguments: frozenset[str] = frozenset()) -> Plan:
        self._start_serving()
        scopes = [owner.hooks for owner in target.owners]
        return Plan(self, endpoint, target.view, [*scopes, self._app_scope()], arguments)

    def _app_scope(self) -> Hooks:
        """Return the hooks that are for all views: this router's, and those that included ones hang on it."""
        merged = Hooks()
        everyone = [self.hooks, *(router.app_hooks for router in self.iter_included())]
        for hooks in everyone:
            for name in Hooks.__slots__:
                functions, more = getattr(merged, name), getattr(hooks, name)
                if isinstance(functions, list):
                    functions.extend(more)
                elif name == "handlers":
                    for code, table in more.items():
                        known = functions.setdefault(code, {})
                        for kind, function in table.items():
                            known.setdefault(kind, function)
        return merged

    def iter_included(self) -> Iterator[Router]:
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

    def _start_serving(self) -> None:
        if not self._is_serving:
            self._is_serving = True
            for router in self.iter_included():
                router._is_serving = True

    def options_response(self, environ: Environ) -> Response:
        """Return the answer to OPTIONS: the methods of the path, in ``Allow``."""
        found: Any = self.find_rule({**environ, "REQUEST_METHOD": "--"})
        from wsgikit.onion.request import Response  # webob is loaded where a response object is needed

        response = Response(b"")
        response.headers["Allow"] = ", ".join(sorted(found.methods))
        return response

    def make_response(self, result: Any, environ: Environ, where: str = "make_response") -> Response:
        """Return a `Response` for anything that a view may return.

        Raises:
            ApplicationError: it is nothing that can be sent.
        """
        return make_response(result, environ, where, self.json)

    # ------------------------------------------------------------------ URLs

    def url_for(
        self,
        endpoint: str,
        *,
        _anchor: str | None = None,
        _method: str | None = None,
        _scheme: str | None = None,
        _external: bool | None = None,
        _environ: Environ | None = None,
        **values: Any,
    ) -> str:
        """Return the URL of an endpoint.

        Args:
            endpoint: its name; ``"name.endpoint"`` in an included or mounted router, ``".endpoint"`` beside the current one.
            _anchor: put behind ``#``.
            _method: choose the rule of the endpoint that has this method.
            _scheme: the scheme of an external URL.
            _external: with scheme and host; needs a request, or the router's `server_name`.
            _environ: the request at hand. The function `wsgikit.url_for` passes it.
            values: for the rule's variables; what it has none of goes into the query string. None is left out.

        Raises:
            BuildError: there is no such endpoint, or a value is missing.
            ValueError: `_scheme` without `_external`.
        """
        if _external is None:
            _external = _scheme is not None
        elif _scheme is not None and not _external:
            raise ValueError("url_for: _scheme: expected with _external=True, got it with _external=False.")
        record = _environ.get(ROUTING) if _environ is not None else None
        script_name = ""
        host: str | None = None
        if _environ is not None:
            script_name = _environ.get("SCRIPT_NAME", "")
            host = _environ.get("HTTP_HOST") or _environ.get("SERVER_NAME")
            _scheme = _scheme or _environ.get("wsgi.url_scheme")
        if endpoint[:1] == ".":
            current = record.endpoint if record is not None and record.router is self else None
            endpoint = f"{current.rpartition('.')[0]}{endpoint}" if current and "." in current else endpoint[1:]
        elif record is not None and endpoint not in self._targets:
            # Not here: a router that this one is mounted in may have it.
            outer = record.parent if record.router is self else record
            while outer is not None:
                if outer.router._can_build(endpoint):
                    prefix = outer.script_name if hasattr(outer, "script_name") else script_name
                    return outer.router._build(
                        endpoint, values, prefix, host, _scheme, _external, _method, _anchor, _environ
                    )
                outer = outer.parent
        return self._build(endpoint, values, script_name, host, _scheme, _external, _method, _anchor, _environ)

    def _can_build(self, endpoint: str) -> bool:
        return endpoint in self._targets or self._mounted_in(endpoint) is not None

    def _mounted_in(self, endpoint: str) -> tuple[Mount, Router, str] | None:
        for mount in self.mounts.mounts:
            if mount.name and mount.pattern is None and endpoint.startswith(mount.name + "."):
                inner = router_in(mount.app)
                rest = endpoint[len(mount.name) + 1 :]
                if inner is not None and inner._can_build(rest):
                    return mount, inner, rest
        return None

    def _build(
        self,
        endpoint: str,
        values: dict[str, Any],
        script_name: str,
        host: str | None,
        scheme: str | None,
        external: bool,
        method: str | None,
        anchor: str | None,
        environ: Environ | None,
    ) -> str:
        target = self._targets.get(endpoint)
        if target is None and self.mounts.mounts:
            found = self._mounted_in(endpoint)
            if found is not None:
                mount, inner, rest = found
                prefix = script_name if mount.keep_path else script_name + mount.prefix
                host = mount.host or host
                return inner._build(rest, values, prefix, host, scheme, external, method, anchor, environ)
        self._add_defaults(endpoint, values, target)
        if not script_name.isascii():  # environ holds the bytes of UTF-8 as latin-1 (PEP 3333)
            script_name = script_name.encode("latin-1").decode("utf-8", "replace")
        if external and host is None and self.server_name is None:
            raise ApplicationError(
                complaint(f"url_for({endpoint!r})", "_external", "a request, or server_name= on the router", None)
            )
        try:
            return self.map.build(
                endpoint,
                values,
                method=method,
                host=host or self.server_name,
                script_name=script_name,
                scheme=scheme or "http",
                external=external,
                anchor=anchor,
                default_method=environ.get("REQUEST_METHOD", "GET") if environ is not None else "GET",
            )
        except BuildError as error:
            values.update(_anchor=anchor, _method=method, _scheme=scheme, _external=external)
            for handler in self.url_build_error_handlers:
                url = handler(error, endpoint, values)
                if url is not None:
                    return url
            raise

    def _add_defaults(self, endpoint: str, values: dict[str, Any], target: _Target | None) -> None:
        for functions in self.hooks.url_defaults, *(router.app_hooks.url_defaults for _, router in self.included):
            for function in functions:
                function(endpoint, values)
        if target is not None:
            for owner in reversed(target.owners):
                for function in owner.hooks.url_defaults:
                    function(endpoint, values)

    # ------------------------------------------------------------------ folders

    @property
    def template_folders(self) -> tuple[Path, ...]:
        """The folders templates are looked for in: the router's own, then those of included ones."""
        folders = [self.template_folder, *(router.template_folder for router in self.iter_included())]
        return tuple(dict.fromkeys(folder for folder in folders if folder is not None))

    def open_resource(self, resource: str, mode: str = "rb", encoding: str | None = "utf-8") -> Any:
        """Open a file beside the router's module for reading."""
        if mode not in ("r", "rt", "rb"):
            raise ValueError(f"open_resource: mode: expected 'r', 'rt' or 'rb', got {mode!r}.")
        if self.root_path is None:
            raise ApplicationError(complaint("open_resource", "import_name", "Router(__name__)", None))
        return (self.root_path / resource).open(mode, encoding=None if mode == "rb" else encoding)

    def _beside(self, folder: str | None) -> Path | None:
        if folder is None:
            return None
        path = Path(folder)
        if path.is_absolute():
            return path
        return self.root_path / path if self.root_path is not None else None


class _StaticView:
    """Serves a router's static files."""

    __name__ = "static"

    def __init__(self, router: Router) -> None:
        self.router = router

    def __call__(self, filename: str) -> WSGIApplication:
        from wsgikit.routing.files import send_from_folder  # werkzeug is loaded where a file is sent

        return send_from_folder(self.router.static_folder, filename)  # type: ignore[arg-type]  # there is one


class _OwnOnion(Middleware):
    """The onion of a router that is served by itself: it answers the HTTP exceptions that nothing else does."""

    def handle_exception(self, exchange: Exchange, error: Exception) -> WSGIApplication | None:
        return http_answer(error)


def _joined(prefix: str, rule: str) -> str:
    if not prefix:
        return rule
    if not rule:
        return prefix
    return f"{prefix.rstrip('/')}/{rule.lstrip('/')}"


def _folder_of(import_name: str | None) -> Path | None:
    if import_name is None:
        return None
    module = sys.modules.get(import_name)
    file = getattr(module, "__file__", None)
    if file is None:
        return Path.cwd() if import_name == "__main__" else None
    return Path(file).resolve().parent
