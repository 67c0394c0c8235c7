"""Other WSGI applications under a prefix: by whole segments, and environ as it was when they are done.

A mounted application gets the prefix moved from ``PATH_INFO`` to ``SCRIPT_NAME``, in the request's own environ, so that
what it leaves there for the layers outside (a transaction's verdict, a user) reaches them. Outside of its code environ
reads as before: each step of a lazy body is taken with the application's own view of it.
"""

from __future__ import annotations

__all__ = ["Mount", "MountTable", "Mounted"]

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.hosts import host_of, parse_host
from wsgikit.onion.route import runs_before_view
from wsgikit.onion.stack import close_all, walk
from wsgikit.options.flags import check_flags
from wsgikit.wsgi import EXCHANGE, ROUTING, ROUTING_ARGS, Environ, StartResponse, WSGIApplication, is_at_rest

if TYPE_CHECKING:
    from wsgikit.routing.router import Router

# What a mount changes, and puts back.
KEYS = ("SCRIPT_NAME", "PATH_INFO", ROUTING, ROUTING_ARGS)
_MISSING: Any = object()


class Mounted:
    """What environ holds under ``wsgikit.routing`` inside a mounted application: the way back to the router outside.

    Attributes:
        router: the router that mounts.
        script_name: the prefix that this router itself is under.
        prefix: the path of the mount, as it was given.
        parent: the same of the router around it, or None.
    """

    __slots__ = ("parent", "prefix", "router", "script_name")

    rule = None
    endpoint = None
    values = None

    def __init__(self, router: Router, script_name: str, prefix: str, parent: Any) -> None:
        self.router = router
        self.prefix = prefix
        self.script_name = script_name
        self.parent = parent


class Mount:
    """An application under a prefix.

    Args:
        prefix: the path, such as ``"/blog"``; ``"/"`` takes what no rule does; or a compiled regular expression.
        app: the WSGI application.
        name: its name for `url_for`, where it is a `Router` or leads to one.
        host: the host it is for; None is for all.
        keep_path: leave ``SCRIPT_NAME`` and ``PATH_INFO`` as they are.

    Raises:
        ConfigurationError: the prefix can't be one, or `app` can't be called.
    """

    __slots__ = ("app", "host", "keep_path", "name", "pattern", "prefix", "text")

    def __init__(
        self,
        prefix: str | re.Pattern[str],
        app: WSGIApplication,
        name: str | None = None,
        host: str | None = None,
        keep_path: bool = False,
    ) -> None:
        if not callable(app):
            raise ConfigurationError(complaint("mount", "app", "a WSGI application", app))
        check_flags("mount", keep_path=keep_path)
        self.pattern = None if isinstance(prefix, str) else prefix
        if isinstance(prefix, str):
            self.text = prefix.rstrip("/")
            if self.text and not self.text.startswith("/"):
                raise ConfigurationError(complaint("mount", "prefix", "a path that begins with /", prefix))
            if "<" in self.text:
                raise ConfigurationError(
                    complaint(
                        "mount", "prefix", "a path without variables", prefix, "Use a compiled regular expression"
                    )
                )
        else:
            self.text = ""
        # environ's paths are the bytes of the URL read as latin-1 (PEP 3333).
        self.prefix = self.text.encode().decode("latin-1")
        self.app = app
        self.name = name
        known = parse_host(host) if host else None
        self.host = str(known) if known else host.lower() if host else None
        self.keep_path = keep_path

    @property
    def path(self) -> str:
        """The prefix as it was given, or the text of the regular expression."""
        return self.text or "/" if self.pattern is None else self.pattern.pattern

    def takes_host(self, environ: Environ) -> bool:
        """Return whether the request is for this mount's host."""
        if self.host is None:
            return True
        host = host_of(environ)
        return host is not None and self.host in (str(host), str(host._replace(port=None)))

    def call(self, router: Router, environ: Environ, start_response: StartResponse, length: int) -> Iterable[bytes]:
        """Answer with the application.

        Args:
            router: the router that it is mounted in.
            length: how many characters of ``PATH_INFO`` are the prefix.
        """
        outside = {key: environ.get(key, _MISSING) for key in KEYS}
        script_name = environ.get("SCRIPT_NAME", "")
        path = environ.get("PATH_INFO", "")
        prefix = "" if self.keep_path else self.path.rstrip("/")
        mounted = Mounted(router, script_name, prefix, environ.get(ROUTING))
        inside: dict[str, Any] = {ROUTING: mounted, ROUTING_ARGS: _MISSING}
        if not self.keep_path:
            inside["SCRIPT_NAME"] = script_name.rstrip("/") + path[:length]  # "/app/" and "/old" are "/app/old"
            inside["PATH_INFO"] = path[length:]
        _put(environ, inside)
        try:
            app = self.app
            exchange = environ.get(EXCHANGE)
            if not runs_before_view(app) and exchange is not None and exchange.has_views:
                app = exchange.run_before_view() or app
            body = app(environ, start_response)
        except BaseException:
            _put(environ, outside)
            raise
        if is_at_rest(body, environ):
            _put(environ, outside)
            return body
        inside = {key: environ.get(key, _MISSING) for key in KEYS}
        _put(environ, outside)
        return _MountedBody(body, environ, inside, outside)


