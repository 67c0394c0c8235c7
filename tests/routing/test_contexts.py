"""A router in `Stack.request_context` and `Stack.app_context`: what a script, a shell or a test sees of it."""

from __future__ import annotations

import pytest

from wsgikit import ContextMiddleware, Router, RouterMiddleware, build_stack, g, render_template_string, use
from wsgikit.templating import Templates


def legacy(environ, start_response):
    start_response("404 Not Found", [])
    return []


WAYS = {
    "the application": lambda router: build_stack(router, use(ContextMiddleware)),
    "in front of one": lambda router: build_stack(legacy, use(ContextMiddleware), use(RouterMiddleware, router=router)),
}
CONTEXTS = {
    "app_context": lambda stack: stack.app_context(),
    "request_context": lambda stack: stack.request_context("/nowhere"),
    "request_context of a rule": lambda stack: stack.request_context("/"),
}


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def wrap(request):
    return request.param


@pytest.fixture(params=CONTEXTS.values(), ids=CONTEXTS.keys())
def enter(request):
    return request.param


@pytest.fixture
def router():
    router = Router("contexts")
    router.add_url_rule("/", "index", lambda: "")
    return router


def test_teardown_functions_run_at_the_end_of_a_context(wrap, enter, router):
    called = []
    router.teardown_request(lambda error: called.append(("router", error, g.get("name"))))
    inner = Router("inner")
    inner.teardown_app_request(lambda error: called.append(("inner for all", error, g.get("name"))))
    inner.teardown_request(lambda error: called.append(("inner", error, g.get("name"))))
    router.include(inner, "/inner")
    with enter(wrap(router)):
        g.name = "set"
        assert called == []
    assert sorted(name for name, *_ in called) == ["inner for all", "router"]
    assert {(error, name) for _, error, name in called} == {(None, "set")}


def test_teardown_functions_get_the_error_of_the_block(wrap, enter, router):
    called = []
    router.teardown_request(called.append)
    with pytest.raises(ZeroDivisionError), enter(wrap(router)):
        raise ZeroDivisionError
    assert [type(error) for error in called] == [ZeroDivisionError]


def test_all_teardown_functions_run_and_the_first_error_is_raised(wrap, enter, router):
    called = []
    router.teardown_request(called.append)
    router.teardown_request(lambda error: {}["missing"])
    with pytest.raises(KeyError), enter(wrap(router)):
        pass
    assert called == [None]


def test_context_processors_run_in_a_context(wrap, enter, router):
    router.context_processor(lambda: {"name": "processor"})
    with enter(wrap(router)):
        assert render_template_string("{{ name }}") == "processor"


def test_outside_of_any_context_no_processor_of_the_router_runs(router):
    router.context_processor(lambda: {"name": g.name})
    assert Templates(router=router).render_string("[{{ name }}]") == "[]"
