"""Files as answers: conditional, with ranges, sent by the server's own ``wsgi.file_wrapper`` where it has one."""

from __future__ import annotations

__all__ = ["FileAnswer", "send_from_folder"]

import os
import stat
from collections.abc import Iterable
from io import BufferedRandom, BufferedReader, BytesIO, FileIO
from os import PathLike, fspath
from pathlib import Path
from typing import IO, Any

from werkzeug.exceptions import NotFound
from werkzeug.security import safe_join
from werkzeug.utils import send_file

from wsgikit.exceptions import ApplicationError, complaint
from wsgikit.wsgi import Environ, StartResponse

_PLAIN = (BufferedReader, BufferedRandom, FileIO)


class FileAnswer:
    """A file as a WSGI application: Werkzeug's `send_file`, which needs the request, put off until it is called.

    ``ETag``, ``Last-Modified``, 304, 206 and 416 come out of the request's headers.

    Args:
        path_or_file: a path, or a binary file open for reading; a text file is read as UTF-8.
        root: what a relative path is relative to; the current folder where it isn't given.
        options: those of `wsgikit.views.send_file`.
    """

    __slots__ = ("options", "path_or_file", "root")

    def __init__(
        self, path_or_file: str | PathLike[str] | IO[bytes], *, root: Path | None = None, **options: Any
    ) -> None:
        self.path_or_file = path_or_file
        self.root = root
        self.options = options

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return self.response(environ)(environ, start_response)  # type: ignore[no-any-return]  # Werkzeug's response

    def response(self, environ: Environ) -> Any:
        """Return Werkzeug's response for this file and request.

        Raises:
            NotFound: there is no such file.
        """
        if "," in environ.get("HTTP_RANGE", ""):
            # Several ranges are more than Werkzeug sends. RFC 9110 §14.2: a server may ignore the field, and send all.
            environ = {key: value for key, value in environ.items() if key != "HTTP_RANGE"}
        target: Any = self.path_or_file
        options = self.options
        length: int | None = None
        if hasattr(target, "read"):
            if options.get("mimetype") is None and options.get("download_name") is None:
                name = getattr(target, "name", None)
                if isinstance(name, str) and name:
                    options = {**options, "download_name": Path(name).name}
                else:
                    options = {**options, "mimetype": "application/octet-stream"}
            target, length = _rest_of(_as_bytes(target) if hasattr(target, "encoding") else target)
        else:
            path = Path(fspath(target))
            if not path.is_absolute():
                path = (self.root or Path.cwd()) / path
            if not os.path.isfile(path):
                raise NotFound()
            target = path
        response = send_file(target, environ, **options)
        if length is not None and response.status_code == 200:
            response.content_length = length
        return response


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


def _rest_of(file: Any) -> tuple[Any, int | None]:
    """Return what an open file has from its position on, as a server may have it, and its length where that is known.

    A server that sends by descriptor begins where the descriptor stands. So the descriptor is shown only where it is
    that of the bytes themselves, and stands where the file does.
    """
    if isinstance(file, BytesIO):
        return (_copy(file) if file.tell() else file), None  # Werkzeug sends what it has from the beginning on
    inner = file.file if type(file).__module__ == "tempfile" and hasattr(file, "file") else file
    if type(inner) not in _PLAIN or type(getattr(inner, "raw", inner)) is not FileIO:
        return (_Reader(file) if hasattr(file, "fileno") else file), None
    descriptor = file.fileno()
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return file, None
    position = file.tell()
    is_there = os.lseek(descriptor, 0, os.SEEK_CUR) == position
    # Files of /proc say that they are empty, and aren't.
    length = max(status.st_size - position, 0) if status.st_size else None
    return (file if is_there else _Reader(file)), length


class _Reader:
    """A file without its descriptor."""

    __slots__ = ("close", "read")

    def __init__(self, file: Any) -> None:
        self.read = file.read
        self.close = file.close


def send_from_folder(folder: str | PathLike[str], path: str, **options: Any) -> FileAnswer:
    """Return the file at `path` inside `folder`; a path that leads out of it is not found.

    Raises:
        NotFound: there is no such file inside the folder.
    """
    base = Path(folder)
    if not base.is_absolute():
        raise ApplicationError(complaint("send_from_folder", "folder", "an absolute path", str(folder)))
    joined = safe_join(str(base), path) if "\0" not in path else None
    if joined is None or not os.path.isfile(joined):  # Path.is_file() raises where a name is too long
        raise NotFound()
    # A link inside the folder may lead out of it: what it leads to decides.
    if not Path(joined).resolve().is_relative_to(base.resolve()):
        raise NotFound()
    return FileAnswer(joined, **options)
