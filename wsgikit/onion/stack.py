"""Layers and an application, put together: `build_stack`, `use`, `Stack`."""

from __future__ import annotations

__all__ = ["Layer", "Stack", "build_stack", "close_all", "layers_of", "use", "walk"]

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Concatenate, Literal, NoReturn, ParamSpec, TypeAlias, TypeVar, overload

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.order import check_order
from wsgikit.wsgi import EXCHANGE, NO_REQUEST, STACK, Environ, StartResponse, WSGIApplication

if TYPE_CHECKING:
    from wsgikit.onion.scope import Patterns

Options = ParamSpec("Options")
L = TypeVar("L")


class Layer:
    """A layer that is not built yet: the result of `use`.

    Attributes:
        factory: makes the layer from the application inside it.
        args: further positional arguments of the factory.
        options: the keywords of the factory.
        name: tells two layers of one class apart.
        only: patterns of the requests that the layer takes part in; None is all.
        unless: patterns of the requests that it doesn't take part in.
        check_order: whether its place in the stack is checked.
    """

    __slots__ = ("args", "check_order", "factory", "name", "only", "options", "unless")

    def __init__(
        self,
        factory: Callable[..., WSGIApplication],
        args: tuple[Any, ...] = (),
        options: dict[str, Any] | None = None,
        *,
        name: str | None = None,
        only: Patterns | None = None,
        unless: Patterns | None = None,
        check_order: bool = True,
    ) -> None:
        self.factory = factory
        self.args = args
        self.options = options or {}
        self.name = name
        self.only = only
        self.unless = unless
        self.check_order = check_order

    def __repr__(self) -> str:
        scope = {"only": self.only, "unless": self.unless}
        given = {**self.options, **{name: value for name, value in scope.items() if value is not None}}
        return f"use({_factory_name(self.factory)}{_shown(given, ', {}={}')})"

    def build(self, app: WSGIApplication, where: str) -> WSGIApplication:
        """Make the layer around `app`, or say what is wrong with its options."""
        from wsgikit.options import check_keywords  # not needed by who nests classes by hand

        check_keywords(self.factory, self.options, where, positional=1 + len(self.args))
        layer = self.factory(app, *self.args, **self.options)
        if not callable(layer):
            remedy = "Return the application, wrapped or as it is"
            raise ConfigurationError(complaint(where, "result", "a WSGI application", layer, remedy))
        return layer

    def limit(self, layer: WSGIApplication, app: WSGIApplication, where: str) -> WSGIApplication:
        """Return the layer as it takes part in requests of its scope only; `app` answers the others.

        Raises:
            ConfigurationError: `only` or `unless` can't be read.
        """
        if self.only is None and self.unless is None:
            return layer
        from wsgikit.onion.scope import limit_layer  # only if a layer has a scope

        return limit_layer(layer, app, where, self.only, self.unless)


# What build_stack takes for a layer.
LayerLike: TypeAlias = Layer | Callable[[Any], WSGIApplication] | Literal[False] | None


# The keywords of `use` itself come with options that aren't checked: a ParamSpec can't be added to.
@overload
def use(factory: Callable[..., WSGIApplication], *args: Any, name: str, **options: Any) -> Layer: ...
@overload
def use(factory: Callable[..., WSGIApplication], *args: Any, only: Patterns, **options: Any) -> Layer: ...
@overload
def use(factory: Callable[..., WSGIApplication], *args: Any, unless: Patterns, **options: Any) -> Layer: ...
@overload
def use(factory: Callable[..., WSGIApplication], *args: Any, check_order: bool, **options: Any) -> Layer: ...
@overload
def use(
    factory: Callable[Concatenate[Any, Options], WSGIApplication], *args: Options.args, **options: Options.kwargs
) -> Layer: ...
def use(
    factory: Callable[..., WSGIApplication],
    *args: Any,
    name: Any = None,
    only: Any = None,
    unless: Any = None,
    check_order: Any = True,
    **options: Any,
) -> Layer:
    """Describe a layer for `build_stack`: its class, its options and the requests that it takes part in.

    Args:
        factory: a `Middleware` class, or anything that takes an application and returns one.
        args: further positional arguments of the factory, if it wants some.
        name: tells two layers of one class apart. It is passed on if the factory has an option of that name.
        only: the layer takes part only in requests that match: ``"/api/*"`` (a prefix), ``"*.map"`` (an ending),
            ``"/login"`` (exactly), ``"POST"`` (a method), ``"POST /api/*"`` (both), a callable of environ, or a list
            of these, one of which must match.
        unless: the layer takes no part in requests that match, likewise. It wins over `only`.
        check_order: whether `build_stack` checks the layer's place against `inside_of` and `outside_of`.
        options: keyword arguments of the factory.

    Raises:
        ConfigurationError: `factory` can't be called.
    """
    if not callable(factory):
        raise ConfigurationError(complaint("use", "factory", "a class or function that takes an app", factory))
    if isinstance(factory, Middleware):
        raise ConfigurationError(_instance_given("use", "layer", factory))
    if name is not None and _takes_name(factory):
        options["name"] = name
    return Layer(factory, args, options, name=name, only=only, unless=unless, check_order=check_order)


