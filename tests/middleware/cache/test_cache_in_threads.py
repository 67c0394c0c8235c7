"""One request fetches a page, the others wait for it; nothing waits for itself."""

from __future__ import annotations

import threading

import pytest

from tests.middleware.cache.conftest import call
from wsgikit import CacheMiddleware, build_stack, use
from wsgikit.middleware.cache.flights import Flights

KEY = ("http", "example.com", "", "/", "")


class Slow:
    """Answers when it is let go; notes how many requests are in it at once."""

    def __init__(self, headers=(("Cache-Control", "max-age=60"),)):
        self.headers = list(headers)
        self.is_entered = threading.Event()
        self.may_answer = threading.Event()
        self.calls = 0
        self.status = "200 OK"
        self.error = None

    def __call__(self, environ, start_response):
        self.calls += 1
        number = self.calls
        self.is_entered.set()
        assert self.may_answer.wait(20)
        if self.error is not None and number == 1:
            raise self.error
        start_response(self.status, [("Content-Type", "text/plain"), *self.headers])
        return [b"%d" % number]


def run(count, function):
    """Run a function in threads; return what they return and what waits for them."""
    results = []

    def keep():
        try:
            results.append(function())
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=keep) for _ in range(count)]
    for thread in threads:
        thread.start()

    def join():
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        return results

    return join


def waiters(stack, count):
    """Wait until so many requests wait for the first one."""
    flights = stack.find(CacheMiddleware)._flights
    for _ in range(2_000):
        if flights.count_waiting(KEY) >= count:
            return
        threading.Event().wait(0.005)
    raise AssertionError(f"fewer than {count} wait")


def test_on_a_cold_cache_one_request_fetches_the_page():
    app = Slow()
    stack = build_stack(app, use(CacheMiddleware))
    join = run(8, lambda: call(stack))
    waiters(stack, 7)
    app.may_answer.set()
    answers = join()
    assert app.calls == 1
    assert {answer.body for answer in answers} == {b"1"}
    statuses = sorted(answer["Cache-Status"] for answer in answers)
    assert statuses == ["wsgikit; fwd=uri-miss; collapsed"] * 7 + ["wsgikit; fwd=uri-miss; stored"]


def test_if_the_page_cannot_be_stored_the_others_go_on_together():
    app = Slow(headers=[("Cache-Control", "private")])
    stack = build_stack(app, use(CacheMiddleware))
    join = run(5, lambda: call(stack))
    waiters(stack, 4)
    app.may_answer.set()
    assert len({answer.body for answer in join()}) == 5
    # Now it is known: nobody waits.
    app.may_answer.clear()
    app.calls = 0
    join = run(3, lambda: call(stack))
    for _ in range(2_000):
        if app.calls == 3:
            break
        threading.Event().wait(0.005)
    assert app.calls == 3
    app.may_answer.set()
    join()


def test_if_the_first_request_fails_another_one_fetches_the_page():
    app = Slow()
    app.error = LookupError()
    stack = build_stack(app, use(CacheMiddleware))
    join = run(4, lambda: call(stack))
    waiters(stack, 3)
    app.may_answer.set()
    results = join()
    assert app.calls == 2
    assert sorted(type(result).__name__ for result in results) == ["Answer", "Answer", "Answer", "LookupError"]


def test_a_stale_page_is_sent_while_one_request_refreshes_it(clock):
    app = Slow(headers=[("Cache-Control", "max-age=60, stale-while-revalidate=60")])
    app.may_answer.set()
    stack = build_stack(app, use(CacheMiddleware))
    call(stack)
    clock.pass_seconds(70)
    app.may_answer.clear()
    app.is_entered.clear()
    join = run(1, lambda: call(stack))
    assert app.is_entered.wait(20)
    assert [call(stack).body for _ in range(3)] == [b"1"] * 3  # they don't wait
    app.may_answer.set()
    assert join()[0].body == b"1"
    assert (app.calls, call(stack).body) == (2, b"2")


def test_a_request_inside_a_request_does_not_wait_for_it():
    def app(environ, start_response):
        body = b"inner"
        if environ.get("HTTP_X_DEPTH") is None:
            body = call(stack, HTTP_X_DEPTH="1").body
        start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "max-age=60")])
        return [body]

    stack = build_stack(app, use(CacheMiddleware))
    join = run(1, lambda: call(stack).body)
    assert join() == [b"inner"]


def test_two_pages_that_ask_for_each_other_do_not_wait_forever():
    gate = threading.Barrier(2)

    def app(environ, start_response):
        if environ.get("HTTP_X_DEPTH") is None:
            gate.wait(20)
            call(stack, "/b" if environ["PATH_INFO"] == "/a" else "/a", HTTP_X_DEPTH="1")
        start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "max-age=60")])
        return [environ["PATH_INFO"].encode()]

    stack = build_stack(app, use(CacheMiddleware))
    paths = ["/a", "/b"]
    join = run(2, lambda: call(stack, paths.pop()).body)
    assert sorted(join()) == [b"/a", b"/b"]


def test_a_wait_ends_after_its_time():
    flights = Flights()
    leader = flights.begin(KEY)
    join = run(1, lambda: flights.begin_or_wait(KEY, 0.01))
    (other,) = join()
    assert (leader.is_leader, other.is_leader) == (True, False)
    flights.end(leader, "stored")
    flights.end(leader, "failed")  # the second end is nothing
    assert leader.outcome == "stored"


@pytest.mark.parametrize("ending", ["abandoned", "read"])
def test_a_stream_makes_nobody_wait(ending):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "max-age=60")])
        return iter([b"a", b"b"])

    from tests.middleware.cache.conftest import make_environ

    stack = build_stack(app, use(CacheMiddleware))
    body = stack(make_environ(), lambda *given: None)
    assert next(iter(body)) == b"a"
    assert run(1, lambda: call(stack).body)() == [b"ab"]
    if ending == "read":
        list(body)
    body.close()
    flights = stack.find(CacheMiddleware)._flights
    assert not flights._flights
    assert not flights._leaders
