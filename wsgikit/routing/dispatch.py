"""From a matched rule to a response: hooks, view, result, error handlers, in Flask's order.

A `Matched` is one request, and the WSGI application that answers it by the `Plan` of its endpoint: `before_request` of
the layer returns it, the engine calls it.

    url_value_preprocessor   the router's, then each included one's, inwards
    before_request           the same; the first that returns something answers
    the view
    errorhandler             where one of these raised: by code inwards out, then by class inwards out
    after_this_request       in the order they were asked for
    after_request            inwards out, each router's last one first
    teardown_request         the same, when the request has ended

The signals of `wsgikit.signals` are sent at the same points as Flask's.
"""

from __future__ import annotations

__all__ = ["Matched", "make_response"]

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import InternalServerError

from wsgikit.exceptions import ApplicationError, complaint
from wsgikit.http.input import limit_input, lower_limits
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.log import log_error, mark_logged
from wsgikit.onion.policies import check_obeyed
from wsgikit.onion.route import TakenRoute
from wsgikit.routing.answers import (
    HTML,
    OK,
    http_answer,
    make_parts,
    send,
    send_parts,
    split,
    with_head,
    with_own_length,
)
from wsgikit.routing.bodies import ClosedOnce, capture
from wsgikit.routing.invoke import Wants, as_sync, name_of, place_of, wants_of, with_wants
from wsgikit.routing.match import Match
from wsgikit.routing.plan import Plan
from wsgikit.signals import RECEIVERS, has_receivers, send_signal
from wsgikit.wsgi import EXCHANGE, NO_REQUEST, REQUEST_LIMITS, THROW_ERRORS, Environ, StartResponse, WSGIApplication

if TYPE_CHECKING:
    from wsgikit.http.response import Response
    from wsgikit.routing.inclusion import Inclusion
    from wsgikit.routing.route import Route
    from wsgikit.routing.router import Router

NOT_CALLED: Any = object()
UNHANDLED: Any = object()
_HTML_TYPE = ("Content-Type", HTML)


