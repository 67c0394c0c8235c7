"""The engine: PEP 3333, once, for all layers.

An `Onion` is what a run of fused layers is compiled to: lists of their hooks, and the application inside. It has one
`Segment`, or two if a layer in it asks for a context of the request's own (`ContextMiddleware`): the layers outside
that one, and those from it inwards. A segment takes an exchange in, past its `before_request` hooks, and out again,
past its `after_request` hooks. What it does is what one layer nested in the other would do, and a test draws onions at
random and holds the two side by side.

The life of a response, and who closes it:

    head held back   `turn` in → app → `turn` out; a failure asks `handle_exception`, from where it happened outwards
    head handed      start_response of the server was called, no chunk passed yet: an error can still take its place
    sent             a chunk was passed: nothing can be added any more
    finished         body closed, teardown run: before the return for a body at rest, at `Body.close` for a lazy one
"""

from __future__ import annotations

__all__ = ["Onion", "Segment"]

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from wsgikit.onion.body import Body, UncountedBody
from wsgikit.onion.ending import CURRENT, HANDED, OPEN, SENT
from wsgikit.onion.exchange import Exchange, Replacement
from wsgikit.onion.guest import PRESERVES_CONTEXT, stay
from wsgikit.onion.hooks import HOOKS, checked_app, hook_name
from wsgikit.onion.log import log_error
from wsgikit.onion.route import runs_before_view
from wsgikit.wsgi import EXCHANGE, Environ, FileWrapper, StartResponse, WSGIApplication, is_at_rest

if TYPE_CHECKING:
    from wsgikit.onion.middleware import Middleware

# A hook with the level it stands for: of the layer itself, or for `after`, of the next layer out.
Leveled = tuple[int, Callable[..., Any]]
# Those that run in the context of the request, and those that run outside of it.
Teardowns = tuple[tuple[Callable[..., Any], ...], tuple[Callable[..., Any], ...]]


_NO_HOOKS: Iterator[Leveled] = iter(())  # it is at its end, so that all requests can share it


