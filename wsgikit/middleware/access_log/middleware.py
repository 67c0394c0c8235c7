"""`AccessLogMiddleware`: one line for each request, when its response has ended."""

from __future__ import annotations

__all__ = ["AccessLogMiddleware"]

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.masked_query import mask_query, mask_url_query, secret_names
from wsgikit.middleware.access_log.lines import Entry, combined_line, json_line, template_writer
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.scope import Scope
from wsgikit.onion.usage import measure_usage, session_use
from wsgikit.wsgi import REQUEST_ID, USAGE, Environ, WSGIApplication

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_now = time.perf_counter


class AccessLogMiddleware(Middleware):
    """Log one line for each request, when its body has ended or the client has left.

    A line has what was really sent (bytes of files and of ``write()`` too), the time to the first byte and to the end,
    the outcome, the route, the layer that answered, the request id, the user, database time and statements, and what
    was done with the session. Control characters are escaped, and secrets in queries are masked.

    Use it for every site: server logs know neither routes nor outcomes. Leave it out if the server or a proxy writes a
    log that is enough. ``wsgikit serve`` adds it by itself.

    Place: outermost, inside `RequestIdMiddleware`. Environ: reads ``wsgikit.request_id``, ``wsgikit.session``,
    ``REMOTE_USER`` and ``REMOTE_ADDR`` at the end of the request; provides nothing.

    Args:
        app: the WSGI application to wrap.
        format: ``"combined"`` is Apache's; ``"json"`` is one object a line; or a template of `str.format` with the
            names of the JSON object, such as ``"{method} {path} {status} {duration_ms:.0f} ms"``.
        logger: the name of the logger. Lines have the level INFO.
        exclude: requests that are not logged, as in ``use(…, unless=…)``: ``"/static/*"``.
        slow_seconds: a request that took longer is logged with the level WARNING; None for none.
        redact_query: names of query parameters whose values are masked, besides password, passwd, secret, token,
            access_token, api_key, code, state and signature.

    Raises:
        ConfigurationError: an unknown field, a format that can't be read, another option that can't work.

    The layer never configures logging. If its logger has no handler, or a level that drops the lines, it warns once.
    In ``"combined"`` and templates, characters that aren't printable ASCII are written as ``\\xNN``.

    Example::

        logging.basicConfig(level=logging.INFO, format="%(message)s")
        stack = build_stack(app, use(AccessLogMiddleware, format="json", exclude="/static/*"))
    """

    counts_bytes = True

    def __init__(
        self,
        app: WSGIApplication,
        *,
        format: str = "combined",
        logger: str = "wsgikit.access",
        exclude: str | Callable[[Environ], bool] | Iterable[str | Callable[[Environ], bool]] = (),
        slow_seconds: float | None = None,
        redact_query: str | Iterable[str] = (),
    ) -> None:
        super().__init__(app)
        where = "AccessLogMiddleware"
        if not isinstance(format, str):
            raise ConfigurationError(complaint(where, "format", "'combined', 'json' or a template", format))
        if not isinstance(logger, str) or not logger:
            raise ConfigurationError(complaint(where, "logger", "the name of a logger", logger))
        is_number = isinstance(slow_seconds, (int, float)) and not isinstance(slow_seconds, bool)
        if slow_seconds is not None and not (is_number and slow_seconds > 0):
            raise ConfigurationError(complaint(where, "slow_seconds", "seconds above 0, or None", slow_seconds))
        self.format = format
        self.slow_seconds = slow_seconds
        self._names = secret_names(where, "redact_query", redact_query)
        patterns: Any = (exclude,) if isinstance(exclude, str) or callable(exclude) else tuple(exclude)
        self.exclude = patterns
        self._is_logged = Scope(where, None, patterns, unless_name="exclude").matches if patterns else None
        self._is_combined = format == "combined"
        written = {"combined": combined_line, "json": json_line}
        self._write = written.get(format) or template_writer(where, format)
        self._logger = logging.getLogger(logger)
        self._second: list[tuple[int, str]] = [(-1, "")]  # the last second that was formatted, and its text
        self._has_warned: set[str] = set()

    def before_request(self, exchange: Exchange) -> None:
        """Note when the request came, and as what."""
        environ = exchange.environ
        if self._is_logged is not None and not self._is_logged(environ):
            return
        entry = Entry()
        entry.time = time.time()
        entry.duration = _now()  # when it began, until it has ended
        entry.first_byte = None
        entry.method = environ.get("REQUEST_METHOD", "-")
        entry.path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        query = environ.get("QUERY_STRING")
        entry.query = mask_query(query, self._names) if query else ""
        exchange.state[self] = entry
        if not self._is_combined:
            measure_usage(environ)

    def after_request(self, exchange: Exchange) -> None:
        """Note when the first byte leaves."""
        entry: Entry | None = exchange.state.get(self)
        if entry is None:
            return
        entry.first_byte = _now()
        body = exchange.body if exchange.is_streaming else None
        if body is not None:
            exchange.body = _note_first_chunk(body, entry)

    def teardown_request(self, exchange: Exchange) -> None:
        """Write the line."""
        known = exchange.known_state
        entry: Entry | None = None if known is None else known.get(self)
        if entry is None:
            return
        began = entry.duration
        entry.duration = _now() - began
        is_slow = self.slow_seconds is not None and entry.duration > self.slow_seconds
        level = logging.WARNING if is_slow else logging.INFO
        logger = self._logger
        if not logger.isEnabledFor(level) or not logger.hasHandlers():
            self._warn()
            return
        if entry.first_byte is not None:
            entry.first_byte -= began
        self._complete(entry, exchange)
        line = self._write(entry, self._time_text(entry.time))
        record = logger.makeRecord(logger.name, level, "(access log)", 0, line, (), None)
        record.request_id = entry.request_id or "-"
        logger.handle(record)

    def _complete(self, entry: Entry, exchange: Exchange) -> None:
        """Add to an entry what is known at the end."""
        environ = exchange.environ
        get = environ.get
        # Without a response the exception went to the server, and servers answer 500.
        entry.status = exchange.status_code or 500
        entry.bytes = exchange.bytes_sent
        entry.outcome = exchange.outcome
        entry.protocol = get("SERVER_PROTOCOL", "HTTP/1.1")
        entry.request_id = get(REQUEST_ID)
        entry.user = get("REMOTE_USER")
        entry.remote = get("REMOTE_ADDR")
        entry.user_agent = get("HTTP_USER_AGENT")
        referer = get("HTTP_REFERER")
        entry.referer = mask_url_query(referer, self._names) if referer else None
        if self._is_combined:
            return
        route = exchange.route
        entry.route = None if route is None else route.rule
        entry.answered_by = exchange.answered_by
        usage = get(USAGE)
        entry.seconds, entry.statements = (0.0, 0) if usage is None else (usage.database_seconds, usage.statements)
        entry.session = session_use(environ)

    def _time_text(self, seconds: float) -> str:
        whole = int(seconds)
        second, text = self._second[0]
        if second != whole:
            utc = time.gmtime(whole)
            if self._is_combined:
                month = _MONTHS[utc.tm_mon - 1]  # strftime would take that of the locale
                text = time.strftime(f"%d/{month}/%Y:%H:%M:%S +0000", utc)
            else:
                text = time.strftime("%Y-%m-%dT%H:%M:%S.", utc)
            self._second[0] = (whole, text)
        return text if self._is_combined else f"{text}{int((seconds - whole) * 1000):03d}Z"

    def _warn(self) -> None:
        """Warn once that the lines get lost, if nobody has decided that they should."""
        logger = self._logger
        if self._has_warned or logger.level != logging.NOTSET or logger.disabled:
            return
        self._has_warned.add("warned")
        logging.getLogger("wsgikit").warning(
            "The access log gets lost: the logger %r has %s. Call logging.basicConfig(level=logging.INFO), or give the "
            "logger a handler and the level INFO",
            logger.name,
            f"the level {logging.getLevelName(logger.getEffectiveLevel())}" if logger.hasHandlers() else "no handler",
        )


def _note_first_chunk(body: Iterable[bytes], entry: Entry) -> Iterator[bytes]:
    """Pass a stream on, and note when its first byte came."""
    chunks = iter(body)
    for chunk in chunks:
        entry.first_byte = _now()
        yield chunk
        if chunk:
            break
    yield from chunks
