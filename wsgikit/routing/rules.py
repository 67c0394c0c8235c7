"""One rule of a map: its text, what it answers to, and how it is written down."""

from __future__ import annotations

__all__ = ["Rule"]

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from wsgikit.exceptions import ConfigurationError, complaint


class Rule:
    """Describe one URL pattern, in Werkzeug's rule language and with Werkzeug's keywords."""

    def __init__(
        self,
        string: str,
        *,
        endpoint: str = "",
        methods: Iterable[str] | None = None,
        defaults: Mapping[str, Any] | None = None,
        subdomain: str | None = None,
        host: str | None = None,
        build_only: bool = False,
        strict_slashes: bool | None = None,
        merge_slashes: bool | None = None,
        redirect_to: str | Callable[..., str] | None = None,
        alias: bool = False,
        websocket: bool = False,
    ) -> None:
        if websocket:
            raise ConfigurationError(complaint(f"Rule {string!r}", "websocket", "False, for WSGI has none", websocket))
        self.rule = string
        self.endpoint = endpoint
        self.methods = None if methods is None else frozenset(m.upper() for m in methods)
        if self.methods is not None and "GET" in self.methods:
            self.methods |= {"HEAD"}
        self.defaults = dict(defaults) if defaults else None
        self.subdomain = subdomain
        self.host = host
        self.build_only = build_only
        self.strict_slashes = strict_slashes
        self.merge_slashes = merge_slashes
        self.redirect_to = redirect_to
        self.alias = alias
        self.arguments: frozenset[str] = frozenset()
