"""The ways to know a client: credentials in ``Authorization``, or what the server says."""

from __future__ import annotations

__all__ = ["Basic", "Bearer", "RemoteUser", "Scheme", "WrongCredentials", "read_basic", "read_bearer"]

import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any

from wsgikit.crypto.comparing import texts_are_equal
from wsgikit.exceptions import ApplicationError, ConfigurationError, complaint
from wsgikit.onion.exchange import Exchange

_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 9110 §11.2
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNQUOTABLE = re.compile(r'[^\x20-\x7e]|["\\]')


class WrongCredentials(Exception):  # it is an answer, no error of ours
    """The client sent credentials, and they are wrong: the answer is a 401."""


class Scheme:
    """One way to know a client. Derive from it for your own way.

    Attributes:
        challenge: what ``WWW-Authenticate`` says of it (RFC 9110 §11.6.1); None if it says nothing.
        refused_challenge: the same after wrong credentials; None is `challenge`.
        needs_session: whether it needs a `SessionMiddleware`.
    """

    challenge: str | None = None
    refused_challenge: str | None = None
    needs_session = False

    def identify(self, exchange: Exchange) -> Any:
        """Return the user of a request, or None if it has no credentials of this kind.

        Raises:
            WrongCredentials: it has, and they are wrong.
        """
        raise NotImplementedError


class Basic(Scheme):
    """Name and password in each request (RFC 7617). Only over https: they are sent as they are.

    Args:
        verify: a function of name and password that returns the user or None; compare secrets in constant time. Or a
            mapping from names to passwords: the name is then the user.
        realm: what the browser shows when it asks for them.

    Raises:
        ConfigurationError: an argument that can't work.
    """

    def __init__(self, verify: Callable[[str, str], Any] | Mapping[str, str], *, realm: str = "This site") -> None:
        where = "Basic"
        if isinstance(verify, Mapping):
            verify = _verifier_of({**verify})
        if not callable(verify):
            raise ConfigurationError(
                complaint(where, "verify", "a function of name and password, or a mapping", type(verify).__name__)
            )
        self._verify = verify
        self.challenge = f'Basic realm="{_checked_realm(where, realm)}", charset="UTF-8"'

    def identify(self, exchange: Exchange) -> Any:
        """Return the user whose name and password were sent."""
        text = credentials_of(exchange, "basic")
        if text is None:
            return None
        pair = read_basic(text)
        return _checked_user("Basic", None if pair is None else self._verify(*pair))


class Bearer(Scheme):
    """A token in each request (RFC 6750), such as an API key or a JWT.

    Args:
        verify: a function of the token that returns the user or None.
        realm: what the token is for, or None.

    Raises:
        ConfigurationError: an argument that can't work.
    """

    def __init__(self, verify: Callable[[str], Any], *, realm: str | None = None) -> None:
        where = "Bearer"
        if not callable(verify):
            raise ConfigurationError(complaint(where, "verify", "a function of the token", type(verify).__name__))
        self._verify = verify
        parts = [] if realm is None else [f'realm="{_checked_realm(where, realm)}"']
        self.challenge = " ".join(["Bearer", *parts])
        self.refused_challenge = "Bearer " + ", ".join([*parts, 'error="invalid_token"'])

    def identify(self, exchange: Exchange) -> Any:
        """Return the user whose token was sent."""
        text = credentials_of(exchange, "bearer")
        if text is None:
            return None
        token = read_bearer(text)
        return _checked_user("Bearer", None if token is None else self._verify(token))


class RemoteUser(Scheme):
    """The user that the server has checked and put into ``REMOTE_USER``, as Apache does.

    A request header can't set that key. Don't use it behind a proxy that sends the name in a header.

    Args:
        load: a function of the name that returns the user or None; without it the name is the user.
    """

    def __init__(self, load: Callable[[str], Any] | None = None) -> None:
        if load is not None and not callable(load):
            raise ConfigurationError(complaint("RemoteUser", "load", "a function of the name, or None", load))
        self._load = load

    def identify(self, exchange: Exchange) -> Any:
        """Return the user that the server names."""
        name = exchange.environ.get("REMOTE_USER")
        if not name:
            return None
        return name if self._load is None else self._load(name) or None


# ---------------------------------------------------------------------- pure functions


def credentials_of(exchange: Exchange, scheme: str) -> str | None:
    """Return what ``Authorization`` has behind the name of a scheme; None if it names another one."""
    name, _, text = exchange.environ.get("HTTP_AUTHORIZATION", "").strip(" \t").partition(" ")
    return str(text).strip(" \t") if name.lower() == scheme else None


def read_basic(text: str) -> tuple[str, str] | None:
    """Return the name and the password of Basic credentials, or None if they are malformed (RFC 7617 §2)."""
    try:
        pair = binascii.a2b_base64(text.encode("ascii"), strict_mode=True).decode("utf-8")
    except ValueError:  # binascii's and Unicode's errors are such
        return None
    name, colon, password = pair.partition(":")
    return (name, password) if colon and not _CONTROL.search(pair) else None


def read_bearer(text: str) -> str | None:
    """Return the token, or None if it is malformed (RFC 6750 §2.1)."""
    return text if _TOKEN68.fullmatch(text) else None


def _verifier_of(passwords: dict[str, str]) -> Callable[[str, str], str | None]:
    """Return a function that knows some names and passwords; it takes as long for each."""
    if not passwords or not all(isinstance(part, str) and part for pair in passwords.items() for part in pair):
        raise ConfigurationError("Basic: verify: expected a mapping from names to passwords, got another or an empty.")

    def verify(name: str, password: str) -> str | None:
        found = None
        for known, secret in passwords.items():
            is_name, is_password = texts_are_equal(name, known), texts_are_equal(password, secret)
            if is_name and is_password:
                found = known
        return found

    return verify


def _checked_user(scheme: str, user: Any) -> Any:
    if user is None or user is False:
        raise WrongCredentials
    if user is True:
        raise ApplicationError(complaint(f"{scheme}.verify", "result", "the user, or None", user))
    return user


def _checked_realm(where: str, realm: object) -> str:
    if not isinstance(realm, str) or _UNQUOTABLE.search(realm):
        expected = "text in ASCII without quotes and backslashes"
        raise ConfigurationError(complaint(where, "realm", expected, realm))
    return realm
