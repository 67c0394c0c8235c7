"""`TracingMiddleware`, with the in-memory exporter of OpenTelemetry's SDK."""

from __future__ import annotations

import asyncio
import sys
import threading
import types

import pytest
import sqlalchemy as sa
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from wsgikit import (
    AccessListMiddleware,
    ContextMiddleware,
    DatabaseMiddleware,
    ErrorPagesMiddleware,
    RequestIdMiddleware,
    Router,
    RouterMiddleware,
    SessionMiddleware,
    TracingMiddleware,
    build_stack,
    copy_current_context,
    use,
)
from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.tracing.attributes import span_name, statement_name
from wsgikit.testing import assert_conforms

from .conftest import App, make_environ

KEY = "0123456789abcdef0123456789abcdef0123456789abcdef"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
CONTEXT = [use(ContextMiddleware)]


class Traced:
    """A provider, and the spans that were exported."""

    def __init__(self, **options):
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False, **options)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def layer(self, **options):
        return use(TracingMiddleware, tracer_provider=self.provider, **options)

    @property
    def spans(self):
        return self.exporter.get_finished_spans()

    def server(self):
        (span,) = (span for span in self.spans if span.kind is SpanKind.SERVER)
        return span

    def children(self):
        server = self.server()
        return [span for span in self.spans if span.parent and span.parent.span_id == server.context.span_id]


@pytest.fixture
def traced():
    traced = Traced()
    yield traced
    assert not trace.get_current_span().get_span_context().is_valid, "a span was left behind"
    traced.provider.shutdown()


def run(stack, steps=None, **request):
    body = stack(make_environ(**request), lambda status, headers, exc_info=None: lambda data: None)
    try:
        for at, _ in enumerate(body):
            if steps is not None and at >= steps:
                break
    finally:
        getattr(body, "close", bool)()


def current_id():
    return trace.get_current_span().get_span_context().span_id


# ---------------------------------------------------------------------------------- the span of a request


def test_the_span_has_the_attributes_of_the_stable_conventions(traced):
    router = Router("tracing")
    router.add_url_rule("/users/<int:number>", "user", lambda number: "Hello")
    stack = build_stack(App(), use(RequestIdMiddleware), traced.layer(), use(RouterMiddleware, router=router))
    run(
        stack,
        path="/users/7?a=1&token=x",
        HTTP_HOST="shop.example:8080",
        HTTP_USER_AGENT="curl/8",
        HTTP_X_REQUEST_ID="a" * 20,
    )
    span = traced.server()
    assert span.name == "GET /users/<int:number>"
    assert span.kind is SpanKind.SERVER
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.response.body.size": 5,
        "http.route": "/users/<int:number>",
        "url.scheme": "http",
        "url.path": "/users/7",
        "url.query": "a=1&token=***",
        "server.address": "shop.example",
        "server.port": 8080,
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "network.protocol.version": "1.1",
        "user_agent.original": "curl/8",
        "wsgikit.request_id": "a" * 20,
    }


@pytest.mark.parametrize(
    ("method", "route", "name"),
    [
        ("GET", None, "GET"),
        ("POST", "/a/<b>", "POST /a/<b>"),
        ("BREW", None, "HTTP"),
        ("BREW", "/a", "HTTP /a"),
        ("get", None, "HTTP"),
    ],
)
def test_a_span_is_named_by_method_and_route(method, route, name):
    assert span_name(method, route) == name


def test_an_unknown_method_is_an_attribute(traced):
    run(build_stack(App(), traced.layer()), method="BREW")
    attributes = traced.server().attributes
    assert (attributes["http.request.method"], attributes["http.request.method_original"]) == ("_OTHER", "BREW")


def test_the_trace_of_the_caller_goes_on(traced):
    run(build_stack(App(), traced.layer()), HTTP_TRACEPARENT=TRACEPARENT)
    span = traced.server()
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert span.parent.is_remote


