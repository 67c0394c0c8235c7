"""Python functions that a page calls: `registry` keeps them, `middleware` answers, `client.js` runs in the page."""

from __future__ import annotations

__all__ = ["Call", "Calls", "PageCallsMiddleware", "PageReply"]

from wsgikit.middleware.page_calls.middleware import PageCallsMiddleware
from wsgikit.middleware.page_calls.page_reply import PageReply
from wsgikit.middleware.page_calls.registry import Call, Calls
