"""Starlette's session cookie, as its `SessionMiddleware` reads and writes it."""

from __future__ import annotations

__all__ = ["StarletteFormat"]

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from functools import partial

from wsgikit.crypto.signing import TimedSigner, derive_key
from wsgikit.sessions.formats.base import CookieFormat, Envelope
from wsgikit.sessions.formats.plain_json import dump_plain


class StarletteFormat(CookieFormat):
    """JSON in padded base64, signed with SHA-1 by itsdangerous' default salt and derivation.

    Args:
        secrets: Starlette's ``secret_key`` first.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        derive = partial(derive_key, derivation="django-concat")
        self._signer = TimedSigner(secrets, b"itsdangerous.Signer", digest="sha1", derive=derive)

    def load(self, value: str) -> Envelope | None:
        verified = self._signer.unsign_timed(value.encode("utf-8", "replace"))
        if verified is None:
            return None
        payload, saved, is_current = verified
        try:
            data = json.loads(b64decode(payload))
        except (ValueError, RecursionError):
            return None
        return Envelope(data, saved, saved, None, None, is_current) if isinstance(data, dict) else None

    def dump(self, envelope: Envelope) -> str:
        return self._signer.sign(b64encode(dump_plain(envelope.data, "Starlette's"))).decode("ascii")
