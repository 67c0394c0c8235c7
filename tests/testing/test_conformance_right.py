"""Middleware that is right passes the whole suite: others' and all of ours."""

from __future__ import annotations

import secrets
from functools import partial

import pytest
from beaker.middleware import CacheMiddleware as BeakerCache
from beaker.middleware import SessionMiddleware as BeakerSession
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.middleware.shared_data import SharedDataMiddleware
from whitenoise import WhiteNoise

from wsgikit import (
    ContextMiddleware,
    DatabaseMiddleware,
    ErrorPagesMiddleware,
    Middleware,
    Router,
    RouterMiddleware,
    SessionMiddleware,
    build_stack,
    use,
)
from wsgikit.testing import assert_conforms

KEY = secrets.token_hex(32)


class EveryHook(Middleware):
    def before_request(self, exchange):
        exchange.state[self] = exchange.environ.get("PATH_INFO")

    def after_request(self, exchange):
        exchange.headers.add("X-Every-Hook", "1")

    def handle_exception(self, exchange, error):
        return None

    def teardown_request(self, exchange):
        exchange.state.pop(self, None)


class NoHook(Middleware):
    pass


def five_layers(app):
    return build_stack(
        app,
        use(ErrorPagesMiddleware),
        use(ContextMiddleware),
        use(SessionMiddleware, secret_key=KEY),
        use(DatabaseMiddleware, url="sqlite://"),
        use(RouterMiddleware, router=Router("five_layers")),
    )


def split_by_others(app):
    """Two onions of ours with a layer of others between."""
    return build_stack(app, use(ErrorPagesMiddleware), use(ContextMiddleware), ProxyFix, use(NoHook), use(EveryHook))


OTHERS = {
    "identity": lambda app: app,
    "partial": lambda app: partial(lambda environ, start_response: app(environ, start_response)),
    "ProxyFix": ProxyFix,
    "DispatcherMiddleware": DispatcherMiddleware,
    "SharedDataMiddleware": lambda app: SharedDataMiddleware(app, {"/static": ("wsgikit", "testing")}),
    "WhiteNoise": WhiteNoise,
    "Beaker's session": lambda app: BeakerSession(app, {"session.type": "memory", "session.secret": KEY}),
    "Beaker's cache": BeakerCache,
    "no layer": build_stack,
}
OURS = {
    "NoHook": NoHook,
    "EveryHook": EveryHook,
    "two of EveryHook": lambda app: EveryHook(EveryHook(app)),
    "ErrorPagesMiddleware": ErrorPagesMiddleware,
    "ErrorPagesMiddleware in debug": lambda app: ErrorPagesMiddleware(app, debug=True),
    "ContextMiddleware": ContextMiddleware,
    "two of ContextMiddleware": lambda app: ContextMiddleware(EveryHook(ContextMiddleware(app))),
    "SessionMiddleware": lambda app: SessionMiddleware(app, secret_key=KEY),
    "SessionMiddleware, store in memory": lambda app: SessionMiddleware(app, secret_key=KEY, store="memory://"),
    "DatabaseMiddleware": lambda app: DatabaseMiddleware(app, url="sqlite://"),
    "RouterMiddleware": lambda app: RouterMiddleware(app, router=Router("conformance")),
    "five layers": five_layers,
    "split by others": split_by_others,
}


@pytest.mark.parametrize("factory", OTHERS.values(), ids=OTHERS)
def test_right_middleware_of_others_passes_every_scenario(factory):
    assert_conforms(factory)


@pytest.mark.parametrize("factory", OURS.values(), ids=OURS)
def test_every_layer_of_ours_passes_every_scenario(factory):
    assert_conforms(factory)
