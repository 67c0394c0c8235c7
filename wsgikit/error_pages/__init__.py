"""An answer for every error: pages for visitors, a traceback for developers.

What a page of one's own gets is an `ErrorPage`; what a reporter gets is an `ErrorReport`. Both are loaded when they are
first used: the layer itself needs neither before the first error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgikit.error_pages.render import ErrorPage as ErrorPage
    from wsgikit.error_pages.report import ErrorReport as ErrorReport

__all__ = ["ErrorPage", "ErrorReport"]


def __getattr__(name: str) -> Any:
    if name == "ErrorPage":
        from wsgikit.error_pages.render import ErrorPage

        return ErrorPage
    if name == "ErrorReport":
        from wsgikit.error_pages.report import ErrorReport

        return ErrorReport
    raise AttributeError(f"module 'wsgikit.error_pages' has no attribute {name!r}")
