"""What a request used, who answered it, and how a layer watches the hooks of others."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from wsgikit import (
    ContextMiddleware,
    DatabaseMiddleware,
    ErrorPagesMiddleware,
    Middleware,
    Router,
    RouterMiddleware,
    SessionMiddleware,
    build_stack,
    use,
)
from wsgikit.onion.usage import CURRENT_USAGE, Usage, measure_usage, session_use
from wsgikit.onion.visit import make_environ
from wsgikit.sessions.stores.memory import MemoryStore

KEY = "0123456789abcdef0123456789abcdef0123456789abcdef"


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello"]


class Reporter(Middleware):
    """Notes at the end of each request what is known of it."""

    def __init__(self, app, *, found):
        super().__init__(app)
        self.found = found

    def before_request(self, exchange):
        usage = measure_usage(exchange.environ)
        CURRENT_USAGE.set(usage)

    def teardown_request(self, exchange):
        CURRENT_USAGE.set(None)
        usage = exchange.environ["wsgikit.usage"]
        self.found.append((exchange.answered_by, usage, session_use(exchange.environ)))


class Replies(Middleware):
    """Replies in one hook."""

    def __init__(self, app, *, hook):
        super().__init__(app)
        self.hook = hook

    def before_request(self, exchange):
        return exchange.reply(403, "before") if self.hook == "before_request" else None

    def before_view(self, exchange):
        return exchange.reply(403, "view") if self.hook == "before_view" else None

    def after_request(self, exchange):
        return exchange.reply(503, "after") if self.hook == "after_request" else None

    def handle_exception(self, exchange, error):
        return exchange.reply(500, "handled") if self.hook == "handle_exception" else None


def run(app, *layers, path="/", **keys):
    found = []
    stack = build_stack(app, use(Reporter, found=found), *layers)
    environ = {**make_environ(path), **keys}
    body = stack(environ, lambda status, headers, exc_info=None: lambda data: None)
    try:
        for _ in body:
            pass
    finally:
        getattr(body, "close", bool)()
    assert len(found) == 1
    return found[0]


def write(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])(b"written")
    return []


def fail(environ, start_response):
    raise LookupError("no")


@pytest.mark.parametrize("inner", [app, write], ids=["list", "write"])
@pytest.mark.parametrize("hook", ["before_request", "before_view", "after_request"])
@pytest.mark.parametrize("context", [False, True], ids=["no context", "context"])
def test_the_layer_that_replies_is_named(inner, hook, context):
    layers = [use(ContextMiddleware)] if context else []
    assert run(inner, *layers, use(Replies, hook=hook))[0] == "Replies"


@pytest.mark.parametrize("inner", [app, write], ids=["list", "write"])
def test_the_application_is_named_if_no_layer_replied(inner):
    assert run(inner, use(Replies, hook="none"), use(ErrorPagesMiddleware))[0] == "application"


def test_the_layer_that_handles_an_error_is_named():
    assert run(fail, use(Replies, hook="handle_exception"))[0] == "Replies"


def test_a_layer_of_a_mounted_stack_is_named():
    inner = build_stack(app, use(Replies, hook="before_request"))
    assert run(inner, use(ContextMiddleware))[0] == "Replies"


def test_a_scoped_layer_is_named():
    assert run(app, use(Replies, hook="before_request", only="/*"))[0] == "Replies"


def test_an_error_page_keeps_the_name_of_the_layer_that_refused():
    from wsgikit import AccessListMiddleware

    assert run(app, use(ErrorPagesMiddleware), use(AccessListMiddleware, deny="127.0.0.1"))[0] == "AccessListMiddleware"


def test_the_router_layer_answers_for_its_views_and_not_for_the_rest():
    router = Router("usage")
    router.add_url_rule("/", "home", lambda: "Home")
    layer = use(RouterMiddleware, router=router)
    assert run(app, layer)[0] == "RouterMiddleware"
    assert run(app, layer, path="/else")[0] == "application"


def test_a_repeated_request_names_who_answered_the_last_attempt():
    url = "sqlite://"
    assert run(app, use(DatabaseMiddleware, url=url, retries=2))[0] == "application"


def test_statements_of_all_databases_are_counted_and_timed():
    def query(environ, start_response):
        for key in ("wsgikit.db", "wsgikit.db.other"):
            environ[key].execute(sa.text("SELECT 1"))
        return app(environ, start_response)

    calls = []

    class Observer(Reporter):
        def before_request(self, exchange):
            super().before_request(exchange)
            exchange.environ["wsgikit.usage"].observers.append(calls.append)

    layers = [use(DatabaseMiddleware, url="sqlite://"), use(DatabaseMiddleware, url="sqlite://", name="other")]
    _, usage, _ = run(query, use(Observer, found=[]), *layers)
    assert usage.statements == 2
    assert usage.database_seconds == sum(call.seconds for call in calls) > 0
    assert [(call.kind, call.name, call.text, call.error) for call in calls] == [
        ("database", "default", "SELECT 1", None),
        ("database", "other", "SELECT 1", None),
    ]


def test_a_failed_statement_is_reported_with_its_error():
    calls = []

    def query(environ, start_response):
        environ["wsgikit.usage"].observers.append(calls.append)
        with pytest.raises(sa.exc.OperationalError):
            environ["wsgikit.db"].execute(sa.text("SELECT nothing FROM nowhere"))
        return app(environ, start_response)

    run(query, use(DatabaseMiddleware, url="sqlite://"))
    assert [(call.text, type(call.error)) for call in calls] == [
        ("SELECT nothing FROM nowhere", sa.exc.OperationalError)
    ]


def test_nothing_is_timed_unless_a_layer_measures():
    seen = {}

    def query(environ, start_response):
        environ["wsgikit.db"].execute(sa.text("SELECT 1"))
        seen["queries"] = environ["wsgikit.exchange"].state["wsgikit.db.queries"]
        return app(environ, start_response)

    stack = build_stack(query, use(DatabaseMiddleware, url="sqlite://"))
    stack(make_environ(), lambda status, headers, exc_info=None: lambda data: None)
    assert (seen["queries"].count, seen["queries"].seconds) == (1, 0.0)


def touch(environ):
    pass


def read(environ):
    environ["wsgikit.session"].get("name")


def change(environ):
    environ["wsgikit.session"]["name"] = "Ann"


@pytest.mark.parametrize("store", ["cookie", "memory://"])
@pytest.mark.parametrize(
    ("use_it", "expected"), [(touch, "untouched"), (read, "read"), (change, "changed")], ids=["no", "reads", "changes"]
)
def test_the_use_of_the_session_is_known_at_the_end(store, use_it, expected):
    def view(environ, start_response):
        use_it(environ)
        return app(environ, start_response)

    assert run(view, use(SessionMiddleware, secret_key=KEY, store=store))[2] == expected


def test_without_a_session_layer_its_use_is_none():
    assert run(app)[2] is None


def test_the_calls_of_a_session_store_are_counted():
    _, usage, _ = run(
        lambda environ, start: (change(environ), app(environ, start))[1],
        use(ContextMiddleware),
        use(SessionMiddleware, secret_key=KEY, store=MemoryStore()),
    )
    assert usage.store_calls == 1
    assert usage.store_seconds > 0


def test_a_copy_for_the_background_counts_by_itself():
    calls = []
    usage = Usage()
    usage.observers.append(calls.append)
    copied = usage.__wsgikit_copy__()
    copied.note_statement("default", "SELECT 1", 0.5)
    assert (usage.statements, copied.statements, len(calls)) == (0, 1, 1)


def test_a_layer_can_watch_the_hooks_of_those_inside_it():
    seen = []

    class Watcher(Middleware):
        def watch_hook(self, layer, name, hook):
            def watched(exchange, *args):
                seen.append(f"{type(layer).__name__}.{name}")
                return hook(exchange, *args)

            return watched

        def before_request(self, exchange):
            seen.append("Watcher.before_request")

    stack = build_stack(
        app, use(Replies, hook="none", name="outside"), use(Watcher), use(ContextMiddleware), use(Replies, hook="none")
    )
    stack(make_environ(), lambda status, headers, exc_info=None: lambda data: None)
    assert seen == [
        "Watcher.before_request",
        "Replies.before_request",
        "Replies.before_view",
        "Replies.after_request",
    ]
