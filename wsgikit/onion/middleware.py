"""The base of every layer: up to five hooks, and an instance that never changes."""

from __future__ import annotations

__all__ = ["Middleware"]

from abc import ABCMeta
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from wsgikit.exceptions import ApplicationError, ConfigurationError, complaint
from wsgikit.onion.engine import Onion
from wsgikit.onion.hooks import check_hooks, check_names
from wsgikit.wsgi import Environ, StartResponse, WSGIApplication

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange
    from wsgikit.onion.scope import Scope


class _Assembled(ABCMeta):  # so that a layer may be an ABC
    """Makes an instance, then compiles it and freezes it: construction does the thinking, the call does the work."""

    if not TYPE_CHECKING:  # type checkers should read the signature of __init__

        def __call__(cls, *args, **kwargs):
            try:
                layer = super().__call__(*args, **kwargs)
            except TypeError as error:
                is_ours = error.__traceback__.tb_next is None and str(error).endswith("argument: 'app'")
                if not is_ours:
                    raise
                raise ConfigurationError(
                    f"{cls.__name__}: app: expected the application to wrap, got nothing. In a stack write "
                    f"use({cls.__name__}, …), elsewhere {cls.__name__}(app, …)."
                ) from None
            if isinstance(layer, Middleware) and not layer._is_frozen:
                layer._options = kwargs
                layer._assemble()
            return layer

        @property
        def __signature__(cls):
            # For inspect and help(), which would show that of __call__ above.
            import inspect

            of_init = inspect.signature(cls.__init__)
            return of_init.replace(parameters=list(of_init.parameters.values())[1:])


