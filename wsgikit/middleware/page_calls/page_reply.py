"""`PageReply`: what a called function has the page do."""

from __future__ import annotations

__all__ = ["PageReply"]

import re
from collections.abc import Iterable
from typing import Any, Self

from wsgikit.exceptions import ApplicationError, complaint

_SCHEME = re.compile(r"[\x00-\x20]*([a-z][a-z0-9+.-]*):", re.IGNORECASE)  # RFC 3986 §3.1; browsers skip the blanks


class PageReply:
    """A value and commands for the page, in the order in which they run.

    Selectors are those of CSS; a command acts on all elements that match. HTML is inserted as it is: build it by a
    template, or escape what came from visitors. Scripts in it don't run.

    Args:
        value: what the promise in the page resolves to, any JSON value.

    Attributes:
        value: the same.
        commands: lists of a command's name and its arguments.

    Example::

        return PageReply(note.id).html_append("#notes", markup).call("scrollDown")
    """

    def __init__(self, value: Any = None) -> None:
        self.value = value
        self.commands: list[list[Any]] = []

    def alert(self, text: str) -> Self:
        """Show a text in a dialog."""
        return self._add("alert", str(text))

    def html(self, selector: str, html: object) -> Self:
        """Replace what is in the elements."""
        return self._add("html", selector, _markup(html))

    def html_append(self, selector: str, html: object) -> Self:
        """Add to the end of what is in the elements."""
        return self._add("html_append", selector, _markup(html))

    def html_prepend(self, selector: str, html: object) -> Self:
        """Add to the beginning of what is in the elements."""
        return self._add("html_prepend", selector, _markup(html))

    def css(self, selector: str, name: str, value: str) -> Self:
        """Set a property of the elements' style."""
        return self._add("css", selector, name, str(value))

    def attr(self, selector: str, name: str, value: str) -> Self:
        """Set an attribute.

        Raises:
            ApplicationError: it is an event handler (``onclick``), which a Content-Security-Policy forbids.
        """
        return self._add("attr", selector, _attribute(name), str(value))

    def attr_append(self, selector: str, name: str, value: str) -> Self:
        """Add to the end of an attribute."""
        return self._add("attr_append", selector, _attribute(name), str(value))

    def attr_prepend(self, selector: str, name: str, value: str) -> Self:
        """Add to the beginning of an attribute."""
        return self._add("attr_prepend", selector, _attribute(name), str(value))

    def remove(self, selector: str) -> Self:
        """Remove the elements."""
        return self._add("remove", selector)

    def redirect(self, url: str) -> Self:
        """Load another page.

        Raises:
            ApplicationError: a scheme other than http and https.
        """
        scheme = _SCHEME.match(url)
        if scheme is not None and scheme[1].lower() not in ("http", "https"):
            raise ApplicationError(complaint("PageReply.redirect", "url", "a path, or an http or https URL", url))
        return self._add("redirect", url)

    def call(self, name: str, args: Iterable[Any] = ()) -> Self:
        """Call a function that the page registered: ``register("name", function)``."""
        return self._add("call", name, list(args))

    def script(self, code: str) -> Self:
        """Run a script. The page runs it only if it has a script with a nonce, and under that nonce."""
        return self._add("script", code)

    def _add(self, *command: Any) -> Self:
        self.commands.append(list(command))
        return self

    def __repr__(self) -> str:
        return f"<PageReply {self.value!r}, {', '.join(command[0] for command in self.commands) or 'no commands'}>"


def _markup(value: object) -> str:
    to_html = getattr(value, "__html__", None)
    return str(to_html() if to_html is not None else value)


def _attribute(name: str) -> str:
    if name.lower().startswith("on"):
        remedy = "Register a function in the page and use call()"
        raise ApplicationError(complaint("PageReply.attr", "name", "no event handler", name, remedy))
    return name
