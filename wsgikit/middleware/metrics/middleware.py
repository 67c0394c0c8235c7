"""`MetricsMiddleware`: what Prometheus asks for: requests, durations and sizes by route."""

from __future__ import annotations

__all__ = ["MetricsMiddleware", "cache_result", "method_label"]

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.addresses import parse_allow
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.refusal import Refusal
from wsgikit.onion.reply import Reply
from wsgikit.onion.usage import Usage, measure_usage, session_use
from wsgikit.wsgi import WSGIApplication

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from wsgikit.onion.exchange import Exchange

_now = time.perf_counter
UNROUTED = "(unrouted)"
OTHER_METHOD = "(other)"
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"))
# Those of prometheus-client's histograms up to 10 seconds, without 75, 750 and 7500 ms: fewer series.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SAMPLED_SECONDS = 5.0  # how old the numbers of pools may be, in processes that are not scraped themselves


def method_label(method: str) -> str:
    """Return a method, or ``"(other)"`` for an unknown one: visitors must not make new time series."""
    return method if method in _METHODS else OTHER_METHOD


def cache_result(cache_status: str) -> str:
    """Return ``"hit"``, ``"miss"`` or another reason of a ``Cache-Status`` header of ours (RFC 9211 §2)."""
    for member in cache_status.split(","):
        name, *parameters = (part.strip() for part in member.split(";"))
        if name == "wsgikit":
            for parameter in parameters:
                key, _, value = parameter.partition("=")
                if key == "hit":
                    return "hit"
                if key == "fwd":
                    return value if value.replace("-", "").isalpha() and len(value) <= 20 else "other"
    return "other"