class Middleware(metaclass=_Assembled):
    """A layer of the onion: subclass it and override the hooks you need.

    Layers that wrap one another directly are fused: the outermost runs the hooks of all in flat loops. A layer that
    must call its application other than once (a retry, say) overrides `__call__` instead and isn't fused.

    State of a request goes on the exchange or in environ: after ``__init__`` the instance is frozen.

    Args:
        app: the WSGI application to wrap.

    Attributes:
        requires: environ keys that a layer outside this one must provide; `__init__` may set it.
        provides: environ keys that this layer sets for those inside it; `__init__` sets it if an option decides it.
        inside_of: layers that must stand outside this one if they are in the stack: classes, or names of classes.
        outside_of: layers that must stand inside this one if they are in the stack, likewise.
        teardown_needs_state: whether `teardown_request` has nothing to do if no layer has put anything into
            `Exchange.state`: such requests are then spared it.
        counts_bytes: whether the layer reads `Exchange.bytes_sent` in `teardown_request`: the engine then counts the
            bytes of streams that have no Content-Length.
        request_policy: the keys of a view's `policy` that the layer obeys in `before_view`.
        response_policy: the keys that it obeys in `after_request`.
        health_name: what `HealthMiddleware` calls the layer's `check_health`, such as ``"database"``; empty if the
            layer depends on nothing.
        own_context: whether the request runs, from this layer inwards, in its own `contextvars.Context`.

    Raises:
        ConfigurationError: `app` can't be called.

    Example::

        class ServerHeader(Middleware):
            def after_request(self, exchange: Exchange) -> None:
                exchange.headers.set("Server", "mine")
    """

    inside_of: ClassVar[tuple[str | type, ...]] = ()
    outside_of: ClassVar[tuple[str | type, ...]] = ()
    health_name: ClassVar[str] = ""
    own_context: ClassVar[bool] = False
    teardown_needs_state: ClassVar[bool] = False
    counts_bytes: ClassVar[bool] = False
    request_policy: ClassVar[tuple[str, ...]] = ()
    response_policy: ClassVar[tuple[str, ...]] = ()

    app: WSGIApplication
    requires: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    __wsgikit_scope__: Scope | None = None  # from use(…, only=…, unless=…)
    _onion: Onion
    _options: dict[str, Any]  # as given, for Stack.describe
    _is_frozen = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        check_names(cls)
        if "request_policy" in vars(cls) or "response_policy" in vars(cls):
            from wsgikit.onion.policies import add_policy_keys  # only layers that obey policies need it

            add_policy_keys(cls)

    def __init__(self, app: WSGIApplication) -> None:
        if not callable(app):
            raise ConfigurationError(
                complaint(type(self).__name__, "app", "a WSGI application", app, "Pass the application to wrap")
            )
        self.app = app

    # ------------------------------------------------------------------ the hooks

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """See the request on its way in. Return a WSGI application to answer with it: what is inside is skipped."""

    def before_view(self, exchange: Exchange) -> WSGIApplication | None:
        """See the request once, right before the endpoint is called. Return a WSGI application to answer instead of it.

        `exchange.route` is the route if a `Router` serves the request, and None if the endpoint is another application,
        a mounted stack or a middleware of others.
        """

    def after_request(self, exchange: Exchange) -> WSGIApplication | None:
        """See the response on its way out, before its head leaves: status, headers and body may be changed.

        Return a WSGI application to replace the response. It passes the layers further out. This hook runs again, on
        the new response, if an error replaces a response that had not been sent.
        """

    def handle_exception(self, exchange: Exchange, error: Exception) -> WSGIApplication | None:
        """See an exception from inside. Return a WSGI application to answer with it.

        Where `exchange.is_head_sent` and a chunk has left, this is only told: an answer can't be sent any more.
        """

    def teardown_request(self, exchange: Exchange) -> None:
        """Give back what the request held: always, exactly once, on whatever thread."""

    def watch_hook(self, layer: Middleware, name: str, hook: Callable[..., Any]) -> Callable[..., Any]:
        """Return a hook of a layer inside this one, or a function to be called instead of it that calls it.

        It is asked once for each hook, while the onion is compiled: a layer that measures others overrides it. Only
        layers that are fused with this one are asked about.

        Args:
            layer: the layer inside.
            name: the name of the hook, such as ``"before_request"``.
            hook: what the engine would call.
        """
        return hook

    def pool_gauges(self) -> Iterable[tuple[str, str, float]]:
        """Return the state of the layer's pools, for metrics: the name of each, a state, and how many are in it."""
        return ()

    def close(self) -> None:
        """Give back what the layer holds across requests: pools, connections. For tests and shutdown."""

    def warmup(self) -> None:
        """Load what the first request would have to load. Open no connection and start no thread: a fork may follow."""

    def check_health(self) -> None:
        """Raise if a service that the layer depends on doesn't answer. `HealthMiddleware` calls it in a thread."""

    # ------------------------------------------------------------------ the engine

    def __call__(self, environ: Environ, start_response: StartResponse, /) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        return self._onion.answer(environ, start_response)

    def _hasten(self, cls: type[Middleware], *hooks: Callable[..., Any]) -> None:
        """Have the engine call these in place of the hooks of `cls` that they are named after.

        They do the same in less time: what they need is in their closure. A hook that a subclass overrides
        stays what it is.
        """
        for hook in hooks:
            name = hook.__name__
            if getattr(type(self), name) is getattr(cls, name):
                hook.__self__ = self  # type: ignore[attr-defined]  # for the log, which names a hook with its layer
                setattr(self, name, hook)

    def _assemble(self) -> None:
        if "app" not in self.__dict__:
            raise ConfigurationError(
                complaint(type(self).__name__, "__init__", "a call of super().__init__(app)", None, "Add it")
            )
        check_hooks(self)
        inner = self.app
        layers: tuple[Middleware, ...] = (self,)
        app = inner
        if isinstance(inner, Middleware) and type(inner).__call__ is Middleware.__call__:
            fused = inner._onion.layers
            # Two contexts in one onion are two onions: the inner one is called as any application is.
            if not (self.own_context and any(layer.own_context for layer in fused)):
                layers += fused
                app = inner._onion.app
        self._onion = Onion(layers, app)
        self._is_frozen = True

    def __wsgikit_limit__(self, scope: Scope, *, is_fused: bool) -> None:
        """Take part only in the requests of a scope. `build_stack` calls this right after construction.

        Args:
            scope: which requests.
            is_fused: whether the engine asks the scope; otherwise whoever calls the layer does.
        """
        object.__setattr__(self, "__wsgikit_scope__", scope)
        if is_fused:
            object.__setattr__(self, "_onion", Onion(self._onion.layers, self._onion.app))

    def __setattr__(self, name: str, value: Any) -> None:
        if self._is_frozen:
            raise ApplicationError(
                f"{type(self).__name__}: {name}: can't be set after __init__: one instance serves all requests. "
                "Keep what belongs to a request in exchange.state[self], or in environ for other layers."
            )
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if self._is_frozen:
            raise ApplicationError(f"{type(self).__name__}: {name}: can't be deleted after __init__.")
        super().__delattr__(name)
