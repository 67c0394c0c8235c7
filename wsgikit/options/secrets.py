"""The secrets that a layer is given: refused if they can't protect anything, before the first request."""

from __future__ import annotations

__all__ = ["MINIMUM_BYTES", "Secret", "check_secrets", "weakness_of"]

import re
from collections.abc import Sequence
from typing import TypeAlias

from wsgikit.exceptions import ConfigurationError, a_kind

Secret: TypeAlias = str | bytes | Sequence[str | bytes]

MINIMUM_BYTES = 16
"""128 bits, below which OWASP's session guide calls a secret guessable."""

_FEWEST_DISTINCT_BYTES = 5
"""16 random digits, the poorest alphabet in use, have fewer different ones once in 10,000 keys."""

# What people write as long as there is no secret. These are long enough that no random key contains one by chance:
# they are looked for anywhere, without punctuation and case.
_PHRASE = re.compile(
    r"changeme|changethis|replaceme|replacethis|placeholder|insertsecret|insertyour|yoursecret|yoursuper|mysecretkey"
    r"|putasecret|secretkeyhere|djangoinsecure|setthisto|fillmein|xxxxxxxx|notasecret|notsosecret"
)
# One random key in 26,000 contains "todo": these count only as whole words.
_WORD = re.compile(r"(?<![a-z0-9])(?:todo|insecure)(?![a-z0-9])")
_MAKE_ONE = "Make one with: wsgikit secret"


def weakness_of(secret: bytes) -> str | None:
    """Return why a secret protects nothing, in the form "expected …, got …", or None. The secret isn't shown."""
    text = secret.decode("latin-1").lower()
    found = _PHRASE.search(re.sub(r"[^a-z0-9]", "", text)) or _WORD.search(text)
    if found is not None:
        return f"expected a secret, got a placeholder: it contains {found[0]!r}"
    length = len(secret.rstrip(b"\0"))  # HMAC pads a key with NULs: they add nothing
    if length < MINIMUM_BYTES:
        what = f"{length}" if length == len(secret) else f"{length} and NULs"
        return f"expected at least {MINIMUM_BYTES} bytes, got {what}"
    distinct = len(set(secret))
    if distinct < _FEWEST_DISTINCT_BYTES:
        return f"expected a random secret, got one of {distinct} different characters"
    return None


def check_secrets(
    where: str, secret_key: object, option: str = "secret_key", *, refuse_weak: bool = True
) -> tuple[bytes, ...]:
    """Return the secrets as bytes, the one that signs first.

    Args:
        where: the class that was given them, for the error.
        secret_key: one secret, or several of which the first signs and all verify.
        option: the name of the option, for the error.
        refuse_weak: False only if the secret is another application's, which this one can't choose.

    Raises:
        ConfigurationError: there is none, or one isn't text, or it is weak (see `weakness_of`). The secret isn't shown.
    """
    if secret_key is None or secret_key in ("", b"") or secret_key in ([], ()):
        raise ConfigurationError(f"{where}: {option}: expected a secret, got none. {_MAKE_ONE}.")
    if isinstance(secret_key, (str, bytes)):
        return (_checked(where, option, secret_key, refuse_weak),)
    if not isinstance(secret_key, Sequence):
        raise ConfigurationError(
            f"{where}: {option}: expected a str or a list of str, got {a_kind(secret_key)}. {_MAKE_ONE}."
        )
    if len(secret_key) > 1 and all(isinstance(part, (str, bytes)) and len(part) <= 1 for part in secret_key):
        raise ConfigurationError(
            f"{where}: {option}: expected whole secrets, got {len(secret_key)} of one character. "
            "A str was taken apart into a list: pass it as it is, or as [secret]."
        )
    return tuple(_checked(where, f"{option}[{index}]", secret, refuse_weak) for index, secret in enumerate(secret_key))


def _checked(where: str, option: str, secret: object, refuse_weak: bool) -> bytes:
    if isinstance(secret, str):
        secret = secret.encode()
    if not isinstance(secret, bytes):
        raise ConfigurationError(f"{where}: {option}: expected a str or bytes, got {a_kind(secret)}. {_MAKE_ONE}.")
    if not secret:
        raise ConfigurationError(f"{where}: {option}: expected a secret, got none. {_MAKE_ONE}.")
    weakness = weakness_of(secret) if refuse_weak else None
    if weakness is not None:
        raise ConfigurationError(f"{where}: {option}: {weakness}. {_MAKE_ONE}.")
    return secret
