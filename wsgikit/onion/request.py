"""The request and response objects that hooks and views work with: webob's, under wsgikit's names."""

from __future__ import annotations

__all__ = ["Request", "Response"]

import webob


class Request(webob.Request):
    """A request: webob's, made from environ on first use."""


class Response(webob.Response):
    """A response: webob's, itself a WSGI application."""