class Segment:
    """Layers that share a context, as flat lists of those hooks that they override.

    The lists named ``*_from`` are indexed by level: what runs when the request got as far in as that layer. The entry
    after the last, which is also index -1, is empty: no layer was entered.
    """

    __slots__ = (
        "after",
        "after_from",
        "app",
        "before",
        "handlers_from",
        "has_context",
        "inside",
        "is_endpoint",
        "last",
        "teardown_from",
        "views_from",
    )

    def __init__(
        self,
        layers: Sequence[Middleware],
        app: WSGIApplication | None,
        inside: Segment | None,
        around: Sequence[Middleware] = (),
    ) -> None:
        hooks = {name: _overridden(layers, name, around) for name in HOOKS}
        levels = range(len(layers))

        def outwards(name: str, level: int) -> list[Leveled]:
            return [pair for pair in reversed(hooks[name]) if pair[0] <= level]

        self.app = app
        self.inside = inside
        self.has_context = inside is None and any(layer.own_context for layer in layers)
        # Whether the application inside is one that before_view runs before. A router runs it itself, for its views.
        self.is_endpoint = app is not None and not runs_before_view(app)
        self.last = len(layers) - 1
        self.views_from = (*(tuple(f for at, f in hooks["before_view"] if at <= n) for n in levels), ())
        self.before = tuple(hooks["before_request"])
        self.after_from = (*(tuple((at - 1, f) for at, f in outwards("after_request", n)) for n in levels), ())
        self.handlers_from = (*(tuple(outwards("handle_exception", n)) for n in levels), ())
        ends = [tuple(f for _, f in outwards("teardown_request", n)) for n in levels]
        self.teardown_from: tuple[Teardowns, ...] = (*(((), end) for end in ends), ((), ()))
        self.after = self.after_from[self.last]

    def turn(self, exchange: Exchange) -> None:
        """Take the request in and the response out, so that the exchange has the response; or raise."""
        if self.has_context:
            CURRENT.set(exchange)
        level = -1
        hooks = _NO_HOOKS
        on_the_way_in = True
        try:
            for level, hook in self.before:
                app = hook(exchange)
                if app is not None:
                    on_the_way_in = False
                    exchange._root()._answerer = hook
                    exchange._entry = (self, level, level)
                    exchange._teardown = self.teardown_from[level]
                    self.receive(exchange, checked_app(app, hook))
                    after = self.after_from[level]
                    break
            else:
                on_the_way_in = False
                level = self.last
                after = self.after
                inside = self.inside
                if inside is None:
                    app = self.app
                    if exchange.has_views and self.is_endpoint:
                        app = exchange.run_before_view() or app
                    body = app(exchange.environ, exchange._receive_head)  # type: ignore[misc]  # the innermost has one
                    kind = type(body)
                    if (
                        (kind is not list and kind is not tuple)
                        or type(exchange._status) is not str
                        or not exchange._is_plain
                    ):
                        body = exchange._take(body, exchange._context if self.has_context else None)
                    exchange._body = body
                else:
                    if PRESERVES_CONTEXT in exchange.environ:
                        exchange._is_plain = False  # it has no context to tear down in
                        stay(exchange, inside.turn)
                    else:
                        context = exchange._context = copy_context()
                        context.run(inside.turn, exchange)
                    body = exchange._body
                    kind = type(body)
                    if kind is not list and kind is not tuple:
                        exchange._leave_context()
            if exchange._is_plain or exchange._pending is None:
                for level, hook in after:
                    app = hook(exchange)
                    if app is not None:
                        exchange._replacement = self, level, checked_app(app, hook)
                        exchange._root()._answerer = hook
                        hooks = iter(self.after_from[level])
                        break
                else:
                    if exchange._is_plain:
                        return
            else:
                hooks = exchange._pending[self]
                for level, hook in hooks if exchange._replacement is None else ():
                    app = hook(exchange)
                    if app is not None:
                        exchange._replacement = self, level, checked_app(app, hook)
                        exchange._root()._answerer = hook
                        break
        except Exception as error:  # noqa: BLE001  # the layers are asked about any
            if on_the_way_in:
                exchange._entry = (self, level, level)
                exchange._teardown = self.teardown_from[level]
            remaining = self.recover(exchange, error, level)
            try:
                if remaining is error:
                    raise
                if remaining is not None:
                    raise remaining
            finally:
                del remaining  # its traceback leads to this frame
        except BaseException:
            if on_the_way_in:
                exchange._teardown = self.teardown_from[level]
            raise
        if exchange._replacement is not None and exchange._replacement[0] is self:
            remaining = self.leave(exchange, hooks)
            if remaining is not None:
                try:
                    raise remaining
                finally:
                    del remaining

    def receive(self, exchange: Exchange, app: WSGIApplication) -> None:
        """Let `app`, which a hook returned, answer."""
        body = app(exchange.environ, exchange._receive_head)
        kind = type(body)
        if (kind is not list and kind is not tuple) or type(exchange._status) is not str or not exchange._is_plain:
            body = exchange._take(body, exchange._context if self.has_context else None)
        exchange._body = body

    def replace(self, exchange: Exchange, due: Replacement, hooks: Iterator[Leveled]) -> None:
        """Let an application that an after hook returned answer in place of the response there is.

        Args:
            due: the application, and the next layer out: the first that is asked about an error of the new response.
            hooks: those that the new response passes. If it is written, this takes them out of the iterator, and one
                of them may have returned the next replacement.
        """
        _, level, app = due
        exchange._drop()
        exchange._is_stead = False
        exchange._is_view_entered = True
        exchange._entry = (self, level, level)
        outside = exchange._onion.outside
        exchange._pending = {self: hooks} if self is outside else {self: hooks, outside: iter(outside.after)}
        self.receive(exchange, app)

    def leave(self, exchange: Exchange, hooks: Iterator[Leveled]) -> Exception | None:
        """Take a response out past these hooks; return the error that is left, if one is."""
        at = -1
        try:
            while True:
                while (due := exchange._replacement) is not None and due[0] is self:
                    at = due[1]
                    self.replace(exchange, due, hooks)
                for at, hook in hooks:
                    app = hook(exchange)
                    if app is not None:
                        exchange._replacement = self, at, checked_app(app, hook)
                        exchange._root()._answerer = hook
                        break
                else:
                    return None
        except Exception as error:  # noqa: BLE001  # the layers are asked about any
            return self.recover(exchange, error, at)

    def recover(self, exchange: Exchange, error: Exception, level: int) -> Exception | None:
        """Ask the layers from `level` outwards for an answer to an error; return the error that is left, if one is."""
        if exchange._stage == SENT:
            self.tell(exchange, error, level)
            return error
        exchange._discard(error)
        exchange._note(error)
        for at, hook in self.handlers_from[level]:
            outer = at - 1
            try:
                app = hook(exchange, error)
                if app is None:
                    continue
                exchange._entry = (self, at, outer)
                exchange._root()._answerer = hook
                exchange._is_stead = True
                self.receive(exchange, checked_app(app, hook))
            except Exception as another:  # noqa: BLE001  # the layers further out are asked about any
                return self.recover(exchange, another, outer)
            pending = exchange._pending
            return self.leave(exchange, iter(self.after_from[at]) if pending is None else pending[self])
        return error

    def tell(self, exchange: Exchange, error: Exception, level: int) -> None:
        """Let the layers know of an error that nothing can be answered to any more."""
        exchange._note(error)
        for _, hook in self.handlers_from[level]:
            try:
                hook(exchange, error)
            except Exception as another:  # noqa: BLE001  # the error that came first goes on
                log_error(exchange.environ, another, f"in {hook_name(hook)}")


