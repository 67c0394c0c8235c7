"""What happens when an error happens: decide the answer, tell the log and the reporters, write the page."""

from __future__ import annotations

__all__ = ["answer_error", "fill_empty"]

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wsgikit.error_pages import report
from wsgikit.error_pages.answers import Answer, find_answer, is_client_disconnect, status_line
from wsgikit.error_pages.render import ErrorPage, Rendered, find_page, render_problem, render_visitor_page, text_page
from wsgikit.error_pages.report import ErrorReport
from wsgikit.error_pages.texts import DEFAULT_LANGUAGE, load_texts, texts_for
from wsgikit.exceptions import ApplicationError, BadRequest, complaint
from wsgikit.http.accept import choose_form, choose_language
from wsgikit.http.addresses import debug_refusal
from wsgikit.http.headers import Headers
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.log import exc_info_of
from wsgikit.onion.reply import Reply
from wsgikit.options.masking import hide_credentials
from wsgikit.wsgi import CSP_NONCE, REFUSAL, REQUEST_ID, Environ, HeaderList, StartResponse, WSGIApplication

if TYPE_CHECKING:
    from wsgikit.error_pages.middleware import ErrorPagesMiddleware

_MOST_REFUSALS_LOGGED = 20  # peers; the line is for the developer, not a record of every visitor


def answer_error(layer: ErrorPagesMiddleware, exchange: Exchange, error: Exception) -> WSGIApplication | None:
    """Log and report an error, and return the application that answers it; None if nothing can be answered."""
    environ = exchange.environ
    is_answerable = exchange.status is None  # the engine drops the response before it asks; else it only tells
    if is_client_disconnect(error, environ):
        _note_disconnect(environ, error)
        return exchange.reply(400, "The request broke off.\n") if is_answerable else None
    try:
        answer = find_answer(error, environ, layer.statuses)
    except Exception:  # noqa: BLE001 - an exception's own methods may raise anything
        _logger().exception("%s could not be asked for its answer: 500 is sent", type(error).__name__)
        answer = Answer(status_line(500), [])
    if answer.is_expected and 400 <= answer.status_code < 500:
        answer = _with_reason(layer, environ, error, answer)
    is_failure = answer.status_code >= 500 or not is_answerable
    error_id = None
    known = None
    if is_failure:
        error_id = report.new_error_id()
        known = report.make_report(exchange, error, error_id, answer.status if is_answerable else None)
        if report.mark_logged(error, environ):
            report.log(known)
        _tell_reporters(layer, known)
    elif not answer.is_expected:
        _note_mapped(environ, error, answer)
    if not is_answerable:
        return None
    page = _page(layer, environ, answer, error_id)
    if answer.response is not None and callable(answer.response):
        return _Carried(answer.response, page, answer.headers)
    try:
        if known is not None and layer.debug and not answer.is_expected and _may_debug(layer, environ):
            return _answer_developer(layer, exchange, known, answer.headers, page)
        return _answer_visitor(layer, environ, answer.headers, page)
    except Exception as failure:  # noqa: BLE001 - whatever a page does, the client gets an answer
        _note_failed_page(page, failure)
        return _fallback(page, answer.headers)


def fill_empty(layer: ErrorPagesMiddleware, exchange: Exchange) -> None:
    """Put a page into an error response that has no body; its status and headers stay."""
    environ = exchange.environ
    headers = exchange.headers
    # The answer to HEAD never has a body: it is empty for GET too only where it says so, or says nothing at all.
    if environ["REQUEST_METHOD"] == "HEAD" and headers.get("Content-Length") != "0" and headers.has("Content-Type"):
        return
    status = exchange.status or ""
    refused = environ.get(REFUSAL)
    detail = refused[0].detail if refused is not None and refused[1] is exchange.body else None
    page = _page(layer, environ, Answer(status, [], detail), None, headers.get("Content-Language"))
    try:
        app = _answer_visitor(layer, environ, [], page)
    except Exception as failure:  # noqa: BLE001 - as above
        _note_failed_page(page, failure)
        app = _fallback(page, [])

    def take_head(status: str, pairs: HeaderList, exc_info: Any = None, /) -> Any:
        # ETag and Last-Modified stay: those of a 412 are of the resource, not of this body (RFC 9110 §8.8).
        for name in ("Content-Type", "Content-Length", "Content-Encoding"):
            headers.discard(name)
        for name, value in pairs:
            if name == "Vary":
                headers.vary(*(part.strip() for part in value.split(",")))
            elif name == "Set-Cookie":
                headers.add(name, value)
            elif name == "Cache-Control":
                headers.setdefault(name, value)
            else:
                headers.set(name, value)

    # Ours and a guarded one of the user's both return a list; what status it has doesn't count here.
    exchange.body = list(app(environ, take_head))


