"""`ServerTimingMiddleware`: the entries, who gets them, and the time of each layer."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from wsgikit import (
    ContextMiddleware,
    DatabaseMiddleware,
    ErrorPagesMiddleware,
    Middleware,
    ServerTimingMiddleware,
    build_stack,
    use,
)
from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware import server_timing
from wsgikit.middleware.server_timing import server_timing_value
from wsgikit.testing import assert_conforms

from .conftest import App, make_environ

LOCAL = {"HTTP_HOST": "localhost"}
# https://www.w3.org/TR/server-timing/#the-server-timing-header-field
METRIC = re.compile(r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+);dur=(?P<dur>\d+\.\d+)(?:;desc=\"(?P<desc>[^\"]*)\")?")


def timing(stack, **request):
    """Return the entries of the header: name, milliseconds, description; None without a header."""
    heads = []
    body = stack(make_environ(**{**LOCAL, **request}), lambda *head: heads.append(head))
    getattr(body, "close", bool)()
    values = [value for name, value in heads[-1][1] if name == "Server-Timing"]
    if not values:
        return None
    entries = [METRIC.fullmatch(entry) for entry in ", ".join(values).split(", ")]
    return {entry["name"]: (float(entry["dur"]), entry["desc"]) for entry in entries}


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(server_timing, "_now", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("entries", "value"),
    [
        ([], ""),
        ([("total", 0.0123, "")], "total;dur=12.30"),
        ([("total", 1, ""), ("db", 0.5, "3 statements")], 'total;dur=1000.00, db;dur=500.00;desc="3 statements"'),
    ],
)
def test_a_value_has_milliseconds(entries, value):
    assert server_timing_value(entries) == value


def test_the_total_is_the_time_until_the_head_is_ready(clock):
    def app(environ, start_response):
        clock[0] += 0.25
        return App()(environ, start_response)

    assert timing(build_stack(app, use(ServerTimingMiddleware))) == {"total": (250.0, None)}


@pytest.mark.parametrize(("count", "text"), [(1, "1 statement"), (3, "3 statements")])
def test_the_database_has_an_entry_if_it_was_used(count, text):
    def app(environ, start_response):
        for _ in range(count):
            environ["wsgikit.db"].execute(sa.text("SELECT 1"))
        return App()(environ, start_response)

    stack = build_stack(app, use(ServerTimingMiddleware, total=False), use(DatabaseMiddleware, url="sqlite://"))
    (entry,) = timing(stack).items()
    assert entry[0] == "db"
    assert entry[1][1] == text
    assert timing(build_stack(App(), use(ServerTimingMiddleware, total=False))) is None


class Slow(Middleware):
    """Takes a second on the way in and two on the way out."""

    def __init__(self, app, *, clock):
        super().__init__(app)
        self.clock = clock

    def before_request(self, exchange):
        self.clock[0] += 1

    def after_request(self, exchange):
        self.clock[0] += 2


class Quick(Slow):
    """Takes half a second before the view."""

    def before_request(self, exchange):
        pass

    def before_view(self, exchange):
        self.clock[0] += 0.5

    def after_request(self, exchange):
        pass


def test_each_layer_has_an_entry_and_the_application_has_the_rest(clock):
    def app(environ, start_response):
        clock[0] += 4
        return App()(environ, start_response)

    stack = build_stack(
        app,
        use(Slow, clock=clock, name="outside"),
        use(ServerTimingMiddleware, layers=True),
        use(ContextMiddleware),
        use(Slow, clock=clock, name="inside"),
        use(Quick, clock=clock, only="/*"),
    )
    assert timing(stack) == {
        "total": (7500.0, None),
        "Slow": (3000.0, None),
        "Quick": (500.0, None),
        "app": (4000.0, None),
    }


def test_a_request_out_of_scope_is_not_measured(clock):
    stack = build_stack(App(), use(ServerTimingMiddleware, layers=True, unless="/static/*"), use(Slow, clock=clock))
    assert timing(stack, path="/static/a.css") is None


def test_an_error_of_a_layer_is_still_an_error(clock):
    class Failing(Middleware):
        def before_request(self, exchange):
            raise LookupError("no")

    stack = build_stack(App(), use(ServerTimingMiddleware, layers=True), use(ErrorPagesMiddleware), use(Failing))
    assert set(timing(stack)) == {"total", "Failing", "ErrorPagesMiddleware", "app"}


@pytest.mark.parametrize(
    ("allow", "environ", "is_shown"),
    [
        ("local", {}, True),
        ("local", {"REMOTE_ADDR": "10.0.0.1"}, False),
        ("local", {"HTTP_HOST": "shop.example"}, False),
        ("local", {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, False),
        (["10.0.0.0/8"], {"REMOTE_ADDR": "10.0.0.1", "HTTP_HOST": "shop.example"}, True),
        ((), {}, False),
    ],
)
def test_only_allowed_peers_get_the_header(allow, environ, is_shown):
    assert (timing(build_stack(App(), use(ServerTimingMiddleware, allow=allow)), **environ) is not None) is is_shown


def test_the_header_of_the_application_is_kept():
    app = App(headers=[("Server-Timing", "view;dur=1.0")])
    assert list(timing(build_stack(app, use(ServerTimingMiddleware)))) == ["view", "total"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"total": "yes"}, "total: expected"),
        ({"layers": 1}, "layers: expected"),
        ({"database": None}, "database: expected"),
        ({"total": False, "database": False}, "total: expected True for total, layers or database, got False"),
        ({"allow": "everybody"}, "allow: expected addresses or networks"),
    ],
)
def test_options_that_can_not_work_are_refused(options, text):
    with pytest.raises(ConfigurationError) as caught:
        ServerTimingMiddleware(App(), **options)
    assert f"ServerTimingMiddleware: {text}" in str(caught.value)


@pytest.mark.parametrize("layers", [False, True])
def test_it_conforms(layers):
    assert_conforms(lambda app: ServerTimingMiddleware(app, layers=layers))
