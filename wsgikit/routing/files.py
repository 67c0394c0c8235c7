"""Files as answers: conditional, with ranges, sent by the server's own ``wsgi.file_wrapper`` where it has one."""

from __future__ import annotations

__all__ = ["FileAnswer", "send_from_folder"]

from collections.abc import Callable, Iterable
from datetime import datetime
from io import BytesIO
from os import PathLike, fspath
from pathlib import Path
from typing import IO, Any

from wsgikit.exceptions import ApplicationError, complaint
from wsgikit.wsgi import Environ, StartResponse

MaxAge = int | Callable[[str | None], int | None] | None


class FileAnswer:
    """A file as a WSGI application: Werkzeug's `send_file`, which needs the request, put off until it is called.

    ``ETag``, ``Last-Modified``, 304, 206 and 416 come out of the request's headers.

    Args:
        path_or_file: a path, or a binary file open for reading; a text file is read as UTF-8.
        mimetype: the media type; guessed from the name where it isn't given.
        as_attachment: ask the browser to save it rather than show it.
        download_name: the name to save it under; the file's own where it isn't given.
        conditional: answer conditional and range requests.
        etag: whether to send one made from time, size and name; or the one to send.
        last_modified: the time to send; the file's own where it isn't given.
        max_age: for how many seconds it may be cached, or a function of the path; None leaves it to revalidation.
        root: what a relative path is relative to; the current folder where it isn't given.
    """

    __slots__ = ("options", "path_or_file", "root")

    def __init__(
        self,
        path_or_file: str | PathLike[str] | IO[bytes],
        *,
        mimetype: str | None = None,
        as_attachment: bool = False,
        download_name: str | None = None,
        conditional: bool = True,
        etag: bool | str = True,
        last_modified: datetime | int | float | None = None,
        max_age: MaxAge = None,
        root: Path | None = None,
    ) -> None:
        self.path_or_file = path_or_file
        self.root = root
        self.options: dict[str, Any] = {
            "mimetype": mimetype,
            "as_attachment": as_attachment,
            "download_name": download_name,
            "conditional": conditional,
            "etag": etag,
            "last_modified": last_modified,
            "max_age": max_age,
        }

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return self.response(environ)(environ, start_response)  # type: ignore[no-any-return]  # Werkzeug's response

    def response(self, environ: Environ) -> Any:
        """Return Werkzeug's response for this file and request.

        Raises:
            NotFound: there is no such file.
        """
        from werkzeug.exceptions import NotFound
        from werkzeug.utils import send_file

        if "," in environ.get("HTTP_RANGE", ""):
            # Several ranges are more than Werkzeug sends. RFC 9110 §14.2: a server may ignore the field, and send all.
            environ = {key: value for key, value in environ.items() if key != "HTTP_RANGE"}
        target: Any = self.path_or_file
        options = self.options
        if hasattr(target, "read"):
            if options["mimetype"] is None and options["download_name"] is None:
                name = getattr(target, "name", None)
                if isinstance(name, str) and name:
                    options = {**options, "download_name": Path(name).name}
                else:
                    options = {**options, "mimetype": "application/octet-stream"}
            if hasattr(target, "encoding"):  # a text file: what it was opened on holds the bytes
                target = target.detach() if hasattr(target, "buffer") else BytesIO(target.read().encode())
        else:
            path = Path(fspath(target))
            if not path.is_absolute():
                path = (self.root or Path.cwd()) / path
            if not path.is_file():
                raise NotFound()
            target = path
        return send_file(target, environ, **options)


def send_from_folder(folder: str | PathLike[str], path: str, **options: Any) -> FileAnswer:
    """Return the file at `path` inside `folder`; a path that leads out of it is not found.

    Raises:
        NotFound: there is no such file inside the folder.
    """
    from werkzeug.exceptions import NotFound
    from werkzeug.security import safe_join

    base = Path(folder)
    if not base.is_absolute():
        raise ApplicationError(complaint("send_from_folder", "folder", "an absolute path", str(folder)))
    joined = safe_join(str(base), path) if "\0" not in path else None
    if joined is None or not Path(joined).is_file():
        raise NotFound()
    # A link inside the folder may lead out of it: what it leads to decides.
    if not Path(joined).resolve().is_relative_to(base.resolve()):
        raise NotFound()
    return FileAnswer(joined, **options)
