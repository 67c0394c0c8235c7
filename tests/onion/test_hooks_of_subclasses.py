"""A subclass of one of our layers: its hooks are the ones that run, whatever quicker form its base gave the engine."""

from __future__ import annotations

import pytest

from wsgikit import (
    ContextMiddleware,
    DatabaseMiddleware,
    ErrorPagesMiddleware,
    Router,
    RouterMiddleware,
    SessionMiddleware,
    build_stack,
)
from wsgikit.onion.hooks import HOOKS

SECRET = "0123456789abcdef0123456789abcdef"
LAYERS = {
    ErrorPagesMiddleware: {},
    ContextMiddleware: {},
    SessionMiddleware: {"secret_key": SECRET},
    DatabaseMiddleware: {"url": "sqlite://"},
    RouterMiddleware: {"router": Router("subclasses")},
}


def app(environ, start_response):
    if environ["PATH_INFO"] == "/fails":
        raise ValueError
    start_response("200 OK", [])
    return [b"fine"]


def subclass_of(layer, called):
    """Make a subclass that notes each hook and then does what its base does."""

    def noting(name):
        def hook(self, *arguments):
            called.append(name)
            return getattr(super(cls, self), name)(*arguments)

        return hook

    cls = type(f"My{layer.__name__}", (layer,), {name: noting(name) for name in HOOKS})
    return cls


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.__name__)
@pytest.mark.parametrize(
    ("path", "hooks"),
    [
        ("/", ["before_request", "before_view", "after_request", "teardown_request"]),
        ("/fails", ["before_request", "before_view", "handle_exception", "teardown_request"]),
    ],
)
def test_each_hook_of_a_subclass_is_called(layer, path, hooks, call):
    called = []
    cls = subclass_of(layer, called)
    outside = [ErrorPagesMiddleware] if layer is not ErrorPagesMiddleware else []
    stack = build_stack(app, *outside, lambda inner: cls(inner, **LAYERS[layer]))

    call(stack, PATH_INFO=path)

    expected = [*hooks[:-1], "after_request", hooks[-1]] if path == "/fails" and not outside else hooks
    assert called == expected
