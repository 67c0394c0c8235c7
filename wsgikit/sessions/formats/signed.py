"""wsgikit's own cookie: typed JSON, signed with SHA-256, in the wire format of itsdangerous' URL-safe serializer."""

from __future__ import annotations

__all__ = ["SignedFormat", "pack", "unpack"]

from binascii import Error as NotBase64
from binascii import a2b_base64
from collections.abc import Sequence
from json.encoder import encode_basestring
from typing import Any

from wsgikit.crypto.signing import TimedSigner, encode_base64
from wsgikit.sessions import serializer
from wsgikit.sessions.formats.base import CookieFormat, Envelope, compress, decompress

_FROM_URL = bytes.maketrans(b"-_", b"+/")
_PERMANENT = 1
_ID_TYPES = (str, type(None))


def pack(envelope: Envelope) -> bytes:
    """Write an envelope as JSON: ``[data, created, id, flags]``."""
    session_id = envelope.id
    written_id = "null" if session_id is None else encode_basestring(session_id)
    flags = _PERMANENT if envelope.permanent else 0
    return serializer.to_bytes(f"[{serializer.to_text(envelope.data)},{int(envelope.created)},{written_id},{flags}]")


def unpack(value: Any, saved: float, is_current: bool) -> Envelope | None:
    """Undo `pack`. A bare object is a session too: one that `itsdangerous` wrote."""
    if type(value) is list and len(value) == 4:
        data, created, session_id, flags = value
        if type(data) is dict and type(created) is int and type(flags) is int and type(session_id) in _ID_TYPES:
            return Envelope(data, created, saved, session_id, bool(flags & _PERMANENT), is_current)
    elif type(value) is dict:
        return Envelope(value, saved, saved, None, False, is_current)
    return None


class SignedFormat(CookieFormat):
    """The default format. `itsdangerous` reads it, given the salt, SHA-256 and ``key_derivation="hmac"``.

    Args:
        secrets: the one that signs first.
        cookie_name: part of the salt, so that one cookie can't be passed off as another.
        digest: ``sha256`` or ``sha512``; both are read.
    """

    has_created = True

    def __init__(self, secrets: Sequence[bytes], cookie_name: str, digest: str = "sha256") -> None:
        salt = f"wsgikit.session:{cookie_name}".encode()
        others = [name for name in ("sha256", "sha512") if name != digest]
        self._signer = TimedSigner(secrets, salt, digest=digest, others=others)

    def load(self, value: str) -> Envelope | None:
        try:
            token = value.encode()
        except UnicodeEncodeError:
            return None
        verified = self._signer.unsign_timed(token)
        if verified is None:
            return None
        payload, saved, is_current = verified
        try:
            if payload[:1] == b".":
                data = decompress(a2b_base64(payload[1:].translate(_FROM_URL) + b"=="))
            else:
                data = a2b_base64(payload.translate(_FROM_URL) + b"==")
            return unpack(serializer.loads(data), saved, is_current)
        except (NotBase64, ValueError, TypeError, ArithmeticError, RecursionError):
            return None  # signed by us, and yet not ours: another program has the secret

    def dump(self, envelope: Envelope) -> str:
        data = pack(envelope)
        compressed = compress(data)
        payload = encode_base64(data) if compressed is None else b"." + encode_base64(compressed)
        return self._signer.sign(payload).decode("ascii")
