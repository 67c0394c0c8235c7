"""What somebody who knows Flask reads after writing one of its names here."""

from __future__ import annotations

import copy

import pytest

import wsgikit
from wsgikit import ContextMiddleware, Router, build_stack, current_app
from wsgikit.flask_hints import _APP, _MODULE

router = Router("hints")
stack = build_stack(router, ContextMiddleware)


@pytest.mark.parametrize("name", _MODULE)
def test_a_name_of_the_module_flask_gets_a_hint(name):
    with pytest.raises(AttributeError, match="which is of Flask") as caught:
        getattr(wsgikit, name)
    assert _MODULE[name] in str(caught.value)


@pytest.mark.parametrize("app", [router, stack], ids=["router", "stack"])
@pytest.mark.parametrize("name", _APP)
def test_a_name_of_the_class_flask_gets_a_hint(app, name):
    with pytest.raises(AttributeError, match="which is of Flask") as caught:
        getattr(app, name)
    assert str(caught.value).startswith(f"{type(app).__name__!r} object has no attribute {name!r}")


def test_flasks_class_leads_to_router_and_build_stack():
    with pytest.raises(AttributeError) as caught:
        wsgikit.Flask(__name__)
    assert str(caught.value) == (
        "module 'wsgikit' has no attribute 'Flask', which is of Flask. "
        "Routes are in a Router(__name__), and build_stack(router, …) puts layers around it."
    )


def test_an_import_of_a_missing_name_is_an_import_error():
    with pytest.raises(ImportError, match="Flask"):
        exec("from wsgikit import Flask")


def test_current_app_has_the_hints_of_its_stack():
    with stack.app_context(), pytest.raises(AttributeError, match="arguments of the layers"):
        current_app.config  # noqa: B018


@pytest.mark.parametrize("owner", [wsgikit, router, stack], ids=["module", "router", "stack"])
def test_any_other_missing_name_has_no_hint(owner):
    with pytest.raises(AttributeError) as caught:
        owner.nothing_of_this_name
    assert str(caught.value).endswith("has no attribute 'nothing_of_this_name'")


def test_objects_can_still_be_asked_and_copied():
    assert not hasattr(stack, "run")
    assert getattr(router, "logger", None) is None
    assert copy.copy(stack).layers == stack.layers
