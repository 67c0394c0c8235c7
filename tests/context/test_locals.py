"""The locals: what they stand for, in a request and outside of one."""

from __future__ import annotations

import copy
import inspect
import operator
import threading
from contextvars import copy_context

import pytest
import webob

from wsgikit.context.locals import (
    current_app,
    current_exchange,
    db,
    g,
    has_app_context,
    has_request_context,
    request,
    session,
)
from wsgikit.context.middleware import ContextMiddleware
from wsgikit.context.proxies import make_proxy
from wsgikit.exceptions import OutsideRequestError
from wsgikit.http.request import Request
from wsgikit.onion.ending import CURRENT
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.stack import Stack, build_stack, use
from wsgikit.onion.visit import make_environ
from wsgikit.wsgi import DB, SESSION


class Provides(Middleware):
    """As the session and the database layer do."""

    provides = (SESSION, DB)

    def before_request(self, exchange):
        exchange.environ[SESSION] = {"user": "ann"}
        exchange.environ[DB] = Handle()


class Handle:
    """What opens the real thing on first use."""

    opened = 0

    def __wsgikit_open__(self):
        self.opened += 1
        return ["a connection"]


def app(environ, start_response):
    start_response("200 OK", [])
    return []


@pytest.fixture
def stack():
    return build_stack(app, use(ContextMiddleware), use(Provides))


# ---------------------------------------------------------------------------- in a request


def test_each_local_stands_for_what_belongs_to_the_request(stack):
    with stack.request_context("/path?q=1") as exchange:
        assert request.path == "/path"
        assert request.GET["q"] == "1"
        assert request._get_current_object() is exchange.request
        assert session["user"] == "ann"
        assert current_app._get_current_object() is stack
        assert current_exchange() is exchange
        assert has_request_context()
        assert has_app_context()


def test_the_database_is_opened_on_first_use_and_not_before(stack):
    with stack.request_context("/") as exchange:
        handle = exchange.environ[DB]
        assert handle.opened == 0
        assert db[0] == "a connection"
        assert handle.opened == 1


def test_a_local_passes_for_what_it_stands_for(stack):
    with stack.request_context("/"):
        assert isinstance(request, Request)
        assert isinstance(request, webob.Request)
        assert isinstance(current_app, Stack)
        assert isinstance(session, dict)
        assert session == {"user": "ann"}
        assert len(session) == 1
        assert "user" in session
        assert repr(session) == "{'user': 'ann'}"
        assert bool(session)
        session.clear()
        assert not session
        assert "path" in dir(request)


def test_g_keeps_what_is_set_until_the_request_ends(stack):
    with stack.request_context("/"):
        g.user = "ann"
        assert (g.user, "user" in g, list(g)) == ("ann", True, ["user"])
        assert repr(g) == "<g {'user': 'ann'}>"
        assert g.get("nothing") is None
        assert g.setdefault("count", 1) == 1
        assert g.pop("count") == 1
        assert g.pop("count", "gone") == "gone"
        del g.user
        with pytest.raises(AttributeError, match=r"^g has no attribute 'user' in this request$"):
            g.user  # noqa: B018
    with stack.request_context("/"):
        assert "user" not in g


def test_attributes_of_the_request_can_be_set_and_deleted(stack):
    with stack.request_context("/") as exchange:
        request.account = "ann"
        assert exchange.request.account == "ann"
        del request.account
        assert not hasattr(request, "account")


OPERATIONS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow]
OPERATIONS += [operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift, operator.eq, operator.ne]
OPERATIONS += [operator.lt, operator.le, operator.gt, operator.ge]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
def test_operators_work_from_both_sides(operation):
    seven = make_proxy("seven", lambda: 7)
    assert operation(seven, 2) == operation(7, 2)
    assert operation(200, seven) == operation(200, 7)


@pytest.mark.parametrize(
    ("function", "value"),
    [(str, 7), (int, 7), (float, 7), (bytes, b"7"), (hash, 7), (operator.neg, 7), (operator.invert, 7), (abs, -7)]
    + [(len, [1]), (list, [1, 2]), (operator.index, 7), (lambda value: f"{value:03}", 7), (reversed, [1])]
    + [(lambda value: next(iter(value)), [1]), (copy.copy, [1]), (copy.deepcopy, {"a": [1]}), (dict, {"a": 1})],
)
def test_functions_work_as_on_the_object(function, value):
    result, expected = function(make_proxy("value", lambda: value)), function(value)
    assert (list(result), list(expected)) if function is reversed else result == expected


