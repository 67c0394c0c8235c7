"""The layer that serves static files."""

from __future__ import annotations

__all__ = ["StaticMiddleware", "accepts_page"]

import importlib.util
import os
import re
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from wsgikit.exceptions import ApplicationError, ConfigurationError, complaint
from wsgikit.http.accept import parse_preferences
from wsgikit.http.folders import find_file
from wsgikit.http.headers import checked
from wsgikit.http.manifests import is_fingerprinted, versioned
from wsgikit.middleware.static.index import Rules, find, make_file, make_index
from wsgikit.onion.middleware import Middleware
from wsgikit.options.amounts import check_amount
from wsgikit.options.flags import check_flags
from wsgikit.wsgi import STATIC, WSGIApplication

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange

_READING = ("GET", "HEAD")
_PAGES = ("text/html", "application/xhtml+xml")


def accepts_page(accept: str | None) -> bool:
    """Return whether an ``Accept`` header names HTML: a browser that opens a page, not a script that fetches data."""
    return accept is not None and any(name in _PAGES and weight for name, weight in parse_preferences(accept))


def is_page_path(path: str) -> bool:
    """Return whether a path may be that of a page of a single-page app: its last segment has no extension."""
    return "." not in path.rpartition("/")[2]


class StaticMiddleware(Middleware):
    """Serves the files of folders: conditional requests, ranges, compressed forms, caching, single-page apps.

    The folders are read once, while the layer is built: a request costs no look at the disk until the file is opened.
    A path that has no file, a hidden file (all but ``.well-known``), a symlink that leads out of the folder, and all
    methods but GET and HEAD go on to the application. A file that changed since is sent as it is now. One that is new
    is found after a restart, or at once with `autorefresh`.

    Use it for the CSS, scripts and images of any application, and for a built front end. Leave it out if a server in
    front serves the files.

    It belongs inside security headers and hosts, outside of the cache, compression, and everything that belongs to one
    user. Needs no environ key; provides ``wsgikit.static``, by which `wsgikit.url_for("static", filename=…)` builds
    the URLs of its files.

    Args:
        root: the folder, or several: the first that has a file serves it.
        package: a Python package whose folder ``static`` is served, or ``package:folder``; or several.
            ``django.contrib.admin`` finds Django's own files, ``pyramid_debugtoolbar:static`` Pyramid's.
        prefix: where the files are, in paths below the application's own prefix. ``/`` serves a whole site.
        max_age_seconds: how long clients keep a file without asking again.
        immutable: a pattern that is searched in the path, or a function of it: whether the file never changes under its
            name, and is kept for a year. Without it, names with a hash of at least 8 hexadecimal digits, and those that
            a manifest of Vite, webpack or Django names.
        index: the name of the page that stands for its folder, such as ``index.html``. Clients ask for it each time.
        fallback: the page of a single-page app, relative to the folder: the answer to GET and HEAD below the prefix
            if the client accepts HTML, the path has no extension and there is no file. The application isn't asked.
        autorefresh: look at the disk at each request. For development.
        precompressed: send the ``.zst``, ``.br`` or ``.gz`` beside a file to clients that accept it.
            ``wsgikit compress`` writes them.
        headers: further headers of each file, or a function of its path that returns them.
        dev_server: the URL of a front end's development server, such as ``http://127.0.0.1:5173``: it answers below
            the prefix in place of the folders. For development.

    Raises:
        ConfigurationError: no folder, a folder or package that is missing, a prefix without slashes at both ends, or
            a header that can't be sent.

    Example::

        from wsgikit import StaticMiddleware, build_stack, use

        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"Hello"]

        stack = build_stack(app, use(StaticMiddleware, package="django.contrib.admin"))
    """

    provides = (STATIC,)

    def __init__(
        self,
        app: WSGIApplication,
        *,
        root: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
        package: str | Sequence[str] = (),
        prefix: str = "/static/",
        max_age_seconds: int = 3600,
        immutable: re.Pattern[str] | Callable[[str], object] | None = None,
        index: str | None = None,
        fallback: str | None = None,
        autorefresh: bool = False,
        precompressed: bool = True,
        headers: Mapping[str, str] | Callable[[str], Mapping[str, str]] | None = None,
        dev_server: str | None = None,
    ) -> None:
        super().__init__(app)
        where = type(self).__name__
        check_flags(where, autorefresh=autorefresh, precompressed=precompressed)
        self.prefix = _check_prefix(where, prefix)
        self._dev_server = _dev_server(dev_server)
        self.roots = (*_roots(where, root, dev_server), *_package_folders(where, package))
        if not self.roots and dev_server is None:
            remedy = "Name a folder: root='dist', or package='mypackage'"
            raise ConfigurationError(complaint(where, "root", "a folder", root, remedy))
        self._rules = Rules(
            max_age_seconds=check_amount(where, "max_age_seconds", max_age_seconds),
            immutable=_immutable(where, immutable),
            index=_check_page(where, "index", index),
            precompressed=precompressed,
            headers=_headers(where, headers),
        )
        self._autorefresh = autorefresh
        self._fallback_name = _check_page(where, "fallback", fallback)
        self._index = {} if autorefresh or dev_server else make_index(self.roots, self.prefix, self._rules)
        self._fallback = self._find_fallback() if not autorefresh else None
        if fallback is not None and self._fallback is None and not autorefresh and dev_server is None:
            raise ConfigurationError(complaint(where, "fallback", "a file in the folder", fallback))
        self._is_indexed = not autorefresh and dev_server is None

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Answer if the path is that of a file."""
        environ = exchange.environ
        environ[STATIC] = (self, environ.get("SCRIPT_NAME", ""))
        path = environ.get("PATH_INFO", "")
        found = self._index.get(path)
        if found is not None:
            return found if environ["REQUEST_METHOD"] in _READING else None
        if self._is_indexed and self._fallback is None:
            return None
        if not path.startswith(self.prefix) or environ["REQUEST_METHOD"] not in _READING:
            return None
        if self._dev_server is not None:
            return self._dev_server
        if self._autorefresh:
            found = find(self.roots, path[len(self.prefix) :], self._rules)
            if found is not None:
                return found
        if self._fallback_name and is_page_path(path) and accepts_page(environ.get("HTTP_ACCEPT")):
            return self._fallback or self._find_fallback()
        return None

    def url_for(self, filename: str, *, v: str | None = None, script_name: str = "") -> str:
        """Return the URL of a file.

        Args:
            filename: its path in the folder, or its name in the manifest of Vite, webpack or Django.
            v: ``"auto"`` makes the URL change with the content: the name that the manifest has, else ``?v=`` with a
                hash. Any other text is put there as it is.
            script_name: the prefix that the application is mounted under: environ's ``SCRIPT_NAME``.
        """
        known = self.find_version(filename) if v == "auto" else None
        path, version = known or (filename, None if v == "auto" else v)
        url = quote(f"{script_name}{self.prefix}{path}")
        return url if version is None else f"{url}?v={quote(version)}"

    def find_version(self, filename: str) -> tuple[str, str | None] | None:
        """Return the path and the ``v=`` that change with the content of a file; None if no folder has it."""
        return next((found for root in self.roots if (found := versioned(root, filename)) is not None), None)

    def _find_fallback(self) -> WSGIApplication | None:
        name = self._fallback_name
        for root in self.roots if name is not None else ():
            file = find_file(root, name or "")
            if file is not None:
                return make_file(name or "", file, self._rules, set(), is_page=True)
        return None


# ---------------------------------------------------------------------- the options


def _check_prefix(where: str, prefix: str) -> str:
    if not isinstance(prefix, str) or not (prefix.startswith("/") and prefix.endswith("/")) or "//" in prefix:
        expected = "a path that begins and ends with a slash, such as /static/"
        raise ConfigurationError(complaint(where, "prefix", expected, prefix))
    return prefix


def _check_page(where: str, option: str, name: str | None) -> str | None:
    if name is not None and (not isinstance(name, str) or not name or name.startswith("/")):
        expected = "the name of a page in the folder, such as index.html"
        raise ConfigurationError(complaint(where, option, expected, name))
    return name


def _roots(where: str, root: object, dev_server: str | None) -> list[str]:
    roots = [root] if isinstance(root, (str, PathLike)) else root
    found = []
    for folder in roots if isinstance(roots, Sequence) else [roots]:
        if not isinstance(folder, (str, PathLike)) or (not os.path.isdir(folder) and dev_server is None):
            shown = os.path.abspath(folder) if isinstance(folder, (str, PathLike)) else folder
            raise ConfigurationError(complaint(where, "root", "a folder that exists", str(shown)))
        found.append(os.path.abspath(folder))
    return found


def _package_folders(where: str, package: str | Sequence[str]) -> list[str]:
    return [_package_folder(where, name) for name in ([package] if isinstance(package, str) else package)]


def _package_folder(where: str, package: str) -> str:
    name, _, folder = package.partition(":")
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    places = () if spec is None else (spec.submodule_search_locations or ())
    for place in places:
        found = os.path.join(place, *(folder or "static").split("/"))
        if os.path.isdir(found):
            return found
    expected = f"a package with a folder {folder or 'static'!r}"
    raise ConfigurationError(complaint(where, "package", expected, package, "Write it as package:folder"))


def _immutable(where: str, immutable: object) -> Callable[[str], object]:
    if immutable is None:
        return is_fingerprinted
    if isinstance(immutable, re.Pattern):
        return immutable.search
    if not callable(immutable):
        raise ConfigurationError(complaint(where, "immutable", "a compiled pattern or a function", immutable))
    return immutable


def _headers(where: str, headers: object) -> Callable[[str], Mapping[str, str]]:
    if headers is None:
        return lambda path: {}
    if isinstance(headers, Mapping):
        try:
            pairs = dict(checked(name, value) for name, value in headers.items())
        except ApplicationError as error:
            raise ConfigurationError(f"{where}: {error}") from None
        return lambda path: pairs
    if not callable(headers):
        raise ConfigurationError(complaint(where, "headers", "a mapping or a function of the path", headers))
    return cast("Callable[[str], Mapping[str, str]]", headers)


def _dev_server(url: str | None) -> WSGIApplication | None:
    if url is None:
        return None
    from wsgikit.middleware.static.dev_server import DevServer  # brings http.client, for development only

    return DevServer(url)
