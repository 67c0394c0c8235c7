"""One request and its response, as the hooks of the layers see them."""

from __future__ import annotations

__all__ = ["CURRENT", "HANDED", "OPEN", "SENT", "Exchange", "Reply", "log_error", "mark_logged"]

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import Context, ContextVar, copy_context
from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn

from wsgikit.exceptions import ApplicationError, ProtocolError, complaint
from wsgikit.headers import Headers
from wsgikit.onion.source import Source
from wsgikit.wsgi import (
    EXCHANGE,
    LOGGED,
    STACK,
    Environ,
    ExcInfo,
    HeaderList,
    StartResponse,
    Write,
    WSGIApplication,
    is_at_rest,
)

if TYPE_CHECKING:
    from wsgikit.onion.engine import Onion, Segment
    from wsgikit.onion.request import Request

CURRENT: ContextVar[Exchange] = ContextVar("wsgikit.exchange")
"""The exchange that the running code belongs to. Set in the context of a request, where an onion gives it one."""

# How far the head of the response is on its way.
OPEN = 0  # held back: hooks may change it
HANDED = 1  # given to the server's start_response; PEP 3333 lets exc_info replace it
SENT = 2  # a chunk was passed on: it is out


class Exchange:
    """A request on its way in and its response on its way out.

    A layer's hooks get it as their argument; an application finds the one it is in under ``wsgikit.exchange``. It holds
    the state of one request, so that layers hold none.

    Attributes:
        environ: the WSGI environ of the request.
        status: the status line, such as ``"200 OK"``; None before there is a response.
        error: the last `Exception` that the layers were asked to handle in this request, or None.
        is_complete: whether the body was produced to its end. False in `teardown_request` says that the client left or
            that an error cut it short.
    """

    # What most requests leave as it is stands on the class, so that making an exchange costs five assignments.
    error: Exception | None = None
    is_complete: bool = False
    _raw_headers: HeaderList | None = None
    _headers: Headers | None = None  # over the list that _raw_headers then is
    _exc_info: ExcInfo | None = None
    _body: Iterable[bytes] | None = None
    _closers: list[tuple[Context | None, Callable[[], object]]] | None = None
    _stage: int = OPEN
    _was_handed: bool = False
    _server_write: Write
    _innermost: Source | None = None  # the first that a layer read of this response
    _is_begun: bool = False  # the application went on past its first chunk, which a layer keeps back
    _is_returned: bool = False  # the call is over, the server has the body
    _is_stead: bool = False  # what answers was returned by a handle_exception
    _written: Sequence[bytes] = ()
    _pending: dict[Segment, Iterator[Any]] | None = None
    _context: Context | None = None
    _entry: tuple[Segment, int, int] | None = None
    _teardown: tuple[tuple[Any, ...], tuple[Any, ...]] | None = None
    _outer: Exchange | None = None
    _nested: list[Exchange] | None = None
    _stack: Any = None  # of a nested exchange: its own, while environ holds that of the one around it
    _is_over: bool = False  # of a nested exchange: it has answered, and waits for the end of the one around it
    _home: Exchange | None = None  # of a nested exchange: the one in whose context it was called, and ends
    _callbacks: list[tuple[Context, Callable[[], object]]] | None = None
    _finished: bool = False
    _failure: BaseException | None = None  # the first of closing and tearing down, until somebody raises or logs it
    _state: dict[Any, Any] | None = None
    _request: Request | None = None
    _g: Any = None  # the namespace that `g` stands for; the context room makes it

    def __init__(self, onion: Onion, environ: Environ, start_response: StartResponse) -> None:
        self._onion = onion
        self.environ = environ
        self._server = start_response
        self.status: str | None = None
        # True while nothing has happened but one head and one body: the engine then has one thing to ask, not ten.
        self._is_plain = True

    def __repr__(self) -> str:
        method = self.environ.get("REQUEST_METHOD", "?")
        return f"<Exchange {method} {self.environ.get('PATH_INFO', '')!r} {self.status or 'without a response yet'}>"

    # ------------------------------------------------------------------ the request

    @property
    def request(self) -> Request:
        """The request as an object, made on first use."""
        request = self._request
        if request is None:
            from wsgikit.onion.request import Request  # webob is loaded by the first request that needs it

            request = self._request = Request(self.environ)
        return request

    @property
    def state(self) -> dict[Any, Any]:
        """What layers remember of this request. Keys are the layer itself or an object that only its module has."""
        if self._state is None:
            self._state = {}
        return self._state

    # ------------------------------------------------------------------ the response

    @property
    def status_code(self) -> int:
        """The status as a number, such as 200; 0 before there is a response."""
        return int(self.status[:3]) if self.status else 0

    @property
    def headers(self) -> Headers:
        """The headers of the response, free to be changed: the application's own list stays as it is."""
        headers = self._headers
        if headers is None:
            self.headers = headers = Headers(self._raw_headers or ())
        return headers

    @headers.setter
    def headers(self, headers: Iterable[tuple[str, str]]) -> None:
        if self.status is None:
            raise ApplicationError("exchange.headers: there is no response yet. Change headers in after_request.")
        self._headers = headers if isinstance(headers, Headers) else Headers(headers)
        self._raw_headers = self._headers.as_list()

    @property
    def body(self) -> Iterable[bytes] | None:
        """The body as it came from inside; None while the application answers through ``write()``.

        Assign another to replace it. The old one is closed by the engine: at once where the new one is a list, a
        tuple or a file wrapper, at the end where the new one is lazy and so may read from the old. What was said
        through ``write()`` is dropped where a body takes its place. Headers that describe the body
        (``Content-Length``, ``ETag``) are for the layer to change.
        """
        body = self._body
        if body is None or type(body) is Source or is_at_rest(body, self.environ):
            return body
        source = self._body = Source(self, body, None)
        if self._innermost is None:
            self._innermost = source
        return source

    @body.setter
    def body(self, body: Iterable[bytes]) -> None:
        if body is self._body:
            return
        if self.status is None:
            raise ApplicationError("exchange.body: there is no response yet. Change it in after_request, or reply.")
        if body is None or isinstance(body, (str, bytes)):
            remedy = "Assign a list: [body]"
            raise ApplicationError(complaint("exchange", "body", "an iterable of bytes", body, remedy))
        self._body = body
        if is_at_rest(body, self.environ):
            self._innermost = None
            self._close_body()
            close = getattr(body, "close", None)
            if close is not None:
                self._closers = [(None, close)]
            self._raise_failure()
        else:
            close = getattr(body, "close", None)
            if close is not None:
                if self._closers is None:
                    self._closers = []
                self._closers.append((None, close))

    @property
    def is_streaming(self) -> bool:
        """Whether code of the application's runs while the body is sent."""
        return self._body is None or not is_at_rest(self._body, self.environ)

    @property
    def is_head_sent(self) -> bool:
        """Whether the head has been handed to the server: a change of status or headers comes too late."""
        return self._stage != OPEN

    def reply(
        self,
        status: int | str,
        body: str | bytes | Iterable[bytes] = b"",
        content_type: str | None = "text/plain; charset=utf-8",
        headers: Iterable[tuple[str, str]] = (),
    ) -> WSGIApplication:
        """Make an answer that a hook can return.

        Args:
            status: a code such as 404, or a line such as ``"404 Not Found"``.
            body: text (sent as UTF-8), bytes, or an iterable of bytes. It is left out for HEAD and where the status
                allows none (RFC 9110 §6.4.1).
            content_type: the media type; None sends no such header.
            headers: further pairs, in order.
        """
        return Reply(status, body, content_type, headers)

    def on_teardown(self, function: Callable[[], object]) -> None:
        """Call `function` once when the request has ended: the last one registered first, before the layers' teardown.

        It runs in the context it was registered in. One that fails is logged and doesn't stop the others.
        """
        root = self
        while root._outer is not None and not root._outer._finished:
            root = root._outer
        if root._finished:
            function()
            return
        if root._callbacks is None:
            root._callbacks = []
            root._is_plain = False
        root._callbacks.append((copy_context(), function))

    # ------------------------------------------------------------------ for the engine

    def _join(self, outer: Exchange) -> None:
        """Become part of the exchange around this one, which ends both.

        A layer of others between may call its application again: the first attempt is ended before this one begins.
        Where it gave it an environ of its own, this is a request within a request, and ends by itself.
        """
        self._stack = self.environ.get(STACK)
        while outer._is_over and outer._outer is not None:
            attempt, outer = outer, outer._outer
            if outer._nested is not None and attempt in outer._nested:
                outer._nested.remove(attempt)
            attempt._at_home(attempt._finish)
            attempt._log_failure("while ending an attempt")
        if outer.environ is not self.environ:
            self.environ[LOGGED] = outer.environ.setdefault(LOGGED, object())
            return
        self._outer = outer
        self._is_plain = outer._is_plain = False
        self._home = CURRENT.get(None)
        if outer._nested is None:
            outer._nested = []
        outer._nested.append(self)

    def _receive_head(self, status: str, headers: HeaderList, /, exc_info: ExcInfo | None = None) -> Write:
        """Be the `start_response` that the application calls (PEP 3333 "The start_response() Callable")."""
        if self.status is not None:
            if exc_info is None:
                raise ProtocolError(
                    complaint("start_response", "second call", "exc_info", None, "Call it once, or pass sys.exc_info()")
                )
            if self._stage == SENT or self._is_begun:
                try:
                    raise exc_info[1].with_traceback(exc_info[2])
                finally:
                    exc_info = None  # PEP 3333 asks for it: the traceback would keep this frame alive
        self.status = status
        self._raw_headers = headers
        self._headers = None
        if exc_info is not None:
            self._exc_info = exc_info
            self._is_plain = False
            self._stage = OPEN  # held back again, until the layers have seen it
            if self._pending is not None:  # a write() failed on the way out, or a layer put a body in its stead
                self._pending = None
                self._close_body()
                self._body = None
                self._raise_failure()
        return self._write

    def _write(self, data: bytes) -> None:
        """Be the ``write()`` that `start_response` returns: what it is given is passed on at once."""
        self._is_plain = False
        if self._stage == OPEN and (self._is_stead or self._is_returned):
            # Where the call is over and the body on its way PEP 3333 allows no write(): it goes before the next chunk.
            self._written = [*self._written, data]
            return
        if self._stage == OPEN and self._pending is None:
            way_out = self._onion.way_out(self)
            self._pending = {segment: iter(after) for segment, after in way_out}
            for segment, _ in way_out:
                for _, hook in self._pending[segment]:
                    hook(self)
                    if self._body is not None:
                        return  # a layer put a body in its stead; the layers outside see that one when the call returns
            self._hand_over_head()
        elif self._stage == OPEN:
            return
        self._server_write(data)
        self._stage = SENT

    def _hand_over_head(self) -> None:
        """Give the head to the server."""
        status: str = self.status  # type: ignore[assignment]  # there is a response: _take saw to it
        headers: HeaderList = self._raw_headers  # type: ignore[assignment]  # and they came together
        exc_info = self._exc_info
        self._stage = HANDED
        self._was_handed = True
        if exc_info is None:
            self._server_write = self._server(status, headers)
        else:
            self._exc_info = None
            try:
                self._server_write = self._server(status, headers, exc_info)
            finally:
                exc_info = None

    def _take(self, body: Iterable[bytes], context: Context | None) -> Iterable[bytes]:
        """Take what the application returned: own its `close`, and pull it to its head where there is none yet."""
        if body is None or isinstance(body, (str, bytes)):
            raise ProtocolError(
                complaint("application", "body", "an iterable of bytes", body, "Return a list: [body]"),
            )
        close = getattr(body, "close", None)
        if close is not None:
            if self._closers is None:
                self._closers = []
            if self._body is None:
                self._closers.append((context, close))
            else:
                self._closers.insert(0, (context, close))
        if self._pending is not None and self._body is not None:
            # Written to, then replaced by a layer: neither the writing nor the rest is wanted.
            if close is not None:
                del self._closers[0]  # type: ignore[union-attr]  # inserted above
                close()
            return self._body
        if self._written:
            written, self._written = self._written, ()
            return chain(written, body)
        if self.status is not None and not (self._is_returned and not is_at_rest(body, self.environ)):
            return body
        iterator = iter(body)
        for first in iterator:
            if self.status is None:
                raise ProtocolError(
                    complaint("application", "first chunk", "start_response called before it", type(first).__name__)
                )
            return chain((first,), iterator)
        if self.status is None:
            raise ProtocolError(complaint("application", "response", "a call of start_response", None))
        self._close_body()
        self._raise_failure()
        return []

    def _leave_context(self) -> None:
        """Have the steps of a lazy body run in the request's context, for layers that stand outside it."""
        body = self._body
        if body is not None and not is_at_rest(body, self.environ):
            source = self._body = Source(self, body, self._context)
            if self._innermost is None:
                self._innermost = source

    def _discard(self, error: Exception) -> None:
        """Drop the response there is, for an error has come in its stead. Its head may be one the server has."""
        self._is_plain = False
        self._close_body()
        self._log_failure("while closing the body of a response that failed")
        self._exc_info = (type(error), error, error.__traceback__) if self._was_handed else None
        self.status = None
        self._raw_headers = self._headers = self._body = self._pending = self._innermost = None
        self._is_begun = False
        self._written = ()
        self._stage = OPEN

    # An error that a function keeps in a variable while it is raised through it is a cycle: the error leads to its
    # traceback, that to the frame, and the frame to the variable. So the first error of an ending is kept here.

    def _keep_failure(self, error: BaseException, where: str) -> None:
        """Keep the first error of closing and tearing down for who can raise it; log those that come after it."""
        if self._failure is None:
            self._failure = error
        else:
            log_error(self, error, where)

    def _log_failure(self, where: str) -> None:
        if self._failure is not None:
            log_error(self, self._failure, where)
            self._failure = None

    def _pop_failure(self) -> BaseException:
        try:
            return self._failure  # type: ignore[return-value]  # asked for where there is one
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
        exchange: Exchange | None = self
        while exchange is not None:
            exchange.error = error
            exchange = exchange._outer

    def _end(self) -> None:
        """Finish, unless an exchange around this one will; keep the first error."""
        outer = self._outer
        if outer is None or outer._finished:
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
        inside, outside = self._teardown or self._onion.teardown
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
                log_error(self, error, "in a function of on_teardown()")
                self._keep_failure(error, "")
        while self._nested:
            nested = self._nested.pop()
            nested.error, nested.is_complete = self.error, self.is_complete  # one request has one end
            nested._at_home(nested._finish)
            if nested._failure is not None:
                self._keep_failure(nested._pop_failure(), "in a stack inside")

    def _tear_down(self, hooks: Iterable[Callable[[Exchange], object]]) -> None:
        for hook in hooks:
            try:
                hook(self)
            except BaseException as error:  # noqa: BLE001  # logged; the first one is raised at the end
                layer = type(getattr(hook, "__self__", hook)).__name__
                log_error(self, error, f"in {layer}.teardown_request")
                self._keep_failure(error, "")


