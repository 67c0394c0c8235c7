"""Random text for ids and tokens."""

from __future__ import annotations

__all__ = ["new_id", "random_text"]

import os

from wsgikit.crypto.signing import encode_base64


def new_id() -> str:
    """Return a new id: 256 random bits, as 43 characters of base64url."""
    session_id = random_text()
    while session_id[0] == "-":  # on a command line it would pass for an option
        session_id = random_text()
    return session_id


def random_text() -> str:
    """Return 256 random bits as base64url: as `secrets.token_urlsafe`, whose module costs start-up time."""
    return encode_base64(os.urandom(32)).decode("ascii")
