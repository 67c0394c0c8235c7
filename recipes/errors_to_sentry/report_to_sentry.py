"""Hand errors to Sentry, with the id that the visitor was shown."""

from __future__ import annotations

import sentry_sdk
from sentry_sdk.integrations.logging import ignore_logger

from wsgikit.error_pages import ErrorReport
from wsgikit.error_pages.report import LOGGER

# The error pages log each error, too. Sentry would make a second event of that record.
ignore_logger(LOGGER)


def report_to_sentry(report: ErrorReport) -> None:
    """Send one error; ``report=report_to_sentry`` on `ErrorPagesMiddleware`.

    Sentry groups by our fingerprint, so that its groups are those of the log and of the mails.
    """
    with sentry_sdk.new_scope() as scope:
        scope.fingerprint = [report.fingerprint]
        scope.set_transaction_name(report.route or report.path)
        tags = {
            "error_id": report.error_id,
            "request_id": report.request_id,
            "layer": report.layer,
            "hook": report.hook,
            "stage": report.stage,
        }
        for name, value in tags.items():
            if value is not None:
                scope.set_tag(name, value)
        scope.set_context("request", {"method": report.method, "path": report.path, "answered": report.status})
        scope.capture_exception(report.error)
