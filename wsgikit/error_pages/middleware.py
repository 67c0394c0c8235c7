"""`ErrorPagesMiddleware`: an answer for every error."""

from __future__ import annotations

__all__ = ["ErrorPagesMiddleware"]

import builtins
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from wsgikit.exceptions import BadRequest, ConfigurationError, complaint
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.options.flags import check_flags
from wsgikit.wsgi import REFUSAL, THROW_ERRORS, Environ, WSGIApplication

if TYPE_CHECKING:
    from wsgikit.error_pages.render import ErrorPage, PageResult
    from wsgikit.error_pages.report import ErrorReport
    from wsgikit.http.addresses import Network


class ErrorPagesMiddleware(Middleware):
    """Answer every exception that nobody inside handled, and error responses without a body, with a page.

    The client gets HTML, ``application/problem+json`` (RFC 9457) or text, by its ``Accept`` header, in the language of
    its ``Accept-Language``. A visitor is told nothing of the error but its id. The log gets one record with that id
    (logger ``wsgikit.errors``). With ``debug=True`` a developer on the same machine gets the traceback.

    Use it around every application. Leave it out if a framework inside has error pages that you want to keep: those
    it never touches, but it then has nothing to do except where that framework itself fails.

    Place: outermost, inside only what adds headers to every response (CORS, request id, security headers): those
    are then on error pages too. It has to stand outside sessions and database, whose saving may fail. Environ: needs
    nothing, provides nothing; reads ``wsgikit.request_id``, ``wsgiorg.routing_args`` and ``x-wsgiorg.throw_errors``
    (if that is true, errors pass through to a test).

    Args:
        app: the WSGI application to wrap.
        debug: show tracebacks to requests from this machine and to peers in `debug_hosts`. Never on a server that
            others reach.
        pages: your own pages by status (``404``) or class (``"5xx"``): the path of an HTML file, in which
            ``{{ error_id }}``, ``{{ title }}``, ``{{ text }}``, ``{{ status_code }}`` … are filled in; of a Jinja2
            template (a name that ends in ``.j2``, ``.jinja`` or ``.jinja2``); a template object with ``render``; or a
            function that takes an `ErrorPage`. Files and templates are for clients that want HTML; a function is asked
            for all.
        replace_empty: give a page to error responses of the application that have no body. One that it wrote is never
            replaced.
        statuses: the status for exceptions of a class, the nearest class first: ``{PermissionError: 403}``. Python's
            own may be given by name.
        report: a function, or several, that gets an `ErrorReport` of each error of status 500 and above.
        texts: further languages, or other words for ours: ``{"nl": {"404": "Niet gevonden|Hier is niets."}}``, or the
            path of an ini file with a section for each language.
        debug_hosts: addresses and networks that may see tracebacks besides this machine: ``["172.17.0.0/16"]``. The
            address of the connection is compared. If a proxy header is present, each address that it names has to be
            in the list too; loopback addresses then count only if they are listed.
        show_locals: show local variables on the traceback page, secrets hidden.
        editor: links from the traceback to the source: ``"vscode"``, ``"pycharm"``, ``"sublime"``, ``"textmate"``,
            ``"emacs"``, ``"vim"``, or a pattern with ``{path}`` and ``{line}``.
        console: with `debug`, show Werkzeug's interactive debugger in place of our page: code typed there runs in the
            server. Only for requests from this machine, never under several processes; it asks for a PIN.

    Raises:
        ConfigurationError: an option that can't work (a switch takes True or False, not text such as ``"0"``); a
            missing page or template; `console` without `debug`.

    Security: the traceback page shows source, request headers that are known to be harmless, and names of session
    keys. It hides cookies, credentials, secrets of the layers and of the process's environment, and passwords in URLs.
    It is still not for strangers. A request is from this machine if the peer is a loopback address, the Host is
    localhost or an address, no proxy header is present, and the server is known to hand such headers on (waitress
    deletes them by default). A proxy that adds no header can't be told from a developer: don't use `debug` there.

    Example::

        stack = build_stack(
            app,
            use(ErrorPagesMiddleware, pages={404: "pages/404.html"}, statuses={PermissionError: 403}),
        )
    """

    outside_of = ("SessionMiddleware", "DatabaseMiddleware", "RouterMiddleware")  # a save that fails gets a page, too

    answers_errors: ClassVar[bool] = True
    """A router leaves HTTP exceptions to such a layer."""

    def __new__(cls, app: WSGIApplication, *, console: bool = False, **options: Any) -> ErrorPagesMiddleware:
        """Choose the class with the console's hook where it is asked for: others must not pay for that hook."""
        kind: type[Any] = cls
        if console is True and cls is ErrorPagesMiddleware:
            from wsgikit.error_pages.console import ConsoleErrorPagesMiddleware  # loads werkzeug's debugger

            kind = ConsoleErrorPagesMiddleware
        return super().__new__(kind)  # type: ignore[no-any-return]  # it is of a subclass

    def __init__(
        self,
        app: WSGIApplication,
        *,
        debug: bool = False,
        pages: Mapping[int | str, str | os.PathLike[str] | Callable[[ErrorPage], PageResult]] | None = None,
        replace_empty: bool = True,
        statuses: Mapping[type[BaseException] | str, int] | None = None,
        report: Callable[[ErrorReport], object] | Iterable[Callable[[ErrorReport], object]] | None = None,
        texts: Mapping[str, Mapping[str, str]] | str | None = None,
        debug_hosts: Iterable[str] = (),
        show_locals: bool = False,
        editor: str | None = None,
        console: bool = False,
    ) -> None:
        super().__init__(app)
        where = "ErrorPagesMiddleware"
        check_flags(where, debug=debug, replace_empty=replace_empty, show_locals=show_locals, console=console)
        if console and not debug:
            raise _wrong("console", "debug=True beside it", console, "The console shows tracebacks and more")
        if isinstance(debug_hosts, str):
            debug_hosts = (debug_hosts,)
        self.debug = debug
        if debug:
            # Set on the instance, where the engine looks first: without debug there is no hook to be run.
            setattr(self, "before_request", self._begin_in_debug)  # noqa: B010  # it hides a method on purpose
        self.replace_empty = replace_empty
        self.show_locals = show_locals
        self.statuses = _checked_statuses(statuses or {})
        self.reporters = _checked_reporters(report)
        self.debug_hosts = tuple(debug_hosts)
        self.editor = editor
        # What an option needs is loaded with that option; our own pages need nothing before the first error.
        self.pages: Mapping[str, Callable[[ErrorPage], PageResult]] = {}
        self.texts: Mapping[str, Mapping[str, str]] | None = None
        self.refused: set[str] = set()
        if pages:
            from wsgikit.error_pages.render import load_pages

            self.pages = load_pages(pages)
        if texts is not None:
            from wsgikit.error_pages.texts import load_texts

            self.texts = load_texts(texts)
        self.debug_networks: tuple[Network, ...] = ()
        if self.debug_hosts:
            from wsgikit.http.addresses import parse_networks

            remedy = "The peer's address counts, not the Host header"
            self.debug_networks = parse_networks(where, "debug_hosts", self.debug_hosts, remedy)
        if editor is not None:
            from wsgikit.error_pages.traceback_page import editor_pattern

            editor_pattern(editor)

    def _begin_in_debug(self, exchange: Exchange) -> WSGIApplication | None:
        """Have the database layers inside record their statements, for the traceback page."""
        exchange.state.setdefault("wsgikit.sql", [])
        return None

    def after_request(self, exchange: Exchange) -> None:
        """Give a page to an error response that has no body."""
        if exchange._status < "4":  # type: ignore[operator]  # a response has one; without the detour of a property
            return
        if self.replace_empty:
            body = exchange.body
            refused = exchange.environ.get(REFUSAL)
            is_refusal = refused is not None and refused[1] is body
            # A lazy body is known to be empty only by its length.
            is_full = any(body) if isinstance(body, (list, tuple)) else exchange.headers.get("Content-Length") != "0"
            if is_full and not is_refusal:
                return
            from wsgikit.error_pages.handling import fill_empty  # an error's cost, not a start's

            fill_empty(self, exchange)

    def handle_exception(self, exchange: Exchange, error: Exception) -> WSGIApplication | None:
        """Answer an exception with a page; log it and report it."""
        if exchange.environ.get(THROW_ERRORS) and not (callable(error) or isinstance(error, BadRequest)):
            return None  # a test wants bugs; an HTTP exception is an answer, as in Flask's testing mode
        from wsgikit.error_pages.handling import answer_error  # an error's cost, not a start's

        return answer_error(self, exchange, error)

    def answer_with_console(self, environ: Environ, error: Exception) -> WSGIApplication | None:
        """Return the application that shows the interactive console, if there is one."""
        return None


def _checked_statuses(statuses: Mapping[type[BaseException] | str, int]) -> dict[type[BaseException], int]:
    checked: dict[type[BaseException], int] = {}
    for key, status in statuses.items():
        kind = getattr(builtins, key, None) if isinstance(key, str) else key
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise _wrong("statuses", "exception classes as keys", key, "Write {PermissionError: 403}")
        if not isinstance(status, int) or not 400 <= status <= 599:
            raise _wrong(f"statuses[{kind.__name__}]", "a status from 400 to 599", status)
        checked[kind] = status
    return checked


def _checked_reporters(report: Any) -> tuple[Callable[[ErrorReport], object], ...]:
    reporters = () if report is None else (report,) if callable(report) else tuple(report)
    for reporter in reporters:
        if not callable(reporter):
            raise _wrong("report", "a function that takes an ErrorReport", reporter)
    return reporters


def _wrong(what: str, expected: str, got: object, remedy: str = "") -> ConfigurationError:
    return ConfigurationError(complaint("ErrorPagesMiddleware", what, expected, got, remedy))
