"""Warnings, each once in a process, of what costs visitors their session: options that don't fit how the app is run."""

from __future__ import annotations

__all__ = [
    "UnsignedCookies",
    "warn_of_namesake",
    "warn_of_other_writer",
    "warn_of_processes",
    "warn_of_the_way_back",
    "warn_of_weak_secrets",
]

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wsgikit.http.addresses import came_by_https
from wsgikit.options.secrets import weakness_of
from wsgikit.sessions.journal import journal
from wsgikit.wsgi import Environ

if TYPE_CHECKING:
    from wsgikit.sessions.manager import SessionManager

# So many visitors in so long are more than those that try to forge a cookie, and few of those whom a changed secret
# logs out.
_VISITORS = 10
_SECONDS = 3600


class UnsignedCookies:
    """Counts the visitors whose cookie no key of ours signed: after the secret was changed, those are all.

    Args:
        manager: whose cookies.
    """

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager
        self._seen: dict[int, float] = {}  # hashes: a cookie may be a session elsewhere

    def note(self, values: Sequence[str]) -> None:
        """Take notice of cookie values that no key of ours signed; warn if many visitors send such."""
        if len(self._seen) >= _VISITORS:
            return
        now = time.time()
        seen = {value: then for value, then in self._seen.items() if now - then < _SECONDS}
        seen[hash(values[0])] = now
        self._seen = seen
        if len(seen) >= _VISITORS:
            self._manager.warn_once(
                "secret",
                "secret_key: expected cookies that it signed, got %d named %r in an hour that it didn't: these "
                "visitors are logged out. If it was changed, keep the old one: secret_key=[new, old]. If not, is it "
                "the same in all processes, and is there another application on this host with a cookie of this name?",
                len(seen),
                self._manager.writer.name,
            )


def warn_of_weak_secrets(where: str, secrets: Sequence[bytes], cookie_format: str) -> None:
    """Warn of another application's secret that protects nothing. It isn't refused: it isn't this layer's to choose."""
    for secret in secrets:
        weakness = weakness_of(secret)
        if weakness is not None:
            text = "%s: secret_key: %s. Anybody can forge the session of the %s application: change its secret too."
            journal().warning(text, where, weakness, cookie_format.capitalize())


def warn_of_processes(manager: SessionManager) -> None:
    """Warn of a store that each of the server's processes has for itself."""
    manager.warn_once(
        "processes",
        "store: expected one that all processes share, got %s in a server with several. Visitors will lose their "
        "session from request to request. Use store='redis://…', a database, or 'cookie'.",
        type(manager.store).__name__,
    )


def warn_of_the_way_back(manager: SessionManager, environ: Environ, is_https: bool) -> None:
    """Warn of what would keep the cookie that was just set from coming back, or from being safe."""
    writer = manager.writer
    if writer.is_auto and not is_https and came_by_https(environ):
        manager.warn_once(
            "proxy",
            "cookie_secure: the visitor seems to come by https through a proxy, which is not trusted: the cookie is "
            "sent without Secure. Put werkzeug's ProxyFix around the stack, or set cookie_secure=True.",
        )
    if writer.path not in ("/", "mount"):
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if path != writer.path and not path.startswith(writer.path.rstrip("/") + "/"):
            manager.warn_once(
                "path",
                "cookie_path: the session was changed at a path outside of %r: it won't be seen there again.",
                writer.path,
            )


def warn_of_other_writer(manager: SessionManager) -> None:
    """Warn of an application inside that has its own session under the same name."""
    if manager.is_foreign:
        remedy = "To share its session, give this layer the application's secret_key"
    else:
        remedy = 'To share the session of a Flask application: cookie_format="flask"'
    manager.warn_once(
        "writer",
        "cookie_name: the application inside sets a cookie named %r too, and it isn't this session: a browser keeps "
        'one of them. Give this layer cookie_name="…". %s.',
        manager.writer.name,
        remedy,
    )


def warn_of_namesake(manager: SessionManager, mount: str) -> None:
    """Warn of a cookie that came to a mounted application and isn't ours."""
    manager.warn_once(
        "namesakes",
        "cookie_name: at the mount %r a cookie named %r came that isn't ours. If another application on this host has "
        "a session of the same name, give each a cookie_name, or set cookie_path='mount'.",
        mount,
        manager.writer.name,
    )
