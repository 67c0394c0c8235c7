"""Which requests a layer takes part in: ``use(X, only="/api/*", unless="POST /api/hooks")``.

A pattern is a path (``"/api/*"`` for all below ``/api`` and ``/api`` itself, ``"*.map"`` for an ending, anything else
exact), a method (``"POST"``), or both (``"POST /api/*"``). A callable of environ decides by itself.

A path can be written in several ways that an application reads as one: ``//``, ``.``, ``..``, a backslash, a second
percent-encoding, no slash at its beginning. `only` matches if any way of reading the path does, and `unless` only if
all do, so that no spelling of a path takes a layer out that should be in.
"""

from __future__ import annotations

__all__ = ["Bypass", "Patterns", "Predicate", "Scope", "limit_hook", "limit_layer"]

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, cast

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.wsgi import Environ, StartResponse, WSGIApplication

Predicate: TypeAlias = Callable[[Environ], bool]
Patterns: TypeAlias = str | Predicate | Iterable[str | Predicate]

# The ways in which a path can be read by more than one path. Most paths have none of these.
_AMBIGUOUS = re.compile(r"//|/\.|\\|%")
_METHOD = re.compile(r"[A-Z][A-Z-]*")
_EXPECTED = "a path such as '/api/*', '*.map' or '/login', a method, both ('POST /api/*'), or a callable of environ"


class Scope:
    """A compiled scope: `matches(environ)` is asked once a request, when the request comes to the layer.

    Two scopes of the same texts are equal.

    Attributes:
        only: the patterns that a request must match, as they were written; None if all requests do.
        unless: the patterns of requests that the layer doesn't take part in, or None.
        matches: return whether the layer takes part in the request of an environ.
    """

    __slots__ = ("matches", "only", "unless")

    def __init__(
        self,
        where: str,
        only: Patterns | None,
        unless: Patterns | None,
        *,
        only_name: str = "only",
        unless_name: str = "unless",
    ) -> None:
        self.only = only
        self.unless = unless
        wanted = None if only is None else _compile(where, only_name, only, any)
        spared = None if unless is None else _compile(where, unless_name, unless, all)
        if spared is None:
            self.matches: Predicate = wanted or _always
        elif wanted is None:
            self.matches = lambda environ: not spared(environ)
        else:
            self.matches = lambda environ: wanted(environ) and not spared(environ)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Scope):
            return NotImplemented
        return _listed(self.only) == _listed(other.only) and _listed(self.unless) == _listed(other.unless)

    def __hash__(self) -> int:
        return hash((_listed(self.only), _listed(self.unless)))

    def __repr__(self) -> str:
        given = {"only": self.only, "unless": self.unless}
        return "  ".join(f"{name}={value!r}" for name, value in given.items() if value is not None)


def limit_layer(
    layer: Any, app: WSGIApplication, where: str, only: Patterns | None, unless: Patterns | None
) -> WSGIApplication:
    """Return a layer that takes part only in the requests of a scope; `app` answers the others.

    One of ours stays fused with its neighbours. One that has its own context, calls its application by itself, or
    isn't ours is bypassed as a whole.

    Args:
        layer: around `app`.
        app: the application inside the layer.
        where: the layer, for errors.
        only: patterns of which a request must match one; None is all requests.
        unless: patterns of requests that are left out; they win over `only`.

    Raises:
        ConfigurationError: a pattern can't be read.
    """
    from wsgikit.onion.middleware import Middleware  # that module imports the engine, which imports this one

    scope = Scope(where, only, unless)
    if not isinstance(layer, Middleware):
        return Bypass(layer, app, scope)
    is_fused = type(layer).__call__ is Middleware.__call__ and not layer.own_context and layer.app is app
    layer.__wsgikit_limit__(scope, is_fused=is_fused)
    fused: WSGIApplication = layer
    return fused if is_fused else Bypass(layer, app, scope)


class Bypass:
    """A layer that can't be fused, and the application inside it: each request goes to one of the two.

    Args:
        layer: the layer, around `app`.
        app: what answers the requests that are out of the scope.
        scope: which requests the layer takes part in.
    """

    def __init__(self, layer: WSGIApplication, app: WSGIApplication, scope: Scope) -> None:
        self.layer = layer
        self.app = app
        self.scope = scope
        self.__wsgikit_layer__ = layer

    def __call__(self, environ: Environ, start_response: StartResponse, /) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        return (self.layer if self.scope.matches(environ) else self.app)(environ, start_response)


