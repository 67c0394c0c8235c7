"""What is known of an error: for the log, for a reporter, and for the one on call."""

from __future__ import annotations

__all__ = [
    "LOGGER",
    "ErrorReport",
    "error_chain",
    "find_route",
    "find_site",
    "fingerprint",
    "layer_name",
    "log",
    "make_report",
    "mark_logged",
    "new_error_id",
    "origin_of",
    "printable",
    "request_path",
]

import hashlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any

from wsgikit.onion.exchange import Exchange
from wsgikit.onion.hooks import HOOKS
from wsgikit.onion.log import cause_of, exc_info_of, mark_logged
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.route import find_route, printable
from wsgikit.options.masking import hide_credentials
from wsgikit.wsgi import REQUEST_ID, STACK, Environ

_CAUSE: Any = BaseException.__dict__["__cause__"]
_CONTEXT: Any = BaseException.__dict__["__context__"]
_SUPPRESS: Any = BaseException.__dict__["__suppress_context__"]

LOGGER = "wsgikit.errors"
"""The logger that errors are written to."""

# Crockford's letters: no I, L, O or U, so that an id can be read out on the telephone.
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """One error, as a reporter gets it. It is a snapshot: nothing in it leads to the session or the database.

    Attributes:
        error: the exception, with its traceback.
        error_id: what the visitor was shown, such as ``"7GZK-42QM"``.
        fingerprint: the same for every error of the same type from the same place; for grouping.
        status: the status line that was answered, or None if the head had left already.
        method: ``GET``, …
        path: the path of the request, decoded; the query is left out.
        route: the rule or endpoint that matched, where a router said so.
        request_id: what a request id layer gave, or None.
        layer: the name of the layer that it came out of, or None for the application.
        hook: the name of the hook of that layer; ``answer`` for what the layer answered with; or None.
        stage: ``"request"`` before the head left, ``"stream"`` after.
    """

    error: Exception = field(repr=False)
    error_id: str
    fingerprint: str
    status: str | None
    method: str
    path: str
    route: str | None
    request_id: str | None
    layer: str | None
    hook: str | None
    stage: str

    @property
    def where(self) -> str:
        """Where it was raised, in words.

        ``SessionMiddleware.after_request``, ``the answer of RouterMiddleware`` or ``the application``.
        """
        if self.hook == "answer":
            return f"the answer of {self.layer}"
        return f"{self.layer}.{self.hook}" if self.layer else "the application"

    def traceback_text(self) -> str:
        """Return the traceback as text, with passwords in URLs and literals given to secret names hidden."""
        import traceback  # only a reporter that writes text needs it

        from wsgikit.http.redact import Redactor, known_secrets

        redactor = Redactor()
        for secret in known_secrets({}, os.environ, ()):
            redactor.learn(secret)
        return redactor.message("".join(traceback.format_exception(self.error)))


def make_report(exchange: Exchange, error: Exception, error_id: str, status: str | None) -> ErrorReport:
    """Gather what is known of an error in a request."""
    environ = exchange.environ
    _hide_parameters(error)
    owner, hook = find_site(error)
    request_id = environ.get(REQUEST_ID)
    return ErrorReport(
        error=error,
        error_id=error_id,
        fingerprint=fingerprint(error),
        status=status,
        method=printable(environ.get("REQUEST_METHOD", "?")),
        path=request_path(environ),
        route=find_route(exchange),
        request_id=None if request_id is None else printable(str(request_id)),
        layer=None if owner is None else layer_name(owner, environ),
        hook=hook,
        stage="request" if status is not None else "stream",
    )


def new_error_id() -> str:
    """Return an id such as ``7GZK-42QM``: 40 random bits in letters that can't be mistaken for one another."""
    number = secrets.randbits(40)
    letters = "".join(_LETTERS[number >> shift & 31] for shift in range(35, -1, -5))
    return f"{letters[:4]}-{letters[4:]}"


def fingerprint(error: BaseException) -> str:
    """Return the same letters for every error of the same types out of the same functions.

    Line numbers and messages are left out, so that an edit elsewhere in the file or another order number don't make
    another error of it; frames of wsgikit's own are left out, so that another layer doesn't either.
    """
    digest = hashlib.sha256()
    for problem in error_chain(error):
        kind = type(problem)
        digest.update(f"{kind.__module__}.{kind.__qualname__}\n".encode("utf-8", "backslashreplace"))
        for code in _codes(problem.__traceback__):
            if not code.co_filename.startswith(_PACKAGE):
                place = f"{os.path.basename(code.co_filename)}:{code.co_qualname}\n"
                digest.update(place.encode("utf-8", "backslashreplace"))
    number = int.from_bytes(digest.digest()[:5], "big")
    return "".join(_LETTERS[number >> shift & 31] for shift in range(35, -1, -5)).lower()


def error_chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those it came from, as Python's own traceback would show them."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        cause, context = origin_of(current)
        current = context if cause is None else cause


