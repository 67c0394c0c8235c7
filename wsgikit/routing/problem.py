"""Errors of an API as problem details (RFC 9457): JSON that says what went wrong."""

from __future__ import annotations

__all__ = ["Problem", "as_problem"]

import json
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from wsgikit.routing.answers import STATUS_LINES


class Problem(HTTPException):
    """An HTTP exception whose body is ``application/problem+json``.

    Raise it from any view: ``raise Problem(409, "That name is taken.", type="https://example.org/problems/taken")``.

    Args:
        code: the status.
        detail: what went wrong this time, for a person.
        title: what kind of problem it is; the status's own phrase if it isn't given.
        type: a URI that names the kind.
        headers: headers of the response, such as ``Allow`` or ``Retry-After``.
        members: further members of the object.
    """

    def __init__(
        self,
        code: int,
        detail: str | None = None,
        *,
        title: str | None = None,
        type: str = "about:blank",  # noqa: A002  # the name it has in RFC 9457
        headers: list[tuple[str, str]] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.type = type
        self.title = title or STATUS_LINES.get(code, f"{code} Unknown")[4:]
        self.extra_headers = headers or []
        self.members = members

    def as_dict(self) -> dict[str, Any]:
        """Return the members of the problem, those of RFC 9457 first."""
        problem: dict[str, Any] = {"type": self.type, "title": self.title, "status": self.code}
        if self.description is not None:
            problem["detail"] = self.description
        return {**problem, **self.members}

    def get_body(self, environ: Any = None, scope: Any = None) -> str:
        """Return the problem as JSON; NaN and infinite numbers, which JSON doesn't have (RFC 8259 §6), are null."""
        problem = self.as_dict()
        try:
            return json.dumps(problem, default=str, allow_nan=False)
        except ValueError:
            finite = json.loads(json.dumps(problem, default=str), parse_constant=lambda _name: None)
            return json.dumps(finite)

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        """Return the headers of the response."""
        return [("Content-Type", "application/problem+json"), *self.extra_headers]

    def get_response(self, environ: Any = None, scope: Any = None) -> Any:
        """Return the response."""
        return WerkzeugResponse(self.get_body(), self.code, self.get_headers())


def as_problem(error: Exception) -> Exception:
    """Return an HTTP exception as a `Problem` of the same status and headers; others as they are."""
    if isinstance(error, Problem) or not isinstance(error, HTTPException) or error.response is not None:
        return error
    if error.code is None or error.code < 400:
        return error
    headers = [pair for pair in error.get_headers() if pair[0].lower() not in ("content-type", "content-length")]
    problem = Problem(error.code, error.description, headers=headers)
    problem.__cause__ = error
    return problem
