"""A cookie that its owner can't read: AES-256-GCM, which also proves that nobody changed it."""

from __future__ import annotations

__all__ = ["EncryptedFormat"]

import os
import time
from binascii import Error as NotBase64
from collections.abc import Sequence

from wsgikit.crypto.signing import decode_base64, derive_key, encode_base64
from wsgikit.exceptions import ConfigurationError
from wsgikit.sessions import serializer
from wsgikit.sessions.formats.base import CookieFormat, Envelope, compress, decompress
from wsgikit.sessions.formats.signed import pack, unpack

_VERSION = "e1."
_NONCE_BYTES = 12  # NIST SP 800-38D §8.2.2: 96 random bits
_BLOCK_BYTES = 32  # the length is rounded up to it, so that it tells little of what is inside
_PLAIN = b"\0"
_COMPRESSED = b"\1"


class EncryptedFormat(CookieFormat):
    """An encrypted cookie, version 1: ``e1.`` and base64url of nonce and ciphertext.

    Args:
        where: the class that is being built, for the error.
        secrets: the one that encrypts first; all decrypt.
        cookie_name: bound to the ciphertext, so that one cookie can't be passed off as another.

    Raises:
        ConfigurationError: the package ``cryptography`` isn't there.
    """

    has_created = True

    def __init__(self, where: str, secrets: Sequence[bytes], cookie_name: str) -> None:
        try:
            from cryptography.exceptions import InvalidTag  # optional, and slow to import
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError as error:
            raise ConfigurationError(
                f"{where}: encrypt: expected the package cryptography, which isn't installed. "
                "Install it with: pip install 'wsgikit[encryption]'."
            ) from error
        self._invalid_tag = InvalidTag
        self._ciphers = [AESGCM(derive_key(secret, b"wsgikit.session.encryption")) for secret in secrets]
        self._bound = f"{_VERSION}{cookie_name}".encode()

    def load(self, value: str) -> Envelope | None:
        if not value.startswith(_VERSION):
            return None
        encoded = value[len(_VERSION) :].encode("utf-8", "replace")
        try:
            token = decode_base64(encoded)
        except NotBase64:
            return None
        if encode_base64(token) != encoded:  # characters that the decoder skips, or bits that it drops
            return None
        nonce, sealed = token[:_NONCE_BYTES], token[_NONCE_BYTES:]
        if len(sealed) < 16:  # shorter than the tag alone
            return None
        for index, cipher in enumerate(self._ciphers):
            try:
                plain = cipher.decrypt(nonce, sealed, self._bound)
            except self._invalid_tag:
                continue
            return self._read(plain, index == 0)
        return None

    def dump(self, envelope: Envelope) -> str:
        data = pack(envelope)
        compressed = compress(data)
        stamp = int(time.time()).to_bytes(8, "big")
        length = len(compressed or data).to_bytes(4, "big")
        plain = stamp + length + (_COMPRESSED + compressed if compressed else _PLAIN + data)
        plain += b"\0" * (-len(plain) % _BLOCK_BYTES)
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + encode_base64(nonce + self._ciphers[0].encrypt(nonce, plain, self._bound)).decode("ascii")

    def _read(self, plain: bytes, is_current: bool) -> Envelope | None:
        saved = int.from_bytes(plain[:8], "big")
        end = 13 + int.from_bytes(plain[8:12], "big")
        data = plain[13:end]
        try:
            if plain[12:13] == _COMPRESSED:
                data = decompress(data)
            return unpack(serializer.loads(data), saved, is_current)
        except (ValueError, TypeError, ArithmeticError, RecursionError):
            return None
