"""Guarantee 6: each request, and each step of its stream, runs in its own context."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context

import pytest

from wsgikit.context.locals import g, has_request_context, request
from wsgikit.context.middleware import ContextMiddleware
from wsgikit.onion.ending import CURRENT
from wsgikit.onion.stack import build_stack, use
from wsgikit.onion.visit import make_environ

USER: ContextVar[str] = ContextVar("user", default="nobody")


def app(environ, start_response):
    """Answers each step with what it finds: the path, what it keeps on g, and its context variable."""
    user = environ["PATH_INFO"]
    assert not list(g), "g is not fresh"
    g.user = user
    USER.set(user)
    start_response("200 OK", [])

    def body():
        for _ in range(4):
            yield f"{request.path} {g.user} {USER.get()}".encode()

    return body()


@pytest.fixture
def stack():
    return build_stack(app, use(ContextMiddleware))


def start(stack, user):
    return stack(make_environ(user), lambda *head: None)


def expected(user):
    return f"{user} {user} {user}".encode()


def nothing_is_left():
    return not has_request_context() and USER.get() == "nobody"


def test_two_streams_stepped_by_turns_never_see_each_other(stack):
    ann, bob = start(stack, "/ann"), start(stack, "/bob")
    for _ in range(4):
        assert next(ann) == expected("/ann")
        assert next(bob) == expected("/bob")
    ann.close()
    assert list(bob) == []
    bob.close()
    assert nothing_is_left()


def test_a_stream_may_be_stepped_on_any_thread_and_closed_on_another(stack):
    body = start(stack, "/ann")
    chunks = []
    for act in [lambda: chunks.append(next(body))] * 4 + [body.close]:
        thread = threading.Thread(target=act)
        thread.start()
        thread.join()
    assert chunks == [expected("/ann")] * 4
    assert nothing_is_left()


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_an_abandoned_stream_poisons_nothing(stack, steps):
    body = start(stack, "/ann")
    for _ in range(steps):
        next(body)
    assert nothing_is_left()
    assert list(start(stack, "/bob")) == [expected("/bob")] * 4
    body.close()
    assert nothing_is_left()


def test_every_request_starts_from_empty_locals_whatever_was_ambient(stack):
    """A context that somebody pushed for the life of the process made every visitor the first one."""
    with stack.request_context("/ambient"):
        g.user = "/ambient"
        assert list(start(stack, "/bob")) == [expected("/bob")] * 4
        assert g.user == "/ambient"
        assert request.path == "/ambient"


def test_context_variables_that_the_application_sets_end_with_the_request(stack):
    list(start(stack, "/ann"))
    assert nothing_is_left()


def test_context_variables_of_the_server_are_seen_by_the_application():
    seen = []

    def app(environ, start_response):
        seen.append(USER.get())
        start_response("200 OK", [])
        return []

    wrapped = ContextMiddleware(app)
    copy_context().run(lambda: (USER.set("server"), wrapped(make_environ(), lambda *head: None)))
    assert seen == ["server"]


def test_two_users_hammering_a_pool_of_threads_with_abandoned_streams_never_cross(stack):
    wrong = []

    def visit(number):
        user = f"/user{number % 2}"
        body = start(stack, user)
        abandoned = number % 3 == 0
        for _ in range(random.Random(number).randrange(5) if abandoned else 4):
            if (chunk := next(body, None)) not in (None, expected(user)):
                wrong.append((user, chunk))
        if not abandoned:
            body.close()
        if not nothing_is_left():
            wrong.append((user, "left behind"))
        return body if abandoned else None  # some are closed much later, on another thread

    with ThreadPoolExecutor(8) as pool:
        bodies = list(pool.map(visit, range(1000)))
    for body in filter(None, bodies[::2]):
        body.close()
    assert wrong == []


def test_a_stream_closed_while_another_thread_steps_it_ends_the_request():
    inside, closed = threading.Event(), threading.Event()
    ended = []

    class Slow:
        def __iter__(self):
            return self

        def __next__(self):
            inside.set()
            assert closed.wait(5)
            return g.user.encode()

        def close(self):
            ended.append(g.user)

    def app(environ, start_response):
        g.user = "ann"
        start_response("200 OK", [])
        return Slow()

    body = build_stack(app, use(ContextMiddleware))(make_environ(), lambda *head: None)
    chunks = []
    thread = threading.Thread(target=lambda: chunks.append(next(body)))
    thread.start()
    assert inside.wait(5)
    body.close()
    closed.set()
    thread.join()
    assert (ended, chunks) == (["ann"], [b"ann"])


def test_request_contexts_nest_and_end_in_order(stack):
    with stack.request_context("/outer"):
        with stack.request_context("/inner"):
            assert request.path == "/inner"
        assert request.path == "/outer"
    assert not has_request_context()


def test_a_request_context_that_ends_in_another_context_raises_nothing(stack):
    """As in a generator that was begun on one thread and is collected on another."""
    entered = stack.request_context("/")
    copy_context().run(entered.__enter__)
    entered.__exit__(None, None, None)
    assert CURRENT.get(None) is None


_GEVENT = """
from gevent import monkey
monkey.patch_all()
import gc
import gevent
from wsgikit import ContextMiddleware, build_stack, g, has_request_context, request, use
from wsgikit.onion.visit import make_environ

def app(environ, start_response):
    g.user = environ["PATH_INFO"]
    gevent.sleep(0)
    start_response("200 OK", [])
    def body():
        for _ in range(3):
            gevent.sleep(0)
            yield f"{request.path} {g.user}".encode()
    return body()

stack = build_stack(app, use(ContextMiddleware))
wrong = []

def serve(number):
    user = f"/user{number % 2}"
    body = stack(make_environ(user), lambda *head: None)
    for count, chunk in enumerate(body):
        if chunk != f"{user} {user}".encode():
            wrong.append((user, chunk))
        if number % 3 == 0 and count == 1:
            break  # abandoned, closed when it is collected
        gevent.sleep(0)
    else:
        body.close()
    if has_request_context():
        wrong.append("left behind")

def round():
    gevent.joinall([gevent.spawn(serve, number) for number in range(200)], raise_error=True)

round()
# A stream that is stepped in one greenlet and closed by another while it waits inside a step.
body = stack(make_environ("/ann"), lambda *head: None)
stepping = gevent.spawn(next, body)
gevent.sleep(0)
try:
    body.close()
except ValueError as error:
    assert str(error) == "generator already executing", error
gevent.joinall([stepping])

gc.collect()
before = len(gc.get_objects())
for _ in range(5):
    round()
gc.collect()
grown = len(gc.get_objects()) - before
assert not wrong, wrong[:3]
assert abs(grown) < 200, grown
print("ok")
"""


def test_greenlets_never_see_each_other_and_are_collected():
    run = subprocess.run([sys.executable, "-c", _GEVENT], capture_output=True, text=True, timeout=100)
    assert run.stdout == "ok\n", run.stderr