class Stack:
    """An onion around an application; itself the WSGI application to serve.

    Use it as a context manager to have its pools and stores closed at the end.

    Attributes:
        app: the application in the middle.
        layers: the layers as built, outermost first; those of others among them.
    """

    def __init__(self, app: WSGIApplication, entry: WSGIApplication, layers: Iterable[tuple[str, Any]]) -> None:
        self.app = app
        # A fused onion is entered without the detour through its outermost layer.
        fused = isinstance(entry, Middleware) and type(entry).__call__ is Middleware.__call__
        self._entry = entry._onion.answer if fused else entry  # type: ignore[attr-defined]  # fused
        self._named = tuple(layers)
        self.layers: tuple[Any, ...] = tuple(layer for _, layer in self._named)

    @classmethod
    def around(cls, app: WSGIApplication) -> Stack:
        """Make a stack of layers that already wrap one another, as an ini pipeline or classic nesting leaves them.

        Raises:
            ConfigurationError: the layers can't work in the order they are in.
        """
        if isinstance(app, Stack):
            return app
        *layers, inner = walk(app)
        # Two layers of one class are told apart by the option that `use` would have looked at.
        names = [_label(type(layer).__name__, getattr(layer, "_options", {}).get("name")) for layer in layers]
        named = _numbered(list(zip(names, layers, strict=True)))
        check_order(named, "stack")
        return cls(inner, app, named)

    def __call__(self, environ: Environ, start_response: StartResponse, /) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        if STACK not in environ:
            environ[STACK] = self
            return self._entry(environ, start_response)
        outer = environ[STACK]
        environ[STACK] = self
        if outer is self or EXCHANGE not in environ:
            return self._entry(environ, start_response)
        try:
            return self._entry(environ, start_response)
        finally:
            environ[STACK] = outer  # for the layers around; the exchange of this one remembers its own

    @property
    def __wsgikit_entry__(self) -> WSGIApplication:
        """The outermost layer, for a stack that is a part of another: `current_app` stays the one around."""
        return self._entry

    def __repr__(self) -> str:
        return f"<Stack {' > '.join([*(name for name, _ in self._named), _app_name(self.app)])}>"

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def named_layers(self) -> tuple[tuple[str, Any], ...]:
        """The layers, outermost first, each with the name that tells it apart from others of its class."""
        return self._named

    if not TYPE_CHECKING:  # a checker would take any attribute for defined

        def __getattr__(self, name: str) -> NoReturn:
            from wsgikit.flask_hints import missing_attribute  # for mistakes only

            raise missing_attribute("Stack", name)

    def find(self, cls: type[L], name: str | None = None) -> L | None:
        """Return the outermost layer that is an instance of `cls` (and has that name), or None."""
        for label, layer in self._named:
            if isinstance(layer, cls) and (name is None or label == _label(type(layer).__name__, name)):
                return layer
        return None

    def describe(self) -> str:
        """Draw the onion as text: a line a layer, outermost first, with the options given and secrets masked."""
        lines = []
        for depth, (name, layer) in enumerate(self._named):
            options = getattr(layer, "_options", {})
            scope = getattr(layer, "__wsgikit_scope__", None)
            limits = f"  {scope!r}" if scope is not None else ""
            lines.append(f"{'  ' * depth}→ {name}{_shown(options, '  {}={}')}{limits}")
        lines.append(f"{'  ' * len(self._named)}● {_app_name(self.app)}")
        return "\n".join(lines)

    def request_context(self, path: str = "/", **environ: Any) -> AbstractContextManager[Exchange]:
        """Enter a made-up request, for tests, shells and scripts: the locals and what layers provide can be used.

        No view runs and nothing is committed: what was opened is rolled back and given back at the end.

        Args:
            path: a path with or without a query string, or a whole URL.
            environ: further environ keys, such as ``REQUEST_METHOD="POST"``.

        Raises:
            ConfigurationError: there is no `ContextMiddleware` in the stack.
        """
        from wsgikit.onion.visit import make_environ, visit  # for scripts and tests only

        return visit(
            self.layers, {**make_environ(path), STACK: self, **environ}, self._steps("enter"), self._steps("leave")
        )

    def app_context(self) -> AbstractContextManager[Exchange]:
        """Enter the application without a request: `g`, `db` and `current_app` can be used, `request` can't.

        Raises:
            ConfigurationError: there is no `ContextMiddleware` in the stack.
        """
        from wsgikit.onion.visit import make_environ, visit  # for scripts and tests only

        return visit(
            self.layers,
            {**make_environ("/"), STACK: self, NO_REQUEST: True},
            self._steps("enter"),
            self._steps("leave"),
        )

    def _steps(self, name: str) -> list[Callable[[Exchange], object]]:
        """Return what the parts of the stack do to enter or leave such a context, as a router's `teardown_request`."""
        found = (getattr(part, f"__wsgikit_{name}__", None) for part in (self.app, *reversed(self.layers)))
        return [step for step in found if step is not None]

    def warmup(self) -> None:
        """Load what the first request would have to load: modules, rules, templates. Call it before a server forks.

        No connection is opened and no thread is started. It may be called more than once.

        Raises:
            ConfigurationError: a view can't work, such as one whose policy no layer obeys.
        """
        from wsgikit.onion.shutdown import warm_up  # for the beginning and the end of a process

        warm_up(self)

    def drain(self, timeout_seconds: float = 30) -> bool:
        """Turn the readiness page of `HealthMiddleware` to 503, and wait for the requests that are running.

        New requests are still answered: a load balancer needs time to see the 503. Call it in a thread that answers no
        request, or it waits for its own.

        Args:
            timeout_seconds: how long to wait. With 0 it returns at once.

        Returns:
            whether no request was running at the end.

        Raises:
            ConfigurationError: there is no `HealthMiddleware` in the stack.
        """
        from wsgikit.onion.shutdown import drain  # for the beginning and the end of a process

        return drain(self, timeout_seconds)

    def close(self) -> None:
        """Give back what the layers hold across requests, innermost first. The stack can be used again after it."""
        close_all((self.app, *reversed(self.layers)))

    __wsgikit_close__ = close