class MountTable:
    """The mounts of a router: the longest prefix of whole segments is found first."""

    def __init__(self) -> None:
        self.mounts: list[Mount] = []
        self._by_prefix: dict[str, list[Mount]] = {}
        self._patterns: list[Mount] = []
        self._depths: list[int] = []
        self._is_closing = False

    def add(self, mount: Mount) -> None:
        """Add a mount.

        Raises:
            ConfigurationError: another one has that prefix and host.
        """
        if mount.pattern is not None:
            self._patterns.append(mount)
        else:
            same = self._by_prefix.setdefault(mount.prefix, [])
            if any(other.host == mount.host for other in same):
                raise ConfigurationError(
                    complaint(
                        "mount", "prefix", "one that is free", mount.text or "/", "Give it another prefix or a host"
                    )
                )
            same.append(mount)
            same.sort(key=lambda other: other.host is None)  # those for a host before the one for all
            self._depths = sorted({prefix.count("/") for prefix in self._by_prefix}, reverse=True)
        if self.mounts:
            from wsgikit.onion.beside import introduce  # most routers have one mount at the most

            # On another host a browser keeps another cookie.
            others = [(other.text, other.app) for other in self.mounts if mount.host == other.host]
            introduce(mount.text, mount.app, others)
        self.mounts.append(mount)

    def find(self, environ: Environ) -> tuple[Mount, int] | None:
        """Return the mount for the request's path, and the length of the prefix in it; or None."""
        path: str = environ.get("PATH_INFO", "")
        for mount in self._patterns:
            found = mount.pattern.match(path)  # type: ignore[union-attr]  # only mounts with one are in the list
            if found and (found.end() == len(path) or path[found.end()] == "/") and mount.takes_host(environ):
                return mount, found.end()
        parts = path.split("/", self._depths[0] + 1) if self._depths else []
        for depth in self._depths:
            if depth >= len(parts) and depth:
                continue
            prefix = "/".join(parts[: depth + 1]) if depth else ""
            for mount in self._by_prefix.get(prefix, ()):
                if mount.takes_host(environ):
                    return mount, len(prefix)
        return None

    def close(self) -> None:
        """Close each mounted application and the layers around it, once; the first error is raised at the end."""
        if self._is_closing:  # a router may be mounted in itself, by way of others
            return
        self._is_closing = True
        try:
            close_all(part for mount in self.mounts for part in reversed([*walk(mount.app)]))
        finally:
            self._is_closing = False


def _put(environ: Environ, values: dict[str, Any]) -> None:
    for key, value in values.items():
        if value is _MISSING:
            environ.pop(key, None)
        else:
            environ[key] = value


class _MountedBody:
    """The lazy body of a mounted application: each step and its `close` see the application's environ."""

    __slots__ = ("_body", "_environ", "_inside", "_outside", "_step")

    def __init__(
        self, body: Iterable[bytes], environ: Environ, inside: dict[str, Any], outside: dict[str, Any]
    ) -> None:
        self._body = body
        self._environ = environ
        self._inside = inside
        self._outside = outside
        self._step: Callable[[], bytes] | None = None

    def __iter__(self) -> _MountedBody:
        return self

    def __next__(self) -> bytes:
        environ = self._environ
        _put(environ, self._inside)
        try:
            step = self._step
            if step is None:
                step = self._step = iter(self._body).__next__
            return step()
        finally:
            self._leave()

    def _leave(self) -> None:
        # What the application changed of them since is its own to find again.
        self._inside = {key: self._environ.get(key, _MISSING) for key in KEYS}
        _put(self._environ, self._outside)

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            _put(self._environ, self._inside)
            try:
                close()
            finally:
                self._leave()


def router_in(app: Any) -> Any:
    """Return the router that an application is or leads to through its layers, or None."""
    seen = 0
    while app is not None and seen < 100:  # a layer whose `app` is itself would have no end
        found = getattr(app, "__wsgikit_router__", None)
        if found is not None:
            return found
        for layer in getattr(app, "layers", ()):  # a Stack
            found = getattr(layer, "__wsgikit_router__", None)
            if found is not None:
                return found
        app = getattr(app, "app", None) or getattr(app, "application", None)
        seen += 1
    return None
