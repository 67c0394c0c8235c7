"""Content-Security-Policy (CSP Level 3) and Permissions-Policy: from mappings to header values, checked strictly."""

from __future__ import annotations

__all__ = ["DEFAULT_DIRECTIVES", "NONCE", "Csp", "build_csp", "build_permissions_policy"]

import re
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from wsgikit.exceptions import ConfigurationError, complaint, did_you_mean
from wsgikit.http.origins import required_origin

Sources: TypeAlias = str | Iterable[str] | None

NONCE: Final = "NONCE"
"""Stands in a directive for the nonce of the response: ``{"script-src": ["'self'", NONCE]}``."""

_UPGRADE = "upgrade-insecure-requests"
# Helmet 8's defaults, in its order.
DEFAULT_DIRECTIVES: Mapping[str, tuple[str, ...]] = {
    "default-src": ("'self'",),
    "base-uri": ("'self'",),
    "font-src": ("'self'", "https:", "data:"),
    "form-action": ("'self'",),
    "frame-ancestors": ("'self'",),
    "img-src": ("'self'", "data:"),
    "object-src": ("'none'",),
    "script-src": ("'self'",),
    "script-src-attr": ("'none'",),
    "style-src": ("'self'", "https:", "'unsafe-inline'"),
    _UPGRADE: (),
}
_KNOWN = frozenset(
    (
        *DEFAULT_DIRECTIVES,
        *("block-all-mixed-content", "child-src", "connect-src", "fenced-frame-src", "frame-src", "manifest-src"),
        *("media-src", "plugin-types", "prefetch-src", "report-to", "report-uri", "require-sri-for"),
        *("require-trusted-types-for", "sandbox", "script-src-elem", "style-src-attr", "style-src-elem"),
        *("trusted-types", "worker-src"),
    )
)
_WITH_NONCE = ("default-src", "script-src", "script-src-elem", "style-src", "style-src-elem")
_KEYWORDS = frozenset(
    (
        *("none", "self", "strict-dynamic", "report-sample", "inline-speculation-rules", "unsafe-inline"),
        *("unsafe-eval", "unsafe-hashes", "wasm-unsafe-eval", "trusted-types-eval", "unsafe-webtransport-hashes"),
        *("unsafe-allow-redirects", "report-sha256", "report-sha384", "report-sha512", "script", "allow-duplicates"),
    )
)
# What must be quoted, and isn't a name of anything else. `script` is a keyword of trusted types, and could be a host.
_MISTAKABLE = _KEYWORDS - {"script"}
_HASH = re.compile(r"sha(?:256|384|512)-[A-Za-z0-9+/_-]+={0,2}")
_PRINTABLE = re.compile(r"[!-+\--:<-~]+")  # visible ASCII without comma and semicolon


class Csp:
    """A checked policy, written once.

    Attributes:
        directives: the directives with their sources.
        takes_nonce: whether `NONCE` stands in one of them.
    """

    __slots__ = ("_texts", "directives", "takes_nonce")

    def __init__(self, directives: Mapping[str, tuple[str, ...]]) -> None:
        self.directives = dict(directives)
        self.takes_nonce = any(NONCE in sources for sources in directives.values())
        self._texts = {
            (has_nonce, upgrades): _written(directives, has_nonce, upgrades)
            for has_nonce in (True, False)
            for upgrades in (True, False)
        }

    def header(self, nonce: str | None = None, *, upgrades: bool = True) -> str:
        """Return the value of the header.

        Args:
            nonce: the nonce of the response; None removes `NONCE` from the directives.
            upgrades: whether ``upgrade-insecure-requests`` stays.
        """
        if nonce is None or not self.takes_nonce:
            return self._texts[False, upgrades]
        return self._texts[True, upgrades].replace("\0", nonce)


def build_csp(
    changes: Mapping[str, Sources], where: str, option: str, base: Mapping[str, tuple[str, ...]] | None = None
) -> Csp:
    """Return the policy of a base with changes.

    Args:
        changes: directives with their sources, as a list or as text with blanks between them. An empty list (``"()"``
            in text) is a directive without sources; None removes the directive.
        where: the layer, for the error text.
        option: the option's name, for the error text.
        base: the directives that are changed; None begins empty.

    Raises:
        ConfigurationError: an unknown or doubled directive, a source that must be quoted, a character that would end
            the directive, a nonce written out, or no ``default-src``. ``{"default-src": None}`` asks for a policy
            without one.
    """
    if not isinstance(changes, Mapping):
        remedy = 'Write {"script-src": ["\'self\'"]}'
        raise ConfigurationError(complaint(where, option, "a mapping of directives", changes, remedy))
    directives = dict(base or {})
    seen: set[str] = set()
    for given, value in changes.items():
        name = _checked_name(given, where, option)
        if name in seen:
            raise ConfigurationError(complaint(where, option, "each directive once", given, "Write it in one line"))
        seen.add(name)
        if value is None:
            directives.pop(name, None)
        else:
            directives[name] = _checked_sources(name, value, where, f"{option}[{name!r}]")
    if not directives:
        raise ConfigurationError(complaint(where, option, "at least one directive", {}, "None leaves the header out"))
    if "default-src" not in directives and "default-src" not in seen:
        remedy = "Add it, or write {'default-src': None} if there must be none"
        raise ConfigurationError(complaint(where, option, "a default-src", sorted(directives), remedy))
    return Csp(directives)


