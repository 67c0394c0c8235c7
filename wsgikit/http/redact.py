"""Keep secrets out of what developers are shown: by the names of things, and by values known to be secret."""

from __future__ import annotations

__all__ = ["HIDDEN", "Redactor", "is_secret_name", "known_secrets", "tells_a_secret"]

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from wsgikit.options.masking import hide_credentials
from wsgikit.wsgi import ROUTING, ROUTING_ARGS

HIDDEN = "••••••"

# A name with one of these in it holds a secret. Django's list (API|TOKEN|KEY|SECRET|PASS|SIGNATURE), and what it lacks.
_SECRET_PART = re.compile(
    r"pass(?:w(?:or)?d|phrase|code)|passwd|secret|token|api_?key|credential|\bcreds?\b|authori[sz]ation|cookie|signature|csrf|xsrf|jwt"
    r"|private|bearer|session",
    re.IGNORECASE,
)
# These are secrets as their own word only: "keyboard" and "author" are not. "sessionKey" has one, too.
_SECRET_WORD = re.compile(
    r"(?:^|[_\W]|(?<=[a-z0-9])(?=[A-Z]))"
    r"(?i:pass|pwd|pw|key|keys|auth|pin|otp|totp|salt|dsn|sid|ssn|cvv|cvc|iban|code|state|nonce|sig)"
    r"(?:$|[_\W]|(?<=[a-z])(?=[A-Z]))"
)
# A name begins where a word begins: to try it at each letter of a long text would take minutes.
# name = "literal", name: "literal", name["key"] = b'literal', name: str = "literal".
_GIVEN_LITERAL = re.compile(
    r"(?P<head>[\"']?(?<![\w.\-])(?P<name>[A-Za-z_][\w.\-]*)[\"']?\]?\s*(?::\s*[\w.]+(?:\[[\w, ]*\])?\s*=|[=:])\s*)"
    r"(?P<value>[rbuRBU]{0,2}(?:\"[^\"\n]*\"|'[^'\n]*'))"
)
# name=value, without quotes: a query, a form, a libpq connection string.
_GIVEN_BARE = re.compile(r"(?P<head>(?<![\w.\-])(?P<name>[A-Za-z_][\w.\-]*)=)(?P<value>[^\s,;&)\]}\"'<>]+)")
_TOKEN_FROM = 16  # characters of a segment of a path: 64 bits in hexadecimal
_CHANGES = re.compile(r"(?:[A-Za-z]+[\d_-]*\d[\d_-]*){2,}")  # a dated slug changes once: "2024-01-the-release"
_SHORTEST = 4  # characters: shorter "secrets" are on every page by chance
_ALONE_BELOW = 8  # characters: a short one is hidden only where it stands alone: "test" must not shred "tests/"


def is_secret_name(name: str) -> bool:
    """Return whether a variable, header, key or parameter of this name is to be treated as a secret."""
    return _SECRET_PART.search(name) is not None or _SECRET_WORD.search(name) is not None


def tells_a_secret(name: str) -> bool:
    """Return whether a name means a secret wherever it stands: ``password`` does, ``key`` may be any dictionary's."""
    return _SECRET_PART.search(name) is not None


class Redactor:
    """Hides secrets in text.

    Args:
        values: the texts that are known to be secret, wherever they stand.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        for value in values:
            self.learn(value)

    def learn(self, value: object, shortest: int = _SHORTEST) -> None:
        """Take `value`, and what is in it where it is a collection, for a secret from now on."""
        for text in _texts_in(value):
            if len(text) < shortest:
                continue
            for form in {text, quote(text, safe=""), unquote(text), repr(text)[1:-1]}:
                if len(form) >= _SHORTEST and form not in self._values:
                    self._values.add(form)
                    self._pattern = None

    def text(self, text: str) -> str:
        """Return `text` without the known values, passwords in URLs, private keys and tokens of a known form."""
        return self._without_values(hide_credentials(text, HIDDEN, is_code=True))

    def _without_values(self, text: str) -> str:
        if not self._values:
            return text
        pattern = self._pattern
        if pattern is None:
            # The longest first: a token must go whole, not the user's name in it.
            alternatives = sorted(self._values, key=lambda value: (-len(value), value))
            pattern = self._pattern = re.compile("|".join(map(_as_pattern, alternatives)))
        return pattern.sub(lambda match: HIDDEN + "\n" * match[0].count("\n"), text)

    def code(self, text: str) -> str:
        """Return a line of source as `text` does, also without the literals that are given to secret names."""
        return self.text(_GIVEN_LITERAL.sub(_hide_given, text))

    def message(self, text: str) -> str:
        """Return a message or a repr without whatever a name or a form shows to be secret, and the known values."""
        given = _GIVEN_BARE.sub(_hide_given, _GIVEN_LITERAL.sub(_hide_given, text))
        return self._without_values(hide_credentials(given, HIDDEN))

    def named(self, name: str, text: str) -> str:
        """Return the text of a value as `message` does; nothing of it where its name is a secret's."""
        return HIDDEN if is_secret_name(name) else self.message(text)


