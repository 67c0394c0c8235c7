"""`EventStream`: a response of server-sent events (WHATWG HTML §9.2).

With a keep-alive the events are produced on a thread beside that of the request, one at a time and only when the
server asks for the next::

    idle ──the server asks──▶ waiting ──an event──▶ idle
                                 │  ├─keepalive_seconds─▶ a comment is sent; waiting goes on
                                 │  └─the end, an error──▶ ended
    idle, waiting ──close()──▶ ended: the thread closes the iterator as soon as it has control
"""

from __future__ import annotations

__all__ = ["Event", "EventStream"]

import contextvars
import math
import queue
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

from wsgikit.exceptions import ApplicationError, complaint
from wsgikit.http.headers import Headers
from wsgikit.wsgi import Environ, StartResponse

_LINE_END = re.compile(r"\r\n|\r|\n")  # as the parser of browsers has it
_KEEPALIVE = b":\n\n"
_LEAVING_SECONDS = 1.0  # how long a request that ends waits for its iterator to stop
_END = object()


class Event(NamedTuple):
    """One event with its fields.

    Attributes:
        data: text, or a value that is sent as JSON.
        event: the type; a page without it gets a ``message``.
        id: what the browser sends as ``Last-Event-ID`` when it connects again.
        retry_seconds: how long the browser waits before it connects again.
    """

    data: Any
    event: str | None = None
    id: str | None = None
    retry_seconds: float | None = None


def format_event(event: Any) -> bytes:
    """Return an event as the bytes that are sent.

    Args:
        event: text, an `Event`, or a value that is sent as JSON.

    Raises:
        ApplicationError: a type or an id that can't be sent.
        TypeError: a value has no form in JSON.
    """
    if not isinstance(event, Event):
        event = Event(event)
    lines = []
    if event.event is not None:
        lines.append(f"event: {_one_line('event', event.event)}")
    if event.id is not None:
        lines.append(f"id: {_one_line('id', event.id)}")
    if event.retry_seconds is not None:
        lines.append(_retry(event.retry_seconds))
    data = event.data if isinstance(event.data, str) else _as_json(event.data)
    lines += [f"data: {line}" for line in _LINE_END.split(data)]
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


def _one_line(what: str, text: object) -> str:
    text = str(text)
    if not text or _LINE_END.search(text) or "\0" in text:
        raise ApplicationError(complaint("EventStream", what, "a text of one line", text))
    return text


def _retry(seconds: float) -> str:
    return f"retry: {round(seconds * 1000)}"


def _as_json(value: Any) -> str:
    from wsgikit.http.json_provider import JsonProvider  # only streams of other values than text need it

    return JsonProvider(dates="iso", ensure_ascii=False, sort_keys=False).dumps(value)


Events: TypeAlias = Iterable[Any] | Callable[[str | None], Iterable[Any]]


