"""`copy_current_context`, `request_context`, `app_context`: being in the onion outside of a request of the server."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from wsgikit.context.locals import (
    copy_current_context,
    current_app,
    db,
    g,
    has_app_context,
    has_request_context,
    request,
)
from wsgikit.context.middleware import ContextMiddleware
from wsgikit.exceptions import ConfigurationError, OutsideRequestError
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.stack import build_stack, use
from wsgikit.onion.visit import make_environ
from wsgikit.wsgi import DB


class Connections(Middleware):
    """Gives each request a connection, and remembers which were given back."""

    provides = (DB,)

    def __init__(self, app, *, events):
        super().__init__(app)
        self.events = events

    def before_request(self, exchange):
        exchange.environ[DB] = connection = [f"connection {len(self.events)}"]
        self.events.append(("opened", connection[0]))

    def after_request(self, exchange):
        self.events.append(("committed", exchange.environ[DB][0]))

    def handle_exception(self, exchange, error):
        self.events.append(("rolled back", exchange.environ[DB][0]))

    def teardown_request(self, exchange):
        self.events.append(("given back", exchange.environ[DB][0]))


class Views(Middleware):
    """A layer that provides nothing isn't entered."""

    def before_request(self, exchange):
        return exchange.reply(200, "a view")


def build(app, events=None):
    return build_stack(
        app, use(ContextMiddleware), use(Connections, events=[] if events is None else events), use(Views)
    )


def noop(environ, start_response):
    raise AssertionError("no view runs")


def serve(job, events=None):
    """Serve one request in which `job` is made; return what that returned."""
    made = []

    def app(environ, start_response):
        made.append(job())
        start_response("200 OK", [])
        return []

    stack = build_stack(app, use(ContextMiddleware), use(Connections, events=[] if events is None else events))
    stack(make_environ("/the/request"), lambda *head: None)
    return made[0]


def on_thread(function, *args):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result(10)


# ---------------------------------------------------------------------------- copy_current_context


def test_a_thread_without_it_has_no_request():
    def job():
        return on_thread(has_request_context)

    assert serve(job) is False


def test_a_bound_function_runs_on_a_thread_with_the_locals_of_the_request():
    def job():
        g.user = "ann"
        return on_thread(copy_current_context(lambda greeting: f"{greeting} {g.user} {request.path}"), "hello")

    assert serve(job) == "hello ann /the/request"


def test_it_works_after_the_request_has_ended():
    def job():
        g.user = "ann"
        return copy_current_context(lambda: (g.user, request.path, current_app.layers[0].__class__))

    function = serve(job)
    assert not has_request_context()
    assert on_thread(function) == ("ann", "/the/request", ContextMiddleware)
    assert function() == ("ann", "/the/request", ContextMiddleware)
    assert not has_request_context()


def test_any_number_of_threads_may_run_it_at_once_each_with_a_g_of_its_own():
    barrier = threading.Barrier(8)

    def work(number):
        assert g.user == "ann"
        g.user = f"user {number}"
        g.mine = number
        barrier.wait(5)
        return g.user == f"user {number}" and g.mine == number

    function = serve(lambda: (setattr(g, "user", "ann"), copy_current_context(work))[1])
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(function, range(8)))


def test_what_it_changes_on_g_is_not_seen_by_the_request():
    def job():
        g.user = "ann"
        on_thread(copy_current_context(lambda: setattr(g, "user", "bob")))
        return g.user

    assert serve(job) == "ann"


def test_it_is_a_snapshot_of_the_moment_it_was_bound():
    def job():
        g.user = "ann"
        function = copy_current_context(lambda: g.user)
        g.user = "bob"
        return function()

    assert serve(job) == "ann"


def test_each_call_has_a_connection_of_its_own_that_is_given_back():
    events = []

    def job():
        function = copy_current_context(lambda: db[0])
        return [db[0], on_thread(function), on_thread(function)]

    used = serve(job, events)
    assert len(set(used)) == 3
    assert [name for what, name in events if what == "given back"] == [used[1], used[2], used[0]]
    assert [name for what, name in events if what == "committed"] == [used[0]]


def test_a_function_that_fails_gives_back_too_and_its_error_passes():
    events = []
    function = serve(lambda: copy_current_context(lambda: 1 / 0), events)
    with pytest.raises(ZeroDivisionError):
        function()
    assert [what for what, _ in events].count("given back") == 2


def test_it_keeps_the_name_of_the_function():
    def send_mail():
        """Send it."""

    assert serve(lambda: copy_current_context(send_mail)).__name__ == "send_mail"


def test_there_is_nothing_to_copy_outside_of_a_request():
    with pytest.raises(OutsideRequestError, match=r"^copy_current_context\(\): used outside of a request"):
        copy_current_context(print)


# ---------------------------------------------------------------------------- request_context and app_context


def test_a_request_context_gives_what_layers_provide_and_runs_no_view():
    events = []
    stack = build(noop, events)
    with stack.request_context("/path?q=1") as exchange:
        assert (request.path, request.query_string, db[0]) == ("/path", "q=1", "connection 0")
        assert exchange.status is None
        assert current_app._get_current_object() is stack
    assert [what for what, _ in events] == ["opened", "given back"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ("http", "localhost", "/", "")),
        ("/a b?c=d", ("http", "localhost", "/a b", "c=d")),
        ("/sm%C3%B6r/", ("http", "localhost", "/smör/", "")),
        ("https://example.com:8443/x?y=z", ("https", "example.com:8443", "/x", "y=z")),
    ],
)
def test_a_path_or_a_whole_url_makes_the_request(path, expected):
    with build(noop).request_context(path):
        assert (request.scheme, request.host, request.path_info, request.query_string) == expected


def test_environ_keys_can_be_given():
    with build(noop).request_context("/", REQUEST_METHOD="POST", HTTP_X_KIND="test"):
        assert (request.method, request.headers["X-Kind"]) == ("POST", "test")


def test_an_app_context_has_all_but_the_request():
    with build(noop).app_context():
        g.user = "a script"
        assert (g.user, db[0], has_app_context(), has_request_context()) == ("a script", "connection 0", True, False)
        with pytest.raises(OutsideRequestError, match="^request: used outside of a request"):
            request.path  # noqa: B018


def test_an_error_in_the_block_passes_and_everything_is_given_back():
    events = []

    def block():
        with build(noop, events).request_context("/") as exchange:
            exchange.on_teardown(lambda: events.append(("callback", "")))
            1 / 0  # noqa: B018

    with pytest.raises(ZeroDivisionError):
        block()
    assert [what for what, _ in events] == ["opened", "callback", "given back"]
    assert not has_request_context()


def test_a_teardown_that_fails_is_raised_at_the_end_of_the_block():
    with pytest.raises(OSError, match="no rollback"):
        with build(noop).request_context("/") as exchange:
            exchange.on_teardown(lambda: (_ for _ in ()).throw(OSError("no rollback")))


def test_a_teardown_that_fails_does_not_hide_the_error_of_the_block():
    def block():
        with build(noop).request_context("/") as exchange:
            exchange.on_teardown(lambda: (_ for _ in ()).throw(OSError("no rollback")))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        block()


@pytest.mark.parametrize("method", ["request_context", "app_context"])
def test_a_stack_without_the_layer_says_what_to_add(method):
    with pytest.raises(ConfigurationError) as caught:
        with getattr(build_stack(noop, use(Views)), method)():
            pass
    assert str(caught.value) == (
        "stack: layers: expected a ContextMiddleware among them, got None. Add use(ContextMiddleware) to the stack."
    )
