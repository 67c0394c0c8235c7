"""Guarantee 9: instances are frozen after ``__init__``."""

from __future__ import annotations

import abc
import copy
import functools
import threading

import pytest

from wsgikit.exceptions import ApplicationError, ConfigurationError
from wsgikit.onion.middleware import Middleware
from wsgikit.testing.probes import answering


class Counter(Middleware):
    def __init__(self, app, *, start=0):
        super().__init__(app)
        self.count = start

    def before_request(self, exchange):
        self.count += 1


def test_setting_an_attribute_during_a_request_raises(call):
    error = call(Counter(answering([b""]))).error
    assert isinstance(error, ApplicationError)
    assert str(error) == (
        "Counter: count: can't be set after __init__: one instance serves all requests. "
        "Keep what belongs to a request in exchange.state[self], or in environ for other layers."
    )


def test_a_new_attribute_can_not_be_set_either():
    with pytest.raises(ApplicationError, match="Counter: user: can't be set after __init__"):
        Counter(answering([b""])).user = "ann"


def test_deleting_an_attribute_raises():
    with pytest.raises(ApplicationError, match=r"Counter: count: can't be deleted after __init__\."):
        del Counter(answering([b""])).count


def test_a_subclass_may_set_attributes_before_and_after_super_init():
    class Derived(Counter):
        def __init__(self, app):
            self.early = 1
            super().__init__(app, start=5)
            self.late = 2

    layer = Derived(answering([b""]))
    assert (layer.early, layer.count, layer.late) == (1, 5, 2)


def test_a_cached_property_still_works():
    class Lazy(Middleware):
        @functools.cached_property
        def table(self):
            return object()

    layer = Lazy(answering([b""]))
    assert layer.table is layer.table


def test_an_init_that_forgets_super_is_told_so():
    class Forgetful(Middleware):
        def __init__(self, app):
            pass

    with pytest.raises(ConfigurationError) as caught:
        Forgetful(answering([b""]))
    assert str(caught.value) == "Forgetful: __init__: expected a call of super().__init__(app), got None. Add it."


def test_an_app_that_can_not_be_called_is_told_so():
    with pytest.raises(ConfigurationError) as caught:
        Counter("not an app")
    assert str(caught.value) == (
        "Counter: app: expected a WSGI application, got 'not an app'. Pass the application to wrap."
    )


def test_a_layer_may_have_abstract_methods(call, onion):
    class Signed(Middleware, abc.ABC):
        @abc.abstractmethod
        def sign(self):
            """Return the signature."""

        def after_request(self, exchange):
            exchange.headers.add("X-Signed", self.sign())

    class Mine(Signed):
        def sign(self):
            return "me"

    assert call(onion(answering([b""]), Mine)).get_all("X-Signed") == ["me"]
    with pytest.raises(TypeError, match="abstract"):
        Signed(answering([b""]))


def test_a_class_with_slots_is_a_layer(call, onion):
    class Slotted(Middleware):
        __slots__ = ("value",)

        def __init__(self, app):
            super().__init__(app)
            self.value = "slot"

        def after_request(self, exchange):
            exchange.headers.add("X-Value", self.value)

    assert call(onion(answering([b""]), Slotted)).get_all("X-Value") == ["slot"]
    with pytest.raises(ApplicationError, match="can't be set"):
        Slotted(answering([b""])).value = "other"


@pytest.mark.parametrize("copying", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_a_copy_answers_as_the_original_does(copying, call, log, onion, recording):
    app = onion(answering([b"body"]), recording("outer"), recording("inner"))
    assert call(copying(app)).finish().content == b"body"
    assert log == ["outer before", "inner before", "inner after", "outer after", "inner teardown", "outer teardown"]


def test_fifty_threads_through_one_instance_never_see_each_other(environ, onion):
    class Tag(Middleware):
        def before_request(self, exchange):
            exchange.state[self] = exchange.environ["tag"]

        def after_request(self, exchange):
            exchange.headers.add("X-Tag", exchange.state[self])

    def app(environ, start_response):
        start_response("200 OK", [("X-App", environ["tag"])])
        return (environ["tag"].encode() for _ in range(3))

    wrapped, wrong = onion(app, Tag, Tag, Tag), []

    def serve(tag):
        for _ in range(20):
            heads = []
            body = wrapped({**environ, "tag": tag}, lambda status, headers, exc_info=None: heads.append(headers))
            seen = {value for _, value in heads[0]} | {chunk.decode() for chunk in body}
            body.close()
            if seen != {tag}:
                wrong.append(seen)

    threads = [threading.Thread(target=serve, args=(f"user {number}",)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
