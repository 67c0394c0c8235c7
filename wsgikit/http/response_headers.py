"""The headers of a response as attributes: a checked mapping, sets, and texts."""

from __future__ import annotations

__all__ = ["ResponseCacheControl", "ResponseHeaders", "flag_header", "list_header", "pairs_of", "text_header"]

import wsgikit.http.quiet_cgi  # isort: skip  # noqa: F401  # before webob

from collections.abc import Callable, Iterable
from typing import Any

from webob.cachecontrol import CacheControl, exists_property
from webob.headers import ResponseHeaders as WebobHeaders
from werkzeug.datastructures import HeaderSet
from werkzeug.http import dump_options_header, parse_set_header

from wsgikit.exceptions import did_you_mean
from wsgikit.http.fields import typed
from wsgikit.http.headers import checked


def pairs_of(headers: Any) -> list[tuple[Any, Any]]:
    """Return the pairs of a mapping, or of pairs."""
    return list(headers.items() if hasattr(headers, "items") else headers)


class ResponseHeaders(WebobHeaders):
    """The headers of a `Response`, by webob's names and Flask's; they refuse what can't stand in a head.

    Raises:
        ApplicationError: such a name or value is put in.
    """

    def __setitem__(self, key: str, value: str) -> None:
        super().__setitem__(*checked(key, value))

    def add(self, key: str, value: str, **options: Any) -> None:
        """Append a header, next to any others of its name; options become its parameters (``filename="a.txt"``)."""
        if options:
            names = {name.replace("_", "-"): option for name, option in options.items()}
            value = dump_options_header(value, names)
        super().add(*checked(key, value))

    def set(self, key: str, value: str, **options: Any) -> None:
        """Replace all headers of a name by one."""
        self.pop(key, None)
        self.add(key, value, **options)

    def get(self, key: str, default: Any = None, type: Callable[[str], Any] | None = None) -> Any:  # noqa: A002  # Flask's name
        """Return the value of a header, or the default if it is missing or `type` raises ValueError for it."""
        return typed(self[key] if key in self else None, default, type)  # noqa: SIM401  # this is get

    def getlist(self, key: str, type: Callable[[str], Any] | None = None) -> list[Any]:  # noqa: A002  # Flask's name
        """Return the values of all headers of a name."""
        values = self.getall(key)
        return values if type is None else [type(value) for value in values]

    def setlist(self, key: str, values: Iterable[str]) -> None:
        """Replace all headers of a name by several."""
        pairs = [checked(key, value) for value in values]
        self.pop(key, None)
        for name, value in pairs:
            super().add(name, value)

    def remove(self, key: str) -> None:
        """Remove all headers of a name; none need be there."""
        self.pop(key, None)

    def setdefault(self, key: str, default: str) -> str:  # type: ignore[override]  # as webob's own: None can't be sent
        """Return the value of the header, which is added first if there is none."""
        if key not in self:
            self.add(key, default)
        return str(self[key])

    def extend(self, other: Any = (), **more: str) -> None:
        """Append the headers of a mapping or of pairs, next to any others of their names."""
        for name, value in [*pairs_of(other or ()), *more.items()]:
            for item in value if isinstance(value, (list, tuple)) else (value,):
                self.add(name, item)


class ResponseCacheControl(CacheControl):
    """webob's ``Cache-Control`` with `immutable` (RFC 8246); it refuses directives that it doesn't know."""

    immutable = exists_property("immutable", type="response")

    def __setattr__(self, name: str, value: Any) -> None:
        if not hasattr(type(self), name) and name not in ("properties", "type", "header_value"):
            known = [known for known in dir(type(self)) if not known.startswith("_")]
            raise AttributeError(f"Cache-Control has no directive {name!r}. {did_you_mean(name, known)}".rstrip())
        super().__setattr__(name, value)


def text_header(name: str) -> property:
    """Return a property for the text of a header; None removes it."""

    def read(response: Any) -> str | None:
        return response.headers.get(name)  # type: ignore[no-any-return]  # text

    def write(response: Any, value: Any) -> None:
        if value is None:
            response.headers.remove(name)
        else:
            response.headers.set(name, str(value))

    return property(read, write, lambda response: write(response, None), f"The ``{name}`` header; None removes it.")


def flag_header(name: str) -> property:
    """Return a property for a header that is ``true`` or isn't sent."""

    def read(response: Any) -> bool:
        return name in response.headers

    def write(response: Any, value: Any) -> None:
        text_header(name).fset(response, "true" if value else None)  # type: ignore[misc]  # it has one

    return property(read, write, None, f"Whether the ``{name}`` header is sent.")


def list_header(name: str) -> property:
    """Return a property for the items of a header, a `HeaderSet`: what is added to it is sent."""

    def read(response: Any) -> HeaderSet:
        text = ", ".join(response.headers.getall(name))
        return parse_set_header(text, lambda items: write(response, items))

    def write(response: Any, value: Any) -> None:
        if not value:
            response.headers.remove(name)
        elif isinstance(value, HeaderSet):
            response.headers.set(name, value.to_header())
        else:
            response.headers.set(name, value if isinstance(value, str) else ", ".join(value))

    return property(
        read,
        write,
        lambda response: write(response, None),
        f"The items of ``{name}``, a set; assign text or items.",
    )
