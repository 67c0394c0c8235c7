"""What waits for the end of a response: callbacks and facts of one request, shared by its nested exchanges."""

from __future__ import annotations

__all__ = ["Callback", "Record", "Recorded"]

from collections.abc import Callable, Mapping
from contextvars import Context, copy_context
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from wsgikit.exceptions import ApplicationError
from wsgikit.onion.ending import CURRENT, OPEN, SENT, Ending
from wsgikit.onion.length import length_at_rest
from wsgikit.onion.log import log_error
from wsgikit.onion.route import NO_POLICY, TakenRoute
from wsgikit.wsgi import ROUTING, STACK, is_at_rest

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange
    from wsgikit.onion.middleware import Middleware
    from wsgikit.onion.stack import Stack

Outcome = Literal["complete", "aborted", "failed", "unstarted"]
Callback = tuple[Context | None, Callable[["Exchange"], Any]]


class Record:
    """The rare state of a request. Most requests never make one.

    Attributes:
        commits: callbacks of `before_commit` that have not run.
        committed: those that ran for the transaction that is about to be committed.
        undos: what these returned, to be called if the commit fails.
        completions: callbacks of `on_complete`.
        lasting: callbacks of `on_response` that were registered before there was a response: for every head.
        passing: those that were registered with a response, by its exchange, and are dropped with it.
    """

    __slots__ = ("commits", "committed", "completions", "lasting", "passing", "undos")

    def __init__(self) -> None:
        self.commits: list[Callback] = []
        self.committed: list[Callback] = []
        self.undos: list[Callable[[], object]] = []
        self.completions: list[Callback] = []
        self.lasting: list[tuple[Recorded, Callback]] = []
        self.passing: list[tuple[Recorded, Callback]] = []

    def drop_response(self, exchange: Recorded, with_inner: bool) -> None:
        """Forget what was registered for a response that is dropped.

        Args:
            exchange: whose response it is.
            with_inner: whether the response was dropped there. If not, another head has come from an exchange inside.
        """
        self.passing = [
            (of, f) for of, f in self.passing if of is not exchange and not (with_inner and of.is_inside(exchange))
        ]

    def run_commits(self, exchange: Exchange) -> None:
        """Run what waits for the commit, first registered first; on an error undo what ran."""
        while self.commits:
            callback = self.commits.pop(0)
            try:
                undo = _call(callback, exchange)
            except BaseException:
                self.undo_commits(exchange)
                raise
            self.committed.append(callback)
            if undo is not None:
                self.undos.append(undo)

    def undo_commits(self, exchange: Exchange) -> None:
        """Undo what ran before a commit that failed, last first. It waits again, for another attempt."""
        while self.undos:
            try:
                self.undos.pop()()
            except Exception as error:  # noqa: BLE001  # best effort: the error of the commit is the one that counts
                log_error(exchange.environ, error, "while undoing what ran before a failed commit")
        self.commits[:0] = self.committed
        self.committed.clear()

    def run_last(self, exchange: Exchange) -> None:
        """Run what waits for the head to leave. What raises isn't called again."""
        if self.commits and not exchange._is_commit_claimed:
            try:
                self.run_commits(exchange)
            finally:
                self.commits.clear()
        is_whole = exchange._is_drained or is_at_rest(exchange._body, exchange.environ)
        if self.completions and is_whole and not exchange._is_returned:  # else the server steps it as a stream
            self.run_completions(exchange)
        for callback in [*reversed(self.passing), *reversed(self.lasting)]:
            try:
                _call(callback[1], exchange)
            except BaseException:
                (self.passing if callback in self.passing else self.lasting).remove(callback)
                raise

    def run_completions(self, exchange: Exchange) -> None:
        """Run what waits for the whole body, last registered first, each once."""
        while self.completions:
            _call(self.completions.pop(), exchange)


