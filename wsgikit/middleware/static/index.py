"""The files that the static layer serves, with what their responses need worked out beforehand."""

from __future__ import annotations

__all__ = ["Redirect", "StaticFile", "choose_cache_control", "make_index", "url_key"]

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

from wsgikit.http.accept import choose_encoding
from wsgikit.http.folders import find_file, find_siblings, walk_files
from wsgikit.http.manifests import YEAR_SECONDS, is_fingerprinted, load_manifest
from wsgikit.http.representation import EMPTY, Representation, content_type_of, represent, send
from wsgikit.wsgi import Environ, HeaderList, StartResponse, WSGIApplication


def choose_cache_control(*, is_immutable: bool, is_page: bool, max_age_seconds: int) -> str:
    """Return the ``Cache-Control`` of a static file.

    Args:
        is_immutable: whether a change of the content would change the name.
        is_page: whether it is a page that names the others, such as index.html: the client has to ask each time.
        max_age_seconds: for all others.
    """
    if is_page:
        return "no-cache"
    return f"max-age={YEAR_SECONDS}, immutable" if is_immutable else f"max-age={max_age_seconds}"


@dataclass(frozen=True, slots=True)
class Rules:
    """How the files of one layer are served: the options that concern each file."""

    max_age_seconds: int = 3600
    immutable: Callable[[str], object] = is_fingerprinted
    index: str | None = None
    precompressed: bool = True
    headers: Callable[[str], Mapping[str, str]] = field(default=lambda path: {})

    def headers_of(self, path: str, *, is_page: bool, is_immutable: bool) -> HeaderList:
        """Return the headers of a file besides those that its content makes."""
        mine = dict(self.headers(path))
        taken = {name.lower() for name in mine}
        cache_control = choose_cache_control(
            is_immutable=is_immutable, is_page=is_page, max_age_seconds=self.max_age_seconds
        )
        pairs = [
            ("Content-Type", content_type_of(path)),
            ("Cache-Control", cache_control),
            ("X-Content-Type-Options", "nosniff"),
        ]
        return [*(pair for pair in pairs if pair[0].lower() not in taken), *mine.items()]


class _ChangedError(Exception):
    """The file isn't the one that was looked at."""


class StaticFile:
    """One file as a WSGI application, with the compressed forms that lie beside it.

    Raises:
        OSError: while it is made, the file can't be read.
    """

    __slots__ = ("_file", "_forms", "_headers", "_offered", "_rules")

    def __init__(self, file: str, headers: HeaderList, rules: Rules) -> None:
        self._file = file
        self._headers = headers
        self._rules = rules
        self._look()

    def _look(self) -> None:
        status = os.stat(self._file)
        siblings = find_siblings(self._file, status.st_mtime) if self._rules.precompressed else {}
        headers = [*self._headers, ("Vary", "Accept-Encoding")] if siblings else self._headers
        forms: dict[str, tuple[str, Representation]] = {"identity": (self._file, represent(status, headers))}
        sizes: dict[str, int] = {}
        for coding, file in siblings.items():
            status = os.stat(file)
            packed = [*headers, ("Content-Encoding", coding)]
            forms[coding] = (file, represent(status, packed, f"-{coding}"))
            sizes[coding] = status.st_size
        # One attribute is read by other threads while it is replaced, and the rest hangs on it.
        self._forms = forms
        self._offered = tuple(sorted(sizes, key=sizes.__getitem__))  # the smallest is the best

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer the request (PEP 3333)."""
        offered = self._offered
        coding = "identity"
        if offered:
            coding = choose_encoding(environ.get("HTTP_ACCEPT_ENCODING"), offered) or "identity"
        file, form = self._forms.get(coding) or self._forms["identity"]
        try:
            return send(environ, start_response, form, partial(_open, file, form.size))
        except (_ChangedError, FileNotFoundError):
            pass
        try:
            self._look()
            file, form = self._forms["identity"]
            return send(environ, start_response, form, lambda: open(file, "rb", buffering=0))
        except OSError:
            start_response("404 Not Found", list(EMPTY))
            return []


def _open(file: str, size: int | None) -> Any:
    opened = open(file, "rb", buffering=0)  # noqa: SIM115  # the server closes it; it reads large pieces itself
    if os.fstat(opened.fileno()).st_size != size:
        opened.close()
        raise _ChangedError
    return opened


class Redirect:
    """Leads from a folder without its slash to the one with it; the query is kept.

    Args:
        segment: the last segment of the path.
    """

    __slots__ = ("_location",)

    def __init__(self, segment: str) -> None:
        # Relative, so that neither host nor prefix need be known. "./" keeps a colon from being read as a scheme's.
        self._location = f"./{quote(segment)}/"

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer the request (PEP 3333)."""
        query = environ.get("QUERY_STRING")
        location = f"{self._location}?{query}" if query else self._location
        start_response("302 Found", [("Location", location), ("Cache-Control", "no-cache"), *EMPTY])
        return []


def url_key(path: str) -> str:
    """Return the path of a file as environ has paths: each character is a byte of its UTF-8 (PEP 3333)."""
    return os.fsencode(path).decode("latin-1")


def make_index(roots: Iterable[str], prefix: str, rules: Rules) -> dict[str, WSGIApplication]:
    """Return what answers each path: the files of the folders, the first folder that has a path going first.

    Args:
        roots: the folders.
        prefix: what the paths begin with; it ends with a slash.
        rules: how the files are served.
    """
    index: dict[str, WSGIApplication] = {}
    for root in roots:
        immutable = set(load_manifest(root).values())
        for path, file in walk_files(root):
            folder, _, name = path.rpartition("/")
            is_page = name == rules.index
            key = prefix + url_key(path)
            if key in index:
                continue
            index[key] = made = make_file(path, file, rules, immutable, is_page=is_page)
            if is_page:
                index.setdefault(prefix + url_key(f"{folder}/" if folder else ""), made)
                if folder:
                    index.setdefault(prefix + url_key(folder), Redirect(folder.rpartition("/")[2]))
    return index


def find(roots: Iterable[str], path: str, rules: Rules) -> WSGIApplication | None:
    """Look for what answers a path on disk.

    Args:
        roots: the folders; the first that has it.
        path: without the prefix, as environ has it.
        rules: how the files are served.
    """
    name = os.fsdecode(path.encode("latin-1"))
    for root in roots:
        file = find_file(root, name)
        immutable = set(load_manifest(root).values()) if file is not None else set()
        if file is not None:
            return make_file(name, file, rules, immutable, is_page=name.rpartition("/")[2] == rules.index)
        if rules.index is None:
            continue
        folder = name.removesuffix("/")
        page = f"{folder}/{rules.index}" if folder else rules.index
        file = find_file(root, page)
        if file is None:
            continue
        if folder and folder == name:
            return Redirect(name.rpartition("/")[2])
        return make_file(page, file, rules, immutable, is_page=True)
    return None


def make_file(path: str, file: str, rules: Rules, immutable: set[str], *, is_page: bool) -> StaticFile:
    """Return what serves a file.

    Args:
        path: of the URL, relative to the folder.
        file: on disk.
        rules: how it is served.
        immutable: paths that are fingerprinted though their names may not show it.
        is_page: whether clients have to ask for it each time.
    """
    fingerprinted = path in immutable or bool(rules.immutable(path))
    return StaticFile(file, rules.headers_of(path, is_page=is_page, is_immutable=fingerprinted), rules)
