"""One request and its response, as the hooks of the layers see them."""

from __future__ import annotations

__all__ = ["Exchange", "Replacement"]

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import Context
from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from wsgikit.exceptions import ApplicationError, ProtocolError, complaint
from wsgikit.http.headers import Headers
from wsgikit.onion.ending import HANDED, OPEN, SENT
from wsgikit.onion.filters import BodyFilter, Filtered, as_filter, feed_first, filter_list
from wsgikit.onion.hooks import checked_app
from wsgikit.onion.length import UNKNOWN, declared_length, is_bodiless
from wsgikit.onion.record import Record, Recorded
from wsgikit.onion.reply import Reply, is_body, status_line
from wsgikit.onion.source import Source
from wsgikit.wsgi import (
    Environ,
    ExcInfo,
    HeaderList,
    StartResponse,
    Write,
    WSGIApplication,
    is_at_rest,
)

if TYPE_CHECKING:
    from wsgikit.http.request import Request
    from wsgikit.onion.engine import Onion, Segment

# What an after hook returned, with the segment and level whose layers are asked about an error of it.
Replacement: TypeAlias = "tuple[Segment, int, WSGIApplication]"


def _late_write(*_: object) -> NoReturn:
    raise ProtocolError("write: the call has returned, and the body is on its way. Yield the data instead (PEP 3333).")


