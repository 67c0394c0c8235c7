"""One connection, one transaction, one request."""

from __future__ import annotations

__all__ = ["DatabaseMiddleware"]

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast
from weakref import ref

from wsgikit.database.budgets import Budgets
from wsgikit.database.handle import Excluded, Handle
from wsgikit.database.manager import Managed, ManagerOption, manager_factory
from wsgikit.database.options import check_choices, check_name, check_numbers, methods_of, paths_of
from wsgikit.database.queries import SQL, Queries
from wsgikit.database.quick import quick_hooks
from wsgikit.database.replicas import Stickiness
from wsgikit.database.resets import Reset
from wsgikit.database.retries import OUTSIDE, Attempts, is_last_attempt
from wsgikit.database.rules import Rule, rule_of
from wsgikit.database.sources import CONNECT_TIMEOUT, make_source
from wsgikit.database.work import Work, logger
from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.options.flags import check_flags
from wsgikit.options.secrets import Secret
from wsgikit.wsgi import DB, DB_COMMIT, USAGE, WSGIApplication, name_request

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

    from wsgikit.database.alchemy import AlchemySource
    from wsgikit.database.dbapi import DbapiSource

_COMMITTED = object()  # in exchange.state: the names of the databases that have committed in this request


class DatabaseMiddleware(Middleware):
    """Gives each request one database connection and one transaction, opened when it is first used.

    The transaction is committed before the head of the response leaves, so that a commit that fails is still a clean
    error page. It is rolled back if an exception escapes and if the status is 400 or above, so that frameworks
    which turn exceptions into error pages leave no rows behind. The connection is always given back: before the last
    byte of the body leaves, so that a slow client holds none. What a stream writes is a second transaction, committed
    at its end, rolled back if it breaks off or the client leaves.

    Use it around any application that works with a relational database. Don't use it if one request makes several
    transactions itself: ``commit="manual"`` leaves them to you, and so does your own engine.

    It belongs inside `ErrorPagesMiddleware` (a failed commit becomes a page) and `ContextMiddleware` (for the `db`
    local), and outside of whatever works with the database.

    Provides ``environ["wsgikit.db"]``; reads ``environ["wsgikit.db.commit"]``: True or False decides for one request;
    and ``environ["wsgikit.deadline"]``, a number on the clock of `time.monotonic`.

    Args:
        app: the application to wrap.
        url: of the database, as SQLAlchemy writes it. One of `url`, `engine` and `connect` is needed.
        engine: a SQLAlchemy engine of your own.
        connect: a function that returns a new connection of any DB-API driver. With ``pool_size=`` a few are kept.
        kind: ``"session"`` for the ORM, ``"connection"`` for Core.
        name: of the database, if there are several; the environ key of any but the default is ``wsgikit.db.<name>``.
        commit: ``"success"`` (status below 400), ``"no-exception"``, ``"manual"``, or a function of the exchange.
        release: when the connection goes back. ``"complete"``: when the application has handed out its body; if that
            has a Content-Length, that is before its last chunk leaves. ``"response"``: at the head. ``"close"``: when
            the server closes the body, for a stream that uses a connection after its last chunk.
        retries: how often a request is repeated whose transaction lost against another: serialization failures and
            deadlocks (SQLSTATE 40001 and 40P01, MariaDB 1213 and 1205, SQLite busy), never after the head has left. The
            request body is kept for it; what layers outside this one remember of the request stays as it is.
        retry_methods: the methods that may be repeated: by default those that are idempotent (RFC 9110 §9.2.2, RFC
            10008).
        retry_backoff_seconds: to wait before the first repetition; doubled each time, with jitter.
        environ_key: where the session or connection is found.
        ping: whether a connection that waited in the pool is asked for a sign of life before it is used.
        max_age_seconds: after how many seconds a pooled connection is replaced.
        reset: a statement, such as ``"DISCARD ALL"``, or a function of the driver's connection. It runs when a
            connection goes back to the pool, and puts back what the server keeps of it.
        exclude_paths: beginnings of paths that have no database, each with its slash: using it there is an error.
        session_options: keywords for SQLAlchemy's `Session`, such as ``{"expire_on_commit": False}``.
        connect_timeout_seconds: how long to wait for a connection to PostgreSQL or MariaDB, in whole seconds, and with
            psycopg for the answer to a `ping`; None is what the driver does. For ``connect=`` your function decides.
        statement_timeout_seconds: after how many seconds PostgreSQL or MariaDB gives a statement up.
        replica_url: of a replica that GET, HEAD, OPTIONS and QUERY read from, unless the client has just written or
            ``environ["wsgikit.db.primary"]`` is true. Writing there is refused by the server.
        sticky_seconds: for how long a client that wrote reads from the primary.
        secret_key: signs the cookie that says so; needed only with `replica_url`.
        manager: a transaction manager of the `transaction` package to take part in, a function of environ that returns
            one, or True for that of the thread.
        max_queries: log a warning where a request runs more statements. For development.
        slow_query_seconds: log a warning for statements that take longer. For development.
        record_queries: keep texts and times of statements in ``exchange.state["wsgikit.sql"]``, where a debug page of
            `ErrorPagesMiddleware` finds them. The two budgets above keep them too, and so does a list that a layer
            outside puts there. For development.
        held_warning_seconds: log a warning where a streamed body kept its connection longer; None for never.
        engine_options: what `sqlalchemy.create_engine` takes, such as ``pool_size=10``.

    Raises:
        ConfigurationError: options that can't work, a driver that isn't installed.
        PoolExhaustedError: no connection became free in time; it lists who holds them. It becomes a 503.
        DatabaseUnreachableError: no connection could be made. It is of the driver's or SQLAlchemy's class, too, and
            says which database it is. It becomes a 503.
        DeadlineExceededError: the deadline of the request has passed, so nothing is committed. It becomes a 503.
        TransactionAbortedError: the server had rolled back by itself what was to be committed.

    Example::

        build_stack(app, use(DatabaseMiddleware, url="postgresql+psycopg://shop@localhost/shop", pool_size=10))
    """

    teardown_needs_state: ClassVar[bool] = True
    health_name: ClassVar[str] = "database"

    def __init__(
        self,
        app: WSGIApplication,
        *,
        url: str | URL | None = None,
        engine: Engine | None = None,
        connect: Callable[[], Any] | None = None,
        kind: Literal["session", "connection"] = "session",
        name: str = "default",
        commit: Literal["success", "no-exception", "manual"] | Rule = "success",
        release: Literal["complete", "response", "close"] = "complete",
        retries: int = 0,
        retry_methods: Sequence[str] = ("GET", "HEAD", "OPTIONS", "QUERY", "PUT", "DELETE"),
        retry_backoff_seconds: float = 0.05,
        environ_key: str = DB,
        ping: bool = True,
        max_age_seconds: float | None = None,
        reset: Reset | None = None,
        exclude_paths: Sequence[str] = (),
        session_options: Mapping[str, Any] | None = None,
        connect_timeout_seconds: float | None = CONNECT_TIMEOUT,
        statement_timeout_seconds: float | None = None,
        replica_url: str | URL | None = None,
        sticky_seconds: float = 5.0,
        secret_key: Secret | None = None,
        manager: ManagerOption = None,
        max_queries: int | None = None,
        slow_query_seconds: float | None = None,
        record_queries: bool = False,
        held_warning_seconds: float | None = 30.0,
        **engine_options: Any,
    ) -> None:
        super().__init__(app)
        where = f"DatabaseMiddleware {name!r}"
        check_flags(where, ping=ping, record_queries=record_queries)
        check_numbers(
            where,
            retries=retries,
            retry_backoff_seconds=retry_backoff_seconds,
            max_age_seconds=max_age_seconds,
            connect_timeout_seconds=connect_timeout_seconds,
            statement_timeout_seconds=statement_timeout_seconds,
            sticky_seconds=sticky_seconds,
            max_queries=max_queries,
            slow_query_seconds=slow_query_seconds,
            held_warning_seconds=held_warning_seconds,
        )
        check_choices(where, kind=kind, release=release)
        check_name(where, name)
        if environ_key == DB and name != "default":
            environ_key = f"{DB}.{name}"
        self.name = name
        self.environ_key = environ_key
        self.provides = (environ_key,)
        self.handle = Handle.of(self)
        self._rule = rule_of(where, commit)
        self._commit_key = f"{environ_key}.commit"
        self._queries_key = f"{environ_key}.queries"
        self._is_released_early = release == "response"
        self._is_released_at_end = release == "complete"
        self._excluded = paths_of(where, exclude_paths)
        self._budgets = Budgets(name, max_queries, slow_query_seconds, held_warning_seconds)
        self._is_traced = record_queries or self._budgets.need_texts
        methods = methods_of(where, retry_methods)
        self._retry_methods = methods if retries else frozenset()
        self._manager = None if manager is None else manager_factory(where, manager)
        self._is_plain = not (self._excluded or retries or manager is not None)
        make = partial(
            make_source,
            where,
            kind=kind,
            ping=ping,
            max_age_seconds=max_age_seconds,
            connect_timeout_seconds=connect_timeout_seconds,
            statement_timeout_seconds=statement_timeout_seconds,
            reset=reset,
            session_options=session_options,
            is_recorded=self._is_traced,
            engine_options=engine_options,
            own_options=DatabaseMiddleware.__init__.__kwdefaults__ or (),
        )
        self.source = make(name, url=url, engine=engine, connect=connect)
        self._replica: AlchemySource | None = None
        if replica_url is not None:
            if url is None:
                raise ConfigurationError(complaint(where, "replica_url", "url= beside it", None, "Give both as URLs"))
            self._stickiness = Stickiness(where, name, self.environ_key, sticky_seconds, secret_key)
            self._replica = cast("AlchemySource", make(f"{name} replica", url=replica_url, is_replica=True))
        self._attempts: Attempts | None = None
        self._repeated = (retries, retry_backoff_seconds)
        self._hasten(DatabaseMiddleware, *quick_hooks(self, self._enter if self._is_plain else None))

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine of this process: for creating tables, for scripts.

        Raises:
            AttributeError: the connections come from ``connect=``.
        """
        return self.source.engine  # type: ignore[union-attr]  # as documented

    @property
    def replica(self) -> AlchemySource | None:
        """Where the connections of the replica come from, if there is one."""
        return self._replica

    def pool_gauges(self) -> list[tuple[str, str, float]]:
        """Return the state of the pool for metrics: name of the database, state, number of connections."""
        facts = self.source.describe()
        states = {"idle": facts.get("checkedin"), "in use": facts.get("checkedout")}
        return [(self.name, state, float(value)) for state, value in states.items() if isinstance(value, int)]

    def _assemble(self) -> None:
        retries, backoff_seconds = self._repeated
        if retries:  # not in __init__: a subclass's does more after it, and what repeats should have that too
            self._attempts = Attempts(self._once(), retries, backoff_seconds)
        super()._assemble()

    def _once(self) -> DatabaseMiddleware:
        """Make a layer that is this one without its retries: on the same pool, around the same application."""
        once = copy(self)
        once._repeated = (0, 0.0)
        once._retry_methods = frozenset()
        once.handle = Handle.of(once)
        once._hasten(DatabaseMiddleware, *quick_hooks(once, once._enter if self._is_plain else None))
        once._assemble()
        return once

    # ------------------------------------------------------------------ the hooks

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Put the name of the database into environ; nothing is opened."""
        return self._enter(exchange)

    def after_request(self, exchange: Exchange) -> None:
        """Commit or roll back, before the head leaves."""
        state = exchange.state
        if self in state:
            self.conclude(exchange, state[self])
        elif exchange.awaits_commit:
            self.conclude_unused(exchange)

    def handle_exception(self, exchange: Exchange, error: Exception) -> WSGIApplication | None:
        """Roll back and give the connection back, so that an error page has a clean one, if it needs one."""
        if self._owns(exchange):
            work = self.work_of(exchange)
            work.is_interrupted = False
            work.fail()
        return None

    def teardown_request(self, exchange: Exchange) -> None:
        """Settle what a stream has done, and give the connection back."""
        state = exchange.state
        if self in state:
            self.settle(exchange, state[self])

    def check_health(self) -> None:
        """Ask the database, and the replica if there is one, for a sign of life."""
        self.source.ping()
        if self._replica is not None:
            self._replica.ping()

    def close(self) -> None:
        """Dispose of the pool of this process."""
        self.source.close()
        if self._replica is not None:
            self._replica.close()

    # ------------------------------------------------------------------ the transaction

    def work_of(self, exchange: Exchange) -> Work:
        """Return the work of this request on this database, made on first use."""
        state = exchange.state
        work: Work | None = state.get(self)
        if work is None:
            source: AlchemySource | DbapiSource = self.source
            if self._replica is not None and self._stickiness.may_read_elsewhere(exchange.environ):
                source = self._replica
            queries = Queries()
            outside = exchange.environ.get(OUTSIDE, state)  # an attempt tells it where layers outside look
            if self._is_traced or SQL in state or SQL in outside:
                queries.log = state.setdefault(SQL, outside.setdefault(SQL, []))
                queries.slow_query_seconds = self._budgets.slow_query_seconds
            usage = exchange.environ.get(USAGE)
            if usage is not None:
                queries.usage, queries.database = usage, self.name
            # One step: two threads of a request get the same one.
            kept: Work = state.setdefault(self, Work(source, exchange.environ, queries))
            if self._is_released_at_end and exchange.is_head_sent:
                exchange.on_complete(partial(self._complete, ref(exchange), kept))
            state[self._queries_key] = outside[self._queries_key] = kept.queries
            return kept
        return work

    def conclude(self, exchange: Exchange, work: Work) -> None:
        """Commit or roll back what was done so far, as the rule says of the response."""
        work.is_interrupted = False
        is_streaming = exchange.is_streaming
        try:
            is_wanted = self._should_commit(exchange)
            if is_wanted:
                work.check_deadline()
                exchange.run_before_commit()  # it may write, so what follows is decided later
        except BaseException:
            work.fail()
            raise
        # The end of the transaction would close a cursor that the stream reads from.
        work.is_only_reading = is_streaming and work.is_reading()
        is_kept_open = is_wanted and work.is_only_reading and not self._is_released_early and work.has_open_cursor()
        if not is_wanted:
            if work.conflict is not None and not is_last_attempt(exchange.environ):
                raise work.conflict  # the application made a page of it, but it will get another chance
            work.note_own_commit()
            work.rollback()
        elif not is_kept_open:
            try:
                self._commit(exchange, work)
            except BaseException:
                exchange.undo_before_commit()
                raise
        work.is_answered = True
        if self._replica is not None and work.has_saved:
            self._stickiness.remember(exchange)
        if is_streaming and self._is_released_at_end:
            exchange.on_complete(partial(self._complete, ref(exchange), work))
        if is_kept_open:
            return
        work.is_settled = not is_streaming
        if self._is_released_early:
            work.release()

    def conclude_unused(self, exchange: Exchange) -> None:
        """Run what waits for the commit of a request that hasn't used its database; it may use it now."""
        if self._owns(exchange) and self._should_commit(exchange):
            exchange.run_before_commit()
            state = exchange.state
            if self in state:
                self.conclude(exchange, state[self])

    def settle(self, exchange: Exchange, work: Work) -> None:
        """Commit or roll back what was done since, a stream's work mostly, and give everything back."""
        try:
            if work.has_failed or not exchange.is_complete:
                work.rollback()
            else:
                self._conclude_rest(exchange, work)
        except BaseException:
            work.rollback()
            raise
        finally:
            if not work.is_settled:
                self._budgets.warn_of_holding(work)
            if self._is_traced:
                self._budgets.warn_of_statements(exchange, work)
            work.end()
            if work.outer is not None:
                exchange.environ[self.environ_key] = work.outer

    def _complete(self, of: ref[Exchange], work: Work, _outermost: Exchange) -> None:
        """Conclude a stream that has handed out its whole body, and give the connection back before its last chunk."""
        exchange = of()
        if exchange is None or work.is_over:
            return
        work.is_interrupted = False
        try:
            if not work.has_failed:
                self._conclude_rest(exchange, work)
            self._budgets.warn_of_holding(work)
        except BaseException:
            work.fail()
            raise
        work.release()

    def _conclude_rest(self, exchange: Exchange, work: Work) -> None:
        """Commit or roll back what a stream has done since its head."""
        if work.on_commit or work.on_rollback or (work.target is not None and work.source.in_transaction(work)):
            if self._should_commit(exchange):
                self._commit(exchange, work)
            else:
                work.rollback()

    def _commit(self, exchange: Exchange, work: Work) -> None:
        try:
            work.commit()
        except Exception as error:
            committed = exchange.state.get(_COMMITTED)
            if committed:
                logger.critical(
                    "%s: the commit on %r failed after %s had been committed: the databases disagree now. %r",
                    work.request,
                    self.name,
                    ", ".join(map(repr, committed)),
                    error,
                )
            raise
        if work.has_saved:
            state = exchange.state
            state[_COMMITTED] = (*state.get(_COMMITTED, ()), self.name)

    def _should_commit(self, exchange: Exchange) -> bool:
        environ = exchange.environ
        wanted = environ.get(self._commit_key)
        if wanted is None:
            wanted = environ.get(DB_COMMIT)
        return self._rule(exchange) if wanted is None else bool(wanted)

    # ------------------------------------------------------------------ onions in onions, and paths without a database

    def _enter(self, exchange: Exchange) -> WSGIApplication | None:
        environ = exchange.environ
        outer = environ.get(self.environ_key)
        if isinstance(outer, Handle):
            its_exchange = outer()
            if its_exchange is None or its_exchange.is_finished:
                outer = None  # an environ that is used again
            elif outer._layer.name == self.name and exchange.is_inside(its_exchange):
                return None  # a stack in a stack: its requests are part of the outer transaction
        if outer is not None:
            self.work_of(exchange).outer = outer
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if self._excluded and path.startswith(self._excluded):
            environ[self.environ_key] = Excluded(self.name, name_request(environ))
        else:
            if self._attempts is not None and environ["REQUEST_METHOD"] in self._retry_methods:
                # The attempts have their own handles. This one is for error pages outside, and for a stack that is
                # entered without a request.
                environ[self.environ_key] = self.handle(exchange)
                return self._attempts
            environ[self.environ_key] = self.handle(exchange)
            exchange.claim_commit()
            if self._manager is not None:
                self.work_of(exchange).managed = Managed(self._manager(environ), environ)
        return None

    def _owns(self, exchange: Exchange) -> bool:
        """Return whether the transaction is this layer's, not that of a stack around it."""
        handle = exchange.environ.get(self.environ_key)
        return isinstance(handle, Handle) and handle() is exchange
