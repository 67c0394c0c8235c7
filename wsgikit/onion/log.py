"""Logs an error that nobody above may get to see, once in a request."""

from __future__ import annotations

__all__ = ["cause_of", "exc_info_of", "log_error", "mark_logged", "mark_repeated"]

from wsgikit.wsgi import LOGGED, Environ, ExcInfo, name_request

# Modules whose frames say how a request came to the code that failed, which is the same every time.
_MACHINERY = ("wsgikit.onion.", "wsgikit.routing.")
_LONGEST = 1000  # characters of a cause: a driver's text with the address that it is about


def mark_logged(error: BaseException, environ: Environ) -> bool:
    """Mark an error as logged in this request; return False if it is already.

    The mark is one of the request: an application may raise the same object in every request.
    """
    mark = environ.setdefault(LOGGED, object())
    if getattr(error, "__wsgikit_logged__", None) is mark:
        return False
    try:
        error.__wsgikit_logged__ = mark  # type: ignore[attr-defined]  # the attribute is ours
    except AttributeError:
        pass  # an error with slots may be logged twice
    return True


def log_error(environ: Environ, error: BaseException, where: str) -> None:
    """Log an error that nobody above may get to see, once."""
    if not mark_logged(error, environ):
        return
    import logging  # costs start-up time, and only failures log

    from wsgikit.options.masking import hide_credentials  # likewise

    cause = hide_credentials(cause_of(error))
    logging.getLogger("wsgikit").error(
        "%s: error %s: %s", name_request(environ), where, cause, exc_info=exc_info_of(error)
    )


def mark_repeated(error: BaseException) -> None:
    """Mark an error as one of an outage whose first traceback was logged: a line with its cause is enough."""
    error.__wsgikit_repeated__ = True  # type: ignore[attr-defined]  # the attribute is ours


def cause_of(error: BaseException) -> str:
    """Return the class, the text and the notes of an error on one line."""
    try:
        lines = " ".join([str(error), *getattr(error, "__notes__", ())])
    except (Exception, SystemExit):  # noqa: BLE001  # a __str__ that raises must not hide the error
        lines = ""
    name = type(error).__name__
    text = " ".join(f"{name}: {lines}".split()) if lines.strip() else name
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def exc_info_of(error: BaseException) -> ExcInfo | None:
    """Return an error as `logging` takes it, without the frames of our own that lead to the first of other code.

    The error itself keeps them. If there is nothing but our own, all are shown. It is None for an error that
    `mark_repeated` has marked: the record then has `cause_of` in its text.
    """
    if getattr(error, "__wsgikit_repeated__", False):
        return None
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_globals.get("__name__", "").startswith(_MACHINERY):
        traceback = traceback.tb_next
    return type(error), error, traceback or error.__traceback__