def build_stack(app: WSGIApplication, *layers: LayerLike) -> Stack:
    """Put layers around an application.

    Args:
        app: the WSGI application, or a `Router`.
        layers: outermost first, as a request meets them: `use(…)`, or any callable that takes an application and
            returns one. None and False are skipped, so that a layer can be left out by a condition.

    Raises:
        ConfigurationError: an option, a layer or the order can't work. Nothing is left for the first request to find.
    """
    where = "build_stack"
    if isinstance(app, Layer) or not callable(app):
        raise ConfigurationError(
            complaint(
                where, "app", "a WSGI application as the first argument", app, "Write build_stack(app, use(…), …)"
            )
        )
    entry = app
    built: list[tuple[str, Any]] = []
    unchecked: set[int] = set()
    for number, layer in reversed([*enumerate(layers, 1)]):
        if layer is None or layer is False:
            continue
        described = _as_layer(layer, where, f"layer {number}")
        name = _label(_factory_name(described.factory), described.name)
        wrapped = described.build(entry, f"{where}: {name}")
        if wrapped is entry:  # a function that had nothing to add
            continue
        if isinstance(wrapped, Middleware):  # a function may have made it
            name = _label(type(wrapped).__name__, described.name)
        entry = described.limit(wrapped, entry, f"{where}: {name}")
        built.insert(0, (name, wrapped))
        if not described.check_order:
            unchecked.add(id(wrapped))
    # A layer of others may stand twice unnamed: nothing is known of it that would make that a mistake.
    numbered = iter(_numbered([(name, layer) for name, layer in built if not isinstance(layer, Middleware)]))
    named = [(name, layer) if isinstance(layer, Middleware) else next(numbered) for name, layer in built]
    check_order(named, where, unchecked)
    return Stack(app, entry, named)