def _page(
    layer: ErrorPagesMiddleware, environ: Environ, answer: Answer, error_id: str | None, language: str | None = None
) -> ErrorPage:
    texts = layer.texts or load_texts(None)
    if language is None or language not in texts:  # else it is the application's own Content-Language
        language = choose_language(environ.get("HTTP_ACCEPT_LANGUAGE"), texts, DEFAULT_LANGUAGE)
    title, text, labels = texts_for(texts, language, answer.status_code)
    request_id = environ.get(REQUEST_ID)
    return ErrorPage(
        status_code=answer.status_code,
        status=answer.status,
        title=title,
        text=str(answer.detail) if answer.detail else text,
        error_id=error_id,
        request_id=None if request_id is None else report.printable(str(request_id)),
        language=language,
        labels=labels,
        form=choose_form(environ.get("HTTP_ACCEPT")),
        method=environ["REQUEST_METHOD"],
        home_url=environ.get("SCRIPT_NAME", "") + "/",
    )


def _answer_visitor(
    layer: ErrorPagesMiddleware, environ: Environ, headers: Iterable[tuple[str, str]], page: ErrorPage
) -> WSGIApplication:
    own = find_page(layer.pages, page.status_code)
    result = own(page) if own is not None else None
    if callable(result):
        return _Guarded(result, page, list(headers))
    if result is None:
        nonce = environ.get(CSP_NONCE)
        rendered = render_visitor_page(page, str(nonce) if nonce else None)
    elif isinstance(result, Mapping):
        rendered = render_problem(page, result)
    elif isinstance(result, (str, bytes)):
        body = result.encode() if isinstance(result, str) else result
        rendered = Rendered(body, "text/html; charset=utf-8", [])
    else:
        raise _wrong_page(page.status_code, "str, bytes, a mapping, a WSGI application or None", type(result).__name__)
    return make_reply(page, rendered, headers)


def _answer_developer(
    layer: ErrorPagesMiddleware, exchange: Exchange, known: ErrorReport, headers: HeaderList, page: ErrorPage
) -> WSGIApplication:
    console = layer.answer_with_console(exchange.environ, known.error) if page.form == "html" else None
    if console is not None:
        return console
    from wsgikit.error_pages.debug import read_view  # loaded on machines of developers only
    from wsgikit.error_pages.traceback_page import render_traceback_page

    nonce = exchange.environ.get(CSP_NONCE)
    view = read_view(exchange, known, page, layer.show_locals)
    return make_reply(page, render_traceback_page(view, layer.editor, str(nonce) if nonce else None), headers)


def _wrong_page(status_code: int, expected: str, got: object) -> ApplicationError:
    return ApplicationError(complaint("ErrorPagesMiddleware", f"page for {status_code}", expected, got))


def make_reply(page: ErrorPage, rendered: Rendered, headers: Iterable[tuple[str, str]]) -> Reply:
    """Make the WSGI application that answers with a page."""
    head = Headers(headers)
    for name, value in rendered.headers:
        head.setdefault(name, value)
    head.vary("Accept", "Accept-Language")
    if page.status_code >= 500:
        head.setdefault("Cache-Control", "no-store")
    return Reply(page.status, rendered.body, rendered.content_type, head)


class _Carried:
    """A response that an exception carries: where it fails, the plain page answers."""

    __slots__ = ("_app", "_headers", "_page")

    def __init__(self, app: WSGIApplication, page: ErrorPage, headers: HeaderList) -> None:
        self._app = app
        self._page = page
        self._headers = headers

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        head: list[Any] = []

        def take_head(status: str, headers: HeaderList, exc_info: Any = None, /) -> Any:
            head.append(status)
            return start_response(status, headers, exc_info)

        try:
            return self._app(environ, take_head)
        except Exception as failure:
            if head:
                raise
            return self._give_up(failure)(environ, start_response)

    def _give_up(self, failure: Exception) -> Reply:
        _note_failed_page(self._page, failure)
        return _fallback(self._page, self._headers)