def test_calls_items_and_with_work_as_on_the_object():
    lock = make_proxy("lock", lambda: real)
    real = threading.Lock()
    with lock:
        assert real.locked()
    table = make_proxy("table", lambda: items)
    items = {}
    table["a"] = 1
    assert items == {"a": 1}
    del table["a"]
    assert items == {}
    assert make_proxy("function", lambda: max)(1, 2) == 2


# ---------------------------------------------------------------------------- outside of one

LOCALS = {"request": request, "g": g, "session": session, "db": db, "current_app": current_app}


@pytest.mark.parametrize("name", LOCALS)
def test_outside_of_a_request_a_local_says_which_it_is_where_and_how_to_get_one(name):
    with pytest.raises(OutsideRequestError) as caught:
        LOCALS[name].anything  # noqa: B018
    text = str(caught.value)
    assert text.startswith(f"{name}: used outside of a request, in thread 'MainThread'. ")
    assert "ContextMiddleware" in text
    assert "with stack.request_context('/'):" in text
    assert "copy_current_context()" in text


def test_the_text_names_the_layer_that_is_missing():
    with pytest.raises(OutsideRequestError, match="where ContextMiddleware, with DatabaseMiddleware inside it, is in"):
        db.execute("SELECT 1")


def test_the_text_names_the_thread():
    texts = []

    def use_it():
        try:
            g.user  # noqa: B018
        except OutsideRequestError as error:
            texts.append(str(error))

    thread = threading.Thread(target=use_it, name="worker 7")
    thread.start()
    thread.join()
    assert "in thread 'worker 7'" in texts[0]


@pytest.mark.parametrize("name", LOCALS)
def test_outside_of_a_request_a_local_can_be_shown_and_is_false(name):
    assert repr(LOCALS[name]) == f"<{name}, outside of a request>"
    assert not LOCALS[name]
    assert dir(LOCALS[name]) == ["_get_current_object"]


@pytest.mark.parametrize("name", LOCALS)
def test_tools_that_go_through_a_module_can_ask_a_local(name):
    """inspect, doctest, mock and pytest ask every object of a module what it is."""
    local = LOCALS[name]
    assert not isinstance(local, Exchange)
    assert not inspect.isclass(local)
    assert not inspect.isfunction(local)
    assert inspect.unwrap(local) is local
    assert not hasattr(local, "__wrapped__")
    assert "request that the running code is in" in local.__doc__


@pytest.mark.parametrize(
    "action",
    [
        lambda: setattr(g, "user", 1),
        lambda: delattr(g, "user"),
        lambda: session["user"],
        lambda: len(session),
        lambda: request == 1,
        lambda: request._get_current_object(),
        current_exchange,
    ],
    ids=["set", "delete", "item", "len", "compare", "current object", "current_exchange"],
)
def test_every_use_outside_of_a_request_raises(action):
    with pytest.raises(OutsideRequestError, match="used outside of a request"):
        action()


def test_a_layer_that_is_missing_is_named_in_a_request():
    with build_stack(app, use(ContextMiddleware)).request_context("/"):
        with pytest.raises(OutsideRequestError) as caught:
            session["user"]  # noqa: B018
        assert str(caught.value) == (
            "session: no layer provides environ['wsgikit.session']. "
            "Add use(SessionMiddleware, …) to the stack, inside ContextMiddleware."
        )


def test_current_app_without_a_stack_says_so():
    def app(environ, start_response):
        current_app.layers  # noqa: B018

    with pytest.raises(OutsideRequestError) as caught:
        ContextMiddleware(app)(make_environ(), None)
    assert str(caught.value) == (
        "current_app: the layers were nested by hand, and there is no Stack. Put them together with build_stack()."
    )


def test_there_is_no_request_without_the_layer():
    seen = []

    def app(environ, start_response):
        seen.append(has_request_context())
        start_response("200 OK", [])
        return []

    build_stack(app, use(Provides))(make_environ(), lambda *head: None)
    assert seen == [False]
    assert not has_request_context()
    assert not has_app_context()


@pytest.mark.parametrize("local", [request, g], ids=["request", "g"])
def test_a_local_is_outside_where_a_test_client_took_back_one_that_was_left(local):
    def ask():
        CURRENT.set(None)
        with pytest.raises(OutsideRequestError, match="used outside of a request"):
            _ = local.anything

    copy_context().run(ask)
