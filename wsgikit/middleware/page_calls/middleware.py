"""`PageCallsMiddleware`: answer calls of Python functions from a page."""

from __future__ import annotations

__all__ = ["PageCallsMiddleware"]

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any

from wsgikit.exceptions import BadRequest, ConfigurationError, complaint
from wsgikit.http.event_stream import Event, EventStream
from wsgikit.http.media_types import media_type_of
from wsgikit.http.parameters import Invalid
from wsgikit.middleware.page_calls.assets import load_assets
from wsgikit.middleware.page_calls.origin import reason_to_refuse
from wsgikit.middleware.page_calls.page_reply import PageReply
from wsgikit.middleware.page_calls.problems import (
    document_of_http_exception,
    of_http_exception,
    problem,
    problem_document,
    to_json,
)
from wsgikit.middleware.page_calls.reading import name_in_query, read_form, read_json
from wsgikit.middleware.page_calls.registry import Call, Calls, PageFunction
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.policies import check_obeyed
from wsgikit.onion.reply import Reply, reply
from wsgikit.onion.route import TakenRoute
from wsgikit.options.amounts import check_amount
from wsgikit.wsgi import EXCHANGE, PAGE_CALLS, Environ, StartResponse, WSGIApplication

_FORM = "multipart/form-data"
_VARY = "Origin, Sec-Fetch-Site, Cookie"
_NO_STORE = (("Cache-Control", "no-store"),)


