"""A lazy body on its way to the server, counted if anybody needs to know how much was sent."""

from __future__ import annotations

__all__ = ["Body", "UncountedBody"]

from collections.abc import Callable, Iterator
from itertools import chain

from wsgikit.exceptions import ProtocolError, complaint
from wsgikit.onion.ending import OPEN, SENT
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.length import UNKNOWN
from wsgikit.onion.log import log_error
from wsgikit.onion.source import Source


class Body:
    """A lazy body on its way to the server: chunk for chunk, closed once, then everything is torn down.

    It may be stepped and closed on any thread. One that is never closed is when it is collected. Its bytes are counted,
    for its end is where it has as many as its Content-Length.

    Args:
        exchange: whose response it is.
        length: the bytes that its head announces; `UNKNOWN` if it doesn't. None for an `UncountedBody`.
    """

    __slots__ = ("__weakref__", "_counted", "_exchange", "_left", "_length", "_source", "_step", "_unclosed")

    def __init__(self, exchange: Exchange, length: int | None) -> None:
        self._exchange = exchange
        self._step: Callable[[], bytes] | None = None
        self._source: Source | None = None  # None until a chunk is asked for
        self._unclosed = [True]
        # What was sent is _counted - _left. It is filled when _left is 0.
        self._length = self._counted = self._left = length

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        step = self._step
        if step is None:
            return self._first()
        try:
            chunk = step()
            left = self._left = self._left - len(chunk)  # type: ignore[operator]  # it is counted
            if left <= 0:
                self._fill()
        except StopIteration:
            self._run_out()
            raise
        except BaseException as error:
            self._fail(error)
            raise
        return chunk

    def _begin(self) -> Callable[[], bytes]:
        exchange = self._exchange
        body = exchange._body
        # It is kept as the body: where the first chunks are empty, the same iterator goes on.
        source = body if type(body) is Source else Source(exchange, body, None)  # type: ignore[arg-type]  # there is one
        exchange._body = self._source = source
        step = self._step = source.step or source.begin()
        return step

    def _fill(self) -> None:
        """Note that as many bytes were handed out as the head has announced."""
        exchange = self._exchange
        self._counted += UNKNOWN  # type: ignore[operator]  # more may follow, which servers cut off
        self._left += UNKNOWN  # type: ignore[operator]  # it is counted
        exchange.is_complete = True
        if exchange._record is None and exchange._outer is None:
            return  # nobody waits for it
        if exchange._innermost is None or exchange._innermost is exchange._body:
            exchange._complete()

    def _run_out(self) -> None:
        """Note that the stream has come to its end."""
        exchange = self._exchange
        exchange.is_complete = True
        if self._left is not None:
            self._check_length(self._counted - self._left)  # type: ignore[operator]  # the two are None together
        if exchange._record is None and exchange._outer is None:
            return  # nobody waits for it
        try:
            exchange._complete(at_end=True)
        except BaseException as error:
            self._fail(error)
            raise

    def _check_length(self, sent: int) -> None:
        """Log an error if the stream ended with more or fewer bytes than its head has announced.

        A client that gets fewer waits for the rest or reports a broken response; servers cut off what is too much.
        """
        length = self._length
        if length in (sent, UNKNOWN) or self._exchange._outer is not None:
            return  # the outermost exchange reports it for those inside
        self._length = UNKNOWN  # a body may be asked again after its end
        remedy = "Correct the header, or leave it out"
        error = ProtocolError(complaint("body", "bytes", f"{length}, the Content-Length", sent, remedy))
        log_error(self._exchange.environ, error, "in a stream")

    def _first(self) -> bytes:
        """Make the first chunk. Until it is passed on, an error or a layer can put another response in its place."""
        exchange = self._exchange
        while True:
            chunk = None
            try:
                chunk = self._begin()()
                if self._left is not None and exchange._stage != OPEN:  # else the layers have yet to see another head
                    self._left -= len(chunk)
                    if self._left <= 0:
                        self._fill()
            except StopIteration:
                if exchange._stage != OPEN:
                    self._run_out()
                    raise
            except Exception as error:
                if exchange._stage == SENT:
                    self._fail(error)
                    raise
                if not self._unclosed:  # the server closed it on another thread meanwhile: nobody waits for an answer
                    raise
                if error.__traceback__ is not None:  # without this frame: the exchange keeps the error, not the body
                    error.__traceback__ = error.__traceback__.tb_next
                self._settle(exchange._onion.recover, error)
                continue
            except BaseException as error:
                self._fail(error)
                raise
            if exchange._stage != OPEN:
                if chunk:
                    exchange._stage = SENT
                elif self._unclosed:  # PEP 3333: the head leaves with the first chunk that isn't empty
                    self._step = None
                return chunk  # type: ignore[return-value]  # only a stream that ended has none, and that was settled
            # The head was replaced during this step. The layers see the new one, and the body from its start.
            innermost = exchange._innermost
            source = innermost or self._source
            exchange._body = source.again(() if chunk is None else (chunk,))  # type: ignore[union-attr]  # set by _begin
            exchange._innermost = None
            if exchange._written:
                exchange._body = chain(exchange._written, exchange._body)
                exchange._written = ()
            self._settle(exchange._onion.bring_out)

    def _settle(self, settle: Callable[..., Exception | None], *args: Exception) -> None:
        """Get another response and hand over its head; if there is none, end."""
        exchange = self._exchange
        self._step = self._source = None
        try:
            remaining = settle(exchange, *args) or exchange._onion.conclude(exchange)
            if remaining is None and exchange._stage == OPEN:
                exchange._hand_over_head()
            if self._left is not None:
                self._length = self._counted = self._left = exchange._length_to_send()
        except BaseException as failed:
            self._give_up(failed)
            raise
        if remaining is not None:
            self._give_up(remaining)
            try:
                raise remaining
            finally:
                args = ()
                del remaining  # its traceback leads to this frame

    def _fail(self, error: BaseException) -> None:
        """End a stream that broke off: nothing can be added to what was sent. The error is for the caller to raise."""
        exchange = self._exchange
        self._step = _stop
        self._source = None
        exchange.is_complete = False
        exchange._outcome = "failed"
        if not self._unclosed:  # the server closed it on another thread meanwhile: the request has ended
            return
        exchange._close_body()
        exchange._log_failure("while closing a stream that broke off")
        if isinstance(error, Exception):
            try:
                exchange._onion.tell(exchange, error)
            except BaseException as down:
                self._give_up(down)
                raise
        self._give_up(error)

    def _give_up(self, error: BaseException) -> None:
        exchange = self._exchange
        self._step = _stop
        exchange._outcome = "failed"
        if exchange._outer is None:
            if exchange._stage != OPEN and isinstance(error, Exception):
                log_error(exchange.environ, error, "in a stream")
            try:
                self.close()
            except BaseException as another:  # noqa: BLE001  # the error that came first is raised
                log_error(exchange.environ, another, "while ending a stream that broke off")

    def close(self) -> None:
        """Close the body and end the request; once, whoever calls and how often."""
        try:
            self._unclosed.pop()
        except IndexError:
            return
        exchange = self._exchange
        if self._source is not None and not exchange.is_complete and exchange._outcome != "failed":
            exchange._outcome = "aborted"
        self._step = _stop
        self._source = None
        if exchange._body is not None:
            exchange._body = ()
        if self._left is not None:
            exchange._sent = (exchange._sent or 0) + self._counted - self._left  # type: ignore[operator]  # as above
            self._counted = self._left
        exchange._close_body()
        if exchange._failure is not None:
            exchange.is_complete = False
            exchange._outcome = "failed"
        exchange._end()
        exchange._raise_failure()

    def __del__(self) -> None:
        if self._unclosed:
            try:
                self.close()
            except BaseException as error:  # noqa: BLE001  # nobody is there to raise it to
                log_error(self._exchange.environ, error, "while ending a request whose body the server never closed")


class UncountedBody(Body):
    """A lazy body without a Content-Length, for layers that don't ask how much was sent: a chunk costs less."""

    __slots__ = ()

    def __next__(self) -> bytes:
        step = self._step
        if step is None:
            return self._first()
        try:
            return step()
        except StopIteration:
            exchange = self._exchange
            exchange.is_complete = True
            if exchange._record is not None:  # made since the head left
                self._run_out()
            raise
        except BaseException as error:
            self._fail(error)
            raise


def _stop() -> bytes:
    raise StopIteration