class Matched(Match):
    """A request that a rule matched: what is known of it, and the WSGI application that answers it.

    It is in environ under ``wsgikit.routing``.

    Attributes:
        plan: what is to be done.
        rule: the rule; None if none matched.
        values: what the path bound.
        parent: the same of the router that this one is mounted in, or None.
        error: why no rule matched.
        after: functions of `after_this_request`.
        described: the route as an exchange shows it, once it was asked for.
    """

    # Set one by one after the making; what most requests leave as it is stands on the class. __init__ costs twice that.
    plan: Plan
    rule: Route | None = None  # type: ignore[assignment]  # there is none in the record of a miss
    values: dict[str, Any] | None = None  # type: ignore[assignment]  # as above
    parent: Any = None
    error: Exception | None = None
    raised: Exception | None = None
    after: list[Callable[..., Any]] | None = None
    described: TakenRoute | None = None

    def __repr__(self) -> str:
        return super().__repr__() if self.rule is not None else "<Match of no rule>"

    @property
    def router(self) -> Router:
        """The router that serves the request."""
        return self.plan.router

    @property
    def endpoint(self) -> str | None:  # type: ignore[override]  # as above
        """The name of the matched endpoint."""
        rule = self.rule
        return rule.endpoint if rule is not None else None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        plan = self.plan
        method = environ["REQUEST_METHOD"]
        exchange = environ[EXCHANGE]
        if self.parent is not None:
            exchange.note_route(self)
        if exchange.has_views and (app := self._before_view(exchange, method)) is not None:
            return app(environ, start_response)
        if not plan.is_plain or method == "OPTIONS" or (RECEIVERS and any(RECEIVERS)):
            return self.answer_inside(None, environ, start_response)
        values = self.values
        body: Any
        content_type: tuple[str, str] | None
        try:
            result = plan.view(**values) if values else plan.view()
            kind = type(result)
            # The results that most views have, without what only others need.
            if kind is str:
                body = result.encode()
                content_type = _HTML_TYPE
            elif kind is dict or kind is list:
                body = plan.json.body(result)
                content_type = ("Content-Type", plan.json.mimetype)
            elif kind is bytes:
                body = result
                content_type = _HTML_TYPE
            else:
                body = content_type = None
        except Exception as error:  # noqa: BLE001  # handlers of the router come first; what they leave is raised
            return self.answer(environ, error)(environ, start_response)
        if content_type is None or self.after is not None:
            return self.answer(environ, None, result)(environ, start_response)
        start_response(OK, [content_type, ("Content-Length", str(len(body)))])
        return [body] if method != "HEAD" else []

    def __wsgikit_route__(self, method: str) -> TakenRoute | None:
        """Return the route as an exchange shows it; None if no rule matched."""
        rule = self.rule
        if rule is None or self.error is not None:
            return None
        if self.described is None:
            prefixes = []
            parent = self.parent
            while parent is not None:
                prefixes.append(getattr(parent, "prefix", ""))
                parent = parent.parent
            policy = self.plan.policy_for(method)
            text = "".join([*reversed(prefixes), rule.rule])
            self.described = TakenRoute(text, rule.endpoint, self.values or {}, policy, self.plan.router)
        return self.described

    def _before_view(self, exchange: Exchange, method: str) -> WSGIApplication | None:
        """Run the before_view hooks of the layers, unless the answer comes from no view; return their answer."""
        return exchange.run_before_view() if self._has_view(method) else None

    def _has_view(self, method: str) -> bool:
        """Return whether a view answers the request: no error page, no automatic OPTIONS."""
        rule = self.rule
        return rule is not None and self.error is None and not (method == "OPTIONS" and rule.has_automatic_options)

    # ------------------------------------------------------------------ with hooks, results and errors

    def answer_inside(
        self, inclusion: Inclusion | None, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer with what stands inside the layers of an inclusion: those of the next one further in, or the view.

        Args:
            inclusion: None begins with the outermost.
            environ: of the request.
            start_response: as PEP 3333 has it.
        """
        around = self.plan.around
        number = 0 if inclusion is None else around.index(inclusion) + 1
        if number < len(around):
            return around[number].answer(environ, start_response)
        method = environ["REQUEST_METHOD"]
        if self.plan.has_policy and self._has_view(method):
            check_obeyed(self.plan.where, self.plan.policy_for(method), environ[EXCHANGE])
        return self.answer(environ)(environ, start_response)

    def answer(self, environ: Environ, error: Exception | None = None, result: Any = NOT_CALLED) -> WSGIApplication:
        """Return the response.

        Args:
            error: what the view raised, where it was called already.
            result: what the view returned, where it was called already.
        """
        exchange: Exchange = environ[EXCHANGE]
        plan = self.plan
        if plan.limits:
            environ[REQUEST_LIMITS] = lower_limits(environ.get(REQUEST_LIMITS), plan.limits)
            max_bytes = plan.limits.get("max_content_length")
            if max_bytes is not None:
                limit_input(environ, max_bytes)
        if plan.router.request_class is not None:
            exchange.known_request = _other_request(plan.router.request_class, environ, plan.limits)
        if (plan.teardown or any(RECEIVERS)) and error is None:
            exchange.on_teardown(partial(self.tear_down, exchange))
        try:
            try:
                if error is not None:
                    raise error
                if result is NOT_CALLED:
                    result = self._run(exchange)
            except Exception as raised:
                self._note(raised)
                result = self._handled(raised, exchange)
                if result is UNHANDLED:
                    raise
            return self._finish(result, exchange)
        except Exception as raised:
            self._note(raised)
            page = self._last_answer(raised, exchange)
            if page is None:
                raise
            return page
        finally:
            # The traceback of an error holds this frame, and the frame would hold the error: only the garbage collector
            # would free the two, with environ and all.
            error = result = None

    def _note(self, error: Exception | None) -> None:
        """Keep an error for the functions that tear down, if there are any."""
        if self.plan.teardown or any(RECEIVERS):
            self.raised = error

    def _run(self, exchange: Exchange) -> Any:
        plan = self.plan
        environ = exchange.environ
        if RECEIVERS:
            _send("appcontext_pushed", plan)
            _send("request_started", plan)
        for function, wants in plan.preprocessors:
            _call(function, wants, exchange, plan.endpoint, self.values)
        for function, wants in plan.before:
            result = _call(function, wants, exchange)
            if result is not None:
                return result
        if self.error is not None:
            raise self._take_error()
        rule = self.rule
        if environ["REQUEST_METHOD"] == "OPTIONS" and rule is not None and rule.has_automatic_options:
            return plan.router.options_response(environ)
        values: dict[str, Any] = self.values  # type: ignore[assignment]  # there is no error, so there is a match
        if plan.wants:
            values = with_wants(values, plan.wants, exchange)
        result = plan.view(**values)
        if result is None:
            make_parts(None, plan.where, plan.json)  # raises
        return result

    def _take_error(self) -> Exception:
        error = self.error
        self.error = None  # its traceback will lead back here
        return error  # type: ignore[return-value]  # there is one if this is called

    def _handled(self, error: Exception, exchange: Exchange) -> Any:
        """Return what the error handler for `error` returns, or `UNHANDLED`."""
        if getattr(error, "new_url", None) is not None and callable(error):
            return error  # Werkzeug's RequestRedirect is an answer, no error
        handler = self.plan.find_handler(error)
        if handler is not None:
            self._note(None)
            result = _call_handler(handler, error, exchange)
            if result is None:
                make_parts(None, f"errorhandler ({place_of(handler)})", self.plan.json)  # raises
            return result
        answer = self._http_answer(error, exchange)
        return UNHANDLED if answer is None else answer

    def _http_answer(self, error: Exception, exchange: Exchange) -> WSGIApplication | None:
        """Return the response that an exception is, or None if it is none, or if a layer outside makes pages."""
        answer = http_answer(error)
        if answer is None or _is_answered_outside(exchange):
            return None
        self._note(None)
        if isinstance(error, KeyError):  # a field that is missing: the page doesn't say which
            _log_missing(exchange.environ, error)
        error.__traceback__ = None  # it is no error any more, and its traceback holds the frames that hold it
        return answer

    def _last_answer(self, error: Exception, exchange: Exchange) -> WSGIApplication | None:
        """Return what answers an error that no handler took, or that a handler or `after_request` raised.

        An HTTP exception is its own answer, whatever raised it. None leaves the error to the layers outside.
        """
        if http_answer(error) is not None:
            return self._http_answer(error, exchange)
        _send("got_request_exception", self.plan, exception=error)
        if exchange.environ.get(THROW_ERRORS):
            return None
        return self._failed(error, exchange)

    def _failed(self, error: Exception, exchange: Exchange) -> WSGIApplication | None:
        """Answer an exception that nothing handles with the handler of 500, if there is one."""
        failure = InternalServerError(original_exception=error)
        handler = self.plan.find_handler(failure)
        if handler is None:
            return None
        log_error(exchange.environ, error, f"in {self.plan.where}")
        exchange.error = error
        exchange.on_teardown(_nothing)  # where something is to be torn down, the engine lets go of the error at the end
        try:
            result = _call_handler(handler, failure, exchange)
        except Exception as another:
            answer = self._http_answer(another, exchange)
            if answer is None:
                raise
            return answer
        try:
            return self._finish(result, exchange)
        except Exception as another:  # noqa: BLE001  # as Flask: the page of the failure is sent all the same
            log_error(exchange.environ, another, "in after_request, for the page of an error")
            return self._prepared(result)

    def _finish(self, result: Any, exchange: Exchange) -> WSGIApplication:
        plan = self.plan
        if not plan.after and self.after is None and not has_receivers("request_finished"):
            if type(result) is str:
                body = result.encode()
                return partial(send_parts, OK, [_HTML_TYPE, ("Content-Length", str(len(body)))], [body])
            return self._prepared(result)
        original: Any = plan.router.make_response(result, exchange.environ, plan.where)
        body = original.app_iter
        close = getattr(body, "close", None)
        if close is None:
            return self._hooked(original, exchange)  # type: ignore[no-any-return]  # a WSGI application
        once = ClosedOnce(body, close)
        original._app_iter = once  # webob's own name: what it does for `app_iter` would drop the length
        try:
            response = self._hooked(original, exchange)
        except BaseException:
            once.close()
            raise
        if response is original and original.app_iter is once:
            original._app_iter = body
        else:
            exchange.on_teardown(once.close)
        return response  # type: ignore[no-any-return]  # as above

    def _hooked(self, original: Response, exchange: Exchange) -> Any:
        """Return what the hooks make of a response."""
        plan = self.plan
        response: Any = original  # a hook may put anything in its place that a view may return
        for function in self.after or ():
            response = _checked(as_sync(function)(response), function)
        for function, wants in plan.after:
            response = _checked(_call(function, wants, exchange, response), function)
        is_heard = has_receivers("request_finished")
        if response is not original and (is_heard or not callable(response)):
            response = plan.router.make_response(response, exchange.environ, plan.where)
        if is_heard:
            _send("request_finished", plan, response=response)
        return response

    def _prepared(self, result: Any) -> WSGIApplication:
        """Return the application that sends `result`. What is wrong with `result` is raised here."""
        plan = self.plan
        json = plan.json
        status: str | None = None
        headers: Any = None
        body = result
        if isinstance(result, tuple):
            body, status, headers = split(result, plan.where)
        made = make_parts(body, plan.where, json)
        if not isinstance(made, tuple):
            if status is None and not headers:
                return made
            return partial(send, (made, status or OK, headers) if status else (made, headers), plan.where, json)
        line, head, chunks = made
        if status is None and not headers:
            return partial(send_parts, line, head, chunks)
        return partial(send_parts, *with_head(line, head, chunks, status, headers, plan.where))

    def tear_down(self, exchange: Exchange) -> None:
        """Run the functions of `teardown_request`, then send the signals; raise the first error at the end."""
        error = self.raised or (exchange.error if not exchange.is_complete else None)
        self.raised = None
        first: BaseException | None = None
        for name, call in self._teardown_calls(exchange, error):
            try:
                call()
            except Exception as another:  # noqa: BLE001  # the others run; the first is raised
                if first is None:
                    first = another
                else:
                    log_error(exchange.environ, another, f"in {name}")
        if first is not None:
            raise first

    def _teardown_calls(
        self, exchange: Exchange, error: BaseException | None
    ) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield what is to be called at the end of a request, each with its name for the log."""
        plan = self.plan
        for function, wants in plan.teardown:
            yield f"teardown_request ({name_of(function)})", partial(_call, function, wants, exchange, error)
        if not RECEIVERS:
            return
        if NO_REQUEST not in exchange.environ:
            yield "request_tearing_down", partial(_send, "request_tearing_down", plan, exc=error)
        yield "appcontext_tearing_down", partial(_send, "appcontext_tearing_down", plan, exc=error)
        yield "appcontext_popped", partial(_send, "appcontext_popped", plan)


_response_class: type[Response] | None = None


def make_response(result: Any, environ: Environ, where: str, json: Any) -> Response:
    """Return a view's result as a `Response`, for hooks that look at it or change it."""
    global _response_class
    kind = _response_class
    if kind is None:
        # webob is loaded where a response object is needed. Kept, for an import costs as much as all the rest here.
        from wsgikit.http.response import Response

        kind = _response_class = Response
    status: str | None = None
    headers: Any = None
    if isinstance(result, tuple):
        result, status, headers = split(result, where)
    if isinstance(result, kind):
        if status is not None:
            result.status = status
        if headers:
            result.update_headers(headers)
        return result
    made = make_parts(result, where, json)
    is_application = not isinstance(made, tuple)
    line, own_head, body = made if isinstance(made, tuple) else capture(made, environ)
    head = own_head
    if status is not None or headers:
        line, head, body = with_head(line, head, body, status, headers, where)
        if is_application and headers:
            head = with_own_length(own_head, head)
    return kind.of_parts(line, head, body)


def _other_request(request_class: Callable[[Environ], Any], environ: Environ, limits: dict[str, int | None]) -> Any:
    """Make the request of another class that a router was given, with the router's limits."""
    request = request_class(environ)
    for name, value in limits.items():
        setattr(request, name, value)
    return request


def _call(function: Callable[..., Any], wants: Wants, exchange: Exchange, *args: Any) -> Any:
    if not wants:
        return function(*args)
    # What is asked for by annotation may stand anywhere: the others keep their order.
    return function(*args, **with_wants({}, wants, exchange))


def _send(name: str, plan: Plan, **values: Any) -> None:
    send_signal(name, plan.router, as_sync, **values)


def _call_handler(handler: Callable[..., Any], error: Exception, exchange: Exchange) -> Any:
    return _call(as_sync(handler), wants_of(handler), exchange, error)


def _checked(response: Any, function: Callable[..., Any]) -> Any:
    if response is None:
        raise ApplicationError(
            complaint(f"after_request ({place_of(function)})", "result", "the response", None, "Return it")
        )
    return response


def _log_missing(environ: Environ, error: Exception) -> None:
    if mark_logged(error, environ):
        import logging  # costs start-up time, and only failures log

        path = ascii(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""))[1:-1]
        logging.getLogger("wsgikit").info("%s %s: %s", environ["REQUEST_METHOD"], path, ascii(str(error))[1:-1])


def _is_answered_outside(exchange: Exchange) -> bool:
    """Return whether a layer outside makes pages of errors, so that an HTTP exception is for it to answer."""
    return any(getattr(layer, "answers_errors", False) for layer in exchange.layers)


def _nothing() -> None:
    pass
