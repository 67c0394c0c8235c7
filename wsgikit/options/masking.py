"""What an option's value looks like to a reader: its repr, short and stable, with nothing secret in it."""

from __future__ import annotations

__all__ = ["HIDDEN", "hide_credentials", "is_secret", "mask"]

import re
import types
from collections.abc import Mapping
from functools import partial

HIDDEN = "***"
_ROUTINES = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)

# The last word of a name says what the value is: `secret_key` is a key, `token_header` is a header.
_SECRET_LAST = {"key", "keys", "token", "tokens", "pin", "salt", "dsn", "authorization"}
# These words make a secret of whatever stands beside them, unless the last word says that it is something else.
_SECRET_ANYWHERE = {
    *("secret", "secrets", "password", "passwords", "passwd", "pwd", "passphrase", "credential", "credentials"),
    *("apikey", "secretkey", "authkey"),
}
_NOT_SECRET_LAST = {"name", "names", "header", "headers", "bytes", "seconds", "length", "field", "path", "url", "file"}
# Names that end like a secret and hold none: the environ key that a layer writes, a cache key's maker, a column.
_PUBLIC_NAMES = re.compile(r"(^|_)(environ|primary|public|sort|cache|context)_keys?$")
# Beaker's word for the name of the cookie; with an underscore it would be somebody's secret.
_BEAKER_COOKIE_NAME = re.compile(r"(^|\.)session\.key$")