@pytest.mark.parametrize("text", ["", "nonsense", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "\x00\xff"])
def test_an_invalid_traceparent_begins_a_trace(traced, text):
    run(build_stack(App(), traced.layer()), HTTP_TRACEPARENT=text)
    assert traced.server().parent is None


def test_headers_are_captured_by_name(traced):
    app = App(headers=[("X-Cost", "1"), ("X-Cost", "2")])
    stack = build_stack(app, traced.layer(capture_headers=["X-Tenant", "X-Cost", "Content-Type"]))
    run(stack, HTTP_X_TENANT="a", HTTP_X_OTHER="b")
    captured = {key: value for key, value in traced.server().attributes.items() if ".header." in key}
    assert captured == {
        "http.request.header.x-tenant": ("a",),
        "http.response.header.x-cost": ("1", "2"),
        "http.response.header.content-type": ("text/plain",),
    }


# ---------------------------------------------------------------------------------- outcomes


def fail(environ, start_response):
    raise LookupError("no")


def breaking(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"abc"
    raise LookupError("broken")


def stream(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return iter([b"ab", b"cd", b"ef"])


@pytest.mark.parametrize("layers", [[], CONTEXT], ids=["alone", "context"])
@pytest.mark.parametrize(
    ("app", "pages", "status", "error"),
    [
        (fail, [], 500, "LookupError"),
        (fail, [use(ErrorPagesMiddleware)], 500, "LookupError"),
        (breaking, [], 200, "LookupError"),
        (App("503 Service Unavailable"), [], 503, "503"),
        (App("404 Not Found"), [], 404, None),
    ],
    ids=["exception", "exception with a page", "broken stream", "503", "404"],
)
def test_errors_are_on_the_span(traced, layers, app, pages, status, error):
    stack = build_stack(app, traced.layer(), *layers, *pages)
    if app in (fail, breaking) and not pages:
        with pytest.raises(LookupError):
            run(stack)
    else:
        run(stack)
    span = traced.server()
    assert span.attributes["http.response.status_code"] == status
    assert span.attributes.get("error.type") == error
    assert span.status.status_code is (StatusCode.ERROR if error else StatusCode.UNSET)
    events = [event.attributes["exception.type"] for event in span.events]
    assert events == (["LookupError"] if error == "LookupError" else [])


def test_a_client_that_left_is_on_the_span(traced):
    run(build_stack(stream, traced.layer()), steps=0)
    span = traced.server()
    assert span.attributes["wsgikit.outcome"] == "aborted"
    assert span.attributes["http.response.body.size"] == 2
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("layers", [[], CONTEXT], ids=["alone", "context"])
def test_a_body_closed_before_its_first_chunk_ends_the_span(traced, layers):
    body = build_stack(stream, traced.layer(), *layers)(make_environ(), lambda status, headers, exc_info=None: None)
    assert traced.spans == ()
    body.close()
    assert traced.server().attributes["wsgikit.outcome"] == "unstarted"


def test_a_refusal_of_a_layer_has_a_span(traced):
    run(build_stack(App(), traced.layer(), use(AccessListMiddleware, deny="127.0.0.1")))
    assert traced.server().attributes["http.response.status_code"] == 403


def test_a_base_exception_ends_the_span_and_leaves_nothing_current(traced):
    def leave(environ, start_response):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(build_stack(leave, traced.layer()))
    assert traced.server().attributes["wsgikit.outcome"] == "failed"


def test_written_bytes_are_counted(traced):
    def write(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])(b"abc")
        return [b"de"]

    run(build_stack(write, traced.layer()))
    assert traced.server().attributes["http.response.body.size"] == 5


# ---------------------------------------------------------------------------------- where the span is current


@pytest.mark.parametrize("layers", [[], CONTEXT], ids=["alone", "context"])
def test_the_span_is_current_in_the_call_and_in_each_step(traced, layers):
    seen = []

    def app(environ, start_response):
        seen.append(current_id())
        start_response("200 OK", [("Content-Type", "text/plain")])

        def chunks():
            for chunk in (b"a", b"b"):
                seen.append(current_id())
                yield chunk
            seen.append(current_id())

        return chunks()

    stack = build_stack(app, traced.layer(), *layers)
    bodies = [stack(make_environ(), lambda status, headers, exc_info=None: None) for _ in range(2)]
    for body in (bodies[0], bodies[1], bodies[0], bodies[1]):
        next(body)
        assert current_id() == 0
    for body in bodies:
        list(body)
        body.close()
    first, second = (span.context.span_id for span in traced.spans)
    assert seen == [first, second, first, second, first, second, first, second]


def test_the_span_is_current_in_a_thread_with_the_context(traced):
    seen = []

    def app(environ, start_response):
        thread = threading.Thread(target=copy_current_context(lambda: seen.append(current_id())))
        thread.start()
        thread.join()
        start_response("200 OK", [])
        return []

    run(build_stack(app, traced.layer(), *CONTEXT))
    assert seen == [traced.server().context.span_id]


def test_the_span_is_current_in_a_coroutine_view(traced):
    seen = []
    router = Router("coroutines")

    @router.get("/")
    async def view():
        await asyncio.sleep(0)
        seen.append(current_id())
        return "Hello"

    run(build_stack(router, traced.layer(), *CONTEXT))
    assert seen == [traced.server().context.span_id]


def test_spans_of_the_view_are_children(traced):
    tracer = traced.provider.get_tracer("shop")

    def app(environ, start_response):
        with tracer.start_as_current_span("price"):
            pass
        start_response("200 OK", [])
        return []

    run(build_stack(app, traced.layer()))
    assert [span.name for span in traced.children()] == ["price"]


def test_a_span_around_the_stack_is_the_parent(traced):
    tracer = traced.provider.get_tracer("around")
    stack = build_stack(App(), traced.layer())
    with tracer.start_as_current_span("around") as around:
        run(stack, HTTP_TRACEPARENT=TRACEPARENT)
        assert trace.get_current_span() is around
    assert traced.server().parent.span_id == around.get_span_context().span_id


# ---------------------------------------------------------------------------------- children


def test_statements_are_children(traced):
    def app(environ, start_response):
        environ["wsgikit.db"].execute(sa.text("SELECT 1 WHERE 1 = :one"), {"one": 1})
        with pytest.raises(sa.exc.OperationalError):
            environ["wsgikit.db"].execute(sa.text("select nothing from nowhere"))
        return App()(environ, start_response)

    run(build_stack(app, traced.layer(), *CONTEXT, use(DatabaseMiddleware, url="sqlite://")))
    good, bad = traced.children()
    assert (good.name, good.kind, good.status.status_code) == ("SELECT", SpanKind.CLIENT, StatusCode.UNSET)
    assert dict(good.attributes) == {
        "db.system.name": "sqlite",
        "db.operation.name": "SELECT",
        "db.query.text": "SELECT 1 WHERE 1 = ?",
        "wsgikit.database": "default",
    }
    assert bad.status.status_code is StatusCode.ERROR
    assert bad.attributes["error.type"] == "sqlalchemy.exc.OperationalError"
    server = traced.server()
    assert server.start_time <= good.start_time <= good.end_time <= server.end_time


def test_statements_of_a_stream_are_children(traced):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])

        def chunks():
            yield b"a"
            yield str(environ["wsgikit.db"].execute(sa.text("SELECT 7")).scalar()).encode()

        return chunks()

    run(build_stack(app, traced.layer(), *CONTEXT, use(DatabaseMiddleware, url="sqlite://")))
    assert [span.name for span in traced.children()] == ["SELECT"]


