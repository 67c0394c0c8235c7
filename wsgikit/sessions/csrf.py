"""Tokens against forged requests, kept in the session."""

from __future__ import annotations

__all__ = ["CSRF_TOKEN", "CsrfTokens"]

from collections.abc import MutableMapping
from typing import Any

from wsgikit.crypto.masking import tokens_match
from wsgikit.crypto.random import random_text

CSRF_TOKEN = "_csrf_token"  # a key, not a token


class CsrfTokens(MutableMapping[str, Any]):
    """The part of a session that makes and checks the token of its forms."""

    __slots__ = ()

    def get_csrf_token(self) -> str:
        """Return the token that forms carry to prove that they are ours; it is made on first use."""
        token = self.get(CSRF_TOKEN)
        return token if isinstance(token, str) else self.new_csrf_token()

    def new_csrf_token(self) -> str:
        """Replace the token, at a login say, and return the new one."""
        token = self[CSRF_TOKEN] = random_text()
        return token

    def check_csrf_token(self, token: object) -> bool:
        """Return whether this is the token, plain or masked by `mask_token`; compared in constant time."""
        expected = self.get(CSRF_TOKEN)
        if not isinstance(token, str) or not isinstance(expected, str) or not expected:
            return False
        return tokens_match(expected, token)
