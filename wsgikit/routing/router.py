"""Routes with Flask's decorators, as one WSGI application or as a layer in front of another.

A router can be served by itself, be the application of a stack, stand in front of one (`RouterMiddleware`), be included
in another router (what Flask calls a blueprint), or be mounted in one.
"""

from __future__ import annotations

__all__ = ["Router"]

import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from werkzeug.exceptions import NotFound

from wsgikit.exceptions import ApplicationError, ConfigurationError, complaint
from wsgikit.http.json_provider import JsonProvider
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.options.flags import check_flags
from wsgikit.routing.answers import http_answer
from wsgikit.routing.dispatch import Matched, make_response
from wsgikit.routing.fitting import misfits
from wsgikit.routing.hooks import Hooks
from wsgikit.routing.invoke import as_sync
from wsgikit.routing.keywords import refuses_unknown
from wsgikit.routing.match import Match, Miss
from wsgikit.routing.matcher import RouteMap
from wsgikit.routing.plan import Plan
from wsgikit.routing.registry import Registry, Target
from wsgikit.routing.rules import Rule
from wsgikit.routing.static import StaticView, is_missing
from wsgikit.routing.urls import build_url
from wsgikit.signals import send_signal
from wsgikit.wsgi import EXCHANGE, ROUTING, ROUTING_ARGS, Environ, StartResponse, WSGIApplication

if TYPE_CHECKING:
    from wsgikit.http.request import Response