def test_statements_have_one_span_if_sqlalchemy_is_instrumented(traced, monkeypatch):
    module = types.ModuleType("opentelemetry.instrumentation.sqlalchemy")
    module.SQLAlchemyInstrumentor = lambda: types.SimpleNamespace(is_instrumented_by_opentelemetry=True)
    monkeypatch.setitem(sys.modules, module.__name__, module)

    def app(environ, start_response):
        environ["wsgikit.db"].execute(sa.text("SELECT 1"))
        return App()(environ, start_response)

    run(build_stack(app, traced.layer(), use(DatabaseMiddleware, url="sqlite://")))
    assert traced.children() == []


@pytest.mark.parametrize("layers", [[], CONTEXT], ids=["alone", "context"])
def test_calls_of_the_session_store_are_children(traced, layers):
    def app(environ, start_response):
        environ["wsgikit.session"]["a"] = 1
        return App()(environ, start_response)

    run(build_stack(app, traced.layer(), *layers, use(SessionMiddleware, secret_key=KEY, store="memory://")))
    (child,) = traced.children()
    assert child.name == "session save"
    assert dict(child.attributes) == {
        "wsgikit.session.store": "MemoryStore",
        "wsgikit.session.operation": "save",
    }


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("SELECT 1", "SELECT"),
        ("  insert into a values (1)", "INSERT"),
        ("(SELECT 1)", "SELECT"),
        ("-- comment", "SQL"),
        ("", "SQL"),
    ],
)
def test_a_statement_is_named_by_its_first_word(text, name):
    assert statement_name(text) == name