class Reply:
    """An answer made by a layer: a WSGI application of fixed status, headers and body."""

    __slots__ = ("_body", "_headers", "_is_bodiless", "_status")

    def __init__(
        self,
        status: int | str,
        body: str | bytes | Iterable[bytes],
        content_type: str | None,
        headers: Iterable[tuple[str, str]],
    ) -> None:
        self._status = status if isinstance(status, str) else _status_line(status)
        head = Headers(headers)
        if isinstance(body, str):
            body = body.encode()
        self._is_bodiless = self._status[:3] in ("204", "304") or self._status[0] == "1"
        if not self._is_bodiless:
            if content_type is not None and not head.has("Content-Type"):
                head.add("Content-Type", content_type)
            if isinstance(body, bytes) and not head.has("Content-Length"):
                head.add("Content-Length", str(len(body)))
        self._headers = head
        self._body: Iterable[bytes] = [body] if isinstance(body, bytes) else body

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(self._status, list(self._headers))
        if self._is_bodiless or environ["REQUEST_METHOD"] == "HEAD":
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
            return []
        return self._body


def _ended(*_: object) -> NoReturn:
    raise ProtocolError("start_response: the request has ended. Call it, and write(), before the body is closed.")


def _status_line(code: int) -> str:
    from http import HTTPStatus  # only where a layer answers itself

    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return f"{code} Unknown"


def mark_logged(error: BaseException, environ: Environ) -> bool:
    """Mark an error as logged in this request; return False where it is already.

    The mark is one of the request: an application may raise the same object in every request.
    """
    mark = environ.setdefault(LOGGED, object())
    if getattr(error, "__wsgikit_logged__", None) is mark:
        return False
    try:
        error.__wsgikit_logged__ = mark  # type: ignore[attr-defined]  # the attribute is ours
    except AttributeError:
        pass  # an error with slots may be logged twice
    return True


def log_error(exchange: Exchange, error: BaseException, where: str) -> None:
    """Log an error that nobody above may get to see, once."""
    environ = exchange.environ
    if not mark_logged(error, environ):
        return
    import logging  # costs start-up time, and only failures log

    logging.getLogger("wsgikit").error(
        "%s %s: error %s",
        environ.get("REQUEST_METHOD", "?"),
        ascii(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""))[1:-1],
        where,
        exc_info=(type(error), error, error.__traceback__),
    )
