"""The time series of `MetricsMiddleware`: kept in this process, or in files that several processes share."""

from __future__ import annotations

__all__ = ["Instruments", "checked_buckets", "exposition", "instruments_of"]

import os
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.onion.middleware import Middleware

Key = tuple[str, str, str]
"""Method, route and status."""

_LABELS = ("method", "route", "status")
_TOTAL = ("http_requests", "Requests by method, route and status.")
_DURATION = ("http_request_duration_seconds", "Seconds until the body had ended.")
_SIZE = ("http_response_size_bytes", "Bytes of bodies that were sent.")
_RUNNING = ("http_requests_in_progress", "Requests whose body has not ended.")


class Shared:
    """The series of requests in the files of prometheus-client, which the processes of a server share."""

    def __init__(self, registry: CollectorRegistry, bounds: Sequence[float]) -> None:
        self._total = Counter(*_TOTAL, _LABELS, registry=registry)
        self._duration = Histogram(*_DURATION, _LABELS, registry=registry, buckets=bounds)
        self._size = Summary(*_SIZE, _LABELS, registry=registry)
        self._running = Gauge(*_RUNNING, registry=registry, multiprocess_mode="livesum")
        self._series: dict[Key, tuple[Any, Any, Any]] = {}

    def begin(self, request: object) -> None:
        """Count a request that has begun."""
        self._running.inc()

    def end(self, request: object, key: Key, seconds: float, size: int) -> None:
        """Count a request that has ended."""
        self._running.dec()
        series = self._series.get(key)
        if series is None:
            series = self._total.labels(*key), self._duration.labels(*key), self._size.labels(*key)
            self._series[key] = series
        total, duration, sizes = series
        total.inc()
        duration.observe(seconds)
        sizes.observe(size)


class _Series:
    __slots__ = ("buckets", "seconds", "size")

    def __init__(self, count: int) -> None:
        self.buckets = [0] * count
        self.seconds = 0.0
        self.size = 0


class Local:
    """The series of requests in this process: one lock and one search a request, where four instruments take four."""

    def __init__(self, registry: CollectorRegistry, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._series: dict[Key, _Series] = {}
        self._running: set[object] = set()
        self._lock = Lock()
        registry.register(self)

    def begin(self, request: object) -> None:
        """Count a request that has begun."""
        self._running.add(request)

    def end(self, request: object, key: Key, seconds: float, size: int) -> None:
        """Count a request that has ended."""
        self._running.discard(request)
        bucket = bisect_left(self._bounds, seconds)
        with self._lock:
            series = self._series.get(key)
            if series is None:
                series = self._series[key] = _Series(len(self._bounds) + 1)
            series.buckets[bucket] += 1
            series.seconds += seconds
            series.size += size

    def describe(self) -> Iterator[Any]:
        """Yield the families without their samples: the registry looks for names that are there twice."""
        yield CounterMetricFamily(*_TOTAL)
        yield HistogramMetricFamily(*_DURATION)
        yield SummaryMetricFamily(*_SIZE)
        yield GaugeMetricFamily(*_RUNNING)

    def collect(self) -> Iterator[Any]:
        """Yield the families with their samples."""
        total = CounterMetricFamily(*_TOTAL, labels=_LABELS)
        duration = HistogramMetricFamily(*_DURATION, labels=_LABELS)
        size = SummaryMetricFamily(*_SIZE, labels=_LABELS)
        with self._lock:
            rows = [(key, s.buckets.copy(), s.seconds, s.size) for key, s in self._series.items()]
        for key, buckets, seconds, sent in rows:
            count = 0
            cumulative = []
            for bound, amount in zip((*map(str, self._bounds), "+Inf"), buckets, strict=True):
                count += amount
                cumulative.append((bound, float(count)))
            total.add_metric(key, count)
            duration.add_metric(key, cumulative, seconds)
            size.add_metric(key, count, sent)
        running = GaugeMetricFamily(*_RUNNING)
        running.add_metric((), len(self._running))
        yield from (total, duration, size, running)


class Instruments:
    """All series of a registry. Layers on one registry share them.

    Args:
        registry: where they are registered.
        bounds: the limits of the histogram, ascending.
    """

    def __init__(self, registry: CollectorRegistry, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.requests: Local | Shared = (Shared if is_multiprocess() else Local)(registry, bounds)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        self.broken = counter("http_requests_broken", "Requests whose response did not end as it should.", "outcome")
        self.answers = counter("http_layer_answers", "Requests that a layer answered.", "layer", "status")
        self.cache = counter("http_cache_results", "Requests by what the cache did.", "result")
        self.sessions = counter("wsgikit_sessions", "Requests that used their session.", "use")
        self.statements = counter("wsgikit_database_statements", "Statements that requests ran.")
        self.statement_seconds = counter("wsgikit_database_seconds", "Seconds that these took.")
        self.retries = counter("wsgikit_database_retries", "Requests that were repeated after a conflict.")
        self.pool = Gauge(
            "wsgikit_pool_connections",
            "Connections of a pool by state.",
            ("pool", "state"),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._sampled = float("-inf")

    def sample_pools(self, layers: Iterable[Any], after_seconds: float) -> None:
        """Read the state of the pools of layers, unless that was done less than so many seconds ago."""
        now = time.monotonic()
        if now - self._sampled < after_seconds:
            return
        self._sampled = now
        for layer in layers:
            if isinstance(layer, Middleware):
                for pool, state, value in layer.pool_gauges():
                    self.pool.labels(pool, state).set(value)


_KNOWN: WeakKeyDictionary[CollectorRegistry, Instruments] = WeakKeyDictionary()


def is_multiprocess() -> bool:
    """Return whether prometheus-client keeps its numbers in files that several processes share."""
    return bool(os.environ.get("PROMETHEUS_MULTIPROC_DIR"))


def instruments_of(where: str, registry: CollectorRegistry, bounds: tuple[float, ...]) -> Instruments:
    """Return the instruments of a registry, made on first use.

    Raises:
        ConfigurationError: the registry has other metrics of these names, or another layer has other buckets on it.
    """
    known = _KNOWN.get(registry)
    if known is None:
        try:
            known = _KNOWN[registry] = Instruments(registry, bounds)
        except ValueError as error:
            expected = f"a registry without metrics of these names ({error})"
            raise ConfigurationError(complaint(where, "registry", expected, registry, "Leave it out")) from error
    elif known.bounds != bounds:
        expected = f"those of the other layer on this registry, {known.bounds}"
        raise ConfigurationError(complaint(where, "buckets", expected, bounds))
    return known


def checked_buckets(where: str, buckets: Sequence[float]) -> tuple[float, ...]:
    """Return the limits of a histogram.

    Raises:
        ConfigurationError: they are no ascending numbers above 0.
    """
    expected = "ascending numbers of seconds above 0"
    if isinstance(buckets, (str, bytes)) or not isinstance(buckets, Iterable):
        raise ConfigurationError(complaint(where, "buckets", expected, buckets))
    numbers = tuple(buckets)
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 < number < float("inf"):
            raise ConfigurationError(complaint(where, "buckets", expected, number))
    if not numbers or list(numbers) != sorted(set(numbers)):
        raise ConfigurationError(complaint(where, "buckets", expected, numbers))
    return tuple(map(float, numbers))


def exposition(registry: CollectorRegistry, accept: str) -> tuple[str, bytes]:
    """Return the media type and the text of all series, in the format that an Accept header asks for."""
    if is_multiprocess():
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # prometheus-client has no types there
    encode, content_type = choose_encoder(accept)
    return content_type, encode(registry)
