"""Records of `logging`, passed to the recording of the request that they are from."""

from __future__ import annotations

__all__ = ["LOGS", "LogCapture"]

import logging
from collections.abc import Callable
from threading import get_ident
from typing import Any
from weakref import WeakSet

from wsgikit.middleware.inspector.recording import Recording


class LogCapture:
    """Sees each record of `logging` that is made on the thread of a request.

    It wraps the factory of records. A handler on the root logger would change what `logging` prints: the last resort,
    by which warnings reach the terminal, isn't used if there is a handler, and `logging.basicConfig` does nothing.
    """

    def __init__(self) -> None:
        self._by_thread: dict[int, Recording] = {}
        self._previous: Callable[..., logging.LogRecord] | None = None
        self._factory: Callable[..., logging.LogRecord] | None = None
        self._users: WeakSet[object] = WeakSet()

    def install(self, user: object) -> None:
        """Begin to see records, until `remove` is called with each user."""
        self._users.add(user)
        if self._factory is not None:
            return
        previous = self._previous = logging.getLogRecordFactory()
        by_thread = self._by_thread

        def make_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
            record = previous(*args, **kwargs)
            recording = by_thread.get(get_ident())
            if recording is not None and not recording.is_over:
                try:
                    text = record.getMessage()
                except Exception:  # noqa: BLE001  # logging itself will report it
                    text = str(record.msg)
                if record.exc_info and record.exc_info[1] is not None:
                    text = f"{text} ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
                recording.note_log(record.levelname, record.name, text)
            return record

        self._factory = make_record
        logging.setLogRecordFactory(make_record)

    def remove(self, user: object) -> None:
        """See no more records, if nobody else wants them. A factory that was put around this one stays."""
        self._users.discard(user)
        if not self._users and self._previous is not None and logging.getLogRecordFactory() is self._factory:
            logging.setLogRecordFactory(self._previous)
            self._factory = self._previous = None

    def begin(self, recording: Recording) -> None:
        """Tell a recording of the records that are made on its thread."""
        self._by_thread[recording.thread] = recording

    def end(self, recording: Recording) -> None:
        """Tell a recording nothing more."""
        if self._by_thread.get(recording.thread) is recording:
            del self._by_thread[recording.thread]


LOGS = LogCapture()
"""The one of this process: many inspectors add one factory."""
