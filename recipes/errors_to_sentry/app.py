"""An application whose errors go to Sentry. Serve it with ``SENTRY_DSN=… wsgikit serve app:application``."""

from __future__ import annotations

import os
from collections.abc import Iterable

import sentry_sdk
from report_to_sentry import report_to_sentry

from wsgikit import ErrorPagesMiddleware, build_stack, use
from wsgikit.wsgi import Environ, StartResponse

# Without a DSN the SDK sends nothing. Local variables may hold secrets: they are left out.
sentry_sdk.init(dsn=os.environ.get("SENTRY_DSN"), include_local_variables=False)


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Fail, so that there is something to be seen."""
    raise RuntimeError("an error for Sentry")


application = build_stack(app, use(ErrorPagesMiddleware, report=report_to_sentry))