class EventStream:
    """A response whose body is a stream of events, for ``EventSource`` in a page: a WSGI application.

    Return it from a view of a `Router` or of Flask. For other frameworks its parts are `headers` and ``iter(stream)``,
    a body that has to be closed.

    The head leaves at once. Nothing on the way may store, transform or buffer the stream: ``Cache-Control: no-store,
    no-transform`` and ``X-Accel-Buffering: no`` (nginx) are sent. A client that left is found by the next event or
    comment that can't be sent; the server then closes the body, and the iterator is closed: its ``finally`` runs.

    Args:
        events: an iterable of texts, `Event` objects and values that are sent as JSON; or a function that gets
            ``Last-Event-ID`` (None at the first connection) and returns one. None among them means that there is
            nothing yet.
        retry_seconds: how long the browser waits before it connects again; None leaves it to the browser.
        keepalive_seconds: after how much silence a comment is sent. The events are then produced on a thread of the
            stream, in a copy of the request's context. With None they are produced on the thread of the request, and
            a comment is sent for each None among the events.
        headers: further headers.

    Raises:
        ApplicationError: an argument that can't work.

    Python can't interrupt an iterator that waits. Let it wait for some seconds at most and yield None, so that it ends
    soon after the client has left.

    Example::

        @router.get("/ticks")
        def ticks():
            return EventStream(Event(n, id=n) for n in range(10))
    """

    def __init__(
        self,
        events: Events,
        *,
        retry_seconds: float | None = None,
        keepalive_seconds: float | None = 15,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        if isinstance(events, (str, bytes)) or not (callable(events) or hasattr(events, "__iter__")):
            raise ApplicationError(complaint("EventStream", "events", "an iterable of events, or a function", events))
        for name, value, least in (
            ("retry_seconds", retry_seconds, 0.0),
            ("keepalive_seconds", keepalive_seconds, 0.01),
        ):
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if value is not None and (not is_number or not math.isfinite(value) or value < least):
                raise ApplicationError(
                    complaint("EventStream", name, f"a number of at least {least:g}, or None", value)
                )
        self.events = events
        self.retry_seconds = retry_seconds
        self.keepalive_seconds = keepalive_seconds
        head = Headers.of(headers)
        head.set("Content-Type", "text/event-stream")
        head.set("Cache-Control", "no-store, no-transform")
        head.set("X-Accel-Buffering", "no")
        self.headers: list[tuple[str, str]] = list(head)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        start_response("200 OK", list(self.headers))
        if environ["REQUEST_METHOD"] == "HEAD":
            close = getattr(self.events, "close", None)
            if close is not None:
                close()
            return []
        return self.start(environ.get("HTTP_LAST_EVENT_ID"))

    def __iter__(self) -> Iterator[bytes]:
        return self.start(None)

    def start(self, last_event_id: str | None) -> EventBody:
        """Return the body of a stream, which has to be closed.

        Args:
            last_event_id: the value of ``Last-Event-ID``, for `events` that is a function.
        """
        first = _KEEPALIVE if self.retry_seconds is None else f"{_retry(self.retry_seconds)}\n\n".encode()
        events = self._events_after(last_event_id)
        if self.keepalive_seconds is None:
            return EventBody(first, _Direct(events))
        return EventBody(first, _Beside(events, self.keepalive_seconds))

    def _events_after(self, last_event_id: str | None) -> Iterable[Any]:
        events = self.events
        if isinstance(events, Iterable):
            return events
        # PEP 3333 has environ in latin-1; the id was sent as UTF-8.
        last = None if last_event_id is None else last_event_id.encode("latin-1", "replace").decode("utf-8", "replace")
        return _later(events, last)


def _later(function: Callable[[str | None], Iterable[Any]], last: str | None) -> Iterator[Any]:
    yield from function(last)


class EventBody:
    """The body of an event stream: chunks of bytes, each a whole event or a comment."""

    def __init__(self, first: bytes, source: _Direct | _Beside) -> None:
        self._first = first
        self._source = source

    def __iter__(self) -> EventBody:
        return self

    def __next__(self) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        event = self._source.next()
        return _KEEPALIVE if event is None else format_event(event)

    def close(self) -> None:
        """End the stream: the iterator is closed."""
        self._source.close()


class _Direct:
    """Events that are produced when they are asked for."""

    def __init__(self, events: Iterable[Any]) -> None:
        self._events = events
        self._iterator: Iterator[Any] | None = None

    def next(self) -> Any:
        if self._iterator is None:
            self._iterator = iter(self._events)
        return next(self._iterator)

    def close(self) -> None:
        close_both(self._events, self._iterator)


class _Beside:
    """Events that are produced on a thread, so that the caller can stop waiting for the next one."""

    def __init__(self, events: Iterable[Any], seconds: float) -> None:
        self._events = events
        self._seconds = seconds
        self._thread: threading.Thread | None = None
        self._is_waiting = False
        # Made here and not imported by name, so that gevent's are used if it has patched the modules.
        self._asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._made: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def next(self) -> Any:
        if self._thread is None:
            context = contextvars.copy_context()
            self._thread = threading.Thread(target=context.run, args=(self._produce,), name="EventStream", daemon=True)
            self._thread.start()
        if not self._is_waiting:
            self._is_waiting = True
            self._asked.put(True)
        event, error = self._await()
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback leads to this frame
        if event is _END:
            raise StopIteration
        return event

    def _await(self) -> tuple[Any, BaseException | None]:
        """Wait for the next event that isn't None, and return None after the silence that calls for a comment."""
        import time

        until = time.monotonic() + self._seconds
        while True:
            try:
                made = self._made.get(timeout=max(until - time.monotonic(), 0.001))
            except queue.Empty:
                return None, None
            if made[0] is not None or made[1] is not None:
                self._is_waiting = False
                return made
            self._asked.put(True)

    def _produce(self) -> None:
        iterator: Iterator[Any] | None = None
        try:
            if self._asked.get():
                iterator = iter(self._events)
                self._made.put((next(iterator, _END), None))
                while self._asked.get():
                    self._made.put((next(iterator, _END), None))
        except BaseException as error:  # noqa: BLE001  # the thread of the request raises it
            self._made.put((_END, error))
        finally:
            try:
                close_both(self._events, iterator)
            except Exception:
                import logging  # only for a stream that fails at its end

                logging.getLogger("wsgikit").exception("An event stream failed while it was closed.")

    def close(self) -> None:
        thread = self._thread
        if thread is None:
            close_both(self._events, None)
            return
        self._asked.put(False)
        thread.join(_LEAVING_SECONDS)


def close_both(events: Iterable[Any], iterator: Iterator[Any] | None) -> None:
    """Close an iterator and the iterable that it comes from, if they can be closed."""
    for closable in (iterator, events if events is not iterator else None):
        close = getattr(closable, "close", None)
        if close is not None:
            close()
