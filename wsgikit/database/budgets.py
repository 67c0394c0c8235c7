"""What a developer or an operator is told of a request: too many statements, slow ones, a connection held for long."""

from __future__ import annotations

__all__ = ["Budgets"]

import time
from typing import TYPE_CHECKING

from wsgikit.database.work import logger
from wsgikit.onion.route import find_route

if TYPE_CHECKING:
    from wsgikit.database.work import Work
    from wsgikit.onion.exchange import Exchange


class Budgets:
    """What the requests of one layer may take before a line in the log says that one took more.

    Args:
        name: of the database.
        max_queries: statements in a request.
        slow_query_seconds: that a statement may take.
        held_seconds: for which a stream may hold its connection.
    """

    def __init__(
        self, name: str, max_queries: int | None, slow_query_seconds: float | None, held_seconds: float | None
    ) -> None:
        self._name = name
        self._max_queries = max_queries
        self.slow_query_seconds = slow_query_seconds
        self._held_seconds = held_seconds

    @property
    def need_texts(self) -> bool:
        """Whether texts and times of statements have to be kept for them."""
        return self._max_queries is not None or self.slow_query_seconds is not None

    def warn_of_statements(self, exchange: Exchange, work: Work) -> None:
        """Log what the statements of a request exceeded."""
        route = find_route(exchange) or "no route"
        for line in work.queries.warnings(self._max_queries, self.slow_query_seconds):
            logger.warning("%s (%s) on %r: %s", work.request, route, self._name, line)

    def warn_of_holding(self, work: Work) -> None:
        """Log that a stream held its connection for long."""
        if self._held_seconds is None or work.connection is None:
            return
        held = time.monotonic() - work.since
        if held > self._held_seconds:
            logger.warning(
                "%s: held a connection of %r for %.1f s while its body was sent. release='response' would give it "
                "back at the head",
                work.request,
                self._name,
                held,
            )
