"""Applications by name, and several of them side by side."""

from __future__ import annotations

__all__ = ["PrefixMounts", "load_application"]

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import cast

from wsgikit.exceptions import ConfigurationError
from wsgikit.onion.beside import introduce
from wsgikit.onion.stack import close_all, walk
from wsgikit.options import load_dotted
from wsgikit.options.dotted import failure
from wsgikit.wsgi import Environ, StartResponse, WSGIApplication

# What is looked for if only a module is named: first what is likely to be around the others.
USUAL_NAMES = ("stack", "application", "app")
_CALLED = re.compile(r"(?P<name>[\w.:]+)\(\)\Z")


def load_application(name: str, where: str, what: str) -> WSGIApplication:
    """Import an application.

    Args:
        name: ``module:app``, ``module:make_app()``, or ``module`` alone, in which ``stack``, ``application``
            and ``app`` are looked for, in this order.
        where: begins the text of an error.
        what: the option's name.

    Raises:
        ConfigurationError: there is none of that name, or it isn't one.
    """
    called = _CALLED.match(name)
    found = load_dotted(called["name"] if called else name, where, what)
    if called is not None:
        if not callable(found):
            raise ConfigurationError(f"{where}: {what}: expected a function before the (), got {name!r}.")
        try:
            found = found()
        except ConfigurationError:
            raise
        except Exception as error:  # a function of the user's may raise anything; what it lacks is the place
            raise failure(
                f"{where}: {what}: expected a function that returns the application, got", name, error
            ) from error
    elif ":" not in name and not callable(found):
        usual = next((getattr(found, usual) for usual in USUAL_NAMES if hasattr(found, usual)), None)
        if usual is None:
            raise ConfigurationError(
                f"{where}: {what}: expected a module that has one of {', '.join(USUAL_NAMES)}, got {name!r}. "
                f"Write {name}:<the application's name>."
            )
        found = usual
    if not callable(found):
        raise ConfigurationError(
            f"{where}: {what}: expected a WSGI application, got {name!r}, which is of type {type(found).__name__}."
        )
    _check_takes_request(found, name, where, what)
    return cast(WSGIApplication, found)


def _check_takes_request(found: Callable[..., object], name: str, where: str, what: str) -> None:
    """Refuse what a server couldn't call as ``app(environ, start_response)``: a factory, say, without its ()."""
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # something written in C
        return
    if _fits(signature, 2):
        return
    is_factory = _fits(signature, 0) and not name.endswith("()")
    remedy = f"Write {name}() if it makes the application" if is_factory else "It takes exactly these two"
    shown = f"{'class' if isinstance(found, type) else 'callable'} that takes {signature}"
    raise ConfigurationError(
        f"{where}: {what}: expected a WSGI application, app(environ, start_response), got {name!r}, a {shown}. "
        f"{remedy}."
    )


def _fits(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


class PrefixMounts:
    """Gives each request to the application with the longest prefix that its path begins with.

    A prefix ends where a segment ends: ``/shop`` takes ``/shop`` and ``/shop/1``, not ``/shopping``. What was
    consumed moves from ``PATH_INFO`` to ``SCRIPT_NAME`` (PEP 3333), so that the application finds its own place.

    Attributes:
        apps: prefix and application; ``""`` is the one for all other paths.
    """

    def __init__(self, apps: Mapping[str, WSGIApplication]) -> None:
        self.apps = {prefix.rstrip("/"): app for prefix, app in apps.items()}
        earlier: list[tuple[str, WSGIApplication]] = []
        for prefix, app in self.apps.items():
            introduce(prefix, app, earlier)
            earlier.append((prefix, app))
        self._longest_first = sorted(self.apps.items(), key=lambda item: -len(item[0]))

    def __repr__(self) -> str:
        return f"<PrefixMounts of {', '.join(prefix or '/' for prefix in sorted(self.apps))}>"

    def __call__(self, environ: Environ, start_response: StartResponse, /) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        path = environ.get("PATH_INFO", "")
        for prefix, app in self._longest_first:
            if path == prefix or path.startswith(f"{prefix}/"):
                if prefix:
                    environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + prefix
                    environ["PATH_INFO"] = path[len(prefix) :]
                return app(environ, start_response)
        body = b"Not Found\n"
        head = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        start_response("404 Not Found", head)
        return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]

    def __wsgikit_close__(self) -> None:
        """Close the onion at each prefix, once: `Stack.close` of the stack around calls this."""
        close_all(part for app in self.apps.values() for part in reversed([*walk(app)]))
