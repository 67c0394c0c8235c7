"""The decorators that hang functions on a router, and where they are kept: Flask's, by Flask's names."""

from __future__ import annotations

__all__ = ["HookRegistry", "Hooks"]

from collections.abc import Callable
from typing import Any, TypeVar

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.routing.keywords import NameOf

F = TypeVar("F", bound=Callable[..., Any])


class Hooks:
    """The functions of one scope: of a router, or of an included one."""

    __slots__ = (
        "after",
        "before",
        "context_processors",
        "handlers",
        "preprocessors",
        "teardown",
        "template_filters",
        "template_globals",
        "template_tests",
        "url_defaults",
    )

    def __init__(self) -> None:
        self.before: list[Callable[..., Any]] = []
        self.after: list[Callable[..., Any]] = []
        self.teardown: list[Callable[..., Any]] = []
        self.preprocessors: list[Callable[..., Any]] = []
        self.url_defaults: list[Callable[..., Any]] = []
        self.context_processors: list[Callable[..., Any]] = []
        # By status code, or None for those by class; then by class.
        self.handlers: dict[int | None, dict[type[BaseException], Callable[..., Any]]] = {}
        self.template_filters: dict[str, Callable[..., Any]] = {}
        self.template_tests: dict[str, Callable[..., Any]] = {}
        self.template_globals: dict[str, Callable[..., Any]] = {}

    def find_handler(self, error: Exception, code: int | None) -> Callable[..., Any] | None:
        """Return the handler for the class of `error` that is nearest, among those of a code."""
        table = self.handlers.get(code)
        if table:
            for kind in type(error).__mro__:
                if kind in table:
                    return table[kind]
        return None


