"""Sijax's names over page calls, for a site that moves: docs/howto/from-sijax.md has the table.

Example::

    from wsgikit import PageCallsMiddleware, build_stack, sijax, use

    def say_hello(obj_response, name):
        obj_response.alert(f"Hello, {name}")

    sijax.register_callback("say_hello", say_hello)
    stack = build_stack(app, use(PageCallsMiddleware, functions=sijax.calls))
"""

from __future__ import annotations

__all__ = [
    "ObjResponse",
    "Sijax",
    "calls",
    "register_callback",
    "register_comet_callback",
    "register_object",
    "register_upload_callback",
]

from collections.abc import Callable, Iterator
from typing import Any

from wsgikit.middleware.page_calls import Calls, PageReply


class ObjResponse(PageReply):
    """Sijax's ``obj_response``: the first argument of every callback. Its commands are those of `PageReply`."""

    def take(self) -> PageReply:
        """Return the commands since the last time: what a comet callback sends with each ``yield``."""
        part = PageReply()
        part.commands, self.commands = self.commands, []
        return part


class Sijax(Calls):
    """A registry with Sijax's names. Arguments are passed by position, and are not checked."""

    def register_callback(self, name: str, callback: Callable[..., Any], args_extra: list[Any] | None = None) -> None:
        """Register ``callback(obj_response, *args)``.

        Args:
            name: the name that ``Sijax.request`` calls.
            callback: the function.
            args_extra: further arguments, passed before those of the page.
        """
        extra = tuple(args_extra or ())

        def called(*args: Any) -> PageReply:
            response = ObjResponse()
            callback(response, *extra, *args)
            return response

        self.add(name, called)

    def register_comet_callback(self, name: str, callback: Callable[..., Iterator[Any]]) -> None:
        """Register a generator function ``callback(obj_response, *args)``: each ``yield`` sends the commands so far."""

        def called(*args: Any) -> Iterator[PageReply]:
            response = ObjResponse()
            for _ in callback(response, *args):
                yield response.take()
            yield response.take()

        self.add(name, called)

    def register_object(self, obj: object) -> None:
        """Register the public methods of an object as callbacks.

        Raises:
            ConfigurationError: it has none, or a name is taken.
        """
        names = Calls()
        names.object(obj)
        for name in names.functions:
            self.register_callback(name, getattr(obj, name))

    def register_upload_callback(self, form_id: str, callback: Callable[..., Any]) -> None:
        """Register ``callback(obj_response, files, form_values)`` for the form that has this id.

        `files` and `form_values` are dictionaries by the names of the fields. A field with several files has a list.
        """

        def called(**fields: Any) -> PageReply:
            response = ObjResponse()
            files = {name: value for name, value in fields.items() if _has_files(value)}
            callback(response, files, {name: value for name, value in fields.items() if name not in files})
            return response

        self.add(form_id, called)


def _has_files(value: Any) -> bool:
    return hasattr(value[0] if isinstance(value, list) and value else value, "filename")


calls = Sijax()
"""The registry that the functions of this module fill: ``PageCallsMiddleware(app, functions=sijax.calls)``."""
register_callback = calls.register_callback
register_comet_callback = calls.register_comet_callback
register_object = calls.register_object
register_upload_callback = calls.register_upload_callback