class Onion:
    """Fused layers around an application, compiled.

    Args:
        layers: outermost first; at most one has `own_context`.
        app: what the innermost wraps.
    """

    __slots__ = ("app", "counts_bytes", "has_views", "layers", "outside", "teardown", "tears_always", "wrapper")

    def __init__(self, layers: Sequence[Middleware], app: WSGIApplication) -> None:
        self.layers = tuple(layers)
        self.app = app
        self.wrapper: Any = None  # the class of the server's file wrappers, once it was seen
        own = [index for index, layer in enumerate(layers) if layer.own_context]
        if own:
            inside = Segment(layers[own[0] :], app, None, layers[: own[0]])
            self.outside = Segment(layers[: own[0]], None, inside)
            _, always = self.outside.teardown_from[self.outside.last]
            inside.teardown_from = tuple((hooks, always) for _, hooks in inside.teardown_from)
        else:
            self.outside = Segment(layers, app, None)
        self.has_views = bool(_overridden(layers, "before_view"))
        self.counts_bytes = any(layer.counts_bytes for layer in layers)
        inner = layers[own[0] :] if own else ()
        self.tears_always = any(map(_tears_always, inner))
        innermost = self.outside.inside or self.outside
        self.teardown = innermost.teardown_from[innermost.last]

    def answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333). A method, not ``__call__``: Python enters those by a longer way."""
        exchange = Exchange(self, environ, start_response)
        if EXCHANGE in environ and not environ[EXCHANGE]._finished:
            exchange._join(environ[EXCHANGE])
        environ[EXCHANGE] = exchange
        if environ.get("wsgi.file_wrapper") is not self.wrapper:
            self._note_wrapper(environ)
        if self.has_views:
            exchange.has_views = True
        try:
            self.outside.turn(exchange)
            if exchange._record is not None:
                remaining = self.conclude(exchange)
                if remaining is None and exchange._stage != OPEN and is_at_rest(exchange._body, environ):
                    exchange._complete()  # it was written: nothing follows
                try:
                    if remaining is not None:
                        raise remaining
                finally:
                    del remaining  # its traceback leads to this frame
            if exchange._is_plain:
                exchange._stage = HANDED
                start_response(exchange._status, exchange._raw_headers)  # type: ignore[arg-type]  # a turn leaves them
            else:
                if exchange._stage == OPEN:
                    exchange._hand_over_head()
                if exchange._unsent:
                    exchange._send_unsent()
            body = exchange._body
            kind = type(body)
            if kind is not list and kind is not tuple:
                if not is_at_rest(body, environ):
                    exchange._is_returned = exchange._was_handed = True
                    return self._send(exchange)
                exchange._closers = None  # a file wrapper is the server's to close
        except BaseException as error:
            self._give_up(exchange, error)
            raise
        exchange.is_complete = True
        if not exchange._is_plain:
            exchange._end()
        else:  # what Exchange._finish does, if there is nothing but the layers' hooks to run
            exchange._finished = True
            inside, outside = exchange._teardown
            if inside and (self.tears_always or exchange.known_state is not None):
                exchange._context.run(exchange._tear_down, inside)  # type: ignore[union-attr]  # it was entered
            if outside:
                exchange._tear_down(outside)
            exchange._context = exchange._record = None  # they lead here: no cycle is left behind
            if EXCHANGE in environ:
                del environ[EXCHANGE]
        if exchange._failure is not None:
            raise exchange._pop_failure()
        return body  # type: ignore[return-value]  # a turn leaves one

    def _send(self, exchange: Exchange) -> Body:
        """Return a lazy body for the server. It is counted if it has a length, or if somebody may ask for its bytes."""
        if exchange._is_plain and exchange._record is None and not self.counts_bytes:
            for name, _ in exchange._raw_headers:  # type: ignore[union-attr]  # the head has been handed over
                if len(name) == 14 and name.lower() == "content-length":
                    break
            else:
                return UncountedBody(exchange, None)
        return Body(exchange, exchange._length_to_send())

    def _note_wrapper(self, environ: Environ) -> None:
        """Remember the class of the server's file wrappers; put another in front of one that is a function."""
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type):
            self.wrapper = wrapper
        elif callable(wrapper) and type(wrapper) is not FileWrapper:
            environ["wsgi.file_wrapper"] = FileWrapper(wrapper)

    def conclude(self, exchange: Exchange) -> Exception | None:
        """Run what waits for the head to leave, and answer an error in it; return the error that is left."""
        record = exchange._record
        if record is None or exchange._root() is not exchange:
            return None
        while exchange._stage == OPEN:
            try:
                record.run_last(exchange)
            except Exception as error:  # noqa: BLE001  # the layers are asked about any, each once: those further out
                remaining = self.recover(exchange, error)
                if remaining is not None:
                    return remaining
            else:
                break
        return None

    def views(self, exchange: Exchange) -> tuple[Callable[..., Any], ...]:
        """Return the before_view hooks of the layers that the request has entered, outermost first."""
        outside = self.outside
        segment = outside.inside or outside
        level = segment.last
        if exchange._entry is not None:
            segment, level, _ = exchange._entry
        own = segment.views_from[level]
        return own if segment is outside else (*outside.views_from[outside.last], *own)

    def way_out(self, exchange: Exchange) -> list[tuple[Segment, tuple[Leveled, ...]]]:
        """Return the after hooks that the exchange's response passes, by segment, innermost first."""
        outside = self.outside
        if exchange._entry is None:
            segment = outside.inside or outside
            after = segment.after
        else:
            segment, level, _ = exchange._entry
            after = segment.after_from[level]
        return [(segment, after)] if segment is outside else [(segment, after), (outside, outside.after)]

    def origin(self, exchange: Exchange) -> tuple[Segment, int]:
        """Return the first layer, by segment and level, to ask about an error of the exchange's response."""
        if exchange._entry is None:
            innermost = self.outside.inside or self.outside
            return innermost, innermost.last
        segment, _, level = exchange._entry
        return segment, level

    def tell(self, exchange: Exchange, error: Exception) -> None:
        """Let the layers know of an error in a stream that nothing can be answered to any more."""
        segment, level = self.origin(exchange)
        if segment is not self.outside:
            exchange._run(exchange._context, segment.tell, exchange, error, level)
            segment, level = self.outside, self.outside.last
        segment.tell(exchange, error, level)

    def recover(self, exchange: Exchange, error: Exception) -> Exception | None:
        """Ask the layers that the failing response came out of for an answer instead; bring that out."""
        segment, level = self.origin(exchange)
        if segment is self.outside:
            return segment.recover(exchange, error, level)
        return self._outwards(exchange, exchange._run(exchange._context, segment.recover, exchange, error, level))

    def bring_out(self, exchange: Exchange) -> Exception | None:
        """Let the after hooks see a response whose head has been replaced."""
        (segment, after), *_ = self.way_out(exchange)
        if segment is self.outside:
            return segment.leave(exchange, iter(after))
        return self._outwards(exchange, exchange._run(exchange._context, segment.leave, exchange, iter(after)))

    def _outwards(self, exchange: Exchange, error: Exception | None) -> Exception | None:
        """Take a response, or an error, from the inner segment out through the outer one."""
        outside = self.outside
        if error is not None:
            return outside.recover(exchange, error, outside.last)
        exchange._leave_context()
        return outside.leave(exchange, iter(outside.after))

    def _give_up(self, exchange: Exchange, error: BaseException) -> None:
        """Close and tear down, for the call ends with an exception."""
        exchange._outcome = "failed"
        if exchange._stage == SENT and exchange._outer is None and isinstance(error, Exception):
            log_error(exchange.environ, error, "after the head was sent")
        exchange._close_body()
        exchange._log_failure("while closing the body of a request that failed")
        exchange._end()
        exchange._log_failure("while ending a request that failed")


