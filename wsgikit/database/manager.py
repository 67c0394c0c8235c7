"""Taking part in a transaction manager of the `zope.transaction` kind, as repoze.tm2 and zope.sqlalchemy do.

Where one of them drives the transaction from outside, the layer joins it and leaves commit and abort to it. Where none
does, the layer drives, and marks environ, so that those inside it join.
"""

from __future__ import annotations

__all__ = ["Managed", "ManagerOption", "manager_factory"]

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.wsgi import Environ

if TYPE_CHECKING:
    from wsgikit.database.work import Work

# A manager, a function of environ that returns one, or True for the one of the thread: `transaction.manager`.
ManagerOption: TypeAlias = Any
_MARKS = ("repoze.tm.active", "tm.active")


def manager_factory(where: str, option: ManagerOption) -> Callable[[Environ], Any]:
    """Return a function that gives the manager of a request.

    Raises:
        ConfigurationError: the option is none, or the package `transaction` is missing.
    """
    if option is True:
        try:
            import transaction  # an optional package, wanted by few
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"{where}: manager: expected the package 'transaction' to be installed, got none. Install it: "
                "pip install transaction."
            ) from error
        option = transaction.manager
    if hasattr(option, "begin") and hasattr(option, "commit"):
        return lambda environ: option
    if callable(option):
        return option  # type: ignore[no-any-return]  # checked just above
    raise ConfigurationError(
        complaint(where, "manager", "a transaction manager, a function of environ, or True", option)
    )


class Managed:
    """The part of one request in a manager's transaction.

    Attributes:
        is_driver: whether this layer begins and ends the transaction.
    """

    def __init__(self, manager: Any, environ: Environ) -> None:
        # Of the thread-local manager, take that of this thread: a stream may end on another one.
        self._manager = getattr(manager, "manager", manager)
        self.is_driver = not any(environ.get(mark) for mark in _MARKS)
        self._environ = environ
        self._is_begun = False
        self._is_awaited = False
        if self.is_driver:
            for mark in _MARKS:
                environ[mark] = True
            environ["tm.manager"] = manager
            self._begin()

    def _begin(self) -> None:
        self._manager.begin()
        self._is_begun = True

    def join(self, work: Work) -> None:
        """Let the manager's transaction know of a session or connection that was opened."""
        self._manager.get().join(DataManager(work, self._manager))

    def commit(self, work: Work) -> None:
        """Commit all that has joined.

        A transaction that somebody doomed is aborted, and the response goes out, as with repoze.tm2 and pyramid_tm.
        """
        if not self.is_driver:
            self._await_end(work)
            return
        self._is_begun = False
        has_joined = work.target is not None
        is_doomed = self._manager.isDoomed()
        try:
            if is_doomed:
                self._manager.abort()
            else:
                self._manager.commit()
        except BaseException:
            self._manager.abort()
            self._begin_again(work)
            raise
        if not has_joined:
            _ended(work, not is_doomed)
        self._begin_again(work)

    def _begin_again(self, work: Work) -> None:
        """Begin the transaction of what may follow: a stream, an error page."""
        self._begin()
        if work.target is not None:
            self.join(work)

    def abort(self, work: Work) -> None:
        """Abort all that has joined; where another drives, that decides by its own rules."""
        if self.is_driver:
            self._is_begun = False
            self._manager.abort()
            if work.target is None:
                work.rolled_back()
            self._begin_again(work)
        else:
            self._await_end(work)
            self._manager.get().doom()

    def _await_end(self, work: Work) -> None:
        """Have the functions called that wait for a commit or rollback, if no session or connection has joined."""
        if work.target is None and not self._is_awaited and (work.on_commit or work.on_rollback):
            self._is_awaited = True
            transaction = self._manager.get()
            transaction.addAfterCommitHook(lambda is_committed: _ended(work, is_committed))
            transaction.addAfterAbortHook(work.rolled_back)

    def end(self) -> None:
        """Leave nothing behind for the thread's next request."""
        if self.is_driver:
            if self._is_begun:
                self._is_begun = False
                self._manager.abort()
            for mark in (*_MARKS, "tm.manager"):
                self._environ.pop(mark, None)


def _ended(work: Work, is_committed: bool) -> None:
    if is_committed:
        work.committed()
    else:
        work.rolled_back()


class DataManager:
    """What the manager's transaction knows a session or connection by (``transaction.interfaces.IDataManager``).

    It commits in `tpc_vote`, the last moment at which it may refuse, and sorts itself to the end, as zope.sqlalchemy's
    does: databases that can prepare come first.
    """

    def __init__(self, work: Work, manager: Any) -> None:
        self.transaction_manager = manager
        self._work = work
        self._hooks: Sequence[Callable[[], object]] = ()

    def sortKey(self) -> str:
        """Return where it stands in the order of commits."""
        return f"~wsgikit:{self._work.source.name}"

    def abort(self, transaction: Any) -> None:
        """Roll back: the transaction ends before its commit began."""
        self._work.undo()
        self._work.leave()

    def tpc_begin(self, transaction: Any) -> None:
        """Begin the commit: write what waits for a flush."""
        flush = getattr(self._work.target, "flush", None)
        if callable(flush):
            flush()

    def commit(self, transaction: Any) -> None:
        """Do nothing: `tpc_vote` does."""

    def tpc_vote(self, transaction: Any) -> None:
        """Commit; those that voted before can still be called off."""
        self._hooks, self._work.on_commit = self._work.on_commit, ()
        self._work.perform_commit()

    def tpc_finish(self, transaction: Any) -> None:
        """Call what waited for the commit of all."""
        self._work.on_commit = [*self._hooks, *self._work.on_commit]
        self._work.committed()
        self._work.leave()

    def tpc_abort(self, transaction: Any) -> None:
        """Roll back, because another one could not commit."""
        self._work.undo()
        self._work.leave()

    def savepoint(self) -> Any:
        """Return a savepoint, so that ``transaction.savepoint()`` works."""
        return _Savepoint(self._work.target.begin_nested())

    def should_retry(self, error: BaseException) -> bool:
        """Return whether the request may be repeated (``IRetryDataManager``)."""
        from wsgikit.database.conflicts import is_conflict  # only after a failure

        return is_conflict(error)


class _Savepoint:
    def __init__(self, nested: Any) -> None:
        self._nested = nested

    def rollback(self) -> None:
        """Undo what was done since."""
        self._nested.rollback()
