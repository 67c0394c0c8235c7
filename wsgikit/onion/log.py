"""Logs an error that nobody above may get to see, once in a request."""

from __future__ import annotations

__all__ = ["exc_info_of", "log_error", "mark_logged"]

from wsgikit.wsgi import LOGGED, Environ, ExcInfo, name_request

# Modules whose frames say how a request came to the code that failed, which is the same every time.
_MACHINERY = ("wsgikit.onion.", "wsgikit.routing.")


def mark_logged(error: BaseException, environ: Environ) -> bool:
    """Mark an error as logged in this request; return False where it is already.

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

    logging.getLogger("wsgikit").error(
        "%s: error %s",
        name_request(environ),
        where,
        exc_info=exc_info_of(error),
    )


def exc_info_of(error: BaseException) -> ExcInfo:
    """Return an error as `logging` takes it, without the frames of our own that lead to the first of other code.

    The error itself keeps them. Where there is nothing but our own, all are shown.
    """
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_globals.get("__name__", "").startswith(_MACHINERY):
        traceback = traceback.tb_next
    return type(error), error, traceback or error.__traceback__
