"""How a session is written into a cookie: wsgikit's own form, encrypted, or as another framework has it."""

from __future__ import annotations

__all__ = ["CookieFormat", "Envelope", "FormatName", "make_format"]

from collections.abc import Sequence
from typing import Literal, TypeAlias

from wsgikit.exceptions import ConfigurationError, complaint, did_you_mean
from wsgikit.sessions.formats.base import CookieFormat, Envelope

FormatName: TypeAlias = Literal["wsgikit", "flask", "starlette", "django"]

_NAMES = ("wsgikit", "flask", "starlette", "django")


def make_format(
    where: str, name: str, secrets: Sequence[bytes], cookie_name: str, *, encrypt: bool, digest: str
) -> CookieFormat:
    """Return the format of this name. The foreign ones are imported only if they are asked for.

    Raises:
        ConfigurationError: no such format, or a combination that makes no sense.
    """
    if name not in _NAMES:
        raise ConfigurationError(
            complaint(where, "cookie_format", " or ".join(map(repr, _NAMES)), name, did_you_mean(str(name), _NAMES))
        )
    if digest not in ("sha256", "sha512"):
        raise ConfigurationError(complaint(where, "cookie_digest", "'sha256' or 'sha512'", digest))
    if encrypt:
        if name != "wsgikit":
            raise ConfigurationError(
                complaint(where, "encrypt", "False with a foreign cookie_format", encrypt, f"{name} couldn't read it")
            )
        from wsgikit.sessions.formats.encrypted import EncryptedFormat

        return EncryptedFormat(where, secrets, cookie_name)
    if name == "flask":
        from wsgikit.sessions.formats.flask import FlaskFormat

        return FlaskFormat(secrets)
    if name == "starlette":
        from wsgikit.sessions.formats.starlette import StarletteFormat

        return StarletteFormat(secrets)
    if name == "django":
        from wsgikit.sessions.formats.django import DjangoFormat

        return DjangoFormat(secrets)
    from wsgikit.sessions.formats.signed import SignedFormat

    return SignedFormat(secrets, cookie_name, digest)
