"""How often a client may ask."""

from wsgikit.middleware.rate_limit.middleware import RateLimitMiddleware

__all__ = ["RateLimitMiddleware"]
