"""The most bytes that the body of a request may have, and how slowly it may come."""

from wsgikit.middleware.body_limit.middleware import BodyLimitMiddleware

__all__ = ["BodyLimitMiddleware"]
