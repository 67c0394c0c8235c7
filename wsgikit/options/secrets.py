"""The secrets that a layer is given: refused where they can't protect anything, before the first request."""

from __future__ import annotations

__all__ = ["MINIMUM_BYTES", "Secret", "check_secrets"]

import re
from collections.abc import Sequence
from typing import TypeAlias

from wsgikit.exceptions import ConfigurationError, a_kind

Secret: TypeAlias = str | bytes | Sequence[str | bytes]

MINIMUM_BYTES = 16
"""128 bits, below which OWASP's session guide calls a secret guessable."""

# What people write where a secret is to be put in later; compared without punctuation and case.
_PLACEHOLDER = re.compile(
    r"changeme|changethis|replaceme|replacethis|placeholder|insertsecret|insertyour|yoursecret|yoursuper|mysecretkey"
    r"|putasecret|secretkeyhere|djangoinsecure|insecure|setthisto|fillmein|todo|xxxxxxxx|notasecret|notsosecret"
)
_MAKE_ONE = "Make one with: wsgikit secret"


def check_secrets(where: str, secret_key: object, option: str = "secret_key") -> tuple[bytes, ...]:
    """Return the secrets as bytes, the one that signs first.

    Args:
        where: the class that was given them, for the error.
        secret_key: one secret, or several of which the first signs and all verify.
        option: the name of the option, for the error.

    Raises:
        ConfigurationError: there is none, or one is too short, a placeholder, or not text. The secret isn't shown.
    """
    if secret_key is None or secret_key in ("", b"") or secret_key in ([], ()):
        raise ConfigurationError(f"{where}: {option}: expected a secret, got none. {_MAKE_ONE}.")
    if isinstance(secret_key, (str, bytes)):
        return (_checked(where, option, secret_key),)
    if not isinstance(secret_key, Sequence):
        raise ConfigurationError(
            f"{where}: {option}: expected a str or a list of str, got {a_kind(secret_key)}. {_MAKE_ONE}."
        )
    if len(secret_key) > 1 and all(isinstance(part, (str, bytes)) and len(part) <= 1 for part in secret_key):
        raise ConfigurationError(
            f"{where}: {option}: expected whole secrets, got {len(secret_key)} of one character. "
            "A str was taken apart into a list: pass it as it is, or as [secret]."
        )
    return tuple(_checked(where, f"{option}[{index}]", secret) for index, secret in enumerate(secret_key))


def _checked(where: str, option: str, secret: object) -> bytes:
    if isinstance(secret, str):
        secret = secret.encode()
    if not isinstance(secret, bytes):
        raise ConfigurationError(f"{where}: {option}: expected a str or bytes, got {a_kind(secret)}. {_MAKE_ONE}.")
    if _PLACEHOLDER.search(re.sub(r"[^a-z0-9]", "", secret.decode("latin-1").lower())):
        raise ConfigurationError(f"{where}: {option}: expected a secret, got a placeholder. {_MAKE_ONE}.")
    if len(secret) < MINIMUM_BYTES:
        raise ConfigurationError(
            f"{where}: {option}: expected at least {MINIMUM_BYTES} bytes, got {len(secret)}. {_MAKE_ONE}."
        )
    return secret
