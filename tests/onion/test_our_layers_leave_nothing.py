"""The five layers together: what a request held is freed on the spot, and its connection is back in the pool."""

from __future__ import annotations

import logging
import weakref

import pytest
import sqlalchemy

from wsgikit import (
    ContextMiddleware,
    DatabaseMiddleware,
    ErrorPagesMiddleware,
    Router,
    RouterMiddleware,
    SessionMiddleware,
    build_stack,
    db,
    g,
    request,
    session,
    use,
)
from wsgikit.testing.probes import answering
from wsgikit.testing.server import Call

router = Router(__name__)
SELECT = sqlalchemy.text("SELECT 1")


class Thing:
    """An object of a request, weakly referable."""


def use_all():
    g.thing = request.environ["thing"]
    assert session.get("begun") is not False
    return db.execute(SELECT).scalar()


@router.get("/page")
def page():
    session["begun"] = True
    return f"answer {use_all()}"


@router.get("/stream")
def stream():
    def body():
        yield "answer "
        yield str(use_all())

    session["begun"] = True
    return body()


@router.get("/error")
def error():
    use_all()
    raise ValueError("in a view")


@router.get("/broken")
def broken():
    def body():
        yield "answer "
        yield str(use_all())
        raise ValueError("in a stream")

    session["begun"] = True
    return body()


@router.get("/teapot/<int:number>")
def teapot(number):
    return "teapot", 418


PATHS = ["/page", "/stream", "/error", "/broken", "/teapot/1", "/teapot/x", "/through"]


@pytest.fixture
def stack(monkeypatch):
    for name in ("wsgikit", "wsgikit.errors"):  # a record that a test keeps holds the error, and that the frames
        monkeypatch.setattr(logging.getLogger(name), "disabled", True)
    stack = build_stack(
        answering([b"through"]),
        use(ErrorPagesMiddleware),
        use(ContextMiddleware),
        use(SessionMiddleware, secret_key="0f7c0c3f2e9b4d1aa6e5d0b8c7f61234"),
        use(DatabaseMiddleware, url="sqlite://"),
        use(RouterMiddleware, router=router),
    )
    with stack:
        yield stack


@pytest.mark.usefixtures("without_gc")
@pytest.mark.parametrize("ends", ["finish", "close"], ids=["to its end", "closed early"])
@pytest.mark.parametrize("path", PATHS)
def test_a_request_leaves_nothing_for_the_garbage_collector(path, ends, stack, environ):
    for _ in range(3):  # the first one loads modules and compiles
        thing = Thing()
        gone = weakref.ref(thing)
        call = Call(stack, {**environ, "PATH_INFO": path, "HTTP_ACCEPT": "text/html", "thing": thing}).start()
        getattr(call, ends)()
        failed = call.error is not None
        call.error = None  # leads to the frame that it was raised through, and that to the call
        del call, thing
    assert gone() is None
    assert failed == (path == "/broken" and ends == "finish")