class HookRegistry:
    """The decorators for hooks of `Router`. Those with ``app`` in their name reach from an included router to all."""

    def __init__(self) -> None:
        self.hooks = Hooks()
        self.app_hooks = Hooks()

    def _changed(self) -> None:
        """Take note of a change; refused when requests have been served."""

    def _hang(self, functions: list[Callable[..., Any]], function: F) -> F:
        if not callable(function):
            raise ConfigurationError(complaint(repr(self), "hook", "a function", function))
        self._changed()
        functions.append(function)
        return function

    def before_request(self, function: F) -> F:
        """Call a function before each view of this router; what it returns, unless None, is the response."""
        return self._hang(self.hooks.before, function)

    def after_request(self, function: F) -> F:
        """Call a function with each response of this router's views; it returns that response or another."""
        return self._hang(self.hooks.after, function)

    def teardown_request(self, function: F) -> F:
        """Call a function when a request is over, with the exception that was not handled, or None."""
        return self._hang(self.hooks.teardown, function)

    def url_value_preprocessor(self, function: F) -> F:
        """Call a function with the endpoint and the URL's values, before the hooks and the view; it may change them."""
        return self._hang(self.hooks.preprocessors, function)

    def url_defaults(self, function: F) -> F:
        """Call a function with the endpoint and values of each `url_for`; it may add values."""
        return self._hang(self.hooks.url_defaults, function)

    def context_processor(self, function: F) -> F:
        """Call a function before a template is rendered by one of this router's views; the dict it returns is added."""
        return self._hang(self.hooks.context_processors, function)

    def before_app_request(self, function: F) -> F:
        """Like `before_request`, for every view of the router that this one is included in."""
        return self._hang(self.app_hooks.before, function)

    def after_app_request(self, function: F) -> F:
        """Like `after_request`, for every view of the router that this one is included in."""
        return self._hang(self.app_hooks.after, function)

    def teardown_app_request(self, function: F) -> F:
        """Like `teardown_request`, for every view of the router that this one is included in."""
        return self._hang(self.app_hooks.teardown, function)

    def app_url_value_preprocessor(self, function: F) -> F:
        """Like `url_value_preprocessor`, for every view of the router that this one is included in."""
        return self._hang(self.app_hooks.preprocessors, function)

    def app_url_defaults(self, function: F) -> F:
        """Like `url_defaults`, for every endpoint of the router that this one is included in."""
        return self._hang(self.app_hooks.url_defaults, function)

    def app_context_processor(self, function: F) -> F:
        """Like `context_processor`, for every template of the router that this one is included in."""
        return self._hang(self.app_hooks.context_processors, function)

    # ------------------------------------------------------------------ errors

    def errorhandler(self, code_or_exception: int | type[Exception]) -> Callable[[F], F]:
        """Answer a status code, or an exception and what derives from it, with a function of the exception."""
        _check_key(code_or_exception)

        def decorate(function: F) -> F:
            self.register_error_handler(code_or_exception, function)
            return function

        return decorate

    def app_errorhandler(self, code_or_exception: int | type[Exception]) -> Callable[[F], F]:
        """Like `errorhandler`, for every view of the router that this one is included in."""
        _check_key(code_or_exception)

        def decorate(function: F) -> F:
            self._register_handler(self.app_hooks, code_or_exception, function)
            return function

        return decorate

    def register_error_handler(self, code_or_exception: int | type[Exception], function: Callable[..., Any]) -> None:
        """Do what `errorhandler` does, without a decorator."""
        self._register_handler(self.hooks, code_or_exception, function)

    def _register_handler(self, hooks: Hooks, key: Any, function: Callable[..., Any]) -> None:
        self._changed()
        _check_key(key)
        code: int | None
        if isinstance(key, int):
            code, kind = int(key), BaseException  # any exception of that code, whoever's it is
        else:
            code, kind = _code_of(key), key
        hooks.handlers.setdefault(code, {})[kind] = function

    # ------------------------------------------------------------------ templates

    def template_filter(self, name: str | None = None) -> Callable[[F], F]:
        """Make a function a filter of templates, by its own name or another."""
        return self._template_tool(self.hooks.template_filters, name)

    def template_test(self, name: str | None = None) -> Callable[[F], F]:
        """Make a function a test of templates (``{% if x is name %}``), by its own name or another."""
        return self._template_tool(self.hooks.template_tests, name)

    def template_global(self, name: str | None = None) -> Callable[[F], F]:
        """Make a function callable in templates, by its own name or another."""
        return self._template_tool(self.hooks.template_globals, name)

    def add_template_filter(self, function: Callable[..., Any], name: str | None = None) -> None:
        """Do what `template_filter` does, without a decorator."""
        self.template_filter(name)(function)

    def add_template_test(self, function: Callable[..., Any], name: str | None = None) -> None:
        """Do what `template_test` does, without a decorator."""
        self.template_test(name)(function)

    def add_template_global(self, function: Callable[..., Any], name: str | None = None) -> None:
        """Do what `template_global` does, without a decorator."""
        self.template_global(name)(function)

    def _template_tool(self, table: dict[str, Callable[..., Any]], name: str | None) -> Callable[[F], F]:
        if callable(name):
            raise ConfigurationError(
                complaint("template decorator", "name", "a str or nothing", name, "Write the parentheses: @…filter()")
            )

        def decorate(function: F) -> F:
            self._changed()
            table[name or function.__name__] = function
            return function

        return decorate


def _check_key(key: Any) -> None:
    """Refuse what no error handler can be for."""
    if isinstance(key, int) and not isinstance(key, bool):
        if not 400 <= key <= 599:
            raise ConfigurationError(complaint("errorhandler", "code", "an error's, 400 to 599", key))
    elif not (isinstance(key, type) and issubclass(key, Exception)):
        expected = "a status code or an exception class"
        remedy = "Write it in parentheses: @router.errorhandler(404)" if callable(key) else ""
        raise ConfigurationError(complaint("errorhandler", "argument", expected, NameOf(key), remedy))


def _code_of(kind: type[Exception]) -> int | None:
    # Flask keeps handlers of Werkzeug's classes by code. A class that is of many codes (HTTPException, or webob's
    # HTTPClientError, whose own code is 400) is kept by class alone.
    if any(base.__module__ == "werkzeug.exceptions" and base.__name__ == "HTTPException" for base in kind.__mro__):
        code = getattr(kind, "code", None)
        return code if isinstance(code, int) else None
    return None
