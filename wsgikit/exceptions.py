"""Every error of wsgikit, by blame: the developer's, the visitor's, the application's.

The text of an error has one form: ``<where>: <what>: expected <X>, got <value!r>. <what to do>.``
It never holds a secret, a cookie or a token. `complaint` writes that form.
"""

from __future__ import annotations

__all__ = [
    "ApplicationError",
    "BadRequest",
    "ConfigurationError",
    "HeadSentError",
    "OutsideRequestError",
    "ProtocolError",
    "WsgikitError",
    "a_kind",
    "complaint",
    "did_you_mean",
    "sentence",
]

from collections.abc import Iterable


class WsgikitError(Exception):
    """The root of the errors that wsgikit raises."""


class ConfigurationError(WsgikitError, TypeError):
    """The developer's: a layer, an option or an order that can't work. Raised while building, never during a request.

    It derives from `TypeError`, so that a wrong keyword to `use` is what a wrong keyword to a class is.
    """


class BadRequest(WsgikitError, ValueError):
    """The visitor's: the request can't be understood. Becomes a 400.

    Attributes:
        status: the status line that says it (``"400 Bad Request"``).
    """

    status = "400 Bad Request"


class ApplicationError(WsgikitError, RuntimeError):
    """The application's: a hook, a view or an option was used in a way that can't work."""


class ProtocolError(ApplicationError):
    """The application broke PEP 3333: no `start_response`, a second one without `exc_info`, …"""


class HeadSentError(ApplicationError):
    """The head of the response has left already, and what was asked for would need to change it."""


class OutsideRequestError(ApplicationError):
    """A local (`request`, `g`, `session`, `db`, `current_app`) was used outside of a request."""


def complaint(where: str, what: str, expected: str, got: object, remedy: str = "") -> str:
    """Write the text of an error in the one form that all of them have.

    Args:
        where: the layer, function, or file with line and section.
        what: the option or value, named as the user wrote it.
        expected: what would have been right.
        got: what was there; its `repr` is shown, so never pass a secret.
        remedy: a sentence that says what to do; the full stop may be left out.
    """
    return f"{where}: {what}: expected {expected}, got {got!r}. {sentence(remedy)}".rstrip()


def did_you_mean(name: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """Return ``Did you mean 'x'?`` for the nearest known name, or nothing if none is near.

    Args:
        name: as it was written.
        known: what may be written.
        likeness: how near it has to be, from 0 to 1. The default is `difflib`'s own.
    """
    import difflib  # only errors need it, and it costs start-up time

    near = difflib.get_close_matches(name, list(known), n=1, cutoff=likeness)
    return f"Did you mean {near[0]!r}?" if near else ""


def a_kind(value: object) -> str:
    """Return the name of a value's class with its article: ``an int``, for values that may be secrets."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"


def sentence(text: str) -> str:
    """Return a text with a full stop at its end; an empty one stays empty."""
    return f"{text}." if text and not text.endswith((".", "?", "!")) else text
