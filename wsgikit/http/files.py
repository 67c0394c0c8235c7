"""Files that views send: by their path, or open for reading."""

from __future__ import annotations

__all__ = ["FileAnswer", "content_disposition", "file_headers", "send_from_folder"]

import os
import re
import stat
import unicodedata
import zlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from io import BufferedRandom, BufferedReader, BytesIO, FileIO
from os import PathLike, fspath
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from werkzeug.exceptions import NotFound

from wsgikit.exceptions import ApplicationError, complaint
from wsgikit.http.accept import choose_encoding
from wsgikit.http.folders import find_file, find_siblings
from wsgikit.http.headers import checked
from wsgikit.http.representation import UNKNOWN_TYPE, Representation, content_type_of, printable_time, send
from wsgikit.wsgi import Environ, HeaderList, StartResponse

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2: needs no quotes
_PLAIN = (BufferedReader, BufferedRandom, FileIO)


class FileAnswer:
    """A file as a WSGI application.

    ``ETag``, ``Last-Modified``, 304, 206, 412 and 416 depend on the request's headers.

    Args:
        path_or_file: a path, or a binary file open for reading; a text file is read as UTF-8.
        root: what a relative path is relative to; without it the current folder.
        precompressed: whether a compressed form beside the file is sent to a client that accepts it.
        options: those of `wsgikit.views.send_file`.
    """

    __slots__ = ("options", "path_or_file", "precompressed", "root")

    def __init__(
        self,
        path_or_file: str | PathLike[str] | IO[bytes],
        *,
        root: Path | None = None,
        precompressed: bool = False,
        **options: Any,
    ) -> None:
        self.path_or_file = path_or_file
        self.root = root
        self.precompressed = precompressed
        self.options = options

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer the request (PEP 3333).

        Raises:
            NotFound: there is no such file.
        """
        target: Any = self.path_or_file
        if hasattr(target, "read"):
            return self._send_open(target, environ, start_response)
        path = os.path.join(self.root or os.getcwd(), fspath(target))
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            raise NotFound() from None
        if not stat.S_ISREG(status.st_mode):
            raise NotFound()
        headers = file_headers(path, self.options)
        file, coding = path, "identity"
        if self.precompressed and (siblings := find_siblings(path, status.st_mtime)):
            headers.append(("Vary", "Accept-Encoding"))
            coding = choose_encoding(environ.get("HTTP_ACCEPT_ENCODING"), tuple(siblings)) or "identity"
            if coding != "identity":
                file = siblings[coding]
                headers.append(("Content-Encoding", coding))
                status = os.stat(file)
        etag = self.options.get("etag", True)
        if etag is True:
            check = zlib.crc32(os.fsencode(file))  # another file of this time and size has another tag
            etag = f"{status.st_mtime_ns:x}-{status.st_size:x}-{check:x}"
        elif etag and coding != "identity":
            etag = f"{etag}-{coding}"
        modified = self.options.get("last_modified")
        form = Representation(
            headers,
            status.st_size,
            _quoted(etag),
            printable_time(status.st_mtime if modified is None else _seconds(modified)),
            is_conditional=self.options.get("conditional", True),
        )
        return send(environ, start_response, form, lambda: open(file, "rb"))

    def _send_open(self, target: Any, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        name = self.options.get("download_name") or getattr(target, "name", None)
        headers = file_headers(name if isinstance(name, str) and name else None, self.options)
        file, size, offset = _rest_of(_as_bytes(target) if hasattr(target, "encoding") else target)
        modified = self.options.get("last_modified")
        etag = self.options.get("etag", True)
        form = Representation(
            headers,
            size,
            None if etag is True else _quoted(etag),
            None if modified is None else printable_time(_seconds(modified)),
            is_conditional=self.options.get("conditional", True),
        )
        is_sent = False

        def open_file() -> Any:
            nonlocal is_sent
            is_sent = True
            return file

        try:
            return send(environ, start_response, form, open_file, offset)
        finally:
            if not is_sent and (close := getattr(file, "close", None)) is not None:
                close()


def file_headers(name: str | None, options: dict[str, Any]) -> HeaderList:
    """Return the headers of a file that its name and the options of `send_file` make."""
    mimetype = options.get("mimetype")
    if mimetype is None:
        mimetype = UNKNOWN_TYPE if name is None else content_type_of(options.get("download_name") or name)
    elif mimetype.startswith("text/") and "charset" not in mimetype.lower():
        mimetype += "; charset=utf-8"
    max_age = options.get("max_age")
    if callable(max_age):
        max_age = max_age(name)
    headers = [
        checked("Content-Type", mimetype),
        # A page that a visitor uploaded under the name of an image must not run as a page.
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-cache" if max_age is None else f"max-age={max_age}"),
    ]
    shown = options.get("download_name") or (name and os.path.basename(name))
    if options.get("as_attachment"):
        headers.append(("Content-Disposition", content_disposition("attachment", shown)))
    elif shown:
        headers.append(("Content-Disposition", content_disposition("inline", shown)))
    return headers


def content_disposition(kind: str, name: str | None) -> str:
    """Return a ``Content-Disposition`` (RFC 6266), with `name` in ASCII, and in full as RFC 8187 has it."""
    if not name:
        return kind
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = "".join(letter for letter in plain if letter.isprintable() and letter not in '"\\')
    value = f"{kind}; filename={plain}" if _TOKEN.fullmatch(plain) else f'{kind}; filename="{plain}"'
    return value if plain == name else f"{value}; filename*=UTF-8''{quote(name, safe='')}"


def _quoted(etag: str | bool | None) -> str | None:
    if not etag or etag is True:
        return None
    return etag if etag.startswith(('"', 'W/"')) else f'"{etag}"'


def _seconds(moment: Any) -> float:
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return float(moment)


def _as_bytes(file: Any) -> Any:
    """Return a text file, from its position on, as a binary one in UTF-8."""
    if not hasattr(file, "buffer") or file.encoding.lower().replace("-", "") != "utf8":
        return _copy(file)
    if file.seekable():
        try:
            file.seek(file.tell())  # it has read ahead in the file below
        except OSError:  # a loop over its lines was left
            return _copy(file)
    return file.detach()


def _copy(file: Any) -> BytesIO:
    rest = file.read()
    file.close()
    return BytesIO(rest.encode() if isinstance(rest, str) else rest)


def _rest_of(file: Any) -> tuple[Any, int | None, int]:
    """Return what an open file has from its position on, as a server may have it; its length, and that position.

    A server that sends by descriptor begins where the descriptor stands. So the descriptor is shown only if it is that
    of the bytes themselves, and stands where the file does.
    """
    if isinstance(file, BytesIO):
        position = file.tell()
        return file, max(file.getbuffer().nbytes - position, 0), position
    inner = file.file if type(file).__module__ == "tempfile" and hasattr(file, "file") else file
    if type(inner) not in _PLAIN or type(getattr(inner, "raw", inner)) is not FileIO:
        return (_Reader(file) if hasattr(file, "fileno") else file), None, 0
    descriptor = file.fileno()
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return file, None, 0
    position = file.tell()
    is_there = os.lseek(descriptor, 0, os.SEEK_CUR) == position
    # Files of /proc say that they are empty, and are not.
    length = max(status.st_size - position, 0) if status.st_size else None
    return (file if is_there else _Reader(file)), length, position


class _Reader:
    """A file without its descriptor."""

    __slots__ = ("close", "read", "seek")

    def __init__(self, file: Any) -> None:
        self.read = file.read
        self.close: Callable[[], object] = getattr(file, "close", lambda: None)
        self.seek = getattr(file, "seek", None)


def send_from_folder(folder: str | PathLike[str], path: str, **options: Any) -> FileAnswer:
    """Return the file at `path` inside `folder`. A path that leads out of it, or is hidden, is not found.

    Raises:
        NotFound: there is no such file inside the folder that visitors may have.
    """
    base = Path(folder)
    if not base.is_absolute():
        raise ApplicationError(complaint("send_from_folder", "folder", "an absolute path", str(folder)))
    found = find_file(str(base), path)
    if found is None:
        raise NotFound()
    return FileAnswer(found, **options)