class PageCallsMiddleware(Middleware):
    """Lets pages call Python functions: JSON goes both ways, and a function may have the page do something.

    Use it for pages with a little behaviour, in front of any application. Don't use it as an API for other programs:
    a `Router` with resources has methods, addresses and caching.

    The page imports ``/__calls__/client.js``, an ES module that works under ``script-src 'self'``, and writes
    ``await call("save_note", {text})``. It sends a POST of ``{"call": name, "args": {…}}`` and gets
    ``{"value": …, "commands": […]}``, or ``application/problem+json`` (RFC 9457): 404 for an unknown name, 422 for
    arguments that don't fit, 400 for what is no JSON, 413 for too much of it, 403 for a call that another site sent.

    Place: inside the layers that the functions use (context, session, csrf, database), outside the router. Layers
    further out with a `before_view` hook see a call as a view: ``@policy(login=True)`` works on a function. Environ:
    reads ``wsgikit.csrf``, whose verdict is obeyed, and ``wsgikit.session``; provides ``wsgikit.page_calls``, the
    address of the client module with its hash, which browsers keep for good.

    Args:
        app: the WSGI application to wrap.
        functions: the registry of the functions.
        path: the address that calls are sent to.
        max_body_bytes: how large the JSON of a call may be.
        max_upload_bytes: how large a call with files may be. It ends a body of any length while it is read.

    Raises:
        ConfigurationError: an option that can't work.

    Security: a call that another site sent is refused as `CsrfMiddleware` refuses it, also if there is no such layer.
    If the browser says neither ``Sec-Fetch-Site`` nor ``Origin``, a call needs the session's token in
    ``X-CSRF-Token`` if there is a session.

    Example::

        from wsgikit import Calls, PageCallsMiddleware, build_stack, use

        calls = Calls()

        @calls.function("add")
        def add(a: int, b: int = 1) -> int:
            return a + b

        stack = build_stack(app, use(PageCallsMiddleware, functions=calls))
    """

    inside_of = ("ContextMiddleware", "SessionMiddleware", "CsrfMiddleware", "DatabaseMiddleware")
    provides = (PAGE_CALLS,)

    def __init__(
        self,
        app: WSGIApplication,
        *,
        functions: Calls,
        path: str = "/__calls__",
        max_body_bytes: int = 1_048_576,
        max_upload_bytes: int = 16_777_216,
    ) -> None:
        super().__init__(app)
        where = "PageCallsMiddleware"
        if not isinstance(functions, Calls):
            raise ConfigurationError(complaint(where, "functions", "a Calls registry", functions, "calls = Calls()"))
        is_path = isinstance(path, str) and path.isascii() and path.isprintable()
        if not is_path or not path.startswith("/") or len(path) < 2 or path.endswith("/") or set(path) & set("?#%\\ "):
            raise ConfigurationError(complaint(where, "path", "a path such as '/__calls__'", path))
        self.functions = functions
        self.path = path
        self.max_body_bytes = check_amount(where, "max_body_bytes", max_body_bytes, minimum=1)
        self.max_upload_bytes = check_amount(where, "max_upload_bytes", max_upload_bytes, minimum=1)
        self._assets, client = load_assets(path)
        self._client = f"{path}/{client}"
        self._served = frozenset((path, *self._assets))

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Answer calls, and serve the client module."""
        environ = exchange.environ
        path = environ.get("PATH_INFO")
        if path not in self._served:
            environ[PAGE_CALLS] = environ.get("SCRIPT_NAME", "") + self._client
            return None
        if path == self.path:
            return self._answer
        asset = self._assets[path]
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return problem(405, "The module is read by GET.", [("Allow", "GET, HEAD")])
        if isinstance(asset, str):
            # RFC 9110 §10.2.2: relative to the address of the request, so a prefix stays.
            return reply(307, headers=[("Location", asset), ("Cache-Control", "no-cache")])
        return asset

    # ------------------------------------------------------------------ one call

    def _answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a call, as the endpoint of its request."""
        exchange: Exchange = environ[EXCHANGE]
        try:
            app = self._run(exchange)
        except Invalid as error:
            app = problem(422, "The arguments don't fit.", errors=error.errors)
        except BadRequest as error:
            app = problem(int(error.status[:3]), str(error))
        except Exception as error:
            app = of_http_exception(error)  # type: ignore[assignment]  # None is raised on
            if app is None:
                raise
        return app(environ, start_response)

    def _run(self, exchange: Exchange) -> WSGIApplication:
        environ = exchange.environ
        if environ["REQUEST_METHOD"] != "POST":
            return problem(405, "A call is a POST.", [("Allow", "POST")])
        is_upload = media_type_of(environ.get("CONTENT_TYPE")) == _FORM
        name, args = (name_in_query(environ), None) if is_upload else read_json(environ, self.max_body_bytes)
        function = self.functions.functions.get(name)
        app = self._protect(exchange, function)
        if app is not None:
            return app
        files: Mapping[str, list[Any]] = {}
        if is_upload:
            args, files = read_form(exchange, self.max_upload_bytes)
        call = Call(name, args, exchange)
        if function is None:
            return self._refuse(call, 404, "There is no function of this name.")
        try:
            positional, named = function.parameters.bind(args, files, exchange)
        except Invalid as error:
            return self._refuse(call, 422, "The arguments don't fit.", errors=error.errors)
        return self._invoke(call, function, positional, named)

    def _protect(self, exchange: Exchange, function: PageFunction | None) -> WSGIApplication | None:
        """Let the layers around see the call as a view, and refuse one that another site sent."""
        if function is not None:
            exchange.note_route(_Place(self.path, function))
        app = exchange.run_before_view()
        if app is not None:
            return app
        if function is not None and function.policy:
            check_obeyed(f"function {function.name!r}", function.policy, exchange)
            if function.policy.get("csrf") is False:
                return None
        reason = reason_to_refuse(exchange.environ)
        if reason is None:
            return None
        return problem(403, f"This call may have been sent by another site ({reason}).", [("Vary", _VARY)])

    def _invoke(
        self, call: Call, function: PageFunction, positional: list[Any], named: dict[str, Any]
    ) -> WSGIApplication:
        for before in self.functions.on_before:
            answer = before(call)
            if isinstance(answer, PageReply):
                return _success(answer)
        result = function.function(*positional, **named)
        if isinstance(result, Generator):
            return self._stream(call, result)
        if not self.functions.on_after:
            return _success(result)
        return _success(self._after(call, result))

    def _after(self, call: Call, result: Any) -> PageReply:
        answer = result if isinstance(result, PageReply) else PageReply(result)
        for after in self.functions.on_after:
            after(call, answer)
        return answer

    def _refuse(self, call: Call, status: int, detail: str, **members: Any) -> WSGIApplication:
        document = problem_document(status, detail, **members)
        for invalid in self.functions.on_invalid:
            answer = invalid(call, document)
            if isinstance(answer, PageReply):
                return _success(answer)
        return problem(status, detail, **members)

    # ------------------------------------------------------------------ streams

    def _stream(self, call: Call, generator: Generator[Any, Any, Any]) -> WSGIApplication:
        """Send what a generator yields as it comes. Its first step is made at once, so that its error is an answer."""
        try:
            first = next(generator)
        except StopIteration as end:
            return _success(self._after(call, end.value))
        return EventStream(_Steps(self._events(call, generator, first), generator), keepalive_seconds=None)

    def _events(
        self, call: Call, generator: Generator[Any, Any, Any], item: Any
    ) -> Generator[Event | None, None, None]:
        try:
            while True:
                yield None if item is None else Event(_document(item))
                item = next(generator)
        except StopIteration as end:
            answer = self._after(call, end.value)
            yield Event(_document(answer), event="end")
        except Exception as error:
            document = document_of_http_exception(error)
            if document is not None:
                yield Event(document, event="problem")
            raise


class _Steps:
    """The events of a streamed call. Closing them closes the generator of the function, also before their first step.

    `events` alone wouldn't: the ``finally`` of a generator that was never stepped doesn't run.
    """

    def __init__(self, events: Generator[Event | None, None, None], generator: Generator[Any, Any, Any]) -> None:
        self._events = events
        self._generator = generator

    def __iter__(self) -> Iterator[Event | None]:
        return self._events

    def close(self) -> None:
        self._events.close()
        self._generator.close()


class _Place:
    """A call as the route of its request."""

    def __init__(self, path: str, function: PageFunction) -> None:
        self._route = TakenRoute(path, function.name, {}, function.policy, None)

    def __wsgikit_route__(self, method: str) -> TakenRoute:
        return self._route


# ---------------------------------------------------------------------- pure functions


def _document(result: Any) -> dict[str, Any]:
    if isinstance(result, PageReply):
        return {"value": result.value, "commands": result.commands}
    return {"value": result, "commands": []}


def _success(result: Any) -> WSGIApplication:
    return Reply(200, to_json(_document(result)), "application/json", _NO_STORE)
