"""The file by which another process asks this one to drain.

``wsgikit drain`` writes it, and `HealthMiddleware` looks at it.
"""

from __future__ import annotations

__all__ = ["VARIABLE", "DrainFile", "default_path", "remove", "write"]

import hashlib
import os
import stat
import tempfile
import time
from typing import TypeAlias

VARIABLE = "WSGIKIT_DRAIN_FILE"
"""An environment variable with the path of a further file, by which a server that manages processes drains them."""

_Signature: TypeAlias = tuple[int, int] | None


def default_path() -> str:
    """Return the path for the working folder: in the folder for temporary files, the same for each process there."""
    folder = hashlib.sha256(os.path.realpath(os.getcwd()).encode(errors="surrogateescape")).hexdigest()[:16]
    return os.path.join(tempfile.gettempdir(), f"wsgikit-drain-{folder}")


def write(path: str) -> None:
    """Write a drain file. One that exists is replaced, which counts as another."""
    temporary = f"{path}.{os.getpid()}"
    # O_EXCL and O_NOFOLLOW: nobody else's file or link is written through in a folder that all may write to.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(temporary, flags, 0o644), "w", encoding="ascii") as file:
        file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')}\n")
    try:
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def remove(path: str) -> bool:
    """Remove a drain file; return whether there was one."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


class DrainFile:
    """A drain file as a process sees it. One that was there when the process began is for the process before it.

    Args:
        path: of the file. It counts only if this user or root wrote it: others may write to a folder for temporary
            files.
    """

    __slots__ = ("_before", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._before = self._signature()

    @property
    def is_written(self) -> bool:
        """Whether the file was written since this object was made."""
        signature = self._signature()
        return signature is not None and signature != self._before

    def _signature(self) -> _Signature:
        try:
            status = os.lstat(self.path)
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        if hasattr(os, "geteuid") and status.st_uid not in (os.geteuid(), 0):
            return None
        return status.st_ino, status.st_mtime_ns
