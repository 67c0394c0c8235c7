"""What a factory is called with is checked before it is called."""

from __future__ import annotations

import functools

import pytest
from werkzeug.middleware.proxy_fix import ProxyFix

from wsgikit.exceptions import ConfigurationError
from wsgikit.onion.middleware import Middleware
from wsgikit.options import check_keywords

WHERE = "build_stack: layer 2"


class Layer(Middleware):
    def __init__(self, app, *, secret_key: str, cookie_name: str = "session") -> None:
        super().__init__(app)


class Inherits(Layer):
    """Has the options of its parent."""


class Plain(Middleware):
    """Has no option."""


class Classic:
    def __init__(self, app, config, limit=5):
        self.app = app


class Callable:
    def __call__(self, app, *, limit): ...


@functools.lru_cache
def cached(app, *, limit=1): ...


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


@decorated
def wrapped(app, *, limit=1): ...


def anything(*args, **options): ...


RIGHT = [
    (Layer, {"secret_key": "k"}, 1),
    (Layer, {"secret_key": "k", "cookie_name": "c"}, 1),
    (Inherits, {"secret_key": "k"}, 1),
    (Plain, {}, 1),
    (functools.partial(Layer, secret_key="k"), {}, 1),
    (functools.partial(Layer, secret_key="k"), {"secret_key": "other"}, 1),
    (lambda app: app, {}, 1),
    (lambda app, limit=1: app, {"limit": 2}, 1),
    (Classic, {"config": 1}, 1),
    (Classic, {}, 2),
    (Classic, {"limit": 1}, 2),
    (Classic, {}, 3),
    (Callable(), {"limit": 1}, 1),
    (cached, {"limit": 2}, 1),
    (wrapped, {"limit": 2}, 1),
    (anything, {"x": 1}, 1),
    (ProxyFix, {"x_for": 1}, 1),
    (dict, {}, 1),
]


@pytest.mark.parametrize(("factory", "options", "positional"), RIGHT)
def test_what_can_be_called_passes(factory, options, positional):
    assert check_keywords(factory, options, WHERE, positional=positional) is None


WRONG = [
    (
        Layer,
        {"secret_kye": "hunter2", "cookie_name": "c"},
        (
            "unknown option: expected a known one, got 'secret_kye'. Did you mean 'secret_key'? "
            "Write use(Layer, secret_key=…, cookie_name=…). All options: secret_key, cookie_name."
        ),
    ),
    (
        Layer,
        {"secret_key": "k", "colour": 1, "size": 2},
        (
            "unknown option: expected one of secret_key, cookie_name, got ['colour', 'size']. "
            "Write use(Layer, secret_key=…)."
        ),
    ),
    (
        Layer,
        {},
        "secret_key: expected text, got nothing. Write use(Layer, secret_key=…).",
    ),
    (
        Inherits,
        {"cookie_name": "c"},
        "secret_key: expected text, got nothing. Write use(Inherits, cookie_name=…, secret_key=…).",
    ),
    (
        Plain,
        {"debug": True},
        "unknown option: expected no option, got 'debug'. Write use(Plain).",
    ),
    (
        functools.partial(Layer, secret_key="k"),
        {"cookie_nam": "c"},
        (
            "unknown option: expected a known one, got 'cookie_nam'. Did you mean 'cookie_name'? "
            "Write use(Layer, cookie_name=…). All options: secret_key, cookie_name."
        ),
    ),
    (
        lambda app: app,
        {"limit": 1},
        "unknown option: expected no option, got 'limit'. Write use(layer).",
    ),
    (
        wrapped,
        {"limti": 1},
        (
            "unknown option: expected a known one, got 'limti'. Did you mean 'limit'? Write use(wrapped, limit=…). "
            "All options: limit."
        ),
    ),
    (
        ProxyFix,
        {"x_fr": 1},
        (
            "unknown option: expected a known one, got 'x_fr'. Did you mean 'x_for'? "
            "Write use(ProxyFix, x_for=…). All options: x_for, x_proto, x_host, x_port, x_prefix."
        ),
    ),
    (
        lambda: None,
        {},
        (
            "expected a callable that takes the application as its first argument, got one that takes (). "
            "Write a class or a function of the form app -> app."
        ),
    ),
]


@pytest.mark.parametrize(
    ("factory", "options", "text"),
    WRONG,
    ids=[
        "misspelt",
        "two unknown",
        "missing",
        "inherited",
        "no options",
        "partial",
        "lambda",
        "wraps",
        "other",
        "no app",
    ],
)
def test_what_can_not_be_called_is_refused_with_the_corrected_call(factory, options, text):
    with pytest.raises(ConfigurationError) as raised:
        check_keywords(factory, options, WHERE)
    assert str(raised.value).removeprefix(WHERE).removeprefix(": ") == text


def test_too_many_positional_values_are_refused():
    with pytest.raises(ConfigurationError) as raised:
        check_keywords(Layer, {"secret_key": "k"}, WHERE, positional=2)
    assert str(raised.value) == (
        f"{WHERE}: positional arguments: expected at most 1, the application among them, got 2. "
        "Write use(Layer, cookie_name=…, secret_key=…)."
    )


def test_it_is_the_type_error_that_a_wrong_keyword_is_anywhere():
    with pytest.raises(TypeError):
        check_keywords(Layer, {"nope": 1}, WHERE)
