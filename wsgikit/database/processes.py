"""Which process this is, without asking the kernel each time: connections must not be shared over a fork."""

from __future__ import annotations

__all__ = ["current_pid"]

import os

_pid = os.getpid()


def _forked() -> None:
    global _pid
    _pid = os.getpid()


if hasattr(os, "register_at_fork"):  # not on Windows, which can't fork
    # Servers written in C that embed Python (uWSGI) run these hooks too: PyOS_AfterFork_Child.
    os.register_at_fork(after_in_child=_forked)


def current_pid() -> int:
    """Return the id of this process."""
    return _pid