class Router(Registry):
    """Routes, views and hooks in Flask's way; itself a WSGI application.

    What a view may return: see docs/howto/views.md. A view or hook gets the request by annotation
    (``def show(request: Request, post_id: int)``), or uses the local `request` if a `ContextMiddleware` is around or
    the router is served by itself.

    Args:
        import_name: ``__name__`` of the module: its ``templates/`` and ``static/`` are found, and it names the router.
        name: the router's name; the last part of `import_name` if it isn't given.
        template_folder: where templates are, beside the module; None looks for none.
        template_options: options of `Templates` for them, such as ``{"debug": True}`` to see changed files at once.
        static_folder: where static files are, beside the module; until it exists, they are not found. None serves none.
        static_url_path: where static files are served; by default the name of the folder.
        static_host: the host that serves static files, with `host_matching`.
        static_max_age_seconds: for how long browsers may cache static files; by default they ask each time.
        strict_slashes: redirect ``/a`` to ``/a/`` if the rule ends so, and don't match ``/a/`` if it doesn't.
        merge_slashes: redirect ``/a//b`` to ``/a/b``.
        redirect_defaults: redirect to the shorter rule where the values are its defaults.
        converters: further converters by name.
        host_matching: rules are given `host=`.
        default_subdomain: the subdomain of rules that name none.
        server_name: the host and port, for subdomains and for `url_for(…, _external=True)` outside a request.
        raw_path: match the path as it was sent, so that ``%2F`` isn't a slash, where the server tells it.
        json: writes and reads JSON.
        request_class: what makes the request that hooks and views see, such as Werkzeug's `Request`; the layers around
            see webob's until then.
        max_content_length: the most bytes of a request body; None sets no limit.
        max_form_memory_size: the most bytes of a multipart field that isn't a file, and of a whole urlencoded form.
        max_form_parts: the most parts of a multipart form.

    Raises:
        ConfigurationError: an option can't work; a rule or endpoint is there already.

    Example::

        router = Router(__name__)

        @router.get("/post/<int:post_id>")
        def show(post_id: int) -> str:
            return f"Post {post_id}"
    """

    @refuses_unknown("Router")
    def __init__(
        self,
        import_name: str | None = None,
        *,
        name: str | None = None,
        template_folder: str | None = "templates",
        template_options: Mapping[str, Any] | None = None,
        static_folder: str | None = "static",
        static_url_path: str | None = None,
        static_host: str | None = None,
        static_max_age_seconds: int | None = None,
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
        check_flags(
            "Router",
            strict_slashes=strict_slashes,
            merge_slashes=merge_slashes,
            redirect_defaults=redirect_defaults,
            host_matching=host_matching,
            raw_path=raw_path,
        )
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
        self.map.match_class = Matched
        self.map.keeps_literal = not raw_path
        self.server_name = server_name
        self.find_rule: Callable[[Environ], Match | Miss] = (
            partial(self.map.find_environ, raw_path=True) if raw_path else self.map.find_environ
        )
        self.json = json or JsonProvider()
        self.request_class = request_class
        limits = {"max_content_length": max_content_length}
        if max_form_memory_size != 500_000:
            limits["max_form_memory_size"] = max_form_memory_size
        if max_form_parts != 1000:
            limits["max_form_parts"] = max_form_parts
        self.request_limits = {k: v for k, v in limits.items() if k != "max_content_length" or v is not None}
        self.extensions: dict[Any, Any] = {}
        self.url_build_error_handlers: list[Callable[..., str | None]] = []
        self._miss_plan: Plan | None = None
        self.nowhere = Matched()
        self.nowhere.plan = Plan(self, None, None, ())
        self._onion: Middleware | None = None
        self.template_folder = self._beside(template_folder)
        self.template_options = dict(template_options or {})
        self.static_folder = self._beside(static_folder)
        if static_url_path is None:
            static_url_path = f"/{Path(static_folder).name}" if static_folder is not None else "/static"
        if not isinstance(static_url_path, str):
            raise ConfigurationError(complaint("Router", "static_url_path", "a path", static_url_path))
        if static_max_age_seconds is not None and not (
            type(static_max_age_seconds) is int and static_max_age_seconds >= 0
        ):
            expected = "a number of seconds from 0"
            raise ConfigurationError(complaint("Router", "static_max_age_seconds", expected, static_max_age_seconds))
        self.static_url_path = static_url_path.rstrip("/")
        if static_host is not None and not host_matching:
            remedy = "Pass host_matching=True as well"
            raise ConfigurationError(
                complaint("Router", "static_host", "a router that matches hosts", static_host, remedy)
            )
        # A router that matches hosts serves nothing without one.
        if self.static_folder is not None and (static_host is not None or not host_matching):
            self._serve_static(StaticView(self.static_folder, static_max_age_seconds), static_host)

    def _serve_static(self, view: StaticView, host: str | None) -> None:
        options = {} if host is None else {"host": host}
        rule = f"{self.static_url_path}/<path:filename>"
        self.add_url_rule(rule, "static", view, provide_automatic_options=True, **options)

    if not TYPE_CHECKING:  # a checker would take any attribute for defined

        def __getattr__(self, name: str) -> NoReturn:
            from wsgikit.flask_hints import missing_attribute  # for mistakes only

            raise missing_attribute("Router", name)

    def __repr__(self) -> str:
        return f"<Router {self.name!r}>"

    __wsgikit_runs_before_view__ = True

    @property
    def __wsgikit_router__(self) -> Router:
        return self

    def __wsgikit_enter__(self, exchange: Exchange) -> None:
        """Send the signal `appcontext_pushed` at the start of `Stack.request_context` or `app_context`."""
        send_signal("appcontext_pushed", self, as_sync)

    def __wsgikit_leave__(self, exchange: Exchange) -> None:
        """Run the functions of `teardown_request` at the end of `Stack.request_context` or `app_context`."""
        record = exchange.environ.get(ROUTING)
        if type(record) is Matched and record.rule is not None and record.router is self:
            record.tear_down(exchange)
            return
        matched = Matched()
        matched.plan = Plan(self, None, None, [self.app_scope()])
        matched.tear_down(exchange)

    # ------------------------------------------------------------------ a request

    def __call__(self, environ: Environ, start_response: StartResponse, /) -> Iterable[bytes]:
        """Answer one request (PEP 3333): in the onion around, or in one of its own if there is none."""
        exchange = environ.get(EXCHANGE)
        if exchange is not None and exchange.environ is environ and not exchange.is_finished:
            return self.find(environ)(environ, start_response)
        onion = self._onion
        if onion is None:
            onion = self._onion = _OwnOnion(self._answer)
        return onion(environ, start_response)

    def _answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return self.find(environ)(environ, start_response)

    def find(self, environ: Environ) -> WSGIApplication:
        """Return what answers a request: a view, a mounted application, a redirect, or the error that none does."""
        found = self.find_rule(environ)
        app = self.take(environ, found)
        if app is None:  # a miss, or static files whose folder doesn't exist
            app = self.missed(environ, found.to_exception() if isinstance(found, Miss) else NotFound())
        return app

    def match(self, environ: Environ) -> WSGIApplication | None:
        """Return what answers a request, or None if no rule and no mount is for it.

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
            if found.kind == "method_not_allowed" and self._is_missing_static(environ):
                return None
            return self.missed(environ, found.to_exception())
        rule: Any = found.rule
        plan = rule.plan
        if plan is None:
            plan = self._plan_rule(rule)
        if type(plan.view) is StaticView and is_missing(plan.view):
            return None
        if type(found) is Matched:
            matched = found
        else:  # it took more than a walk: a default, a converter that refused
            matched = Matched()
            matched.rule = rule
            matched.values = found.values
        matched.plan = plan
        matched.parent = environ.get(ROUTING)
        environ[ROUTING] = matched
        environ[ROUTING_ARGS] = ((), matched.values)
        return matched

    def _plan_rule(self, rule: Any) -> Plan:
        target = self._targets[rule.endpoint]
        plan = rule.plan = self._make_plan(rule.endpoint, target, frozenset(rule.arguments))
        if not self.mounts.mounts and type(target.view) is not StaticView:
            rule.direct_plan = plan
        return plan

    def __wsgikit_warmup__(self) -> None:
        """Plan all views, and warm up what is mounted: `Stack.warmup` calls it."""
        self._start_serving()
        self._make_plan_of_misses()
        self.map.allowed_methods("/")  # compiles the rules
        rules: Any = self.map.iter_rules()
        for rule in rules:
            if rule.plan is None and rule.endpoint in self._targets:
                self._plan_rule(rule)
        for mount in self.mounts.mounts:
            warmup = getattr(mount.app, "warmup", None) or getattr(mount.app, "__wsgikit_warmup__", None)
            if warmup is not None:
                warmup()

    def _is_missing_static(self, environ: Environ) -> bool:
        """Return whether GET of the path would be for static files whose folder doesn't exist."""
        rule = self.find_rule({**environ, "REQUEST_METHOD": "GET"}).rule
        target = self._targets.get(rule.endpoint) if rule is not None else None
        return target is not None and is_missing(target.view)

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
            plan = self._miss_plan = self._make_plan(None, Target(None, ()))
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

    def _make_plan(self, endpoint: str | None, target: Target, arguments: frozenset[str] = frozenset()) -> Plan:
        self._start_serving()
        scopes = [owner.router.hooks for owner in target.owners]
        return Plan(self, endpoint, target.view, [*scopes, self.app_scope()], arguments, target.owners)

    def app_scope(self) -> Hooks:
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

    def check_views(self) -> None:
        """Refuse views that can't be called with what their rules bind; the first request does this.

        Where a function of `before_request` or `url_value_preprocessor` may change the values, nothing is refused.

        Raises:
            ConfigurationError: a view's parameters don't fit its rule.
        """
        for text in misfits(self):
            raise ConfigurationError(text)

    def _start_serving(self) -> None:
        if not self._is_serving:
            self.check_views()
            self._is_serving = True
            for router in self.iter_included():
                router._is_serving = True

    def options_response(self, environ: Environ) -> Response:
        """Return the answer to OPTIONS: the methods of the path, in ``Allow``."""
        found: Any = self.find_rule({**environ, "REQUEST_METHOD": "--"})
        from wsgikit.http.request import Response  # webob is loaded where a response object is needed

        response = Response(b"")
        response.headers["Allow"] = ", ".join(sorted(found.methods))
        return response

    def make_response(self, result: Any, environ: Environ, where: str = "make_response") -> Response:
        """Return a `Response` for anything that a view may return.

        Raises:
            ApplicationError: it is nothing that can be sent.
        """
        return make_response(result, environ, where, self.json)

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
            endpoint: its name; ``"name.endpoint"`` in an included or mounted router, ``".endpoint"`` beside this.
            _anchor: put behind ``#``.
            _method: choose the rule of the endpoint that has this method.
            _scheme: the scheme of an external URL.
            _external: with scheme and host; needs a request, or the router's `server_name`.
            _environ: the current request. The function `wsgikit.url_for` passes it.
            values: for the rule's variables; what it has none of goes into the query string. None is left out.

        Raises:
            BuildError: there is no such endpoint, or a value is missing.
            ValueError: `_scheme` without `_external`.
        """
        is_usual = _environ is None and _anchor is None and _method is None and _scheme is None and not _external
        if is_usual and endpoint in self.plain_endpoints:
            path = self.map.build_plain(endpoint, values)
            if path is not None:
                return path
        return build_url(self, endpoint, values, _environ, _anchor, _method, _scheme, _external)

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


class _OwnOnion(Middleware):
    """The onion of a router that is served by itself: with the locals, and an answer for HTTP exceptions."""

    own_context = True

    def handle_exception(self, exchange: Exchange, error: Exception) -> WSGIApplication | None:
        return http_answer(error)


def _folder_of(import_name: str | None) -> Path | None:
    if import_name is None:
        return None
    module = sys.modules.get(import_name)
    file = getattr(module, "__file__", None)
    if file is None:
        return Path.cwd() if import_name == "__main__" else None
    return Path(file).resolve().parent
