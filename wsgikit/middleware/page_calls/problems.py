"""Answers that a call failed: problem documents (RFC 9457)."""

from __future__ import annotations

__all__ = ["document_of_http_exception", "of_http_exception", "problem", "problem_document"]

from collections.abc import Iterable
from typing import Any

from wsgikit.http.json_provider import JsonProvider
from wsgikit.onion.reply import Reply, status_line
from wsgikit.wsgi import WSGIApplication

to_json = JsonProvider(dates="iso", ensure_ascii=False, sort_keys=False).body


def problem_document(status: int, detail: str, **members: Any) -> dict[str, Any]:
    """Return a problem (RFC 9457)."""
    line = status_line(status) or f"{status} Unknown"
    return {"type": "about:blank", "title": line[4:], "status": status, "detail": detail, **members}


def problem(status: int, detail: str, headers: Iterable[tuple[str, str]] = (), **members: Any) -> WSGIApplication:
    """Return an answer with a problem."""
    body = to_json(problem_document(status, detail, **members))
    return Reply(status, body, "application/problem+json", [("Cache-Control", "no-store"), *headers])


def of_http_exception(error: Exception) -> WSGIApplication | None:
    """Return the answer for an HTTP exception such as ``abort(403)`` raises; None for any other error."""
    document = document_of_http_exception(error)
    if document is None:
        return None
    described = ("content-type", "content-length")
    headers = [pair for pair in error.get_headers() if pair[0].lower() not in described]  # type: ignore[attr-defined]
    body = to_json(document)
    return Reply(document["status"], body, "application/problem+json", [("Cache-Control", "no-store"), *headers])


def document_of_http_exception(error: Exception) -> dict[str, Any] | None:
    """Return the problem for an HTTP exception; None for any other error."""
    code = getattr(error, "code", None)
    is_plain = hasattr(error, "get_headers") and getattr(error, "response", None) is None
    if not is_plain or not isinstance(code, int) or not 400 <= code <= 599:
        return None
    document = problem_document(code, getattr(error, "description", None) or "The call failed.")
    as_dict = getattr(error, "as_dict", None)  # a Problem of the router's has further members
    return {**document, **as_dict()} if as_dict is not None else document