# ---------------------------------------------------------------------------------- providers, options


def test_without_a_provider_nothing_happens():
    assert trace._TRACER_PROVIDER is None, "another test has set the global provider"
    app = App()
    run(build_stack(app, use(TracingMiddleware)))
    assert "wsgikit.usage" not in app.seen


def test_a_global_provider_that_is_set_later_is_used(traced, monkeypatch):
    stack = build_stack(App(), use(TracingMiddleware))
    run(stack)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", traced.provider)
    assert trace.get_tracer_provider() is traced.provider, "opentelemetry keeps its provider under another name"
    run(stack)
    assert traced.server().name == "GET"


def test_a_request_that_is_not_sampled_has_no_children_and_passes_its_context_on():
    traced = Traced(sampler=ALWAYS_OFF)
    seen = []

    def app(environ, start_response):
        seen.append((trace.get_current_span().get_span_context().trace_id, "wsgikit.usage" in environ))
        return App()(environ, start_response)

    run(build_stack(app, traced.layer()), HTTP_TRACEPARENT=TRACEPARENT)
    assert seen == [(int(TRACE, 16), False)]
    assert traced.spans == ()


def test_excluded_requests_have_no_span(traced):
    stack = build_stack(App(), traced.layer(exclude=["/livez", "/static/*"]))
    run(stack, path="/livez")
    run(stack, path="/static/a.css")
    assert traced.spans == ()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"tracer_provider": "console"}, "tracer_provider: expected a TracerProvider of opentelemetry, or None"),
        ({"exclude": "livez"}, "exclude: expected a path"),
        ({"capture_headers": ["a b"]}, "capture_headers: expected names of headers, got 'a b'"),
        ({"capture_headers": [3]}, "capture_headers: expected names of headers, got 3"),
        ({"capture_headers": "Authorization"}, "capture_headers: expected headers without secrets"),
        ({"capture_headers": ["X-A", "cookie"]}, "capture_headers: expected headers without secrets, got 'cookie'"),
        ({"capture_headers": ["SET-COOKIE"]}, "capture_headers: expected headers without secrets"),
        ({"capture_headers": ["Proxy-Authorization"]}, "capture_headers: expected headers without secrets"),
    ],
)
def test_options_that_can_not_work_are_refused(options, text):
    with pytest.raises(ConfigurationError) as caught:
        TracingMiddleware(App(), **options)
    assert f"TracingMiddleware: {text}" in str(caught.value)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'wsgikit\[tracing\]'"):
        TracingMiddleware(App())


def test_it_conforms(traced):
    assert_conforms(lambda app: TracingMiddleware(app, tracer_provider=traced.provider))
