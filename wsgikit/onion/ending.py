"""How a request ends: its body closed, its layers torn down, on whatever thread, once."""

from __future__ import annotations

__all__ = ["CURRENT", "HANDED", "OPEN", "SENT", "Ending"]

from collections.abc import Callable, Iterable
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from wsgikit.exceptions import ProtocolError
from wsgikit.onion.log import log_error
from wsgikit.wsgi import EXCHANGE, LOGGED, STACK, Environ, StartResponse

if TYPE_CHECKING:
    from wsgikit.onion.engine import Onion
    from wsgikit.onion.exchange import Exchange

# How far the head of the response is on its way.
OPEN = 0  # held back: hooks may change it
HANDED = 1  # given to the server's start_response; PEP 3333 lets exc_info replace it
SENT = 2  # a chunk was passed on: it is out

CURRENT: ContextVar[Exchange] = ContextVar("wsgikit.exchange")
"""The exchange that the running code belongs to. Set in the context of a request, if an onion gives it one."""


class Ending:
    """The half of an exchange that closes and tears down.

    Attributes:
        environ: the WSGI environ of the request.
        error: the last `Exception` that the layers were asked to handle in this request, or None.
        is_complete: whether the body was produced to its end. False in `teardown_request` says that the client left or
            that an error cut it short.
    """

    environ: Environ
    error: Exception | None = None
    is_complete: bool = False
    has_views: bool = False
    _sent: int | None = None  # bytes; None if they were not counted
    _counts_bytes: bool = False  # a layer of an exchange inside this one reads bytes_sent
    _outcome: Literal["aborted", "failed", "unstarted"] = "unstarted"
    _is_drained: bool = False  # the whole body was read before the head left
    _onion: Onion
    _server: StartResponse
    _is_plain: bool
    _closers: list[tuple[Context | None, Callable[[], object]]] | None = None
    _context: Context | None = None
    _teardown: tuple[tuple[Any, ...], tuple[Any, ...]]  # hooks in the request's context, and outside it
    _outer: Exchange | None = None
    _is_repeating: bool = False  # attempts answer it
    _is_attempt: bool = False  # of the outer one: it ends by itself
    _nested: list[Exchange] | None = None
    _stack: Any = None  # of a nested exchange: its own, while environ holds that of the one around it
    _is_over: bool = False  # of a nested exchange: it has answered, and waits for the end of the one around it
    _home: Exchange | None = None  # of a nested exchange: the one in whose context it was called, and ends
    _callbacks: list[tuple[Context, Callable[[], object]]] | None = None
    _finished: bool = False
    # Of the other half, to be let go at the end.
    _body: Any
    _exc_info: Any
    _innermost: Any
    _pending: Any
    _server_write: Any
    _failure: BaseException | None  # the first of closing and tearing down, until somebody raises or logs it

    def on_teardown(self, function: Callable[[], object]) -> None:
        """Call `function` once when the request has ended: the last one registered first, before the layers' teardown.

        It runs in the context it was registered in. One that fails is logged and doesn't stop the others.
        """
        root = self
        while root._outer is not None and not root._outer._finished and not root._is_attempt:
            root = root._outer
        if root._finished:
            function()
            return
        if root._callbacks is None:
            root._callbacks = []
            root._is_plain = False
        root._callbacks.append((copy_context(), function))

    def _join(self, outer: Exchange) -> None:
        """Become part of the exchange around this one, which ends both.

        A layer of others between may call its application again: the first attempt is ended before this one begins.
        If it passes another environ, this is a request within a request, and ends by itself.
        """
        self._stack = self.environ.get(STACK)
        while outer._is_over and outer._outer is not None:
            attempt, outer = outer, outer._outer
            if outer._nested is not None and attempt in outer._nested:
                outer._nested.remove(attempt)
            attempt._is_attempt = True
            attempt._at_home(attempt._finish)
            attempt._log_failure("while ending an attempt")
        if outer.environ is not self.environ:
            self.environ[LOGGED] = outer.environ.setdefault(LOGGED, object())
            return
        self._outer = outer
        if self._onion.counts_bytes:
            root = outer
            while root._outer is not None:
                root = root._outer
            root._counts_bytes = True
        if outer._is_repeating:
            self._is_attempt = True
            self._is_plain = False
            self.has_views = outer.has_views
            return
        self._is_plain = outer._is_plain = False
        self.has_views = outer.has_views
        self._home = CURRENT.get(None)
        if outer._nested is None:
            outer._nested = []
        outer._nested.append(self)  # type: ignore[arg-type]  # every Ending is an Exchange

    # An error that a function keeps in a variable while it is raised through it is a cycle: the error leads to its
    # traceback, that to the frame, and the frame to the variable. So the first error of an ending is kept here.

    def _keep_failure(self, error: BaseException, where: str) -> None:
        """Keep the first error of closing and tearing down for who can raise it; log those that come after it."""
        if self._failure is None:
            self._failure = error
        else:
            log_error(self.environ, error, where)

    def _log_failure(self, where: str) -> None:
        if self._failure is not None:
            log_error(self.environ, self._failure, where)
            self._failure = None

    def _pop_failure(self) -> BaseException:
        try:
            return self._failure  # type: ignore[return-value]  # asked for if there is one
        finally:
            self._failure = None

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._pop_failure()

    def _close_body(self) -> None:
        """Close what is open of the body, each part once, and keep the first error."""
        closers = self._closers
        while closers:
            try:
                # pop() is one step for all threads, so that two that close at once can't both have the same part.
                context, close = closers.pop()
            except IndexError:
                break
            try:
                self._run(context, close)
            except BaseException as error:  # noqa: BLE001  # kept, and raised by the caller when all is closed
                if isinstance(error, Exception):
                    self._note(error)
                self._keep_failure(error, "while closing the body")

    def _run(self, context: Context | None, function: Callable[..., Any], *args: Any) -> Any:
        """Run in the request's context, from inside it or from outside."""
        if context is None or CURRENT.get(None) is self:
            return function(*args)
        try:
            return context.run(function, *args)
        except RuntimeError as error:
            traceback = error.__traceback__
            if (traceback is not None and traceback.tb_next) or not str(error).startswith("cannot enter context"):
                raise
        # Another thread is in the context at this moment: a step of the body that the server closes meanwhile.
        return context.copy().run(function, *args)

    def _at_home(self, function: Callable[[], None]) -> None:
        home = self._home
        if home is None:
            function()
        else:
            home._run(home._context, function)

    def _note(self, error: Exception) -> None:
        """Let this exchange and those around it know of an error."""
        exchange: Ending | None = self
        while exchange is not None:
            exchange.error = error
            exchange = None if exchange._is_attempt else exchange._outer

    def _end(self) -> None:
        """Finish, unless an exchange around this one will; keep the first error."""
        outer = self._outer
        if outer is None or outer._finished or self._is_attempt:
            self._finish()
        else:
            self._is_over = True

    def _finish(self) -> None:
        """Tear down, once: functions of `on_teardown`, then stacks inside this one, then the layers inside out."""
        if self._finished:
            return
        if self._callbacks is not None or self._nested is not None:
            self._finish_extras()
        self._finished = True
        inside, outside = self._teardown
        if inside:
            context = self._context
            if context is None:
                self._tear_down(inside)
            else:
                self._run(context, self._tear_down, inside)
        if outside:
            self._tear_down(outside)
        self._body = self._innermost = self._pending = self._exc_info = None
        self._server = self._server_write = _ended  # a server's own often leads to its handler, and that to the body
        self._let_go()

    def _let_go(self) -> None:
        """Leave no cycle behind for the garbage collector: environ, the context and the error all lead here."""
        self._context = self.error = None
        environ = self.environ
        if environ.get(EXCHANGE) is self:
            if self._outer is None:
                del environ[EXCHANGE]
            else:
                environ[EXCHANGE] = self._outer

    def _finish_extras(self) -> None:
        for nested in reversed(self._nested or ()):
            nested._at_home(nested._close_body)  # where a layer between forgot to
        while self._callbacks:
            context, function = self._callbacks.pop()
            try:
                context.run(function)
            except BaseException as error:  # noqa: BLE001  # logged; the first one is raised at the end
                log_error(self.environ, error, "in a function of on_teardown()")
                self._keep_failure(error, "")
        while self._nested:
            nested = self._nested.pop()
            nested.error, nested.is_complete = self.error, self.is_complete  # one request has one end
            nested._at_home(nested._finish)
            if nested._failure is not None:
                self._keep_failure(nested._pop_failure(), "in a stack inside")

    def _tear_down(self, hooks: Iterable[Callable[[Any], object]]) -> None:
        for hook in hooks:
            try:
                hook(self)
            except BaseException as error:  # noqa: BLE001  # logged; the first one is raised at the end
                layer = type(getattr(hook, "__self__", hook)).__name__
                log_error(self.environ, error, f"in {layer}.teardown_request")
                self._keep_failure(error, "")


def _ended(*_: object) -> NoReturn:
    raise ProtocolError("start_response: the request has ended. Call it, and write(), before the body is closed.")