class Recorded(Ending):
    """The part of an exchange that keeps a `Record`. Nested exchanges share the one of the outermost."""

    _record: Record | None = None
    _status: str | None  # of the other half, as the two that follow
    known_request: Any
    namespace: Any
    _in_scope: frozenset[int] = frozenset()  # the layers with a scope that this request is in, by id
    _is_route_seen: bool = False  # the before_view hooks ran when the route was known
    _is_commit_claimed: bool = False
    _commit_begun_at: float | None = None
    _is_replacement: bool = False
    _answerer: Callable[..., Any] | None = None  # the hook that returned what answers, if one did
    _matched: object = None  # the record of a match, if environ doesn't keep it
    _policy: Mapping[str, Any] = NO_POLICY  # of an endpoint that no router serves

    @property
    def is_replacement(self) -> bool:
        """Whether a response was dropped in this request, and this is another one."""
        return self._root()._is_replacement

    @property
    def answered_by(self) -> str:
        """The class name of the layer whose hook returned the response, or ``"application"``.

        A router in a `RouterMiddleware` is that layer. A layer that changes a response hasn't answered.
        """
        answerer = self._root()._answerer
        return "application" if answerer is None else type(getattr(answerer, "__self__", answerer)).__name__

    @property
    def is_finished(self) -> bool:
        """Whether the request has ended: everything is torn down."""
        return self._finished

    @property
    def layers(self) -> tuple[Middleware, ...]:
        """The layers that the request is in, outermost first: those of the exchanges around this one, and its own.

        Middleware of others isn't among them.
        """
        around = self._outer
        if around is None:
            return self._own_layers()
        # Those of an attempt are the inner ones of the exchange that it is an attempt of.
        return around.layers if self._is_attempt else (*around.layers, *self._own_layers())

    @property
    def nested(self) -> tuple[Exchange, ...]:
        """The exchanges inside this one that end with it, in the order they began."""
        return tuple(self._nested or ())

    def _own_layers(self) -> tuple[Middleware, ...]:
        layers = self._onion.layers
        if all(layer.__wsgikit_scope__ is None for layer in layers):
            return layers
        return tuple(layer for layer in layers if layer.__wsgikit_scope__ is None or id(layer) in self._in_scope)

    def knows_route(self, key: str) -> bool:
        """Return whether a layer that obeys a key of policies has seen the route of the request in `before_view`.

        A layer around a mounted stack has run before the route was known.

        Args:
            key: a key of the request side, such as ``"login"``.
        """
        exchange: Recorded | None = self
        while exchange is not None:
            if exchange._is_route_seen and any(key in layer.request_policy for layer in exchange._own_layers()):
                return True
            exchange = exchange._outer
        return False

    @property
    def stack(self) -> Stack | None:
        """The `Stack` that this exchange is in; None if the layers were nested by hand."""
        return self._stack or self.environ.get(STACK)

    @property
    def route(self) -> TakenRoute | None:
        """The route that a `Router` serves the request by; None if none does, and before it is known.

        It stays known when a mount has put environ back.
        """
        matched = self._root()._matched or self.environ.get(ROUTING)
        describe = getattr(matched, "__wsgikit_route__", None)
        return None if describe is None else describe(self.environ["REQUEST_METHOD"])

    @property
    def policy(self) -> Mapping[str, Any]:
        """What the policies of the endpoint ask of the layers; empty if there are none."""
        root = self._root()
        if root._matched is None and ROUTING not in self.environ:
            return root._policy  # most applications have no router of ours
        route = self.route
        of_route = NO_POLICY if route is None else route.policy
        return {**of_route, **root._policy} if root._policy else of_route

    def add_policy(self, policy: Mapping[str, Any]) -> None:
        """Add the policy of an endpoint that no `Router` serves, such as a view of another framework."""
        root = self._root()
        root._policy = {**root._policy, **policy}

    def note_route(self, matched: object) -> None:
        """Keep the record of a match as the route of the request, also after its mount has put environ back."""
        self._root()._matched = matched

    def begin_attempts(self) -> Callable[[], None]:
        """Let several attempts answer this exchange, each with its own exchange that ends by itself.

        Returns:
            a function to be called before each attempt. It forgets what the attempt before left: `error`, the request
            object, attributes of `g`, functions of `before_commit` and `on_response`.
        """
        self._is_repeating = True
        root = self._root()
        record = root._record
        kept: tuple[list[Any], ...] = ([], [], [])
        if record is not None:
            kept = record.commits.copy(), record.lasting.copy(), record.passing.copy()
        names = {} if self.namespace is None else {**vars(self.namespace)}
        error = self.error

        def begin() -> None:
            self.error, self.known_request = error, None
            root._answerer = None
            if self.namespace is not None:
                vars(self.namespace).clear()
                vars(self.namespace).update(names)
            record = root._record
            if record is not None:
                record.commits, record.lasting, record.passing = map(list.copy, kept)
                record.committed, record.undos = [], []

        return begin

    def is_inside(self, other: Recorded) -> bool:
        """Return whether this exchange is part of `other`, which has not ended. An attempt isn't: it ends by itself."""
        part: Recorded = self
        while part._outer is not None and not part._is_attempt:
            part = part._outer
            if part is other:
                return not part._finished
        return False

    def on_response(self, function: Callable[[Exchange], object]) -> None:
        """Call ``function(exchange)`` right before the head leaves, after all `after_request` hooks.

        The last one registered is called first. It may change status and headers. One that was registered before there
        was a response is called for each head that is handed over, also for that of an error page; one that was
        registered in `after_request` is dropped with its response. An error in it is as one of the endpoint.
        """
        record = self._get_record()
        has_response = self._status is not None or self._root()._status is not None
        (record.passing if has_response else record.lasting).append((self, (_context(), function)))

    def on_complete(self, function: Callable[[Exchange], object]) -> None:
        """Call ``function(exchange)`` once when the application has handed out the whole body.

        That is before the head leaves for a body at rest; before the chunk that fills its Content-Length for a stream
        that has one; else at the end of the stream. It isn't called if the body breaks off or the client leaves. The
        last one registered is called first. An error in it becomes an error page if nothing was sent.
        """
        self._get_record().completions.append((copy_context(), function))

    @property
    def bytes_sent(self) -> int:
        """The bytes of the body that the server got, in `teardown_request`. For a file: what it will send.

        A layer that reads it sets `Middleware.counts_bytes`: a stream without Content-Length is counted only then, or
        if a function waits for its end (`on_complete`, `on_teardown`).

        Raises:
            ApplicationError: the bytes were not counted.
        """
        root: Exchange = self if self._is_attempt else self._root()  # type: ignore[assignment]  # each is an Exchange
        sent = root._sent
        if root._is_returned or not root.is_complete:
            if sent is None and root._stage == SENT:
                remedy = "Set counts_bytes = True on the class of the layer that reads it"
                raise ApplicationError(f"exchange.bytes_sent: the bytes of this stream were not counted. {remedy}.")
            return sent or 0
        headers = () if sent else root._raw_headers or ()
        return (sent or 0) + length_at_rest(root._body, root.environ, root._status or "", headers)

    @property
    def outcome(self) -> Outcome:
        """How the response ended, in `teardown_request`.

        ``"complete"``; ``"failed"``: an error broke it off; ``"aborted"``: the client left; ``"unstarted"``: the server
        never asked for the body.
        """
        of: Recorded = self if self._is_attempt else self._root()
        return "complete" if of.is_complete else of._outcome

    def _complete(self, at_end: bool = False) -> None:
        """Run what waits for the whole body; before its end, only if no exchange inside this one does it."""
        if at_end or all(nested._is_over for nested in self._nested or ()):
            root = self._root()
            if root._stage == OPEN:  # a layer has read it whole: it is complete when nothing can replace it any more
                root._is_drained = True
            elif root._record is not None:
                root._record.run_completions(root)

    def before_commit(self, function: Callable[[Exchange], Callable[[], object] | None]) -> None:
        """Call ``function(exchange)`` once, right before the transaction of the request is committed.

        The first one registered is called first. It may read status, headers and a body at rest. An exception rolls
        the transaction back. It may return a function without arguments, which is called if the commit then fails.

        If no layer has called `claim_commit`, it runs after all `after_request` hooks, before the head leaves. If one
        has, it runs only if that layer commits.
        """
        self._get_record().commits.append((_context(), function))

    def claim_commit(self) -> None:
        """Promise to call `run_before_commit` before a commit, for the layer with the transaction on the way in."""
        part: Recorded | None = self
        while part is not None:
            part._is_commit_claimed = True
            part = part._outer

    @property
    def awaits_commit(self) -> bool:
        """Whether functions of `before_commit` have not run yet."""
        record = self._record if self._outer is None else self._root()._record
        return record is not None and bool(record.commits)

    def run_before_commit(self) -> None:
        """Run the functions of `before_commit` that have not run yet. The layer that commits calls it.

        If one fails, those that ran are undone and its exception is raised: roll back.
        """
        root = self._root()
        if root._record is not None and root._record.commits:
            root._record.run_commits(root)
        root._commit_begun_at = monotonic()

    @property
    def commit_begun_at(self) -> float | None:
        """When a layer began to commit what the request did, on the clock of `time.monotonic`; None if none did."""
        return self._root()._commit_begun_at

    def undo_before_commit(self) -> None:
        """Undo what the functions of `before_commit` did: the commit failed. The layer that commits calls it."""
        root = self._root()
        if root._record is not None:
            root._record.undo_commits(root)

    def _note_replacement(self, with_inner: bool) -> None:
        """Note that a response whose head had been received is dropped (see `Record.drop_response`)."""
        root = self._root()
        root._is_replacement = True
        if root._record is not None:
            root._record.drop_response(self, with_inner)

    def _root(self) -> Exchange:
        """Return the outermost exchange that shares the environ and has not ended."""
        root: Any = self
        while root._outer is not None and not root._outer._finished:
            root = root._outer
        return root  # type: ignore[no-any-return]  # every Ending is an Exchange

    def _let_go(self) -> None:
        super()._let_go()
        self._record = None  # the contexts of its callbacks lead here

    def _get_record(self) -> Record:
        root = self._root()
        record = root._record
        if record is None:
            record = root._record = Record()
        return record


def _context() -> Context | None:
    """Return the context of the request that is running, if it has one of its own."""
    return copy_context() if CURRENT.get(None) is not None else None


def _call(callback: Callback, exchange: Exchange) -> Any:
    context, function = callback
    return function(exchange) if context is None else context.run(function, exchange)
