"""A layer that repeats the request: its attempts are part of the exchange around them."""

from __future__ import annotations

from wsgikit import ContextMiddleware, g
from wsgikit.onion.middleware import Middleware
from wsgikit.wsgi import EXCHANGE


class Repeat(Middleware):
    """Calls what is inside until it doesn't fail."""

    def __init__(self, app):
        super().__init__(app)
        self.attempts = 3

    def before_request(self, exchange):
        return self.repeat

    def repeat(self, environ, start_response):
        exchange = environ[EXCHANGE]
        begin = exchange.begin_attempts()
        for attempt in range(1, self.attempts + 1):
            begin()
            environ["attempt"] = attempt
            try:
                return self.app(environ, start_response)
            except ConnectionError:
                if attempt == self.attempts:
                    raise
        raise AssertionError


def second_time(environ, start_response):
    if environ["attempt"] == 1:
        raise ConnectionError("lost")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]


def viewing(name, log):
    return type(name, (Middleware,), {"before_view": lambda self, exchange: log.append(f"{name} view")})


def test_before_view_runs_once_outside_and_in_each_attempt_inside(onion, call, log):
    app = onion(second_time, viewing("outside", log), Repeat, viewing("inside", log))
    assert call(app).finish().content == b"done"
    assert log == ["outside view", "inside view", "inside view"]


def test_refusal_of_before_view_outside_holds_for_a_repeated_request(onion, call):
    class Refuse(Middleware):
        def before_view(self, exchange):
            return exchange.reply(403)

    assert call(onion(second_time, Refuse, Repeat, Middleware)).finish().code == 403


def test_each_attempt_is_torn_down_before_the_next_begins(recording, onion, call, log):
    app = onion(second_time, recording("outside"), Repeat, recording("inside"))
    call(app).finish()
    assert [event for event in log if "inside" in event] == [
        "inside before",
        "inside handle",
        "inside teardown",
        "inside before",
        "inside after",
        "inside teardown",
    ]
    assert log[-1] == "outside teardown"


def test_functions_of_before_commit_of_a_lost_attempt_are_forgotten(onion, call, log):
    class Commit(Middleware):
        def before_request(self, exchange):
            exchange.claim_commit()

        def after_request(self, exchange):
            exchange.run_before_commit()
            if exchange.environ["attempt"] == 1:
                exchange.undo_before_commit()
                raise ConnectionError
            log.append("commit")

    def save(name):
        def run(exchange):
            log.append(f"save {name}")
            return lambda: log.append(f"undo {name}")

        return run

    def app(environ, start_response):
        environ[EXCHANGE].before_commit(save(f"inside {environ['attempt']}"))
        start_response("200 OK", [])
        return []

    class Outside(Middleware):
        def before_request(self, exchange):
            exchange.before_commit(save("outside"))

    call(onion(app, Outside, Repeat, Commit)).finish()
    assert log == [
        "save outside",
        "save inside 1",
        "undo inside 1",
        "undo outside",
        "save outside",
        "save inside 2",
        "commit",
    ]


def test_attempt_begins_with_the_locals_and_without_the_error_of_the_last(onion, call):
    seen = []

    def app(environ, start_response):
        seen.append(dict(vars(g._get_current_object())))
        g.name = "changed"
        return second_time(environ, start_response)

    class Set(Middleware):
        def before_request(self, exchange):
            g.name = "set"

        def teardown_request(self, exchange):
            seen.append(exchange.error)

    call(onion(app, ContextMiddleware, Set, Repeat)).finish()
    assert seen == [{"name": "set"}, {"name": "set"}, None]


def test_layers_in_an_attempt_are_those_of_the_request(recording, onion, call):
    seen = []
    inside = recording(
        "inside", before=lambda exchange: seen.append([type(layer).__name__ for layer in exchange.layers])
    )
    call(onion(second_time, recording("outside"), Repeat, inside)).finish()
    assert seen == [["outside", "Repeat", "inside"]] * 2


def test_nothing_is_left_to_the_garbage_collector_after_attempts(recording, onion, call, without_gc):
    import weakref

    seen = []
    look = recording("look", before=lambda exchange: seen.append(weakref.ref(exchange)))
    call(onion(second_time, look, Repeat, look)).finish()
    assert [reference() for reference in seen] == [None] * 3
