"""`TracingMiddleware`: a span for each request, with children for what it asked databases and session stores."""

from __future__ import annotations

__all__ = ["TracingMiddleware"]

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.middleware.tracing.attributes import (
    checked_headers,
    header_attributes,
    request_attributes,
    response_attributes,
    span_name,
    statement_attributes,
    statement_name,
)
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.scope import Scope
from wsgikit.onion.usage import CURRENT_USAGE, Call, Usage, measure_usage
from wsgikit.wsgi import Environ, WSGIApplication

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer, TracerProvider

    from wsgikit.onion.exchange import Exchange

_SQLALCHEMY = "opentelemetry.instrumentation.sqlalchemy"


class _Trace:
    """The span of a request, and what was current before it."""

    __slots__ = ("before", "context", "is_current", "method", "span", "usage_before")

    def __init__(self, span: Span, context: Context, before: Context, method: str) -> None:
        self.span = span
        self.context = context
        self.before = before
        self.method = method
        self.usage_before: Usage | None = None
        self.is_current = True


class TracingMiddleware(Middleware):
    """Make a span of OpenTelemetry for each request.

    The span is named by method and route, has the attributes of the stable HTTP conventions, and ends with the body,
    also if that is closed before its first chunk. Errors and clients that left are on it. Statements of
    `DatabaseMiddleware` and calls of session stores are its children, unless OpenTelemetry's own instrumentation of
    SQLAlchemy makes spans of statements. The span is current in views, streams, coroutines, and threads made by
    `copy_current_context`; a ``traceparent`` header continues the trace of the caller.

    Use it if a collector gathers traces. Without a provider it does nothing. Leave it out if OpenTelemetry's own
    instrumentation of your framework is there: each request would have two spans.

    Place: outside of whatever answers, inside `ProxyHeadersMiddleware` and `RequestIdMiddleware`. Environ: provides
    nothing; reads ``wsgikit.request_id``.

    Args:
        app: the WSGI application to wrap.
        tracer_provider: the provider to use; None uses the global one, also if it is set later.
        exclude: requests without a span, as in ``use(…, unless=…)``: ``"/healthz"``.
        capture_headers: names of request and response headers to put on the span. Authorization, Cookie and Set-Cookie
            are refused.

    Raises:
        ConfigurationError: an option that can't work, or opentelemetry-api isn't installed
            (``pip install 'wsgikit[tracing]'``).

    Sessions' store calls need `ContextMiddleware` or code that runs in the call of the application. Secrets in the
    query are masked as in the access log.

    Example::

        stack = build_stack(app, use(TracingMiddleware, exclude="/healthz", capture_headers=["X-Tenant"]))
    """

    counts_bytes = True

    def __init__(
        self,
        app: WSGIApplication,
        *,
        tracer_provider: TracerProvider | None = None,
        exclude: str | Callable[[Environ], bool] | Iterable[str | Callable[[Environ], bool]] = (),
        capture_headers: str | Iterable[str] = (),
    ) -> None:
        super().__init__(app)
        where = "TracingMiddleware"
        try:
            from opentelemetry import context, propagate, trace
        except ImportError as error:
            remedy = "Run: pip install 'wsgikit[tracing]'"
            raise ConfigurationError(
                complaint(where, "opentelemetry-api", "it to be installed", None, remedy)
            ) from error
        if tracer_provider is not None and not isinstance(tracer_provider, trace.TracerProvider):
            raise ConfigurationError(
                complaint(where, "tracer_provider", "a TracerProvider of opentelemetry, or None", tracer_provider)
            )
        patterns: Any = (exclude,) if isinstance(exclude, str) or callable(exclude) else tuple(exclude)
        self.exclude = patterns
        self.capture_headers = checked_headers(where, "capture_headers", capture_headers)
        self._is_traced = Scope(where, None, patterns, unless_name="exclude").matches if patterns else None
        self._trace = trace
        self._context = context
        self._extract = propagate.extract
        self._getter = _environ_getter()
        trace.get_tracer_provider()  # loads the one that OTEL_PYTHON_TRACER_PROVIDER names
        self._tracer: list[Tracer] = []
        if tracer_provider is not None:
            self._tracer.append(tracer_provider.get_tracer("wsgikit"))

    def before_request(self, exchange: Exchange) -> None:
        """Begin the span, and make it current."""
        if not self._tracer:
            # As `get_tracer_provider`, which looks into os.environ each time.
            provider = self._trace._TRACER_PROVIDER
            if provider is None:
                return
            self._tracer.append(provider.get_tracer("wsgikit"))
        environ = exchange.environ
        if self._is_traced is not None and not self._is_traced(environ):
            return
        trace, context = self._trace, self._context
        before = context.get_current()
        parent = before if trace.get_current_span(before).get_span_context().is_valid else None
        if parent is None:
            parent = self._extract(environ, getter=self._getter)
        method = environ.get("REQUEST_METHOD", "")
        span = self._tracer[0].start_span(
            span_name(method, None),
            context=parent,
            kind=trace.SpanKind.SERVER,
            attributes=request_attributes(environ) | self._request_headers(environ),
        )
        noted = exchange.state[self] = _Trace(span, trace.set_span_in_context(span, parent), before, method)
        context.attach(noted.context)
        if span.is_recording():
            usage = measure_usage(environ)
            usage.observers.append(self._observer(noted))
            noted.usage_before = CURRENT_USAGE.get()
            CURRENT_USAGE.set(usage)

    def after_request(self, exchange: Exchange) -> None:
        """Make what was current before current again; a stream gets the span for each of its steps."""
        noted: _Trace | None = exchange.state.get(self)
        if noted is None:
            return
        if self.capture_headers and noted.span.is_recording():
            values: dict[str, list[str]] = {}
            for name, value in exchange.headers:
                values.setdefault(name.lower(), []).append(value)
            noted.span.set_attributes(header_attributes("response", self.capture_headers, values))
        self._restore(noted)
        body = exchange.body if exchange.is_streaming else None
        if body is not None:
            exchange.body = self._steps(body, noted.context)

    def teardown_request(self, exchange: Exchange) -> None:
        """End the span."""
        known = exchange.known_state
        noted: _Trace | None = None if known is None else known.get(self)
        if noted is None:
            return
        self._restore(noted)
        span = noted.span
        if span.is_recording():
            self._complete(span, noted.method, exchange)
        span.end()

    def _restore(self, noted: _Trace) -> None:
        if noted.is_current:
            noted.is_current = False
            self._context.attach(noted.before)
            CURRENT_USAGE.set(noted.usage_before)

    def _complete(self, span: Span, method: str, exchange: Exchange) -> None:
        route = exchange.route
        rule = None if route is None else route.rule
        # Without a response the exception went to the server, and servers answer 500.
        status = exchange.status_code or 500
        outcome = exchange.outcome
        span.update_name(span_name(method, rule))
        span.set_attributes(response_attributes(exchange.environ, status, exchange.bytes_sent, rule, outcome))
        if status < 500 and outcome != "failed":
            return
        error = exchange.error
        if error is None:
            span.set_attribute("error.type", str(status))
        else:
            self._note_error(span, error)
        span.set_status(self._trace.Status(self._trace.StatusCode.ERROR))

    def _note_error(self, span: Span, error: BaseException) -> None:
        span.set_attribute(
            "error.type", f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
        )
        span.record_exception(error)

    def _steps(self, body: Iterable[bytes], context: Context) -> Iterator[bytes]:
        """Pass a stream on, with a context that is current in each of its steps."""
        attach, get_current = self._context.attach, self._context.get_current
        chunks = iter(body)
        while True:
            before = get_current()
            attach(context)
            try:
                chunk = next(chunks, None)
            finally:
                attach(before)
            if chunk is None:
                return
            yield chunk

    def _request_headers(self, environ: Environ) -> dict[str, Any]:
        if not self.capture_headers:
            return {}
        keys = {name: _key_of(name) for name in self.capture_headers}
        values = {name: [environ[key]] for name, key in keys.items() if key in environ}
        return header_attributes("request", self.capture_headers, values)

    def _observer(self, noted: _Trace) -> Callable[[Call], None]:
        """Return a function that makes a child of each call to a database or a session store."""
        trace, tracer = self._trace, self._tracer[0]

        def observe(call: Call) -> None:
            if call.kind == "database":
                if _is_sqlalchemy_instrumented():
                    return
                name = statement_name(call.text)
                attributes = statement_attributes(call.system, call.name, call.text)
            else:
                name = f"session {call.text}"
                attributes = {"wsgikit.session.store": call.name, "wsgikit.session.operation": call.text}
            is_inside = trace.get_current_span().get_span_context().is_valid
            end = time.time_ns()
            child = tracer.start_span(
                name,
                context=None if is_inside else noted.context,
                kind=trace.SpanKind.CLIENT,
                attributes=attributes,
                start_time=end - int(call.seconds * 1e9),
            )
            if call.error is not None:
                self._note_error(child, call.error)
                child.set_status(trace.Status(trace.StatusCode.ERROR))
            child.end(end)

        return observe


def _key_of(name: str) -> str:
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def _environ_getter() -> Any:
    from opentelemetry.propagators.textmap import Getter  # an extra

    class EnvironGetter(Getter[Environ]):
        def get(self, carrier: Environ, key: str) -> list[str] | None:
            value = carrier.get(_key_of(key))
            return None if value is None else [value]

        def keys(self, carrier: Environ) -> list[str]:
            return [key[5:].lower().replace("_", "-") for key in carrier if key.startswith("HTTP_")]

    return EnvironGetter()


def _is_sqlalchemy_instrumented() -> bool:
    module = sys.modules.get(_SQLALCHEMY)
    if module is None:
        return False
    return bool(module.SQLAlchemyInstrumentor().is_instrumented_by_opentelemetry)