def _checked_name(name: object, where: str, option: str) -> str:
    known = name.lower() if isinstance(name, str) else ""
    if known not in _KNOWN:
        remedy = did_you_mean(str(name).lower().replace("_", "-"), sorted(_KNOWN))
        raise ConfigurationError(complaint(where, option, "directives of CSP such as 'script-src'", name, remedy))
    return known


def _checked_sources(name: str, value: object, where: str, what: str) -> tuple[str, ...]:
    if isinstance(value, str):
        entries: list[object] = [] if value.strip() == "()" else list(value.split())
    elif isinstance(value, Iterable):
        entries = [part for entry in value for part in (entry.split() if isinstance(entry, str) else [entry])]
    else:
        raise ConfigurationError(complaint(where, what, "sources in a list or a text", value))
    sources: list[str] = []
    for entry in entries:
        remedy = _remedy_for(name, entry)
        if remedy is not None:
            raise ConfigurationError(complaint(where, what, "sources of CSP", entry, remedy))
        sources.append(str(entry))
    if "'none'" in sources and len(sources) > 1:
        raise ConfigurationError(complaint(where, what, "'none' alone", sources, "Remove it, or the others"))
    return tuple(dict.fromkeys(sources))


def _remedy_for(name: str, source: object) -> str | None:
    """Return what is wrong with a source, or None if nothing is."""
    if not isinstance(source, str):
        return "Each source is a text"
    if source == NONCE:
        return None if name in _WITH_NONCE else f"NONCE works in {', '.join(_WITH_NONCE)}"
    if not _PRINTABLE.fullmatch(source):
        return "A comma, a semicolon or a letter beyond ASCII must be percent-encoded"
    bare = source.strip("'")
    if source.lower().startswith(("nonce-", "'nonce-")):
        return "A nonce that is written out can be guessed: use NONCE"
    is_quoted = source[0] == source[-1] == "'" and len(source) > 2
    if not is_quoted:
        if "'" in source or bare.lower() in _MISTAKABLE or _HASH.match(source):
            return f"Quote it: \"'{bare}'\""
        return None
    if bare.lower() in _KEYWORDS or _HASH.fullmatch(bare):
        return None
    return did_you_mean(bare.lower(), sorted(_KEYWORDS)) or "Only keywords and hashes are quoted"


def _written(directives: Mapping[str, tuple[str, ...]], has_nonce: bool, upgrades: bool) -> str:
    parts = []
    for name, sources in directives.items():
        if name == _UPGRADE and not upgrades:
            continue
        kept = ["'nonce-\0'" if source == NONCE else source for source in sources if has_nonce or source != NONCE]
        if sources and not kept:
            kept = ["'none'"]  # a directive without sources would mean the same; this is easier to read
        parts.append(" ".join((name, *kept)))
    return ";".join(parts)


def build_permissions_policy(features: Mapping[str, str | Iterable[str]], where: str, option: str) -> str:
    """Return the value of ``Permissions-Policy``.

    Args:
        features: each feature with those that may use it: ``[]`` (``"()"`` in text) is nobody, ``"*"`` everybody,
            ``"self"`` and ``"src"`` are keywords, others are origins.
        where: the layer, for the error text.
        option: the option's name, for the error text.

    Raises:
        ConfigurationError: a name that is no feature, or an origin that is none.
    """
    if not isinstance(features, Mapping) or not features:
        raise ConfigurationError(complaint(where, option, "a mapping such as {'camera': []}", features))
    parts = []
    for name, value in features.items():
        if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9-]*", name):
            raise ConfigurationError(complaint(where, option, "names such as 'camera'", name))
        listed = [] if value == "()" else value.split() if isinstance(value, str) else list(value)
        if listed == ["*"]:
            parts.append(f"{name}=*")
            continue
        allowed = [
            one if one in ("self", "src") else f'"{required_origin(one, where, f"{option}[{name!r}]")}"'
            for one in listed
        ]
        parts.append(f"{name}=({' '.join(allowed)})")
    return ", ".join(parts)
