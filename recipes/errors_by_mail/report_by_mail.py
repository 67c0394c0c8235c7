"""Mail errors to whoever is on call: each kind of error once in a while, and never more than a few an hour."""

from __future__ import annotations

import logging
import queue
import smtplib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from email.message import EmailMessage

from wsgikit.error_pages import ErrorReport

log = logging.getLogger(__name__)

_KINDS_REMEMBERED = 1000
_MAILS_WAITING = 50  # for a slow mail server; more are dropped, the log has them all


class MailReporter:
    """A reporter that mails: ``report=MailReporter(sender="app@example.org", recipients=["oncall@example.org"])``.

    It returns at once. A thread sends, so that no visitor waits for the mail server.

    Args:
        sender: the address that the mails come from.
        recipients: the addresses that they go to.
        host: the mail server.
        port: its port.
        again_after_seconds: an error of the same fingerprint is mailed again only after this time. The mail then says
            how many there were in between.
        most_per_hour: over all kinds.
        send: sends one message; the default speaks SMTP to `host`.
        clock: the time in seconds.
    """

    def __init__(
        self,
        *,
        sender: str,
        recipients: Sequence[str],
        host: str = "localhost",
        port: int = 25,
        again_after_seconds: float = 3600,
        most_per_hour: int = 20,
        send: Callable[[EmailMessage], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sender = sender
        self.recipients = list(recipients)
        self.host, self.port = host, port
        self.again_after_seconds = again_after_seconds
        self.most_per_hour = most_per_hour
        self._send = send or self._send_by_smtp
        self._clock = clock
        self._lock = threading.Lock()
        self._sent_at: deque[float] = deque()
        self._kinds: dict[str, tuple[float, int]] = {}  # fingerprint → when it was mailed, how many since
        self._waiting: queue.Queue[EmailMessage | None] = queue.Queue(_MAILS_WAITING)
        self._thread: threading.Thread | None = None

    def __call__(self, report: ErrorReport) -> None:
        """Mail the report, unless there were enough."""
        unmailed = self._admit(report.fingerprint)
        if unmailed is None:
            return
        try:
            self._waiting.put_nowait(self._message(report, unmailed))
        except queue.Full:
            log.warning("The mail server is slow: error %s is not mailed", report.error_id)
        self._start()

    def close(self) -> None:
        """Send what is waiting, then stop."""
        thread = self._thread
        if thread is not None:
            self._waiting.put(None)
            thread.join()

    def _admit(self, fingerprint: str) -> int | None:
        """Return how many of this kind were not mailed before this one, or None where this one isn't mailed either."""
        now = self._clock()
        with self._lock:
            mailed_at, unmailed = self._kinds.get(fingerprint, (None, 0))
            while self._sent_at and now - self._sent_at[0] >= 3600:
                self._sent_at.popleft()
            is_too_soon = mailed_at is not None and now - mailed_at < self.again_after_seconds
            if is_too_soon or len(self._sent_at) >= self.most_per_hour:
                # One that was never mailed goes as soon as there is room: its time is the distant past.
                self._kinds[fingerprint] = (mailed_at if mailed_at is not None else float("-inf"), unmailed + 1)
                return None
            self._sent_at.append(now)
            self._kinds.pop(fingerprint, None)  # to the end: the oldest are forgotten first
            self._kinds[fingerprint] = (now, 0)
            if len(self._kinds) > _KINDS_REMEMBERED:
                del self._kinds[next(iter(self._kinds))]
            return unmailed

    def _message(self, report: ErrorReport, unmailed: int) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self.sender
        message["To"] = ", ".join(self.recipients)
        place = f"{report.method} {report.route or report.path}"
        message["Subject"] = f"{type(report.error).__name__} in {place[:150]} [{report.fingerprint}]"
        lines = [
            f"Error id     {report.error_id}",
            f"Fingerprint  {report.fingerprint}",
            f"Request      {report.method} {report.path}",
            f"Route        {report.route or '-'}",
            f"Request id   {report.request_id or '-'}",
            f"Raised in    {report.where}",
            f"Answered     {report.status or 'the head had left already'}",
        ]
        if unmailed:
            lines.append(f"Not mailed   {unmailed} of this kind since the last mail")
        # The text hides passwords in URLs and what is given to secret names.
        message.set_content("\n".join([*lines, "", report.traceback_text()]))
        return message

    def _start(self) -> None:
        with self._lock:
            # A fork takes the object along, but not its thread.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="mail-reporter", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (message := self._waiting.get()) is not None:
            try:
                self._send(message)
            except Exception:
                log.exception("An error report could not be mailed: %s", message["Subject"])

    def _send_by_smtp(self, message: EmailMessage) -> None:
        with smtplib.SMTP(self.host, self.port, timeout=30) as server:
            server.send_message(message)
