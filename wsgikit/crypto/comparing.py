"""Comparing secrets so that the time it takes says nothing of them."""

from __future__ import annotations

__all__ = ["texts_are_equal"]

import hashlib
import hmac


def texts_are_equal(one: str, other: str) -> bool:
    """Return whether two texts are equal, in a time that depends on neither.

    Their digests are compared: those have one length, and `hmac.compare_digest` refuses text that isn't ASCII.
    """
    first, second = (hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in (one, other))
    return hmac.compare_digest(first, second)
