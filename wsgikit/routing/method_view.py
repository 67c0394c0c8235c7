"""Views as classes: one method for each HTTP method."""

from __future__ import annotations

__all__ = ["MethodView", "View"]

from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any, ClassVar

from werkzeug.exceptions import MethodNotAllowed

from wsgikit.onion.exchange import Exchange
from wsgikit.routing.invoke import as_sync, wants_of, with_wants

HTTP_METHODS = ("GET", "POST", "HEAD", "OPTIONS", "DELETE", "PUT", "TRACE", "PATCH", "QUERY")


class View:
    """A view as a class: override `dispatch_request`, and route ``TheView.as_view("name")``.

    Attributes:
        methods: the methods of its rule; GET if there are none.
        provide_automatic_options: answer OPTIONS without the view; by `methods` where it is None.
        decorators: wrapped around the view function, the first innermost.
        init_every_request: make an instance for each request. Turn it off if nothing is kept on `self`.
    """

    methods: ClassVar[Collection[str] | None] = None
    provide_automatic_options: ClassVar[bool | None] = None
    decorators: ClassVar[list[Callable[..., Any]]] = []
    init_every_request: ClassVar[bool] = True

    exchange: Exchange
    """The exchange of the request, where an instance is made for each."""

    def dispatch_request(self, **values: Any) -> Any:
        """Answer the request; gets the values of the rule."""
        raise NotImplementedError(f"{type(self).__name__}.dispatch_request")

    @classmethod
    def as_view(cls, name: str, *class_args: Any, **class_kwargs: Any) -> Callable[..., Any]:
        """Return the view function to route. Further arguments go to the class, for each instance."""
        shared = None if cls.init_every_request else cls(*class_args, **class_kwargs)

        def view(exchange: Exchange, **values: Any) -> Any:
            self = shared
            if self is None:
                self = cls(*class_args, **class_kwargs)
                self.exchange = exchange
            return self._dispatch(exchange, values)

        view.__name__ = name
        view.__qualname__ = cls.__qualname__
        view.__module__ = cls.__module__
        view.__doc__ = cls.__doc__
        function: Any = view
        for decorator in cls.decorators:
            function = decorator(function)
        function.__wsgikit_wants__ = (("exchange", "exchange"),)  # a decorator may hide the annotation
        function.view_class = cls
        function.__name__ = name
        function.methods = cls.methods
        function.provide_automatic_options = cls.provide_automatic_options
        return function  # type: ignore[no-any-return]  # it carries attributes

    def _dispatch(self, exchange: Exchange, values: dict[str, Any]) -> Any:
        return _called(self.dispatch_request, exchange, values)


class MethodView(View):
    """A view as a class with a method for each HTTP method: `get`, `post`, …; HEAD is answered by `get`.

    Example::

        class Counter(MethodView):
            def get(self) -> str:
                return str(session.get("count", 0))

            def post(self):
                session["count"] = session.get("count", 0) + 1
                return redirect(url_for("counter"))

        router.add_url_rule("/counter", view_func=Counter.as_view("counter"))
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "methods" not in cls.__dict__:
            methods = {name for name in HTTP_METHODS if hasattr(cls, name.lower())}
            for base in cls.__bases__:
                methods.update(getattr(base, "methods", None) or ())
            if methods:
                cls.methods = methods

    def _dispatch(self, exchange: Exchange, values: dict[str, Any]) -> Any:
        name = exchange.environ["REQUEST_METHOD"]
        # Names of methods are case-sensitive (RFC 9110 §9.1), and only those of the rule lead to an attribute.
        method = getattr(self, name.lower(), None) if name in HTTP_METHODS or name in (self.methods or ()) else None
        if method is None and name == "HEAD":
            method = getattr(self, "get", None)
        if method is None:
            raise MethodNotAllowed(valid_methods=sorted(self.methods or ()))
        return _called(method, exchange, values)


# What a method asks for is worked out once, not for each request.
_wants_of = lru_cache(maxsize=1024)(wants_of)


def _called(method: Callable[..., Any], exchange: Exchange, values: dict[str, Any]) -> Any:
    wants = _wants_of(getattr(method, "__func__", method), frozenset(values))
    if wants:
        values = with_wants(values, wants, exchange)
    return as_sync(method)(**values)