def limit_hook(layer: object, name: str, hook: Callable[..., Any], scope: Scope) -> Callable[..., Any]:
    """Return a hook that runs only for requests in the scope of its layer.

    The scope is decided once a request, by `before_request`; the other hooks follow that decision.
    """
    matches = scope.matches
    mark = frozenset((id(layer),))

    def enter(exchange: Any) -> Any:
        if matches(exchange.environ):
            exchange._in_scope |= mark
            return hook(exchange)
        return None

    def follow(exchange: Any, *args: Any) -> Any:
        return hook(exchange, *args) if mark <= exchange._in_scope else None

    limited: Any = enter if name == "before_request" else follow
    limited.__self__ = layer  # error texts and the log name a hook with its layer
    limited.__name__ = name
    return cast("Callable[..., Any]", limited)


def readings_of(path: str) -> tuple[str, ...]:
    """Return the paths that applications may read a path as; the path as it was sent comes first."""
    if not _AMBIGUOUS.search(path):
        return (path,)
    readings = [path]
    for reading in (path, _decoded(path)):
        slashed = reading.replace("\\", "/")
        merged = re.sub("/+", "/", slashed)
        readings += [reading, slashed, merged, _without_dots(slashed), re.sub("/+", "/", _without_dots(slashed))]
        readings.append(_without_dots(merged))
    return tuple(dict.fromkeys(readings))


def _readings_in(environ: Environ) -> tuple[str, ...]:
    """Return the paths that applications may read the path of a request as."""
    script, path = environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", "")
    readings = readings_of(script + path or "/")
    if path[:1] in ("/", ""):
        return readings
    # A server hands on a request line such as "GET admin HTTP/1.1", and most routers add the slash.
    return (*readings, *readings_of(f"{script}/{path}"))


def _compile(where: str, option: str, patterns: Patterns, combine: Callable[[Iterable[bool]], bool]) -> Predicate:
    """Return a function that tells of an environ whether one of the patterns matches it.

    Args:
        combine: `any` if one reading of the path is enough, `all` if each reading must match.
    """
    items = _listed(patterns)
    if not items:
        raise ConfigurationError(complaint(where, option, _EXPECTED, patterns, f"Leave {option} out"))
    functions = [item for item in items if callable(item)]
    methods: set[str] = set()
    paths: list[tuple[str | None, Callable[[str], bool]]] = []
    for item in items:
        if isinstance(item, str):
            method, path = _parse(where, option, item)
            if path is None:
                methods.add(method or "")
            else:
                paths.append((method, path))
        elif not callable(item):
            raise ConfigurationError(complaint(where, option, _EXPECTED, item))

    def matches(environ: Environ) -> bool:
        method = environ.get("REQUEST_METHOD", "")
        if method in methods:
            return True
        fitting = [test for wanted, test in paths if wanted is None or wanted == method]
        if fitting:
            readings = _readings_in(environ)
            if combine(any(test(reading) for test in fitting) for reading in readings):
                return True
        return any(function(environ) for function in functions)

    return matches


def _parse(where: str, option: str, pattern: str) -> tuple[str | None, Callable[[str], bool] | None]:
    """Read one pattern: its method and the test of its path, either of which may be None."""
    method: str | None
    method, _, path = pattern.strip().rpartition(" ")
    if not method and _METHOD.fullmatch(path):
        return path, None
    method = method.strip()
    if method and not _METHOD.fullmatch(method):
        raise ConfigurationError(complaint(where, option, _EXPECTED, pattern, "Write the method in capitals"))
    test = _test_of(path)
    if test is None:
        remedy = "Write '*' only as the last segment ('/api/*') or at the beginning of an ending ('*.map')"
        raise ConfigurationError(complaint(where, option, _EXPECTED, pattern, remedy))
    return method or None, test


def _test_of(pattern: str) -> Callable[[str], bool] | None:
    """Return the test of a path pattern, or None if it can't be read."""
    if not pattern.isascii():
        pattern = pattern.encode().decode("latin-1")  # PEP 3333: environ has each byte of a path as one character
    head, star, tail = pattern.partition("*")
    if not star:
        return pattern.__eq__ if pattern.startswith("/") else None
    if head == "" and len(tail) > 1 and "*" not in tail and "/" not in tail:
        return lambda path: path.endswith(tail)
    if head.startswith("/") and head.endswith("/") and not tail:
        exact = head[:-1]
        return lambda path: path.startswith(head) or path == exact
    return None


def _without_dots(path: str) -> str:
    """Remove the segments ``.`` and ``..`` (RFC 3986 §5.2.4)."""
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            if len(kept) > 1:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/".join(kept) or "/"


def _decoded(path: str) -> str:
    """Decode percent-encodings that are left in a path that the server has decoded once."""
    from urllib.parse import unquote_to_bytes  # only a path with a percent sign needs it

    return unquote_to_bytes(path.encode("latin-1", "replace")).decode("latin-1") if "%" in path else path


def _listed(patterns: Patterns | None) -> tuple[str | Predicate, ...] | None:
    if patterns is None:
        return None
    return (patterns,) if isinstance(patterns, str) or callable(patterns) else tuple(patterns)


def _always(environ: Environ) -> bool:
    return True