def _as_layer(layer: Any, where: str, what: str) -> Layer:
    if isinstance(layer, Layer):
        return layer
    if isinstance(layer, Middleware):
        raise ConfigurationError(_instance_given(where, what, layer))
    if isinstance(layer, (list, tuple)):
        raise ConfigurationError(
            complaint(where, what, "one layer", layer, "Unpack the list: build_stack(app, *layers)")
        )
    if not callable(layer):
        raise ConfigurationError(complaint(where, what, "use(…) or a callable app -> app", layer))
    factory: Callable[..., Any] = layer
    return Layer(factory)


def _instance_given(where: str, what: str, layer: Middleware) -> str:
    name = type(layer).__name__
    return complaint(where, what, "a class with its options", f"an instance of {name}", f"Write use({name}, …)")


def _takes_name(factory: Callable[..., Any]) -> bool:
    from wsgikit.options.signature import signature_of  # only if a layer is given a name

    signature = signature_of(factory)
    return signature is not None and "name" in signature.parameters


def _inside_of(app: Any) -> Any:
    """Return what a layer wraps, or None for what is no layer as far as can be told."""
    for attribute in ("app", "application"):
        inner = getattr(app, attribute, None)
        if callable(inner) and not isinstance(app, type) and not isinstance(inner, type):
            return inner
    return None


def _factory_name(factory: Any) -> str:
    while hasattr(factory, "func"):  # functools.partial
        factory = factory.func
    return getattr(factory, "__name__", None) or type(factory).__name__


def _label(kind: str, name: str | None) -> str:
    return kind if name is None else f"{kind} {name!r}"


def _numbered(layers: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Number the layers that share a name."""
    counts: dict[str, int] = {}
    result = []
    for name, layer in layers:
        counts[name] = count = counts.get(name, 0) + 1
        result.append((name if count == 1 else f"{name} #{count}", layer))
    return result


def _app_name(app: Any) -> str:
    name = getattr(app, "__qualname__", None)
    module = getattr(app if name else type(app), "__module__", "?")
    return f"{module}.{name}" if name else f"{module}.{type(app).__qualname__} object"


def _shown(options: dict[str, Any], form: str) -> str:
    from wsgikit.options import mask  # needed by show and by error texts only

    return "".join(form.format(name, mask(name, value)) for name, value in options.items())


def walk(app: Any) -> Iterator[Any]:
    """Go through layers that wrap one another, outermost first, and last the application, which may be a stack."""
    seen: set[int] = set()
    while app is not None and id(app) not in seen:  # an object of others may have itself as its `app`
        seen.add(id(app))
        layer = getattr(app, "__wsgikit_layer__", app)  # of a layer that some requests go past
        yield layer
        app = None if isinstance(app, Stack) else _inside_of(app)


def layers_of(app: Any) -> Iterator[Any]:
    """Go through all layers that can be told, outermost first, also those of a stack inside a layer or a stack."""
    if isinstance(app, Stack):
        yield from app.layers
        app = app.app
    for part in walk(app):
        if isinstance(part, Stack):
            yield from layers_of(part)
        else:
            yield part


def close_all(parts: Iterable[Any]) -> None:
    """Close layers and applications, each once; the first error is raised when all are closed."""
    first: Exception | None = None
    for part in {id(part): part for part in parts}.values():
        # An application of ours that holds onions (a router, a mount, a stack) says so by this name.
        close = part.close if isinstance(part, Middleware) else getattr(part, "__wsgikit_close__", None)
        try:
            if close is not None:
                close()
        except Exception as error:  # noqa: BLE001  # raised when all are closed
            first = first or error
    if first is not None:
        raise first
