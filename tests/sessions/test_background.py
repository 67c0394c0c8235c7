"""`copy_current_context`: background work sees the session as it was when the context was copied."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from webtest import TestApp

from wsgikit import ContextMiddleware, SessionMiddleware, build_stack, copy_current_context, session, use

ACTIONS = {
    "set": lambda: session.__setitem__("v", "changed"),
    "set another": lambda: session.__setitem__("w", 2),
    "change inside": lambda: session["list"].append(2),
    "pop": lambda: session.pop("v"),
    "clear": lambda: session.clear(),
    "destroy": lambda: session.destroy(),
    "log in after destroy": lambda: (session.destroy(), session.update(user=7)),
    "rotate": lambda: (session.rotate(), session.update(user=7)),
    "flash": lambda: session.flash("hello"),
    "csrf": lambda: session.get_csrf_token(),
    "nothing": lambda: None,
}


def on_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


@pytest.fixture(params=["cookie", "memory://"])
def serve(request, secret):
    """Return a function that sends a request with a session in which `v` and `list` are set, to this view."""
    views = {"/first": lambda: session.update(v="old", list=[1])}

    def app(environ, start_response):
        text = str(views[environ["PATH_INFO"]]())
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [text.encode()]

    client = TestApp(
        build_stack(app, use(ContextMiddleware), use(SessionMiddleware, secret_key=secret, store=request.param))
    )
    client.get("/first")

    def send(view):
        views["/"] = view
        return client.get("/")

    return send


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_a_thread_sees_what_was_changed_before_the_copy(serve, action):
    seen = []

    def view():
        action()
        work = copy_current_context(lambda: (session.copy(), session.id, session.new, session.created))
        here = (session.copy(), session.id, session.new, session.created)
        seen.extend([here, on_thread(work), on_thread(work)])

    serve(view)
    assert seen[1] == seen[0]
    assert seen[2] == seen[0], "a second call sees it too"


def test_a_thread_does_not_see_what_is_changed_after_the_copy(serve):
    def view():
        session["v"] = "before"
        session["list"].append(2)
        work = copy_current_context(lambda: (session["v"], session["list"]))
        session["v"] = "after"
        session["list"].append(3)
        return on_thread(work)

    assert serve(view).text == "('before', [1, 2])"


def test_what_a_thread_changes_is_seen_by_nobody_else(serve):
    def change():
        session["v"] = "mine"
        session["list"].append(9)
        return session["v"]

    def view():
        work = copy_current_context(change)
        look = copy_current_context(lambda: (session["v"], session["list"]))
        return on_thread(work), on_thread(look), session["v"], session["list"]

    assert serve(view).text == "('mine', ('old', [1]), 'old', [1])"
    assert serve(lambda: (session["v"], session["list"])).text == "('old', [1])"


def test_an_untouched_session_is_read_by_the_thread(serve):
    work = []
    serve(lambda: work.append(copy_current_context(lambda: session["v"])))
    assert on_thread(work[0]) == "old", "also after the request"


def test_a_readonly_session_stays_readonly_in_the_thread(serve):
    def view():
        session.readonly()
        return on_thread(copy_current_context(lambda: type(change()).__name__))

    def change():
        try:
            session["v"] = 1
        except Exception as error:  # noqa: BLE001  # its type is what the test looks at
            return error

    assert serve(view).text == "SessionReadOnly"


def test_a_layer_outside_of_the_stack_gives_each_thread_a_copy(secret):
    def app(environ, start_response):
        session["n"] = 1
        work = copy_current_context(lambda: (session.update(n=2), session["n"])[1])
        text = f"{on_thread(work)} {on_thread(work)} {session['n']}"
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [text.encode()]

    client = TestApp(SessionMiddleware(build_stack(app, use(ContextMiddleware)), secret_key=secret))
    assert client.get("/").text == "2 2 1"