def _tears_always(layer: Middleware) -> bool:
    """Return whether a layer has something to tear down that isn't in the state of the exchange."""
    from wsgikit.onion.middleware import Middleware  # that module imports this one

    own = vars(layer).get("teardown_request")
    is_quick = getattr(own, "__self__", None) is layer  # by `_hasten`: it does what that of its class does
    if own is not None and not (is_quick and type(layer).teardown_request is not Middleware.teardown_request):
        return True
    for cls in type(layer).__mro__:
        said = vars(cls)
        if "teardown_needs_state" in said:
            return cls is not Middleware and not said["teardown_needs_state"]
        if "teardown_request" in said:  # what its bases say of theirs isn't true of this one
            return True
    return False


def _overridden(layers: Sequence[Middleware], name: str, around: Sequence[Middleware] = ()) -> list[Leveled]:
    from wsgikit.onion.middleware import Middleware  # that module imports this one

    def is_own(layer: Middleware) -> bool:  # on the class, or on the instance by its __init__
        return name in vars(layer) or getattr(type(layer), name) is not getattr(Middleware, name)

    def is_needed(layer: Middleware) -> bool:
        return is_own(layer) or (layer.__wsgikit_scope__ is not None and name == "before_request")

    return [(n, _watched((*around, *layers[:n]), layer, name)) for n, layer in enumerate(layers) if is_needed(layer)]


def _watched(around: Sequence[Middleware], layer: Middleware, name: str) -> Callable[..., Any]:
    """Return a hook of a layer, as the layers around it want to have it called (`Middleware.watch_hook`)."""
    hook = _hook_of(layer, name)
    for watcher in reversed(around):
        hook = watcher.watch_hook(layer, name, hook)
    return hook


def _hook_of(layer: Middleware, name: str) -> Callable[..., Any]:
    hook: Callable[..., Any] = getattr(layer, name)
    if layer.__wsgikit_scope__ is None:
        return hook
    from wsgikit.onion.scope import limit_hook  # only if a layer has a scope

    return limit_hook(layer, name, hook, layer.__wsgikit_scope__)