def origin_of(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """Return the cause of an error, and its context if Python would show it.

    Python's own slots are read: a class of somebody's may have a property of the same name, which may raise.
    """
    cause = _CAUSE.__get__(error)
    return cause, None if _SUPPRESS.__get__(error) else _CONTEXT.__get__(error)


def find_site(error: BaseException) -> tuple[Middleware | None, str | None]:
    """Return the layer and hook that an error came out of, by its traceback's frames; Nones for the application.

    The hook is ``"answer"`` where the error came out of what a layer answered with, as a view does out of a router. The
    innermost place counts: an onion may have another inside.
    """
    found: tuple[Middleware | None, str | None] = (None, None)
    traceback = error.__traceback__
    caller: FrameType | None = None
    is_committing = False
    while traceback is not None:
        frame = traceback.tb_frame
        code = frame.f_code
        is_ours = code.co_filename.startswith(_PACKAGE)
        if code.co_argcount and (code.co_name in HOOKS or is_committing):
            owner = _owner_of_hook(frame)
            if owner is not None:
                found = (owner, "before_commit" if is_committing else code.co_name)
        elif is_ours and code.co_qualname == "Segment.receive" and caller is not None:
            owner = getattr(caller.f_locals.get("hook"), "__self__", None)  # whose hook returned what answers
            if isinstance(owner, Middleware):
                found = (owner, "answer")
        elif is_ours and code.co_qualname == "Onion.answer":
            found = (None, None)  # its own layers answer: an attempt of a retry, a stack that is mounted
        is_committing = is_committing or (is_ours and code.co_name == "run_before_commit")
        caller = frame
        traceback = traceback.tb_next
    return found


def _owner_of_hook(frame: FrameType) -> Middleware | None:
    """Return the layer whose hook runs in a frame: the `self` of a method, or what a closure of our own has of it."""
    code = frame.f_code
    owner = frame.f_locals.get(code.co_varnames[0])
    if isinstance(owner, Middleware):
        return owner
    if code.co_filename.startswith(_PACKAGE):
        for name in code.co_freevars:
            held = frame.f_locals.get(name)
            owner = getattr(held, "__self__", held)
            if isinstance(owner, Middleware):
                return owner
    return None


def layer_name(layer: object, environ: Environ) -> str:
    """Return how a layer is called in its stack: its class, and its name where it was given one."""
    named = getattr(environ.get(STACK), "_named", ())
    return next((name for name, other in named if other is layer), type(layer).__name__)


def request_path(environ: Environ) -> str:
    """Return the path of the request, decoded, safe to be written on one line."""
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    # PEP 3333: the bytes of the path come as latin-1.
    return printable(path.encode("latin-1", "replace").decode("utf-8", "backslashreplace"))


def log(report: ErrorReport) -> None:
    """Write the one record of an error."""
    import logging  # costs start-up time, and only errors log

    facts = {
        "error_id": report.error_id,
        "fingerprint": report.fingerprint,
        "method": report.method,
        "path": report.path,
        "route": report.route,
        "request_id": report.request_id,
        "layer": report.layer,
        "hook": report.hook,
    }
    logger = logging.getLogger(LOGGER)
    outcome = report.status or "broke off after the head was sent"
    text = "%s %s: %s in %s: %s [%s]"
    shown = {**facts, "method": None, "path": None, "layer": None, "hook": None}
    details = " ".join(f"{key}={value}" for key, value in shown.items() if value)
    kind = type(report.error).__name__
    arguments: tuple[Any, ...] = (report.method, report.path, kind, report.where, outcome, details)
    is_readable = _is_readable(report.error)
    exc_info = exc_info_of(report.error) if is_readable else None
    if is_readable and exc_info is None:
        text, arguments = f"{text}: %s", (*arguments, hide_credentials(cause_of(report.error)))
    try:
        logger.error(text, *arguments, exc_info=exc_info, extra=facts)
    except KeyError:  # a record factory of the application has a field of one of these names
        prefixed = {f"wsgikit_{key}": value for key, value in facts.items()}
        logger.error(text, *arguments, exc_info=exc_info, extra=prefixed)


def _hide_parameters(error: BaseException) -> None:
    """Have errors of SQLAlchemy leave the parameters of the statement out of their text: passwords are among them."""
    for each in error_chain(error):
        if vars(each).get("hide_parameters") is False:
            each.hide_parameters = True  # type: ignore[attr-defined]  # it has just been found


def _is_readable(error: BaseException) -> bool:
    """Return whether `logging` can read an error: a property of its class may raise, and the record would be lost."""
    try:
        for each in error_chain(error):
            _ = each.__cause__, each.__context__, each.__suppress_context__, getattr(each, "__notes__", None)
    except BaseException:  # noqa: BLE001 - SystemExit too
        return False
    return True


def _codes(traceback: TracebackType | None) -> Iterator[Any]:
    while traceback is not None:
        yield traceback.tb_frame.f_code
        traceback = traceback.tb_next
