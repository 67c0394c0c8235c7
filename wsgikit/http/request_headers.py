"""The headers of a request, by webob's names and Flask's."""

from __future__ import annotations

__all__ = ["RequestHeaders", "UserAgent"]

import wsgikit.http.quiet_cgi  # isort: skip  # noqa: F401  # before webob

from collections.abc import Callable
from typing import Any

from webob.headers import EnvironHeaders

from wsgikit.http.fields import MissingField, typed


class RequestHeaders(EnvironHeaders):
    """The headers of a request as a mapping without regard to case. Environ has one value of each name.

    Raises:
        MissingField: a header that isn't there is read by `headers[name]` (400).
    """

    def __getitem__(self, name: str) -> str:
        try:
            return super().__getitem__(name)
        except KeyError:
            raise MissingField(name) from None

    def get(self, name: str, default: Any = None, type: Callable[[str], Any] | None = None) -> Any:  # noqa: A002  # Flask's name
        """Return a header, or the default if it is missing or `type` raises ValueError or TypeError for it."""
        return typed(self[name] if name in self else None, default, type)  # noqa: SIM401  # this is get

    def getlist(self, name: str, type: Callable[[str], Any] | None = None) -> list[Any]:  # noqa: A002  # Flask's name
        """Return the header in a list, or an empty list."""
        missing: Any = object()
        value = self.get(name, missing, type)
        return [] if value is missing else [value]

    def put(self, name: str, value: str | None) -> None:
        """Set a header; None removes it."""
        if value is None:
            self.pop(name, None)
        else:
            self[name] = value


class UserAgent(str):
    """The ``User-Agent`` header: text, with Flask's name for it."""

    __slots__ = ()

    @property
    def string(self) -> str:
        """The header's text."""
        return str(self)
