"""Preconditions of a request, judged by the view before it changes anything."""

from __future__ import annotations

__all__ = ["check_preconditions"]

from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, cast

from werkzeug.exceptions import HTTPException, PreconditionFailed

from wsgikit.context.locals import current_exchange
from wsgikit.http.etags import evaluate_preconditions
from wsgikit.onion.reply import Reply


def check_preconditions(*, etag: str | None = None, last_modified: datetime | float | None = None) -> None:
    """End the view if a precondition of the request fails, or if the client has the current state already.

    Call it before a change is made (``PUT``, ``PATCH``, ``DELETE``), so that nobody overwrites what they have not seen;
    or before an expensive page is made (``GET``). Without both arguments there is no current state, so that
    ``If-None-Match: *`` lets a ``PUT`` create and never replace.

    Args:
        etag: the entity tag of the current state, with its quotes or without.
        last_modified: its time: a datetime, in UTC if it has no zone, or seconds since 1970.

    Raises:
        PreconditionFailed: a precondition failed; it becomes a 412.
        HTTPException: with a 304, for GET and HEAD.
        OutsideRequestError: there is no request.
    """
    environ = current_exchange("check_preconditions()").environ
    tag = None if etag is None else etag if etag.startswith(('"', 'W/"')) else f'"{etag}"'
    if isinstance(last_modified, datetime):
        aware = last_modified if last_modified.tzinfo else last_modified.replace(tzinfo=UTC)
        last_modified = aware.timestamp()
    modified = None if last_modified is None else int(last_modified)
    exists = tag is not None or modified is not None
    verdict = evaluate_preconditions(environ, tag, modified, exists=exists)
    if verdict == 412:
        raise PreconditionFailed()
    if verdict == 304:
        headers = [] if tag is None else [("ETag", tag)]
        if modified is not None:
            headers.append(("Last-Modified", formatdate(modified, usegmt=True)))
        raise HTTPException(response=cast(Any, Reply(304, b"", None, headers)))
