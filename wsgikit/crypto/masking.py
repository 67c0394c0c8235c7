"""Tokens masked for pages, so that a compressed page doesn't leak them.

An attacker who can put text into a compressed page and measure its length can guess a fixed secret in it byte by byte
(BREACH, CVE-2013-3587). A token that looks different on each page gives nothing to guess.
"""

from __future__ import annotations

__all__ = ["mask_token", "tokens_match", "unmask_token"]

import hmac
import os
from binascii import Error as NotBase64

from wsgikit.crypto.signing import decode_base64, encode_base64


def mask_token(token: str) -> str:
    """Return the token in a form that is different at each call: a random mask and the token XOR the mask.

    The result is base64url and about 2.7 times as long as the token.
    """
    secret = token.encode()
    mask = os.urandom(len(secret))
    return encode_base64(mask + _xor(mask, secret)).decode("ascii")


def unmask_token(text: str) -> str | None:
    """Return the token of a text that `mask_token` made, or None if the text isn't one.

    A text that was made by somebody else may give any token. Compare the result with the expected token.
    """
    try:
        encoded = text.encode("ascii")
        data = decode_base64(encoded)
        if len(data) % 2 or encode_base64(data) != encoded:
            return None
        middle = len(data) // 2
        return _xor(data[:middle], data[middle:]).decode()
    except (NotBase64, UnicodeError):
        return None


def tokens_match(expected: str, text: str) -> bool:
    """Return whether `text` is the expected token, plain or masked. The time doesn't depend on which part is wrong."""
    wanted = expected.encode()
    is_plain = hmac.compare_digest(wanted, text.encode("utf-8", "replace"))
    unmasked = unmask_token(text)
    is_masked = unmasked is not None and hmac.compare_digest(wanted, unmasked.encode())
    return is_plain or is_masked


def _xor(mask: bytes, data: bytes) -> bytes:
    return (int.from_bytes(mask, "big") ^ int.from_bytes(data, "big")).to_bytes(len(data), "big")
