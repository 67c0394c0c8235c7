"""An application whose errors are mailed. Serve it with ``wsgikit serve app:application``."""

from __future__ import annotations

import os
from collections.abc import Iterable

from report_by_mail import MailReporter

from wsgikit import ErrorPagesMiddleware, build_stack, use
from wsgikit.wsgi import Environ, StartResponse

mail = MailReporter(
    sender=os.environ.get("MAIL_FROM", "app@localhost"),
    recipients=[os.environ.get("MAIL_TO", "root@localhost")],
    host=os.environ.get("MAIL_HOST", "localhost"),
    port=int(os.environ.get("MAIL_PORT", "25")),
)


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Fail, so that there is something to be mailed."""
    raise RuntimeError("an error for the mail")


application = build_stack(app, use(ErrorPagesMiddleware, report=mail))
