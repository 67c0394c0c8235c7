"""How many statements a request ran, and those that were slow or the same again and again."""

from __future__ import annotations

__all__ = ["SQL", "Queries"]

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgikit.onion.usage import Usage

SQL = "wsgikit.sql"
"""In ``exchange.state``: a list of ``(statement, seconds)`` of all its databases, where they are recorded."""

# Five identical statements in one request are a loop over rows far more often than not.
REPEATED = 5
_LONGEST = 500  # characters of a statement in a log line
_RECORDED = 1000  # statements of a request that are kept; older ones give way


class Queries:
    """The statements of one request on one database.

    It is in ``exchange.state["wsgikit.db.queries"]`` (the environ key of the database, with ``.queries``), for other
    layers to show. Texts and seconds are kept only if the layer has a budget to watch, or if a layer outside measures
    what the request uses (``wsgikit.usage``).

    Attributes:
        count: how many statements were run.
        seconds: how long they took, together.
        slow: ``(seconds, statement)`` of those over the limit.
        statements: how often each statement was run.
        slow_query_seconds: the limit, if there is one.
        log: ``(statement, seconds)`` in order, shared with the other databases of the request; None where texts and
            seconds aren't kept.
        usage: what the request used of all databases, if a layer measures it.
        database: the name of the database.
        system: what it is, in SQLAlchemy's words: ``"postgresql"``.
    """

    count = 0
    seconds = 0.0
    slow_query_seconds: float | None = None
    log: list[tuple[str, float]] | None = None
    usage: Usage | None = None
    database = "default"
    system = ""

    if TYPE_CHECKING:
        slow: list[tuple[float, str]]
        statements: Counter[str]

    def __getattr__(self, name: str) -> Any:
        # Every request that uses its database has one of these; few look into it.
        if name == "slow":
            self.slow = []
            return self.slow
        if name == "statements":
            self.statements = Counter()
            return self.statements
        raise AttributeError(name)

    def __repr__(self) -> str:
        return f"<Queries: {self.count} in {self.seconds * 1000:.1f} ms>"

    @property
    def is_timed(self) -> bool:
        """Whether the texts and times of statements are wanted."""
        return self.log is not None or self.usage is not None

    def record(self, statement: str, seconds: float, error: BaseException | None = None) -> None:
        """Keep the text and the time of a statement."""
        self.seconds += seconds
        if self.usage is not None:
            self.usage.note_statement(self.database, statement, seconds, error, self.system)
            if self.log is None:
                return
        self.statements[statement] += 1
        if self.slow_query_seconds is not None and seconds >= self.slow_query_seconds:
            self.slow.append((seconds, statement))
        if self.log is not None:
            self.log.append((statement, seconds))
            del self.log[:-_RECORDED]

    @property
    def repeated(self) -> list[tuple[str, int]]:
        """Statements run five times and more, with how often: one query in a loop (N+1) looks like this."""
        return [(statement, times) for statement, times in self.statements.most_common() if times >= REPEATED]

    def warnings(self, max_queries: int | None, slow_query_seconds: float | None) -> list[str]:
        """Return what to say to a developer."""
        lines = []
        if max_queries is not None and self.count > max_queries:
            most = self.statements.most_common(1)
            often = f"; most often ({most[0][1]} times): {shorten(most[0][0])}" if most else ""
            lines.append(f"{self.count} statements, max_queries={max_queries}{often}")
        for seconds, statement in self.slow:
            lines.append(f"{seconds:.3f} s, slow_query_seconds={slow_query_seconds}: {shorten(statement)}")
        for statement, times in self.repeated:
            lines.append(f"the same statement {times} times (N+1?): {shorten(statement)}")
        return lines


def shorten(statement: str) -> str:
    """Return a statement on one line, as much of it as a log line bears."""
    text = " ".join(statement.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