class MetricsMiddleware(Middleware):
    """Count and time requests by route, and answer Prometheus.

    Use it for sites that Prometheus or an agent of OpenMetrics watches. Leave it out if a sidecar or the server counts
    already and nobody asks for numbers by route.

    A series is one of method, route template and status, never of a path: a scan of random paths adds none. Requests
    without a route have ``route="(unrouted)"``, unknown methods are ``method="(other)"``.

    Place: outside of whatever answers, inside `AccessLogMiddleware` and `ProxyHeadersMiddleware`. Environ: provides
    nothing, reads ``wsgikit.session`` and ``wsgikit.usage`` at the end of the request.

    =====================================  ====================================================
    ``http_requests_total``                by method, route, status
    ``http_request_duration_seconds``      histogram, the same labels: to the end of the body
    ``http_response_size_bytes``           count and sum, the same labels: what was really sent
    ``http_requests_in_progress``          requests whose body has not ended
    ``http_requests_broken_total``         by outcome: aborted, failed, unstarted
    ``http_layer_answers_total``           by layer and status: refusals, limits, static files
    ``http_cache_results_total``           by result: hit, miss, stale, …
    ``wsgikit_sessions_total``             by use: read, changed
    ``wsgikit_database_statements_total``  statements
    ``wsgikit_database_seconds_total``     seconds spent in statements
    ``wsgikit_database_retries_total``     repeated transactions
    ``wsgikit_pool_connections``           connections by pool and state: idle, in use
    =====================================  ====================================================

    Args:
        app: the WSGI application to wrap.
        path: where Prometheus finds the numbers; None if something else exposes the registry.
        buckets: the limits of the histogram, in seconds, ascending.
        registry: the registry of prometheus-client to use; None makes one of the layer.
        allow: who may read the numbers: ``"local"``, addresses and networks. Others get a 404.

    Raises:
        ConfigurationError: an option that can't work, or prometheus-client isn't installed
            (``pip install 'wsgikit[metrics]'``).

    With several processes, set ``PROMETHEUS_MULTIPROC_DIR`` as prometheus-client documents it: the numbers add up.
    The answer is OpenMetrics if the client accepts it. Requests for `path` are not counted.

    Example::

        stack = build_stack(app, use(MetricsMiddleware, allow=["local", "10.0.0.0/8"]))
    """

    counts_bytes = True

    def __init__(
        self,
        app: WSGIApplication,
        *,
        path: str | None = "/metrics",
        buckets: Sequence[float] = _BUCKETS,
        registry: CollectorRegistry | None = None,
        allow: str | Sequence[str] = "local",
    ) -> None:
        super().__init__(app)
        where = "MetricsMiddleware"
        try:
            from prometheus_client import CollectorRegistry

            from wsgikit.middleware.metrics import instruments
        except ImportError as error:
            remedy = "Run: pip install 'wsgikit[metrics]'"
            raise ConfigurationError(
                complaint(where, "prometheus-client", "it to be installed", None, remedy)
            ) from error
        if path is not None and (not isinstance(path, str) or not path.startswith("/") or len(path) < 2):
            raise ConfigurationError(complaint(where, "path", "a path such as '/metrics', or None", path))
        if registry is not None and not isinstance(registry, CollectorRegistry):
            raise ConfigurationError(complaint(where, "registry", "a CollectorRegistry of prometheus-client", registry))
        self.path = path
        self.allow = parse_allow(where, "allow", allow)
        self.registry = CollectorRegistry() if registry is None else registry
        self._expose_registry = instruments.exposition
        bounds = instruments.checked_buckets(where, buckets)
        self._instruments = instruments.instruments_of(where, self.registry, bounds)
        self._requests = self._instruments.requests
        self._refusal = Refusal(404, "There is nothing here.")

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Count the request as in progress, or answer Prometheus."""
        environ = exchange.environ
        if environ.get("PATH_INFO") == self.path:
            return self._expose(exchange)
        exchange.state[self] = (_now(), environ.get("REQUEST_METHOD", ""), measure_usage(environ))
        self._requests.begin(exchange)
        return None

    def after_request(self, exchange: Exchange) -> None:
        """Count what a cache did."""
        cache_status = exchange.headers.get("Cache-Status")
        if cache_status is not None:
            self._instruments.cache.labels(cache_result(cache_status)).inc()

    def teardown_request(self, exchange: Exchange) -> None:
        """Count and time the request."""
        known = exchange.known_state
        noted: tuple[float, str, Usage] | None = None if known is None else known.get(self)
        if noted is None:
            return
        began, method, usage = noted
        seconds = _now() - began
        route = exchange.route
        status = exchange.status
        # Without a response the exception went to the server, and servers answer 500.
        code = "500" if status is None else status[:3]
        key = (method if method in _METHODS else OTHER_METHOD, UNROUTED if route is None else route.rule, code)
        self._requests.end(exchange, key, seconds, exchange.bytes_sent)
        instruments = self._instruments
        outcome = exchange.outcome
        if outcome != "complete":
            instruments.broken.labels(outcome).inc()
        answered_by = exchange.answered_by
        if answered_by != "application":
            instruments.answers.labels(answered_by, code).inc()
        use = session_use(exchange.environ)
        if use == "read" or use == "changed":
            instruments.sessions.labels(use).inc()
        if usage.statements or usage.attempts:
            self._count_database(exchange, usage)

    def _count_database(self, exchange: Exchange, usage: Usage) -> None:
        instruments = self._instruments
        instruments.statements.inc(usage.statements)
        instruments.statement_seconds.inc(usage.database_seconds)
        instruments.retries.inc(usage.attempts)
        stack = exchange.stack
        if stack is not None:
            instruments.sample_pools(stack.layers, _SAMPLED_SECONDS)

    def _expose(self, exchange: Exchange) -> WSGIApplication:
        environ = exchange.environ
        if not self.allow.permits(environ):
            return self._refusal
        if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            return Refusal(405, "The numbers can only be read.", [("Allow", "GET, HEAD")])
        stack = exchange.stack
        if stack is not None:
            self._instruments.sample_pools(stack.layers, 0.0)
        content_type, body = self._expose_registry(self.registry, environ.get("HTTP_ACCEPT", ""))
        return Reply(200, body, content_type, [("Cache-Control", "no-store"), ("Vary", "Accept")])