class Exchange(Recorded):
    """A request on its way in and its response on its way out.

    A layer's hooks get it as their argument; an application finds the one it is in under ``wsgikit.exchange``. It holds
    the state of one request, so that layers hold none.

    Attributes:
        environ: the WSGI environ of the request.
        error: the last `Exception` that the layers were asked to handle in this request, or None.
        is_complete: whether the body was produced to its end. False in `teardown_request` says that the client left or
            that an error cut it short.
        has_views: whether a layer that the request is in, or one around, has a `before_view` hook.
        known_request: `request` if it was made already, or None. Assign one of another class to replace it.
        known_state: `state` if a layer has put anything into it, or None: reading it makes no dict.
        namespace: what `g` stands for; None until it is used. `ContextMiddleware` makes it.
    """

    # What most requests leave as it is stands on the class, so that making an exchange costs few assignments.
    _raw_headers: HeaderList | None = None
    _app_headers: HeaderList | None = None  # as the application gave them, if a layer has taken the headers in hand
    _headers: Headers | None = None  # over the list that _raw_headers then is
    _exc_info: ExcInfo | None = None
    _body: Iterable[bytes] | None = None
    _stage: int = OPEN
    _was_handed: bool = False
    _server_write: Write = staticmethod(_late_write)  # until the server has given one
    _innermost: Source | None = None  # the first that a layer read of this response
    _is_begun: bool = False  # the application went on past its first chunk, which a layer keeps back
    _is_returned: bool = False  # the call is over, the server has the body
    _is_view_entered: bool = False  # the before_view hooks ran
    _is_stead: bool = False  # what answers was returned by a handle_exception
    _written: Sequence[bytes] = ()
    _unsent: Sequence[bytes] = ()  # written for a server that has no write()
    _pending: dict[Segment, Iterator[Any]] | None = None  # the after hooks that the response has yet to pass
    _writing: Filtered | None = None  # the filters that written data passes
    _first_written: bytes = b""  # while the layers see the head
    _has_written: bool = False  # its head left, or was dropped, because the application wrote
    _replacement: Replacement | None = None  # returned by a hook while the application wrote
    _entry: tuple[Segment, int, int] | None = None
    known_state: dict[Any, Any] | None = None
    known_request: Request | None = None
    namespace: Any = None

    def __init__(self, onion: Onion, environ: Environ, start_response: StartResponse) -> None:
        self._onion = onion
        self.environ = environ
        self._server = start_response
        self._status: str | None = None
        self._teardown = onion.teardown
        self._failure: BaseException | None = None
        # True while nothing has happened but one head and one body: the engine then has one thing to ask, not ten.
        self._is_plain = True

    def __repr__(self) -> str:
        method = self.environ.get("REQUEST_METHOD", "?")
        return f"<Exchange {method} {self.environ.get('PATH_INFO', '')!r} {self.status or 'without a response yet'}>"

    # ------------------------------------------------------------------ the request

    @property
    def request(self) -> Request:
        """The request as an object, made on first use."""
        request = self.known_request
        if request is None:
            from wsgikit.http.request import Request  # webob is loaded by the first request that needs it

            request = self.known_request = Request(self.environ)
        return request

    @property
    def state(self) -> dict[Any, Any]:
        """What layers remember of this request. Keys are the layer itself or an object that only its module has."""
        if self.known_state is None:
            self.known_state = {}
        return self.known_state

    # ------------------------------------------------------------------ the response

    @property
    def status(self) -> str | None:
        """The status line, such as ``"200 OK"``; None before there is a response. Assign another to change it."""
        return self._status

    @status.setter
    def status(self, status: str) -> None:
        self._set_status(status, str, "a status line such as '404 Not Found'", "A number goes to exchange.status_code")

    @property
    def status_code(self) -> int:
        """The status as a number, such as 200; 0 before there is a response. Assign another to change the line."""
        return int(self._status[:3]) if self._status else 0

    @status_code.setter
    def status_code(self, code: int) -> None:
        self._set_status(code, int, "a number from 100 to 999", "A line goes to exchange.status")

    def _set_status(self, status: int | str, kind: type, expected: str, remedy: str) -> None:
        line = status_line(status) if isinstance(status, kind) else None
        if self._status is not None and line is not None:
            self._status = line
            return
        # Who assigned it, without what it is local to: `Layer.after_request`.
        where = sys._getframe(2).f_code.co_qualname.rpartition("<locals>.")[2]
        what = f"exchange.{'status' if kind is str else 'status_code'}"
        if self._status is None:
            raise ApplicationError(f"{where}: {what}: there is no response yet. Change it in after_request, or reply.")
        raise ApplicationError(complaint(where, what, expected, status, remedy))

    @property
    def header_list(self) -> Sequence[tuple[str, str]]:
        """The headers of the response as they are now, to be read only. It is cheaper than `headers`."""
        return self._raw_headers or ()

    @property
    def headers(self) -> Headers:
        """The headers of the response, free to be changed: the application's own list stays as it is."""
        headers = self._headers
        if headers is None:
            if self._status is None:
                raise ApplicationError("exchange.headers: there is no response yet. Change headers in after_request.")
            self._app_headers = self._raw_headers
            headers = self._headers = Headers(self._raw_headers or ())
            self._raw_headers = headers.as_list()
        return headers

    @headers.setter
    def headers(self, headers: Iterable[tuple[str, str]]) -> None:
        if self._status is None:
            raise ApplicationError("exchange.headers: there is no response yet. Change headers in after_request.")
        if self._headers is None:
            self._app_headers = self._raw_headers
        checked = Headers.of(headers)  # also those of a Headers, which may have been made of unchecked ones
        self._headers = headers if isinstance(headers, Headers) else checked
        self._raw_headers = self._headers.as_list()

    @property
    def body(self) -> Iterable[bytes] | None:
        """The body as it came from inside; None while the application answers through ``write()``.

        Assign another to replace it. The old one is closed by the engine: at once where the new one is a list, a
        tuple or a file wrapper, at the end where the new one is lazy and so may read from the old. What was said
        through ``write()`` is dropped if a body takes its place. Headers that describe the body
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
        if self._status is None:
            raise ApplicationError("exchange.body: there is no response yet. Change it in after_request, or reply.")
        if not is_body(body):
            remedy = "Assign a list: [body]"
            raise ApplicationError(complaint("exchange", "body", "an iterable of bytes", body, remedy))
        self._body = body
        self._writing = None
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
    def known_body(self) -> Iterable[bytes] | None:
        """The body as it is now, to be compared with another and never iterated over."""
        return self._body

    def filter_body(self, body_filter: BodyFilter | Callable[[bytes], bytes]) -> None:
        """Change the body chunk for chunk, in `after_request`: a list at once, a stream and what is written on its way.

        The filter of a layer further in is fed first. Content-Length is set for a list and removed otherwise. For HEAD,
        204 and 304 nothing is fed. A file becomes a stream. Empty chunks pass as they are.

        Args:
            body_filter: a function chunk → chunk, or an object with ``feed(chunk)``, ``finish()`` and ``abandon()``.

        Raises:
            ApplicationError: it is neither, or there is no response.
        """
        made = as_filter(body_filter)
        if self._status is None:
            raise ApplicationError("exchange.filter_body: there is no response yet. Filter it in after_request.")
        body = self._body
        if self.environ.get("REQUEST_METHOD") == "HEAD" or is_bodiless(self._status):
            self.headers.discard("Content-Length")
            made.abandon()
        elif isinstance(body, (list, tuple)):
            self.body = chunks = filter_list(body, made)
            self.headers.set("Content-Length", str(sum(map(len, chunks))))
        else:
            self.headers.discard("Content-Length")
            self._filter_stream(made)

    def _filter_stream(self, made: BodyFilter) -> None:
        running = self._writing if self._body is None else self._body
        if self._body is None and self._first_written:
            self._first_written = feed_first(made, self._first_written)
        if isinstance(running, Filtered) and not running.is_begun:
            running.add(made)
            return
        filtered = Filtered(made)
        if self._body is not None:
            source: Any = self.body
            if type(source) is not Source:  # a file
                source = self._innermost = Source(self, source, None)
            filtered.attach(source)
            self.body = filtered
            return
        self._writing = filtered
        if self._closers is None:
            self._closers = []
        self._closers.append((None, filtered.close))

    @property
    def is_streaming(self) -> bool:
        """Whether code of the application's runs while the body is sent."""
        body = self._body
        return type(body) is not list and (body is None or not is_at_rest(body, self.environ))

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

        Raises:
            ApplicationError: a status, a body or a header that can't be sent.
        """
        return Reply(status, body, content_type, headers)

    def run_before_view(self) -> WSGIApplication | None:
        """Run the `before_view` hooks of all layers that the request is in, once; return what one of them answers.

        The engine calls it before the application inside. What calls an endpoint itself, such as a router, calls it
        right before.
        """
        around = self._outer
        if around is not None and not around._finished:
            app = around.run_before_view()
            if app is not None:
                return app
        if self._is_view_entered or self._is_stead or not self._onion.has_views:
            return None
        self._is_view_entered = True
        self._is_route_seen = self.route is not None
        for hook in self._onion.views(self):
            app = hook(self)
            if app is not None:
                self._root()._answerer = hook
                return checked_app(app, hook)
        return None

    def early_hints(self, links: Iterable[str]) -> bool:
        """Send the client ``103 Early Hints`` (RFC 8297), if the server can: it has ``wsgi.early_hints`` in environ.

        Args:
            links: values of ``Link`` headers, such as ``"</style.css>; rel=preload; as=style"``.

        Returns:
            whether they were sent. They aren't after the head of the response.

        Raises:
            ApplicationError: a value can't be sent.
        """
        if isinstance(links, str):
            remedy = "Pass a list: [link]"
            raise ApplicationError(complaint("exchange.early_hints", "links", "a list of values", links, remedy))
        pairs = Headers.of(("Link", link) for link in links).as_list()
        send = self.environ.get("wsgi.early_hints")
        if send is None or self._root()._stage != OPEN or not pairs:
            return False
        send(pairs)
        return True

    # ------------------------------------------------------------------ for the engine

    def _receive_head(self, status: str, headers: HeaderList, /, exc_info: ExcInfo | None = None) -> Write:
        """Be the `start_response` that the application calls (PEP 3333 "The start_response() Callable")."""
        if self._status is not None:
            if exc_info is None:
                raise ProtocolError(
                    complaint("start_response", "second call", "exc_info", None, "Call it once, or pass sys.exc_info()")
                )
            if self._stage == SENT or self._is_begun:
                try:
                    raise exc_info[1].with_traceback(exc_info[2])
                finally:
                    exc_info = None  # PEP 3333 asks for it: the traceback would keep this frame alive
            self._note_replacement(with_inner=False)
        self._status = status
        self._raw_headers = headers
        self._headers = self._app_headers = None
        if exc_info is not None:
            self._check_status()
            self._exc_info = exc_info
            self._is_plain = False
            self._stage = OPEN  # held back again, until the layers have seen it
            self._replacement = None
            if self._has_written:  # a write() failed on the way out, or a layer put a body in its place
                self._has_written = False
                self._pending = self._writing = None
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
        if self._stage == OPEN:
            if self._has_written:
                return  # a layer put another response in its place
            self._has_written = True
            self._check_status()
            self._first_written = data
            if not self._pass_layers():
                return
            data, self._first_written = self._first_written, b""
            record: Record | None = self._record
            if record is not None and self._root() is self:
                record.run_last(self)
            self._hand_over_head()
        elif self._writing is not None:
            data = self._writing.feed(data)
        self._server_write(data)
        self._stage = SENT
        self._sent = (self._sent or 0) + len(data)

    def _pass_layers(self) -> bool:
        """Let the layers see a response that is written; return False if one put another in its place.

        The layers outside that one see the other when the call of the application returns.
        """
        if self._pending is None:
            self._pending = {segment: iter(after) for segment, after in self._onion.way_out(self)}
        for segment, hooks in self._pending.items():
            for level, hook in hooks:
                app = hook(self)
                if app is not None:
                    self._replacement = segment, level, checked_app(app, hook)
                    self._root()._answerer = hook
                    self._body = ()
                if self._body is not None:
                    return False
        return True

    def _length_to_send(self) -> int:
        """Return the bytes that the head announces, without those that were written."""
        length = declared_length(self.environ, self._status or "", self._raw_headers or ())
        return length if length == UNKNOWN or self._sent is None else length - self._sent

    def _length_from_inside(self) -> int:
        """Return the bytes that the application announces, without those that were written."""
        headers = self._raw_headers if self._app_headers is None else self._app_headers
        length = declared_length(self.environ, self._status or "", headers or ())
        return length if length == UNKNOWN or self._sent is None else length - self._sent

    def _hand_over_head(self) -> None:
        """Give the head to the server."""
        status: str = self._status  # type: ignore[assignment]  # there is a response: _take saw to it
        headers: HeaderList = self._raw_headers  # type: ignore[assignment]  # and they came together
        exc_info = self._exc_info
        self._stage = HANDED
        self._was_handed = True
        if exc_info is None:
            write = self._server(status, headers)
        else:
            self._exc_info = None
            try:
                write = self._server(status, headers, exc_info)
            finally:
                exc_info = None
        # granian, hypercorn and bjoern return None, against PEP 3333: what is written goes before the body.
        self._server_write = write if callable(write) else self._keep_unsent

    def _keep_unsent(self, data: bytes) -> None:
        """Be the ``write()`` of a server that has none."""
        if self._is_returned:
            _late_write()
        self._unsent = [*self._unsent, data]

    def _send_unsent(self) -> None:
        """Put what was written in front of the body, for a server that has no ``write()``."""
        unsent, self._unsent = self._unsent, ()
        self._sent = None  # it is counted with the body
        body: Iterable[bytes] = self._body or ()
        self._body = [*unsent, *body] if isinstance(body, (list, tuple)) else chain(unsent, body)

    def _check_status(self) -> None:
        """Refuse what is no text before a hook sees it. Where all is plain the engine has looked itself."""
        if self._status is not None and not isinstance(self._status, str):
            raise ProtocolError(complaint("start_response", "status", "a str such as '200 OK'", self._status))

    def _take(self, body: Iterable[bytes], context: Context | None) -> Iterable[bytes]:
        """Take what the application returned: own its `close`, and pull it to its head if there is none yet."""
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
        self._check_status()
        if self._has_written and self._body is not None:
            # Written to, then replaced by a layer: neither the writing nor the rest is wanted.
            if close is not None:
                del self._closers[0]  # type: ignore[union-attr]  # inserted above
                close()
            return self._body
        if self._writing is not None:
            self._innermost = Source(self, body, None)
            self._writing.attach(self._innermost)
            return self._writing
        if self._written:
            written, self._written = self._written, ()
            return chain(written, body)
        if self._status is not None and not (self._is_returned and not is_at_rest(body, self.environ)):
            return body
        iterator = iter(body)
        for first in iterator:
            if self._status is None:
                raise ProtocolError(
                    complaint("application", "first chunk", "start_response called before it", type(first).__name__)
                )
            return chain((first,), iterator)
        if self._status is None:
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
        """Drop the response, because an error has taken its place. Its head may be one that the server has."""
        self._drop()
        self._exc_info = (type(error), error, error.__traceback__) if self._was_handed else None

    def _drop(self) -> None:
        """Drop the response: another takes its place."""
        self._is_plain = False
        if self._status is not None:
            self._note_replacement(with_inner=True)
        self._close_body()
        self._log_failure("while closing the body of a response that was dropped")
        self._status = None
        self._raw_headers = self._headers = self._app_headers = None
        self._body = self._pending = self._innermost = self._replacement = self._writing = None
        self._is_begun = self._has_written = self._is_drained = False
        self._written = ()
        self._stage = OPEN