def _is_token(segment: str) -> bool:
    """Return whether a segment of a path is long, and letters and digits are mixed in it, as in no word."""
    return len(segment) >= _TOKEN_FROM and _CHANGES.search(segment) is not None and "." not in segment[-5:]


def _hide_given(match: re.Match[str]) -> str:
    value = match["value"]
    if not is_secret_name(match["name"]) or value in ("None", "True", "False"):
        return match[0]
    quote_sign = value[-1] if value[-1] in "\"'" else ""
    return f"{match['head']}{quote_sign}{HIDDEN}{quote_sign}"


def _as_pattern(value: str) -> str:
    escaped = re.escape(value)
    return escaped if len(value) >= _ALONE_BELOW else rf"(?<!\w){escaped}(?!\w)"


def _texts_in(value: object, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (bytes, bytearray)):
        yield bytes(value).decode("utf-8", "replace")
        yield repr(bytes(value))[2:-1]
    elif isinstance(value, Mapping) and depth < 3:
        for item in value.values():
            yield from _texts_in(item, depth + 1)
    elif isinstance(value, (list, tuple, set, frozenset)) and depth < 3:
        for item in value:
            yield from _texts_in(item, depth + 1)


def known_secrets(
    environ: Mapping[str, Any], variables: Mapping[str, str], layers: Iterable[object]
) -> Iterator[object]:
    """Collect what is known to be secret in a request.

    Those are its cookies and credentials, the values of the process's variables that have a secret's name, passwords
    in URLs, and the keys and passwords that the layers were made with.
    """
    for key, value in environ.items():
        if isinstance(value, str) and key.startswith("HTTP_") and is_secret_name(key):
            yield from _credentials(key, value)
    for pair in environ.get("QUERY_STRING", "").split("&"):
        name, _, value = pair.partition("=")
        if value and is_secret_name(name):
            yield value
    arguments = environ.get(ROUTING_ARGS)  # /reset/<token>
    if isinstance(arguments, tuple) and len(arguments) == 2 and isinstance(arguments[1], dict):
        yield from (value for name, value in arguments[1].items() if is_secret_name(str(name)))
    else:  # no route has named the parts of the path: one may be the token of a link to reset a password
        path = environ.get("PATH_INFO", "") if environ.get(ROUTING) is None else ""
        yield from filter(_is_token, path.split("/"))
    for name, value in variables.items():
        # A path or a number is no secret, whatever its name: XAUTHORITY=/home/…, SESSION_MANAGER=local/…
        if is_secret_name(name) and not value.startswith(("/", "local/")) and not value.isdigit():
            yield value
        if "://" in value and (password := _url_password(value)):
            yield password
    for layer in layers:
        yield from _of_object(layer, 0, set())


def _credentials(key: str, value: str) -> Iterator[str]:
    yield value
    if key == "HTTP_COOKIE":
        for cookie in value.split(";"):
            yield cookie.partition("=")[2].strip().strip('"')
        return
    scheme, _, rest = value.partition(" ")
    if rest:
        yield rest
    if scheme.lower() == "basic":
        try:
            user_and_password = base64.b64decode(rest, validate=False).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            return
        yield user_and_password
        yield user_and_password.partition(":")[2]


def _of_object(value: object, depth: int, seen: set[int]) -> Iterator[object]:
    """Walk what a layer holds: what has a secret's name, URLs with passwords; two steps into objects."""
    if depth > 2 or id(value) in seen:
        return
    seen.add(id(value))
    for name, item in list(_attributes(value).items()):
        if name in ("app", "_onion") or not isinstance(name, str):  # the layers inside come one by one
            continue
        if isinstance(item, str) and "://" in item:
            if password := _url_password(item):
                yield password
        elif is_secret_name(name) and isinstance(item, (str, bytes, list, tuple, set, frozenset, dict)):
            yield item
        elif not isinstance(item, (str, bytes, int, float, type, list, tuple, set)) and not callable(item):
            yield from _of_object(item, depth + 1, seen)
        # SQLAlchemy's engine knows its password, and shows it to nobody who asks for its repr.
        if isinstance(password := _read(_read(item, "url"), "password"), str):
            yield password


def _attributes(value: object) -> dict[Any, Any]:
    if isinstance(value, dict):
        return value
    attributes = _read(value, "__dict__")
    if isinstance(attributes, dict):
        return attributes
    slots = [name for kind in type(value).__mro__ for name in _names(getattr(kind, "__slots__", ()))]
    return {name: item for name in slots if (item := _read(value, name)) is not None}


def _read(value: object, name: str) -> Any:
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001 - a property of somebody's; what it would say is not known then
        return None


def _names(slots: object) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots) if isinstance(slots, (tuple, list)) else ()


def _url_password(url: str) -> str | None:
    try:
        return urlsplit(url).password
    except ValueError:
        return None