_WORD_BREAK = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")
# scheme://user:password@host, and the driver forms of it. The user may be empty (redis://:password@host).
# The password may itself hold an "@" or a "/", unescaped: everything up to the last "@" is hidden, unless what follows
# the colon is a port.
# A name begins where a word begins, and a password has an end: a long text must not take long.
_URL_PASSWORD = re.compile(
    r"(?P<head>(?<![A-Za-z0-9+.\-])[A-Za-z][A-Za-z0-9+.\-]*://[^\s/?#:@'\"]*:)(?!\d+[/?#])[^\s'\"]{0,500}(?=@)"
)
# password=… in a URL's query or in a libpq connection string.
_ASSIGNED = re.compile(
    r"(?P<head>(?<![A-Za-z_\-])[A-Za-z_\-]*(?:password|passwd|pwd|secret|token|api_?key|secret_?key|credential)s?=)"
    r"(?:'[^']*'|\"[^\"]*\"|(?:\\\\+\s?|[^\s&;,'\")\]}\\])+)",
    re.IGNORECASE,
)
# RFC 9110 §11.6.2. A word of a sentence ("basic authentication") has neither a digit nor a capital inside.
_AUTHORIZATION = re.compile(
    r"(?P<head>\b(?i:bearer|basic|digest|token|apikey|negotiate)\s+)(?=[\w.~+/\-]*(?:[\d=]|[a-z][A-Z]))[\w.~+/=\-]{8,}"
)
# A header with credentials, as a line, in quotes or in a pair: Authorization: …, 'Cookie': '…', ("X-Api-Key", "…").
_HEADER = re.compile(
    r"(?P<head>\b(?:(?:proxy-)?authorization|(?:set-)?cookie|x-(?:api-key|auth-token|csrf-?token))\b['\"]?(?:\s*:\s*['\"]?|\s*,\s*['\"]))"
    r"(?!\s|expected )[^'\"\r\n\\]+",
    re.IGNORECASE,
)
# "the password was hunter2", "token is: abc". Words that follow in ordinary sentences stay.
_SAID = re.compile(
    r"(?P<head>\b(?:password|passwd|passphrase|passcode|secret(?: key)?|token|api[ _-]?key)\s+"
    r"(?:was|is|are|were)\s*:?\s+['\"]?)(?!(?:not|no|wrong|invalid|incorrect|missing|required|too|empty|expired|none|an?|the|now|set|unset|unknown"
    r"|already|malformed|revoked|correct|valid|used|never|only|of|for|in|hidden)\b)[^\s'\"]+",
    re.IGNORECASE,
)
_PRIVATE_KEY = re.compile(
    r"(?P<head>-----BEGIN [A-Z ]*PRIVATE KEY-----)[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)
# SQLAlchemy writes the parameters of a statement into its errors; PostgreSQL and MySQL write the value of a key.
_PARAMETERS = re.compile(
    r"(?P<head>\[parameters: )(?:[^\n]*(?=\])|[^\n]*)|(?P<key>\bKey \([^)\n]{0,200}\)=)\([^\n]{0,1000}?\)(?= |\.|$)"
    r"|(?P<entry>\bDuplicate entry )'[^\n]{0,1000}?'(?= for key)",
    re.MULTILINE,
)
# Tokens that show by their form what they are: JWT, GitHub, GitLab, Stripe, Slack, AWS, Google.
_TOKEN = re.compile(
    r"(?P<head>)(?<![\w\-])(?:eyJ[\w\-]{8,}\.[\w\-]{4,}\.[\w\-]*|gh[opsu]_\w{20,}|github_pat_\w{20,}|glpat-[\w\-]{16,}"
    r"|[sr]k_(?:live|test)_\w{8,}|xox[abprs]-[\w\-]{8,}|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[\w\-]{30,})"
)
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
_LONGEST = 200  # characters of one value: a line of a terminal and a half


def is_secret(name: str) -> bool:
    """Tell by its name whether an option holds a secret: ``secret_key``, ``db_password``, ``api_token``, …"""
    words = [word.lower() for word in _WORD_BREAK.split(name) if word]
    if not words or _PUBLIC_NAMES.search("_".join(words)) or _BEAKER_COOKIE_NAME.search(name):
        return False
    if words[-1] in _SECRET_LAST:
        return True
    return words[-1] not in _NOT_SECRET_LAST and not _SECRET_ANYWHERE.isdisjoint(words)


def mask(name: str, value: object) -> str:
    """Return the repr of an option's value that may be shown: secrets are ``***``, and so are passwords in URLs.

    Functions and classes are shown by their dotted name, other objects without their address in memory, so that
    two descriptions of the same onion are the same text.
    """
    if is_secret(name) and not _is_harmless(value):
        if isinstance(value, (list, tuple, set, frozenset)):
            return f"[{', '.join([HIDDEN] * len(value))}]"
        return HIDDEN
    shown = _show(value)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"


_IN_CODE = (_PRIVATE_KEY, _URL_PASSWORD, _AUTHORIZATION, _TOKEN)
_IN_WORDS = (_PRIVATE_KEY, _URL_PASSWORD, _HEADER, _AUTHORIZATION, _ASSIGNED, _SAID, _TOKEN)


def hide_credentials(text: str, hidden: str = HIDDEN, *, is_code: bool = False) -> str:
    """Return a text without the passwords, tokens, keys and SQL parameters that their form gives away.

    Error pages, reports, the command line and the errors of options all hide by this function.

    Args:
        text: a message, a repr or lines of source; the number of its lines stays.
        hidden: what replaces each of them.
        is_code: whether it is source, in which ``cookie: str`` is no header.
    """
    for form in _IN_CODE if is_code else _IN_WORDS:
        text = form.sub(lambda match: f"{match['head']}{hidden}" + "\n" * match[0].count("\n"), text)
    if is_code:
        return text
    return _PARAMETERS.sub(lambda match: f"{match['head'] or match['key'] or match['entry']}{hidden}", text)


def _is_harmless(value: object) -> bool:
    return value is None or isinstance(value, bool) or (callable(value) and _dotted(value) is not None)


def _show(value: object) -> str:
    if isinstance(value, partial):
        options = [f"{key}={mask(key, item)}" for key, item in value.keywords.items()]
        return f"partial({', '.join([_show(value.func), *map(_show, value.args), *options])})"
    dotted = _dotted(value)
    if dotted is not None:
        return dotted
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {mask(str(key), item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple, set, frozenset)) and type(value) in (list, tuple, set, frozenset):
        return _show_collection(value)
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a description must not fail because of somebody's __repr__
        return f"<{type(value).__name__}>"
    return hide_credentials(_ADDRESS.sub("", text))


def _show_collection(value: list[object] | tuple[object, ...] | set[object] | frozenset[object]) -> str:
    items = [_show(item) for item in value]
    if isinstance(value, list):
        return f"[{', '.join(items)}]"
    if isinstance(value, tuple):
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    return f"{{{', '.join(sorted(items))}}}" if items else "set()"


def _dotted(value: object) -> str | None:
    if isinstance(value, (type, *_ROUTINES)):
        name = getattr(value, "__qualname__", None)
        module = getattr(value, "__module__", None)
        if isinstance(name, str):
            return name if module in (None, "builtins") else f"{module}.{name}"
    return None
