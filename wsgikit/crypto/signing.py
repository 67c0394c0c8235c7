"""Signatures in itsdangerous' wire format, with the keys derived once.

A token is ``payload.timestamp.signature``, each part base64url without padding, signed by HMAC. `itsdangerous` reads
what is made here and the other way round; what it does for each token (deriving the key, building four objects)
is done here when the signer is made.
"""

from __future__ import annotations

__all__ = ["Signer", "TimedSigner", "decode_base64", "derive_key", "encode_base64"]

import hashlib
import hmac
import time
from binascii import Error as NotBase64
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Sequence
from typing import Any

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")
_BLOCK_BYTES = {"sha1": 64, "sha256": 64, "sha512": 128}  # RFC 2104: HMAC pads the key to the digest's block
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


def encode_base64(data: bytes) -> bytes:
    """Return base64url without padding (RFC 4648 §5)."""
    return b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL)


def decode_base64(text: bytes) -> bytes:
    """Read base64url, padded or not.

    Raises:
        binascii.Error: it isn't base64.
    """
    return a2b_base64(text.translate(_FROM_URL) + b"==")


def derive_key(secret: bytes, salt: bytes, digest: str = "sha256", derivation: str = "hmac") -> bytes:
    """Return the key that itsdangerous would derive from a secret, a salt and the name of a derivation."""
    if derivation == "hmac":
        return hmac.digest(secret, salt, digest)
    if derivation == "django-concat":
        return hashlib.new(digest, salt + b"signer" + secret).digest()
    raise ValueError(f"unknown key derivation {derivation!r}")


def _signature_of(key: bytes, digest: str) -> Callable[[bytes], bytes]:
    """Return a function that makes the signature of a message: HMAC with the two states of the key kept."""
    block = _BLOCK_BYTES[digest]
    if len(key) > block:
        key = hashlib.new(digest, key).digest()
    padded = key.ljust(block, b"\0")
    padding = -hashlib.new(digest).digest_size % 3  # of base64; each of these digests has some
    inner: Any = hashlib.new(digest, padded.translate(_INNER)).copy
    outer: Any = hashlib.new(digest, padded.translate(_OUTER)).copy

    def sign(message: bytes) -> bytes:
        first = inner()
        first.update(message)
        second = outer()
        second.update(first.digest())
        return b2a_base64(second.digest(), newline=False)[:-padding].translate(_TO_URL)

    return sign


class Signer:
    """Signs with the first of its keys and verifies with all.

    The length of a signature tells its digest, so that tokens stay readable when the digest is changed.

    Args:
        secrets: the secrets, the one that signs first.
        salt: what keeps tokens of one purpose from being taken for another's.
        digest: the digest that signs: ``sha256``, ``sha512``, or ``sha1`` if a foreign format asks for it.
        others: further digests that are verified.
        derive: makes a key of secret, salt and digest.
        separator: what stands before the signature.
    """

    def __init__(
        self,
        secrets: Sequence[bytes],
        salt: bytes,
        *,
        digest: str = "sha256",
        others: Sequence[str] = (),
        derive: Callable[[bytes, bytes, str], bytes] = derive_key,
        separator: bytes = b".",
    ) -> None:
        self._separator = separator
        self._verifiers: dict[int, tuple[Callable[[bytes], bytes], ...]] = {}
        for name in (digest, *others):
            functions = tuple(_signature_of(derive(secret, salt, name), name) for secret in secrets)
            self._verifiers[len(functions[0](b""))] = functions
        self._sign = next(iter(self._verifiers.values()))[0]

    def sign(self, message: bytes) -> bytes:
        """Return the message with its signature."""
        return message + self._separator + self._sign(message)

    def unsign(self, token: bytes) -> tuple[bytes, bool] | None:
        """Return the message and whether the first key signed it, or None if no key did."""
        message, _, signature = token.rpartition(self._separator)
        first = self._sign
        for verify in self._verifiers.get(len(signature), ()):
            if hmac.compare_digest(verify(message), signature):
                return message, verify is first
        return None


class TimedSigner(Signer):
    """Signs a payload together with the second it was signed in, as itsdangerous' `TimestampSigner` does."""

    _stamp: tuple[int, bytes] = (-1, b"")

    def sign(self, message: bytes) -> bytes:
        """Return payload, timestamp and signature."""
        now = int(time.time())
        second, stamp = self._stamp
        if second != now:
            # Four bytes of big-endian seconds last until 2106, and itsdangerous writes as many as are needed.
            stamp = b"." + encode_base64(now.to_bytes(4, "big"))
            self._stamp = (now, stamp)  # one assignment, so that threads see both or neither
        message += stamp
        return message + b"." + self._sign(message)

    def unsign_timed(self, token: bytes) -> tuple[bytes, int, bool] | None:
        """Return the payload, when it was signed, and whether by the first key; None if no key signed it."""
        message, _, signature = token.rpartition(b".")
        is_current = hmac.compare_digest(self._sign(message), signature)  # nearly always; the loop is for the rest
        if not is_current and self.unsign(token) is None:
            return None
        payload, _, stamp = message.rpartition(b".")
        try:
            return payload, int.from_bytes(a2b_base64(stamp.translate(_FROM_URL) + b"=="), "big"), is_current
        except NotBase64:
            return None
