"""What a visitor sent by name: the fields of queries and forms, and cookies. One that is missing is a 400."""

from __future__ import annotations

__all__ = ["Fields", "MissingField", "RequestCookies", "typed"]

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.exceptions import BadRequestKeyError

from wsgikit.http.cookies import format_cookie, parse_cookies
from wsgikit.wsgi import Environ

_PARSED = "wsgikit.cookies"


class MissingField(BadRequestKeyError):
    """A 400: the request lacks a field that the view asked for. The text names it, the page for visitors doesn't."""

    def __str__(self) -> str:
        return f"400 Bad Request: the request has no field {self.args[0]!r}"


class Fields(ImmutableMultiDict[Any, Any]):
    """The fields of a query or form; one that is missing is a `MissingField`."""

    def __getitem__(self, key: Any) -> Any:
        try:
            return super().__getitem__(key)
        except BadRequestKeyError:
            raise MissingField(key) from None


class RequestCookies(MutableMapping[str, str]):
    """The cookies of a request by name; of a name that comes several times the first, as in Flask.

    A change is written into the request's ``Cookie`` header, for the application behind.

    Raises:
        MissingField: a cookie that isn't there is read by `cookies[name]`.
        ApplicationError: a name that no cookie can have is set.
    """

    def __init__(self, environ: Environ) -> None:
        self._environ = environ

    def _values(self) -> dict[str, list[str]]:
        header = self._environ.get("HTTP_COOKIE", "")
        kept = self._environ.get(_PARSED)
        if kept is not None and kept[0] == header:
            return kept[1]  # type: ignore[no-any-return]  # put there below
        values: dict[str, list[str]] = {}
        for name, value in parse_cookies(header):
            values.setdefault(name, []).append(value)
        self._environ[_PARSED] = (header, values)
        return values

    def __getitem__(self, name: str) -> str:
        values = self._values().get(name)
        if values is None:
            raise MissingField(name)
        return values[0]

    def get(self, name: str, default: Any = None, type: Callable[[str], Any] | None = None) -> Any:  # noqa: A002  # Flask's name
        """Return a cookie, or the default if it is missing or `type` raises ValueError or TypeError for it."""
        return typed(self._values().get(name, [None])[0], default, type)

    def getlist(self, name: str, type: Callable[[str], Any] | None = None) -> list[Any]:  # noqa: A002  # Flask's name
        """Return all values of a name in their order, without those that `type` raises for."""
        found = (typed(value, _parsed_away, type) for value in self._values().get(name, ()))
        return [value for value in found if value is not _parsed_away]

    def __setitem__(self, name: str, value: str) -> None:
        pair = format_cookie(name, value, path=None)
        kept = self._others(name)
        self._environ["HTTP_COOKIE"] = "; ".join([*kept, pair])

    def __delitem__(self, name: str) -> None:
        if name not in self._values():
            raise MissingField(name)
        self._environ["HTTP_COOKIE"] = "; ".join(self._others(name))

    def _others(self, name: str) -> list[str]:
        parts = (part.strip(" \t") for part in self._environ.get("HTTP_COOKIE", "").split(";"))
        return [part for part in parts if part and part.partition("=")[0].strip(" \t") != name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())

    def __contains__(self, name: object) -> bool:
        return name in self._values()

    def __repr__(self) -> str:
        return f"<RequestCookies {list(self)}>"  # names only: values are secrets


_parsed_away: Any = object()


def typed(text: str | None, default: Any, convert: Callable[[str], Any] | None) -> Any:
    """Return a text through a function; the default if there is no text or the function refuses it, as in Flask."""
    if text is None:
        return default
    if convert is None:
        return text
    try:
        return convert(text)
    except (ValueError, TypeError):
        return default