class _Guarded(_Carried):
    """A user's page that is a WSGI application: it is taken whole, so that a failure in its body is caught, too."""

    __slots__ = ()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        head: list[Any] = []

        def take_head(status: str, headers: HeaderList, exc_info: Any = None, /) -> Any:
            head[:] = [status, headers]
            return written.append

        written: list[bytes] = []
        body: Iterable[bytes] = ()
        try:
            body = self._app(environ, take_head)
            whole = [*written, *body]  # an error page is short; a failure in its body is one of the page, too
            if not head:
                raise _wrong_page(self._page.status_code, "a call of start_response", None)
        except Exception as failure:  # noqa: BLE001 - whatever a page does, the client gets an answer
            return self._give_up(failure)(environ, start_response)
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()
        start_response(*head)
        return whole


def _fallback(page: ErrorPage, headers: Iterable[tuple[str, str]]) -> Reply:
    lines = f"{page.status}\n" + (f"\nError id: {page.error_id}\n" if page.error_id else "")
    head = Headers()
    for name, value in headers:
        with suppress(ApplicationError):  # one that can't be sent may be what the page failed by
            head.add(name, value)
    return make_reply(page, text_page(lines), head)


# ---------------------------------------------------------------------- who is told


def _tell_reporters(layer: ErrorPagesMiddleware, known: ErrorReport) -> None:
    for reporter in layer.reporters:
        try:
            reporter(known)
        except Exception:  # noqa: BLE001 - a reporter that fails must not cost the visitor the page
            _logger().exception("report= %r failed for error %s", reporter, known.error_id)


def _with_reason(layer: ErrorPagesMiddleware, environ: Environ, error: Exception, answer: Answer) -> Answer:
    """Show a developer why a request is refused, if the error says it, as Flask does; log a missing field."""
    if isinstance(error, KeyError):  # Werkzeug's BadRequestKeyError
        named = ascii(error.args[0] if error.args else "")
        shown = f"The request has no field {named}."
        if str(environ.get("CONTENT_TYPE", "")).lower().startswith("application/x-www-form-urlencoded"):
            shown += ' If it is a file, the form needs enctype="multipart/form-data".'
        if report.mark_logged(error, environ):
            path = report.request_path(environ)
            _logger().info("%s %s: %s: no field %s", environ.get("REQUEST_METHOD", "?"), path, answer.status, named)
    elif isinstance(error, BadRequest):  # wsgikit's own
        shown = hide_credentials(str(error))
    else:
        return answer
    show = layer.debug and debug_refusal(environ, layer.debug_networks) is None
    return replace(answer, detail=shown if show else None)


def _note_disconnect(environ: Environ, error: Exception) -> None:
    if report.mark_logged(error, environ):
        method, path = environ.get("REQUEST_METHOD", "?"), report.request_path(environ)
        _logger().info("%s %s: the client left (%s)", method, path, type(error).__name__)


def _note_mapped(environ: Environ, error: Exception, answer: Answer) -> None:
    if report.mark_logged(error, environ):
        method, path = environ.get("REQUEST_METHOD", "?"), report.request_path(environ)
        _logger().info("%s %s: %s: %s", method, path, type(error).__name__, answer.status, exc_info=exc_info_of(error))


def _note_failed_page(page: ErrorPage, failure: Exception) -> None:
    # The failure's context is the error itself, so that both tracebacks are in the record.
    text = "The page for %s failed (error %s); plain text was sent in its stead"
    _logger().error(text, page.status, page.error_id or "-", exc_info=failure)


def _may_debug(layer: ErrorPagesMiddleware, environ: Environ) -> bool:
    reason = debug_refusal(environ, layer.debug_networks)
    if reason is None:
        return True
    if reason not in layer.refused and len(layer.refused) < _MOST_REFUSALS_LOGGED:
        layer.refused.add(reason)
        _logger().warning(
            "debug=True, but no traceback was shown: %s. If a developer is there, add the address to debug_hosts=",
            reason,
        )
    return False


def _logger() -> Any:
    import logging  # costs start-up time, and only errors log

    return logging.getLogger(report.LOGGER)
