"""Django's session cookie, as its ``signed_cookies`` backend reads and writes it."""

from __future__ import annotations

__all__ = ["DjangoFormat"]

import json
import string
import time
from collections.abc import Sequence
from functools import partial

from wsgikit.crypto.signing import Signer, decode_base64, derive_key, encode_base64
from wsgikit.sessions.formats.base import CookieFormat, Envelope, compress, decompress
from wsgikit.sessions.formats.plain_json import dump_plain

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SALT = b"django.contrib.sessions.backends.signed_cookies"


class DjangoFormat(CookieFormat):
    """Compressed JSON, the time in base 62, and a signature with SHA-256, parted by colons.

    Args:
        secrets: Django's ``SECRET_KEY`` first, then its ``SECRET_KEY_FALLBACKS``.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        derive = partial(derive_key, derivation="django-concat")
        self._signer = Signer(secrets, _SALT, digest="sha256", derive=derive, separator=b":")

    def load(self, value: str) -> Envelope | None:
        verified = self._signer.unsign(value.encode("utf-8", "replace"))
        if verified is None:
            return None
        message, is_current = verified
        payload, _, stamp = message.rpartition(b":")
        try:
            saved = _read_base62(stamp.decode("ascii"))
            data = json.loads(
                (decompress(decode_base64(payload[1:])) if payload[:1] == b"." else decode_base64(payload)).decode(
                    "latin-1"
                )
            )
        except (ValueError, RecursionError):
            return None
        return Envelope(data, saved, saved, None, None, is_current) if isinstance(data, dict) else None

    def dump(self, envelope: Envelope) -> str:
        data = dump_plain(envelope.data, "Django's", (",", ":"))
        compressed = compress(data, at_least=0)
        payload = encode_base64(data) if compressed is None else b"." + encode_base64(compressed)
        return self._signer.sign(payload + b":" + _write_base62(int(time.time()))).decode("ascii")


def _read_base62(text: str) -> int:
    number = 0
    for char in text:
        number = number * 62 + _BASE62.index(char)
    return number


def _write_base62(number: int) -> bytes:
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return (digits or "0").encode("ascii")
